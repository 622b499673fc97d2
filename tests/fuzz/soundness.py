"""Accepted programs do what was verified: `python -m tests.fuzz.soundness --count 20000 --seed 1` (needs no kernel).

Programs come from the grammar and the mutations of tests/fuzz/verifier.py, all of them XDP. Those that our verifier
accepts run on random packets and maps. At each insn the interpreter's registers and stack must lie inside a state that
was walked there; no engine may fault; all engines must give the same verdicts, bytes and maps. `--start` goes on where
a run has stopped.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache

from tests.support.fuzz_verifier.mutation import case_sources, mutate, sources
from tests.support.fuzz_verifier.program import write
from tests.support.soundness_runs import Ran, run_accepted
from tests.support.verifier_sources import Question
from xdpsim.isa.disasm import disasm_all

_SHARE_MUTATED = 0.2
_CHUNK = 25
_KINDS = ("problems", "faults", "differing")


@cache
def _cases() -> tuple[Question, ...]:
    return tuple(question for question in case_sources() if question.spec.type == "XDP")


def case(seed: int, number: int) -> Question:
    """Program `number` of a seed, by itself."""
    rng = random.Random(f"soundness {seed}:{number}")
    name = f"soundness {seed}:{number}"
    if rng.random() < _SHARE_MUTATED:
        return mutate(rng, name, rng.choice((sources(), _cases())))
    while True:
        try:
            return write(rng, name, "XDP").question
        except ValueError:
            continue


@dataclass
class Tally:
    """What a run found: counts of programs, and of the bad ones the first of each kind."""

    programs: int = 0
    insns: int = 0
    states: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def count(self, question: Question, ran: Ran) -> None:
        """Take in what one program did."""
        self.programs += 1
        self.insns += ran.insns
        if ran.skipped:
            self.skipped[ran.skipped.partition(" (")[0]] += 1
            return
        assert ran.walked is not None
        self.states += ran.walked.count
        self.counts["accepted"] += 1
        self.counts["compared whole"] += ran.walked.is_whole
        self.counts["of them given up"] += bool(ran.given_up)
        self.counts["not compared with the jit, for they tell addresses"] += ran.tells_addresses
        self.counts["numbers of pruned walks only where precise"] += not ran.walked.has_numbers
        for kind in _KINDS:
            if found := getattr(ran, kind):
                self.bad[kind] += 1
                text = "\n".join([f"# {question.name}: {kind}", *found[:3], *disasm_all(question.spec.code)])
                self.shown.append(text)

    def add(self, other: Tally) -> None:
        """Put another part of the run to this one."""
        self.programs += other.programs
        self.insns += other.insns
        self.states += other.states
        for name in ("counts", "skipped", "bad"):
            getattr(self, name).update(getattr(other, name))
        self.shown += other.shown

    def report(self) -> str:
        """The numbers, then what is wrong."""
        counts = ", ".join(f"{n} {name}" for name, n in self.counts.items() if n)
        skipped = ", ".join(f"{n} {name}" for name, n in self.skipped.most_common())
        bad = ", ".join(f"{n} programs with {name}" for name, n in self.bad.items()) or "nothing wrong"
        head = f"{self.programs} programs: {counts}; not run: {skipped}"
        return "\n".join([head, f"{self.insns} insns compared with {self.states} states; {bad}", *self.shown[:10]])


def compare(seed: int, start: int, stop: int) -> Tally:
    """Run programs `start` to `stop`."""
    tally = Tally()
    for number in range(start, stop):
        question = case(seed, number)
        tally.count(question, run_accepted(question, number))
    return tally


def main(arguments: list[str]) -> int:
    """Run it; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.soundness", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0, help="stop after that time, 0: never")
    options = parser.parse_args(arguments)
    tally, began, first = Tally(), time.monotonic(), options.start
    with ProcessPoolExecutor(options.processes) as pool:
        end = options.start + options.count
        pieces = [(at, min(at + _CHUNK, end)) for at in range(options.start, end, _CHUNK)]
        waiting = [pool.submit(compare, options.seed, *piece) for piece in pieces]
        try:
            for done, (first, _) in zip(waiting, pieces, strict=True):  # noqa: B007  told when a process dies
                tally.add(done.result())
                if options.seconds and time.monotonic() - began > options.seconds:
                    pool.shutdown(cancel_futures=True)
                    break
        except BrokenProcessPool:
            tally.bad["the death of a process"] += 1
            tally.shown.insert(0, f"a process died, at or behind program {first}: look with --processes 1 --count 1")
    print(tally.report())
    print(f"{time.monotonic() - began:.0f} s; go on with --start {options.start + tally.programs}")
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
