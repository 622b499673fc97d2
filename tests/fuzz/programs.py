"""Hostile programs over every helper and kernel function: `python -m tests.fuzz.programs --count 10000 --seed 1`.

Each must end in a verdict or in a fault that names insn and region, in processes with the native runtime and with the
Python one alike. A process that dies or hangs is reported with the program that killed it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.fuzz_code import KFUNC_NAMES, Maker
from tests.support.fuzz_things import PROG_ARRAY, map_specs, types
from tests.support.fuzz_workers import Died, Worker
from xdpsim.engines.fault import FaultKind
from xdpsim.isa.decode import decode
from xdpsim.isa.disasm import disasm_all
from xdpsim.isa.insn import Code
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.memory.arena import Block
from xdpsim.memory.runtime import ensure
from xdpsim.sim.sim import Sim

BUDGET = 2000
LONG_ENOUGH = 10
PACKET = bytes.fromhex("0200000000010200000000020800450000320001000040113ac40a0000010a0000020035003500") + bytes(30)
_LATER_NS = 1_000_000
_SLOWEST = 5.0
Result = list[Any]
"""Verdict, kind of fault or "", its slot, insns."""


def program(seed: int, number: int) -> Code:
    """Program `number` of a seed, by itself."""
    return decode(Maker(random.Random(f"{seed}:{number}")).make())


def furnish(sim: Sim) -> None:
    """Something for lookups to find."""
    sim.interface("eth0", mac="02:00:00:00:00:01", addresses=["10.0.0.1/24"])
    sim.socket("udp", local="10.0.0.2:53")
    sim.socket("tcp", local="10.0.0.2:80")
    sim.socket("tcp", local="10.0.0.2:80", remote="10.0.0.1:53")
    sim.conntrack("tcp", "10.0.0.1:53", "10.0.0.2:80")


def run(code: Code) -> Result:
    """What a program did on a machine of its own, then on its timers."""
    sim = Sim(verify=False)  # the programs are hostile
    sim.engine.budget = BUDGET  # type: ignore[attr-defined]
    maps = tuple(sim.machine.add_map(spec) for spec in map_specs())
    main = Subprogram("hostile", 0)
    spec = ProgramSpec("hostile", "xdp", "XDP", 0, code, (main,), (), "GPL", kfuncs=KFUNC_NAMES)
    furnish(sim)
    loaded = sim.machine.add_program(spec, maps, types()[0])
    maps[PROG_ARRAY].update_bytes(bytes(4), loaded.number.to_bytes(4, "little"), 0)
    out = sim.take(loaded).run(PACKET)
    sim.advance(_LATER_NS)
    fault = out.fault
    if fault is None:
        return [out.value, "", 0, out.insns]
    assert str(fault).startswith("hostile: insn "), str(fault)
    assert fault.problem, str(fault)
    return [out.value, FaultKind(fault.kind).name, fault.slot, out.insns]


def work(seed: int, numbers: Sequence[int], shift: int) -> None:
    """A worker: a line for each program when it begins and when it has ended. `shift` moves all addresses."""
    ensure()
    held = [Block(1 << 16, "shift") for _ in range(shift)]
    for number in numbers:
        print(f"> {number}", flush=True)
        began = time.perf_counter()
        try:
            result: Result | dict[str, str] = run(program(seed, number))
        except Exception as err:  # noqa: BLE001,RUF100  the program must be told with it
            frames = [f for f in traceback.extract_tb(err.__traceback__) if "xdpsim/" in f.filename]
            where = " < ".join(f"{f.filename.rpartition('xdpsim/')[2]}:{f.lineno}" for f in frames[:-4:-1])
            result = {"raised": f"{type(err).__name__}: {str(err)[:150]}", "where": where}
        print(json.dumps([number, result, round(time.perf_counter() - began, 3)]), flush=True)
    del held


@dataclass
class Tally:
    """What a run found."""

    programs: int = 0
    long: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    raised: dict[str, list[int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    moved: int = 0
    slowest: float = 0.0

    @property
    def is_good(self) -> bool:
        return not self.raised and not self.problems and self.long >= 0.7 * self.programs

    def report(self) -> str:
        """The numbers, then each different problem once."""
        share = 100 * self.long / max(self.programs, 1)
        lines = [
            f"{self.programs} programs, {share:.0f} % ran {LONG_ENOUGH} insns or more, slowest {self.slowest:.2f} s"
        ]
        lines += [f"{count:8}  {end}" for end, count in self.ends.most_common()]
        lines.append(f"{self.moved} depend on addresses and were not compared")
        lines += [f"raised {len(found)} times, first by {found[0]}: {what}" for what, found in self.raised.items()]
        return "\n".join([*lines, *self.problems[:20]])


def _results(seed: int, numbers: Sequence[int], runtime: str, shift: int, tally: Tally) -> dict[int, Any]:
    """What each program did in workers of one runtime; those that kill or hang them are problems of the tally."""
    found: dict[int, Any] = {}
    begun = 0
    while begun < len(numbers):
        code = f"from tests.fuzz.programs import work; work({seed}, {numbers[begun:]!r}, {shift})"
        worker = Worker(["-c", code], runtime=runtime, silence=4 * _SLOWEST)
        try:
            for line in worker.lines():
                if line.startswith(">"):
                    begun += 1
                else:
                    number, result, took = json.loads(line)
                    found[number] = result
                    tally.slowest = max(tally.slowest, took)
                    if took > _SLOWEST:
                        tally.problems.append(f"program {number} ({runtime} runtime): took {took:.1f} s")
            begun = len(numbers)
        except Died as died:
            tally.problems.append(f"program {numbers[begun - 1]} ({runtime} runtime): {died}")
    return found


def compare(seed: int, edges: tuple[int, int]) -> Tally:
    """Run programs under both runtimes. What differs runs once more at other addresses: it may depend on those."""
    tally, numbers = Tally(), range(*edges)
    native = _results(seed, numbers, "native", 0, tally)
    python = _results(seed, numbers, "python", 0, tally)
    for runtime, results in (("native", native), ("python", python)):
        for number, result in results.items():
            if isinstance(result, dict):
                key = f"{result['raised']} at {result['where']} ({runtime})"
                tally.raised.setdefault(key, []).append(number)
    told = {number: result for number, result in native.items() if isinstance(result, list)}
    tally.programs = len(numbers)
    tally.long = sum(result[3] >= LONG_ENOUGH for result in told.values())
    tally.ends.update(result[1] or "verdict" for result in told.values())
    differing = [n for n, result in told.items() if isinstance(python.get(n), list) and result != python[n]]
    again = {
        runtime: [_results(seed, differing, runtime, shift, tally) for shift in (37, 101)]
        for runtime in ("native", "python")
    }
    for number in differing:
        here = [native[number], *(results.get(number) for results in again["native"])]
        there = [python[number], *(results.get(number) for results in again["python"])]
        if any(result in there for result in here) or any(result != here[0] for result in here):
            tally.moved += 1
        else:
            tally.problems.append(f"program {number}: native {here[0]}, python {there[0]}")
    return tally


def main(arguments: list[str]) -> int:
    """Run it; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.programs", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=-1, help="print program SHOW of the seed, run it, and stop")
    options = parser.parse_args(arguments)
    if options.show >= 0:
        print(*disasm_all(program(options.seed, options.show)), sep="\n")
        print(run(program(options.seed, options.show)))
        return 0
    tally = compare(options.seed, (options.start, options.start + options.count))
    print(tally.report())
    return 0 if tally.is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
