"""What only the interpreter can: show every slot, stop at any insn, count them."""

from __future__ import annotations

import pytest

from tests.support.corpus import Workbench, array
from xdpsim import Sim
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.isa.asm import assemble

CALLS = "r6 = 7; r1 = 2; call f; r0 += r6; exit; f: r6 = r1; r0 = r6; exit"


def observed(asm: str) -> tuple[list[int], int]:
    """The slots that an observer saw, and the verdict."""
    sim = Sim()
    engine = sim.engine
    assert isinstance(engine, InterpreterEngine)
    seen: list[int] = []
    engine.observer = lambda program, slot: seen.append(slot)
    return seen, sim.load_insns(asm, "XDP").run(bytes(64)).value


def test_an_observer_sees_every_slot_in_order() -> None:
    assert observed(CALLS) == ([0, 1, 2, 5, 6, 7, 3, 4], 9)
    loop = "r0 = 0; again: r0 += 1; if r0 != 3 goto again; exit"
    assert observed(loop) == ([0, 1, 2, 1, 2, 1, 2, 3], 3)
    assert observed("r0 = 5 ll; exit") == ([0, 2], 5)


def test_watching_changes_nothing() -> None:
    plain = Sim().load_insns(CALLS, "XDP").run(bytes(64))
    sim = Sim()
    program = sim.load_insns(CALLS, "XDP")
    sim.engine.observer = lambda *_: None  # type: ignore[attr-defined]
    watched = program.run(bytes(64))
    sim.engine.observer = None  # type: ignore[attr-defined]
    assert plain == watched == program.run(bytes(64))
    assert plain.insns == 8


def test_an_observer_sees_the_insn_that_faults() -> None:
    sim, seen = Sim(verify=False), []
    sim.engine.observer = lambda program, slot: seen.append((program.spec.name, slot))  # type: ignore[attr-defined]
    outcome = sim.load_insns("r0 = 0; r0 = *(u8 *)(r0 +0); exit", "XDP", name="bad").run(bytes(64))
    assert seen == [("bad", 0), ("bad", 1)]
    assert outcome.fault is not None
    assert outcome.insns == 2


@pytest.mark.parametrize("budget", [1, 2, 9, 10])
def test_the_budget_counts_insns(budget: int) -> None:
    ran = Workbench("interpreter", budget=budget).run(assemble("r0 = 0; " * 9 + "exit"))
    assert (ran.fault is None) == (budget >= 10)
    assert ran.insns == min(budget, 10)
    if ran.fault:
        assert (ran.fault.kind, ran.fault.slot) == (FaultKind.BUDGET, budget)


def test_may_goto_counts_anew_in_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdpsim.engines.interpreter.alu.MAY_GOTO_LIMIT", 5)
    asm = """
    r6 = 0; call f; r6 += r0; call f; r6 += r0; r0 = r6; exit
    f: r0 = 0
    again: may_goto out; r0 += 1; goto again
    out: exit"""
    assert Workbench("interpreter").run(assemble(asm)).verdict == 10


def test_a_subprogram_gets_zeroed_stack_and_registers() -> None:
    asm = """
    call f; call f; exit
    f: r0 = *(u64 *)(r10 -8); r0 += r6; r0 += r9; *(u64 *)(r10 -8) = 9; r6 = 5; r9 = 6; exit"""
    for engine in ("interpreter", "jit"):
        assert Workbench(engine).run(assemble(asm)).verdict == 0


def test_callers_keep_all_their_registers() -> None:
    asm = """
    r1 = 1; r2 = 2; r6 = 6; call f
    r0 = r1; r0 <<= 8; r0 += r2; r0 <<= 8; r0 += r6; exit
    f: r1 = 70; r2 = 71; r6 = 72; r0 = 0; exit"""
    for engine in ("interpreter", "jit"):
        assert Workbench(engine).run(assemble(asm)).verdict == 0x010206


def test_one_engine_runs_many_programs_on_one_machine() -> None:
    bench = Workbench("interpreter", [array(8)])
    write = assemble("r1 = map_value[0]; *(u64 *)(r1 +0) = 41; r0 = 0; exit")
    read = assemble("r1 = map_value[0]; r0 = *(u64 *)(r1 +0); r0 += 1; exit")
    bench.run(write)
    assert [bench.run(read).verdict, bench.beside("jit").run(read).verdict] == [42, 42]
