"""Our verifier against Linux's on random programs: `python -m tests.fuzz.verifier --count 20000 --seed 1` (needs root).

Programs come from a grammar and from mutations of programs/*.o and of cases (tests/support/fuzz_verifier). Compared are
verdict, errno, message and how many insns were walked. Each kind of disagreement is made smaller and printed once as a
case for tests/cases/verifier, with how often it was seen; `--out FILE` keeps them. `--start` goes on where a run has
stopped. With `--linux-only` only the distribution is told.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType

from tests.support.fuzz_verifier.compare import LEVELS, disagreement, group_of, template
from tests.support.fuzz_verifier.mutation import case_sources, mutate, sources
from tests.support.fuzz_verifier.program import write
from tests.support.fuzz_verifier.shrink import shrink
from tests.support.fuzz_verifier.toml import case_text, renamed
from tests.support.oracle import live_reason
from tests.support.verifier_linux import Answer, Asker
from tests.support.verifier_ours import ask_ours
from tests.support.verifier_sources import Question, ask_linux_shortly
from xdpsim.isa.rows import Family

_SHARE_OF_OBJECTS, _SHARE_OF_CASES = 0.12, 0.2
_MOST_INSNS = 30_000
"""Programs that Linux walks for longer are not walked here."""
_LONGEST = 60
_CHUNK = 100


def case(seed: int, number: int) -> Question:
    """Program `number` of a seed, by itself."""
    rng = random.Random(f"{seed}:{number}")
    name = f"fuzz {seed}:{number}"
    kind = rng.random()
    if kind < _SHARE_OF_OBJECTS:
        return mutate(rng, name, sources())
    if kind < _SHARE_OF_OBJECTS + _SHARE_OF_CASES:
        return mutate(rng, name, case_sources())
    return write(rng, name).question


@dataclass
class Found:
    """A kind of disagreement: how often, and the first program that shows it."""

    count: int
    number: int
    text: str


@dataclass
class Tally:
    """What a run found."""

    programs: int = 0
    accepted: int = 0
    too_long: int = 0
    harmful: int = 0
    accepted_compared: int = 0
    walked_alike: int = 0
    """Of the accepted ones that were compared, those for which both walk as many insns."""
    seconds: float = 0.0
    our_insns: int = 0
    our_seconds: float = 0.0
    walked: list[int] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    found: dict[str, Found] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        for name in (
            "programs",
            "accepted",
            "too_long",
            "harmful",
            "accepted_compared",
            "walked_alike",
            "our_insns",
            "our_seconds",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.walked += other.walked
        self.messages += other.messages
        self.kinds += other.kinds
        for group, one in other.found.items():
            if group in self.found:
                self.found[group].count += one.count
            else:
                self.found[group] = one

    @property
    def share_accepted(self) -> float:
        return self.accepted / max(self.programs, 1)

    @property
    def median_walked(self) -> int:
        return sorted(self.walked)[len(self.walked) // 2] if self.walked else 0

    @property
    def share_of_commonest(self) -> float:
        """Of the rejections, the share of the message that most of them have."""
        most = self.messages.most_common(1)
        return most[0][1] / self.messages.total() if most else 0.0

    def report(self) -> str:
        """The distribution, then what disagrees."""
        total = max(self.messages.total(), 1)
        lines = [
            f"{self.programs} programs, {100 * self.share_accepted:.1f} % accepted by Linux, "
            f"{self.median_walked} insns walked in the median of these; {len(self.messages)} messages:",
            *(f"{100 * n / total:6.1f} %  {text}" for text, n in self.messages.most_common(40)),
            f"not compared, since Linux walks more than {_MOST_INSNS} insns: {self.too_long}",
            f"not asked, since they make Linux write outside of its tables: {self.harmful}",
        ]
        if self.our_seconds:
            rate = self.our_insns / self.our_seconds
            lines.append(f"here {self.our_insns} insns in {self.our_seconds:.0f} s of CPU, {rate:.0f} a second")
        if self.accepted_compared:
            share = 100 * self.walked_alike / self.accepted_compared
            alike = f"{self.walked_alike} of {self.accepted_compared}"
            lines.append(f"accepted programs that are walked as far here: {alike}, {share:.2f} %")
        lines.append(", ".join(f"{kind}: {n}" for kind, n in self.kinds.most_common()) or "no disagreement")
        for group, one in sorted(self.found.items(), key=lambda item: -item[1].count):
            lines.append(f"\n# {one.count} x {group}, first of them program {one.number}\n{one.text}")
        return "\n".join(lines)


class TookTooLong(Exception):
    """Our verifier did not come to an end."""


def _ring(number: int, frame: FrameType | None) -> None:
    raise TookTooLong


def ours_of(question: Question) -> Answer:
    """Our answer; an exception is one, too, with its name as the message."""
    q = question
    signal.alarm(_LONGEST)
    try:
        return ask_ours(q.spec, q.maps, q.btf, caps=q.caps, flags=q.flags)
    except Exception as error:  # noqa: BLE001,RUF100  the program must be told with it
        return crash(error)
    finally:
        signal.alarm(0)


def crash(error: Exception) -> Answer:
    """An exception as an answer: its name and where it was raised."""
    trace, where = error.__traceback__, ""
    while trace is not None:
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return Answer(-1, f"{type(error).__name__}: {str(error)[:120]} at {where}")


@cache
def _asker() -> Asker:
    return Asker()


def compare(seed: int, start: int, stop: int, linux_only: bool = False, level: str = "processed") -> Tally:
    """Put programs `start` to `stop` to both."""
    signal.signal(signal.SIGALRM, _ring)
    tally = Tally()
    for number in range(start, stop):
        _compare_one(tally, case(seed, number), number, linux_only, level)
    return tally


def harms_linux(question: Question) -> bool:
    """Whether the running kernel must not be asked: precision that looks for the exit of a function which a packet load
    ended makes Linux 6.18 write outside of its tables. Our verifier says of these that Linux's has a bug.
    """
    families = {insn.family for insn in question.spec.code if insn is not None}
    return {Family.CALL_LOCAL, Family.LD_PACKET} <= families and "verifier bug" in ours_of(question).message


def _compare_one(tally: Tally, question: Question, number: int, linux_only: bool, level: str) -> None:
    if harms_linux(question):
        tally.programs += 1
        tally.harmful += 1
        return
    linux = ask_linux_shortly(_asker(), question)
    tally.programs += 1
    if linux.accepted:
        tally.accepted += 1
        tally.walked.append(linux.processed)
    else:
        tally.messages[template(linux.message)] += 1
    if linux_only:
        return
    if linux.processed > _MOST_INSNS or "verifier bug" in linux.message:
        tally.too_long += 1
        return
    began = time.process_time()
    ours = ours_of(question)
    tally.our_seconds += time.process_time() - began
    tally.our_insns += max(ours.processed, 0)
    tally.accepted_compared += linux.accepted
    tally.walked_alike += linux.accepted and ours.accepted and linux.processed == ours.processed
    kind = disagreement(linux, ours, level)
    if not kind:
        return
    tally.kinds[kind] += 1
    group = group_of(kind, linux, ours)
    if group in tally.found:
        tally.found[group].count += 1
    else:
        tally.found[group] = Found(1, number, _told(question, group, level))


def _told(question: Question, group: str, level: str) -> str:
    """The program made smaller, as a case."""

    def holds(smaller: Question) -> bool:
        if harms_linux(smaller):
            return False
        linux = ask_linux_shortly(_asker(), smaller)
        if linux.processed > _MOST_INSNS:
            return False
        ours = ours_of(smaller)
        return group_of(disagreement(linux, ours, level), linux, ours) == group

    small = shrink(question, holds)
    linux, ours = ask_linux_shortly(_asker(), small), ours_of(small)
    said = "accepts" if ours.accepted else f"says {ours.errno_name if ours.errno > 0 else ''} {ours.message!r}"
    why = f"here: {said} after {ours.processed} insns, {ours.total_states} states (Linux: {linux.total_states})"
    return case_text(renamed(small, question.name), linux, why)


def chunks(start: int, count: int) -> Iterator[tuple[int, int]]:
    """Pieces of work of equal size."""
    for first in range(start, start + count, _CHUNK):
        yield first, min(first + _CHUNK, start + count)


def main(arguments: list[str]) -> int:
    """Run it; 1 when anything disagrees."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.verifier", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--linux-only", action="store_true", help="tell the distribution, compare nothing")
    parser.add_argument("--level", choices=LEVELS, default="processed", help="what must be equal, and all before it")
    parser.add_argument("--seconds", type=float, default=0, help="stop after that time, 0: never")
    parser.add_argument("--out", type=Path, help="write the cases there, too")
    options = parser.parse_args(arguments)
    if reason := live_reason():
        parser.error(reason)
    tally, began, died = Tally(), time.monotonic(), ""
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = [
            pool.submit(compare, options.seed, first, stop, options.linux_only, options.level)
            for first, stop in chunks(options.start, options.count)
        ]
        for done in waiting:
            try:
                tally.add(done.result())
            except BrokenProcessPool:
                first = options.start + tally.programs
                died = f"; a worker died among programs {first} to {first + options.processes * _CHUNK}"
                break
            if options.seconds and time.monotonic() - began > options.seconds:
                pool.shutdown(cancel_futures=True)
                break
    print(tally.report())
    print(f"{time.monotonic() - began:.0f} s; go on with --start {options.start + tally.programs}{died}")
    if options.out:
        options.out.write_text("\n".join(one.text for one in tally.found.values()))
    return 1 if tally.found or died else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
