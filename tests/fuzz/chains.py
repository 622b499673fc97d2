"""Chains of packet helpers, here and on Linux: `python -m tests.fuzz.chains --count 20000 --seed 1` (needs root).

Each random program runs on one random packet of pcaps/mixed.pcap, in an engine of ours and in the running kernel:
verdict, bytes, metadata and maps must be the same.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.corpus import Workbench
from tests.support.fuzz_chains import MAPS, Chain
from tests.support.oracle import live_reason
from xdpsim.errors import Rejected, Unsupported
from xdpsim.frames.capture import open_capture
from xdpsim.isa.disasm import disasm_all
from xdpsim.isa.insn import Code
from xdpsim.net.clock import VirtualClock
from xdpsim.net.datapath import refusal
from xdpsim.sysbpf.info import possible_cpus

_CAPTURE = Path(__file__).parents[2] / "pcaps" / "mixed.pcap"
_SHARE_WITH_FRAGS = 1 / 6
_LONG = (3500, 3520, 3521, 4096, 5000, 7616, 7617, 9000)
"""Around where a packet no longer fits into one, then two pages."""
_READABLE = [n for n, spec in enumerate(MAPS) if spec["type"] not in ("DEVMAP", "XSKMAP")]


@cache
def packets() -> list[bytes]:
    """Those of the capture that can be run."""
    with _CAPTURE.open("rb") as file:
        return [record.data for record in open_capture(file) if not refusal(record.data)]


def case(seed: int, number: int) -> tuple[Code, bytes, bool]:
    """Program `number` of a seed and its packet, by itself. One in six takes frags; most of those packets have some."""
    rng = random.Random(f"{seed}:{number}")
    has_frags = rng.random() < _SHARE_WITH_FRAGS
    code, packet = Chain(rng, has_frags=has_frags).make(), rng.choice(packets())
    if has_frags and rng.random() < 0.8:
        packet = (packet * (10_000 // len(packet) + 1))[: rng.choice(_LONG)]
    return code, packet, has_frags


@dataclass
class Tally:
    """What a run found."""

    programs: int = 0
    unsupported: int = 0
    refused: list[str] = field(default_factory=list)
    verdicts: Counter[int] = field(default_factory=Counter)
    differing: list[str] = field(default_factory=list)

    def report(self) -> str:
        """The numbers, then what differs."""
        verdicts = ", ".join(f"{value}: {count}" for value, count in self.verdicts.most_common(8))
        head = f"{self.programs} programs, {len(self.refused)} refused by Linux, {len(self.differing)} differ"
        head += f", {self.unsupported} not run by this engine" if self.unsupported else ""
        return "\n".join([head, f"verdicts {verdicts}", *self.refused[:2], *self.differing[:5]])


def _answer(bench: Workbench, code: Code, packet: bytes, frags: bool) -> tuple[object, ...]:
    """What a program leaves, from the same maps, time and randomness each time."""
    bench.machine.clock, bench.machine.run_state.random = VirtualClock(), 1
    for number in _READABLE:
        made = bench.maps[number]
        for key, value in list(made.items_bytes()):
            if "ARRAY" in made.spec.type:
                made.update_bytes(key, bytes(len(value)), 0)
            else:
                made.delete_bytes(key)
    for key in range(2):
        bench.maps[1].update_bytes(key.to_bytes(4, "little"), b"\x55" * 8, 0)
    ran = bench.run(code, packet, frags=frags)
    return (*ran.what, *(sorted(bench.maps[number].items_bytes()) for number in _READABLE))


def compare(seed: int, start: int, stop: int, engine: str = "interpreter") -> Tally:
    """Run programs `start` to `stop` on both."""
    tally, cpus = Tally(), possible_cpus()
    ours, linux = Workbench(engine, MAPS, cpus=cpus), Workbench("kernel", MAPS, cpus=cpus)
    names = ("verdict", "bytes", "metadata", "stop", "fault", *(f"map {number}" for number in _READABLE))
    for number in range(start, stop):
        code, packet, frags = case(seed, number)
        tally.programs += 1
        try:
            theirs = _answer(linux, code, packet, frags)
        except Rejected as refused:
            tally.refused.append(f"program {number}: {refused.message} {refused.log[-300:]}")
            continue
        try:
            found = _answer(ours, code, packet, frags)
        except Unsupported:  # the jit has not all helpers
            tally.unsupported += 1
            continue
        tally.verdicts[found[0]] += 1  # type: ignore[index]
        if found != theirs:
            told = [f"{n}: here {a}, Linux {b}" for n, a, b in zip(names, found, theirs, strict=True) if a != b]
            lines = "\n    ".join(disasm_all(code))
            tally.differing.append(
                f"program {number}, {len(packet)} bytes{', frags' * frags}: {'; '.join(told)[:700]}\n    {lines}"
            )
    return tally


def main(arguments: list[str]) -> int:
    """Run it; 1 when anything differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.chains", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", default="interpreter", choices=("interpreter", "jit"))
    options = parser.parse_args(arguments)
    if reason := live_reason():
        parser.error(reason)
    began = time.monotonic()
    tally = compare(options.seed, options.start, options.start + options.count, options.engine)
    print(tally.report())
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if tally.differing or len(tally.refused) > tally.programs // 100 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
