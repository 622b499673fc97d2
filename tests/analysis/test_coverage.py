"""Coverage: blocks and branch sides from what the interpreter shows."""

from __future__ import annotations

import pytest

import xdpsim
from xdpsim.analysis.coverage import Blocks, Branch, Coverage
from xdpsim.sim.program import Program

FRAME = bytes(64)
BRANCHING = """
r0 = 2
r2 = *(u32 *)(r1 + 16)
if r2 == 0 goto +1
r0 = 1
exit
"""


@pytest.fixture
def sim() -> xdpsim.Sim:
    return xdpsim.Sim()


def watched(sim: xdpsim.Sim, text: str) -> tuple[Coverage, Program]:
    coverage = Coverage()
    sim.engine.observer = coverage.observe
    return coverage, sim.load_insns(text, "XDP")


def test_counts_blocks_and_sides(sim: xdpsim.Sim) -> None:
    coverage, program = watched(sim, BRANCHING)
    program.run(FRAME)
    program.run(FRAME)
    assert coverage.blocks(program.spec) == Blocks(2, 3, [(3,)])
    assert coverage.branches(program.spec) == [Branch(2, 2, 0)]
    assert coverage.executed(program.spec) == {0: 2, 1: 2, 2: 2, 4: 2}


def test_nothing_ran_is_nothing_reached(sim: xdpsim.Sim) -> None:
    coverage, program = watched(sim, BRANCHING)
    assert coverage.blocks(program.spec) == Blocks(0, 3, [(0, 1, 2), (3,), (4,)])
    assert coverage.branches(program.spec) == [Branch(2, 0, 0)]


def test_dead_code_is_not_counted() -> None:
    sim = xdpsim.Sim(verify=False)  # Linux takes no unreachable insns
    coverage, program = watched(sim, "r0 = 2\ngoto +1\nr0 = 1\nexit")
    program.run(FRAME)
    assert coverage.blocks(program.spec) == Blocks(2, 2, [])


def test_each_function_is_told_apart(sim: xdpsim.Sim) -> None:
    obj = sim.load("programs/firewall.o")
    coverage = Coverage()
    sim.engine.observer = coverage.observe
    program = obj["xdp_firewall"]
    program.run(bytes(12) + b"\x08\x06" + bytes(50))
    by_function = coverage.functions(program.spec)
    assert list(by_function) == ["xdp_firewall", "decide"]
    assert 0 < by_function["decide"].reached < by_function["decide"].total
    whole = coverage.blocks(program.spec)
    assert whole.total == sum(part.total for part in by_function.values())
    assert whole.reached + len(whole.missing) == whole.total
