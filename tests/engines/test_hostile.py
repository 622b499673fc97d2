"""Whatever valid instructions a program is made of, it ends: in a verdict or in a fault, the same on both engines.

Compiled programs run in a process of their own, so that one that killed it would be seen, and named.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import pytest

from tests.support.corpus import OURS, Ran, Workbench
from tests.support.hostile import BUDGET, MAPS, hostile_code
from tests.support.runtimes import python_runtime, surrounding
from xdpsim.engines.fault import FaultKind
from xdpsim.errors import Rejected, Unsupported
from xdpsim.isa.asm import assemble
from xdpsim.isa.disasm import disasm_all
from xdpsim.isa.insn import Code
from xdpsim.memory.batch import Stop
from xdpsim.net.clock import VirtualClock

ON_THE_INTERPRETER = 4000
ON_BOTH = 300
PYTHON_TWINS = 300


def program(seed: int) -> Code:
    return hostile_code(random.Random(seed))


def run(bench: Workbench, code: Code) -> tuple[Ran, list[list[tuple[bytes, bytes]]]] | str:
    """What it did, and the maps after it; or why it was refused at load."""
    bench.machine.clock, bench.machine.run_state.random = VirtualClock(), 1
    values, table = bench.maps
    bench.set_value(bytes(values.spec.value_size))
    for key, _ in list(table.items_bytes()):
        table.delete_bytes(key)
    try:
        ran = bench.run(code)
    except (Unsupported, Rejected) as refusal:
        return str(refusal)
    return ran, [sorted(made.items_bytes()) for made in bench.maps]


def differs(code: Code, on: list[Workbench]) -> str:
    """How two engines differ on a program; empty when they do not."""
    left, right = (run(bench, code) for bench in on)
    if isinstance(left, str) or isinstance(right, str):
        return "" if left == right else f"{left} / {right}"
    kinds = {ran.fault.kind if ran.fault else None for ran, _ in (left, right)}
    if FaultKind.BUDGET in kinds:  # engines count different things, so a slow program may end on one of them
        return ""
    if left[0].what != right[0].what:
        return f"{left[0].verdict} {left[0].fault} / {right[0].verdict} {right[0].fault}"
    return "" if left[1] == right[1] else f"maps {left[1]} / {right[1]}"


def compare(start: int, stop: int) -> None:
    """Print each seed before it runs, then any difference; for a process of its own."""
    first = Workbench(OURS[0], MAPS, budget=BUDGET)
    on = [first, first.beside(OURS[1], budget=BUDGET)]
    for seed in range(start, stop):
        print(seed, flush=True)
        found = differs(program(seed), on)
        if found:
            print("differs:", found, *disasm_all(program(seed)), sep="\n    ", flush=True)


def interpret(start: int, stop: int) -> None:
    """The interpreter alone; nothing may raise."""
    on = Workbench("interpreter", MAPS, budget=BUDGET)
    for seed in range(start, stop):
        found = run(on, program(seed))
        assert isinstance(found, str) or (found[0].stop is Stop.END) == (found[0].fault is None)


def test_nothing_raises_in_the_interpreter() -> None:
    interpret(0, ON_THE_INTERPRETER)


def test_nothing_raises_with_the_python_runtime() -> None:
    """There every access of the runtime's own functions is checked against all memory that xdpsim has."""
    code = f"from tests.engines.test_hostile import interpret; interpret(0, {PYTHON_TWINS})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **python_runtime())
    assert (done.returncode, done.stderr) == (0, "")


def test_compiled_programs_do_the_same_and_kill_nobody() -> None:
    code = f"from tests.engines.test_hostile import compare; compare(0, {ON_BOTH})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **surrounding())
    assert done.returncode == 0, f"{done.stdout[-100:]} {done.stderr[-1000:]}"
    lines = done.stdout.splitlines()
    assert list(itertools.dropwhile(str.isdigit, lines)) == []
    assert len(lines) == ON_BOTH


@pytest.mark.parametrize("engine", OURS)
def test_calls_without_loops_end_too(engine: str) -> None:
    """Seven levels of a hundred calls each would take a hundred million million calls."""
    levels, calls = 7, 100
    text = "".join(f"f{level}: " + f"call f{level + 1}; " * calls + "exit; " for level in range(levels))
    ran = Workbench(engine, budget=100_000).run(assemble(text + f"f{levels}: r0 = 0; exit"))
    assert ran.fault is not None
    assert ran.fault.kind is FaultKind.BUDGET
