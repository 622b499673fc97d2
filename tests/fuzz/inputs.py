"""Damaged files: `python -m tests.fuzz.inputs --count 100000 --seed 1`.

Objects are loaded, their maps made, their programs made ready and run once; captures are read to their end. Each input
must give a result or an InputError or Unsupported (a single program may be Rejected, too), within 5 seconds and 1 GB.
Inputs that do not are saved. Messages that few inputs reached are then sought on purpose: by changing single bytes of
an input that did reach them.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.loader.damage import use
from tests.support.fuzz_bytes import Seed, mutation
from tests.support.fuzz_workers import Died, Worker
from xdpsim.errors import InputError, Rejected, Unsupported
from xdpsim.frames.capture import open_capture
from xdpsim.memory.runtime import ensure
from xdpsim.sim.sim import Sim
from xdpsim.verifier import decide, walk

SLOWEST, LARGEST_KB = 5.0, 1 << 20
REACHED_OFTEN = 50
_BUDGET = 1000
_PACKET = bytes(14) + bytes(range(50))
_CHUNK = 2000
VERIFIED_EACH, MOST_WALKED = 8, 2_000
"""Of so many objects one is verified, and up to so many insns walked: what a damaged program means is found sooner."""
_VARIANTS = 200
"""How many neighbours of an input are tried for a rare message."""


def case(seed: int, number: int, sources: Sequence[int]) -> tuple[Seed, bytes]:
    """Input `number` and what it was made from; with `sources` it is a neighbour of one of those inputs."""
    if not sources:
        return mutation(seed, number)
    made_from, data = mutation(seed, sources[number // _VARIANTS])
    random_ = random.Random(f"{seed} {number}")
    changed = bytearray(data)
    if changed:
        changed[random_.randrange(len(changed))] ^= 1 << random_.randrange(8)
    return made_from, bytes(changed)


def give(kind: str, data: bytes, number: int) -> str:
    """What xdpsim says of an input: the message of its error, or nothing."""
    try:
        if kind == "capture":
            for record in open_capture(io.BytesIO(data), l2=("", "synth", "none")[number % 3]):
                assert record.truncated == (len(record.data) < record.length)
            return ""
        sim = Sim(verify=number % VERIFIED_EACH == 0)
        sim.engine.budget = _BUDGET  # type: ignore[attr-defined]
        loaded = sim.load(data, name="f.o")
        use(loaded.source)
    except (InputError, Unsupported) as err:
        return err.message
    refusal = ""
    for name in loaded:
        try:
            program = loaded[name]
            if program.spec.type == "XDP":
                program.run(_PACKET)
        except (InputError, Unsupported, Rejected) as err:  # Linux's verifier would refuse such a program
            refusal = refusal or err.message
    return refusal and f"loads; {refusal}"


def work(seed: int, start: int, stop: int, sources: Sequence[int] = ()) -> None:
    """A worker: a line for each input when it begins and when it has ended."""
    ensure()
    walk.COMPLEXITY_LIMIT_INSNS = MOST_WALKED
    decide.WORTH_KEEPING = MOST_WALKED * 2  # nothing: decisions under that limit are nobody else's
    for number in range(start, stop):
        print(f"> {number}", flush=True)
        made_from, data = case(seed, number, sources)
        began = time.perf_counter()
        try:
            answer, raised = give(made_from.kind, data, number), ""
        except Exception as err:  # noqa: BLE001,RUF100  the input must be told with it
            frames = [f for f in traceback.extract_tb(err.__traceback__) if "xdpsim/" in f.filename]
            where = " < ".join(f"{f.filename.rpartition('xdpsim/')[2]}:{f.lineno}" for f in frames[:-4:-1])
            answer, raised = "", f"{type(err).__name__}: {str(err)[:150]} at {where}"
        took, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps([number, made_from.kind, answer, raised, round(took, 3), peak]), flush=True)


def template(message: str) -> str:
    """A message without what differs from case to case: numbers, names, quoted text."""
    text = re.sub(r"\s+", " ", message.removeprefix("loads; ")).replace("f.o:", "").strip()
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\([^)]*\)|\[[^\]]*\]", "*", text)
    text = re.sub(r"\b0x[0-9a-f]+|\b[0-9a-f]*\d[0-9a-f]*\b|-?\d[\d,]*", "#", text)
    text = re.sub(r"begins with .*? a pcap", "begins with # a pcap", text)
    text = re.sub(r"[^\x20-\x7e]+", "?", text)
    text = re.sub(r"^[\w./#?-]+: insn", "program: insn", text)
    text = re.sub(r"^(capture: )?(section|map|function|program|symbol|helper|relocation) [\w./#?$%-]+", r"\1\2 *", text)
    text = re.sub(r"(CO-RE relocation of|kernel function|struct|union|enum|constant) [^:,]*", r"\1 *", text)
    text = re.sub(r"^[^:]*: missing BPF prog type", "program: missing BPF prog type", text)
    text = re.sub(r"^[^:]*: programs of type \w+ do not", "program: programs of a type do not", text)
    text = re.sub(r" at [\w./#]+\.c:#", "", text)
    return text[:70]


@dataclass
class Tally:
    """What a run found."""

    inputs: int = 0
    objects: int = 0
    past_header: int = 0
    good: int = 0
    slowest: float = 0.0
    peak: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
    """Message to the first input that reached it."""

    @property
    def share(self) -> float:
        """Of the objects, how many get past the ELF header."""
        return self.past_header / max(self.objects, 1)

    @property
    def rare(self) -> list[str]:
        """Messages that too few inputs reached."""
        return [text for text, count in self.answers.items() if count < REACHED_OFTEN]

    def add(self, kind: str, answer: str, number: int) -> None:
        self.inputs += 1
        self.good += not answer
        if kind == "object":
            self.objects += 1
            self.past_header += not answer.startswith(("f.o: elf header", "f.o: begins with"))
        if answer:
            self.answers[template(answer)] += 1
            self.first.setdefault(template(answer), number)

    def report(self) -> str:
        """The distribution, most frequent first."""
        lines = [
            f"{self.inputs} inputs: {self.good} give a result, {100 * self.share:.0f} % of {self.objects} objects are "
            f"past the ELF header; slowest {self.slowest:.2f} s, at most {self.peak >> 10} MB",
        ]
        rows = self.answers.most_common()
        lines += [f"{count:8}  {text}" for text, count in rows if count >= REACHED_OFTEN]
        rare = [f"{count:8}  {text}" for text, count in rows if count < REACHED_OFTEN]
        lines += [f"{len(rows)} different messages; reached less than {REACHED_OFTEN} times are {len(rare)}:", *rare]
        seen: Counter[str] = Counter()
        for number, what in self.wrong:
            seen[what] += 1
            if seen[what] == 1:
                lines.append(f"WRONG {number}: {what}")
        return "\n".join([*lines, *(f"{count} x {what}" for what, count in seen.items() if count > 1)])


def run(seed: int, start: int, stop: int, tally: Tally, sources: Sequence[int] = ()) -> None:
    """Give inputs `start` to `stop` to workers; whoever hangs or dies is reported and passed over."""
    while start < stop:
        end = min(stop, start + _CHUNK)
        call = f"from tests.fuzz.inputs import work; work({seed}, {start}, {end}, {list(sources)})"
        worker = Worker(["-c", call], silence=2 * SLOWEST)
        worker.limit_kb = LARGEST_KB
        try:
            for line in worker.lines():
                if line.startswith(">"):
                    start = int(line[2:]) + 1
                    continue
                number, kind, answer, raised, took, peak = json.loads(line)
                tally.add(kind, answer, number)
                tally.slowest, tally.peak = max(tally.slowest, took), max(tally.peak, peak)
                too_much = f"{took:.1f} s" if took > SLOWEST else f"{peak >> 10} MB" if peak > LARGEST_KB else ""
                if raised or too_much:
                    tally.wrong.append((number, raised or too_much))
            start = end
        except Died as died:
            tally.wrong.append((start - 1, str(died)))


def seek_rare(seed: int, tally: Tally) -> Tally:
    """Try the neighbours of one input for each rare message; what they found, added to the counts of `tally`."""
    sources = [tally.first[text] for text in tally.rare]
    near = Tally()
    run(seed, 0, len(sources) * _VARIANTS, near, sources)
    tally.answers.update({text: count for text, count in near.answers.items() if text in tally.answers})
    return near


def save(seed: int, tally: Tally, sources: Sequence[int] = ()) -> Path:
    """Write the inputs that went wrong where they can be looked at."""
    folder = Path(tempfile.mkdtemp(prefix="xdpsim-fuzz-"))
    for number, _ in itertools.islice(tally.wrong, 100):
        made_from, data = case(seed, number, sources)
        (folder / f"{seed}-{number}.{'o' if made_from.kind == 'object' else 'pcap'}").write_bytes(data)
    return folder


def main(arguments: list[str]) -> int:
    """Run it; 1 when anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.inputs", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    tally, began = Tally(), time.monotonic()
    run(options.seed, options.start, options.start + options.count, tally)
    sources = [tally.first[text] for text in tally.rare]
    near = seek_rare(options.seed, tally)
    print(tally.report())
    print(f"{near.inputs} neighbours of {len(sources)} inputs with rare messages; slowest {near.slowest:.2f} s")
    print(f"{time.monotonic() - began:.0f} s")
    for number, what in near.wrong:
        print(f"WRONG neighbour {number}: {what}")
    if tally.wrong:
        print(f"saved to {save(options.seed, tally)}{os.sep}")
    if near.wrong:
        print(f"saved to {save(options.seed, near, sources)}{os.sep}")
    return 1 if tally.wrong or near.wrong or tally.share < 0.3 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
