"""Compares engines with the running kernel on random programs, for as long as asked: `make fuzz`.

    python -m tests.support.long_run --programs 50000 [--jit-every 10] [--seed 1] [--processes 1]

Every program runs in Linux and on the interpreter, every `--jit-every`-th on the jit as well, as verified; the 72 bytes
that each leaves must be equal. A difference is printed with the seed and number that make the program again; the exit
code is 1.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.support import rawbpf
from tests.support.corpus import Workbench, array
from tests.support.programs import VALUE_SIZE, random_program
from xdpsim.isa.decode import encode_all
from xdpsim.isa.disasm import disasm_all
from xdpsim.isa.insn import Code

CHUNK = 1000


@dataclass
class Tally:
    """What a run found."""

    programs: int = 0
    refused: int = 0
    on_jit: int = 0
    insns: int = 0
    differing: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.programs += other.programs
        self.refused += other.refused
        self.on_jit += other.on_jit
        self.insns += other.insns
        self.differing += other.differing


def program(seed: int, number: int) -> Code:
    """Program `number` of a seed, by itself: every fourth has no branches."""
    return random_program(random.Random(f"{seed}:{number}"), branches=number % 4 != 0)


def compare(seed: int, start: int, stop: int, jit_every: int) -> Tally:
    """Run programs `start` to `stop`."""
    benches = {name: Workbench(name, [array(VALUE_SIZE)]) for name in ("interpreter", "jit")}
    for bench in benches.values():
        bench.verify = True
    map_fd, tally = rawbpf.array_map(VALUE_SIZE), Tally()
    for number in range(start, stop):
        code = program(seed, number)
        tally.programs += 1
        expected = rawbpf.value_after(encode_all(code), map_fd, VALUE_SIZE)
        if expected is None:
            tally.refused += 1
            continue
        on_jit = jit_every > 0 and number % jit_every == 0
        engines = ["interpreter"] + ["jit"] * on_jit
        tally.on_jit += on_jit
        for engine in engines:
            bench = benches[engine]
            bench.set_value(bytes(VALUE_SIZE))
            ran = bench.run(code)
            if ran.fault or bench.value() != expected:
                tally.differing.append(_difference(engine, seed, number, expected, bench.value(), ran.fault))
        tally.insns += ran.insns
    return tally


def _difference(engine: str, seed: int, number: int, expected: bytes, found: bytes, fault: object) -> str:
    head = f"{engine}, seed {seed}, program {number}: Linux {expected.hex()}, here {found.hex()} {fault or ''}"
    return "\n".join([head, *disasm_all(program(seed, number))])


def main(arguments: list[str]) -> int:
    """Run it; 1 when anything differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.long_run", description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jit-every", type=int, default=10, help="0: never")
    parser.add_argument("--processes", type=int, default=1, choices=(1, 2))
    options = parser.parse_args(arguments)
    if reason := rawbpf.kernel_answers():
        parser.error(reason)
    begun, total = time.monotonic(), Tally()
    edges = [*range(0, options.programs, CHUNK), options.programs]
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(compare, options.seed, *edge, options.jit_every) for edge in itertools.pairwise(edges)]
        for job in jobs:
            total.add(job.result())
            print(f"\r{total.programs} programs, {len(total.differing)} differ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(*total.differing[:10], sep="\n\n", end="\n" if total.differing else "")
    print(
        f"{total.programs} programs ({total.refused} refused by Linux, {total.on_jit} on the jit as well, "
        f"{total.insns} insns): {len(total.differing)} differ; {time.monotonic() - begun:.0f} s"
    )
    return 1 if total.differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
