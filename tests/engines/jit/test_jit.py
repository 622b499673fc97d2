"""What only the jit has: emitters for every row, code without addresses, budgets, odd control flow for LLVM."""

from __future__ import annotations

import gc
import re

import pytest

from tests.support.corpus import Workbench, array
from xdpsim import Sim
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.jit.emit import EMIT, EMIT_BRANCH, EMIT_FAMILY
from xdpsim.engines.jit.module import Module
from xdpsim.engines.limits import DEFAULT_BUDGET
from xdpsim.engines.resolve import _REFUSED_FAMILIES
from xdpsim.isa.asm import assemble
from xdpsim.isa.rows import ALU, BRANCH, Family

COUNT = "r1 = map_value[0]; r0 = *(u64 *)(r1 +0); r0 += 1; *(u64 *)(r1 +0) = r0; exit"


def test_every_row_has_an_emitter() -> None:
    assert EMIT.keys() == ALU.keys()
    assert EMIT_BRANCH.keys() == BRANCH.keys()
    assert set(Family) - EMIT_FAMILY.keys() <= {*_REFUSED_FAMILIES}


def test_the_code_holds_no_address() -> None:
    bench = Workbench("jit", [array(8), {"type": "HASH", "key_size": 4, "value_size": 8, "max_entries": 4}])
    asm = "r6 = map_value[0]; r1 = map[1]; r2 = r10; r2 += -4; call 1; r0 = 0; exit"
    text = Module(bench.load(assemble(asm)), DEFAULT_BUDGET).text
    known = [
        bench.machine.run_state.address,
        *(made.header_address for made in bench.maps),
        bench.maps[0].value_address,
    ]
    numbers = {int(number) for number in re.findall(r"\b\d{6,}\b", text)}
    assert not numbers & set(known)


def test_the_same_code_serves_two_machines() -> None:
    benches = [Workbench("jit", [array(8)]) for _ in range(2)]
    texts = {Module(bench.load(assemble(COUNT)), DEFAULT_BUDGET).text for bench in benches}
    assert len(texts) == 1
    assert [bench.run(assemble(COUNT)).verdict for bench in (*benches, *benches)] == [1, 1, 2, 2]


def test_programs_can_be_dropped() -> None:
    for number in range(20):
        assert Sim(engine="jit").load_insns(f"r0 = {number}; exit", "XDP").run(bytes(64)).value == number
    gc.collect()


@pytest.mark.parametrize(
    ("asm", "slot"),
    [
        ("again: goto again", 0),
        ("r0 = 0; again: r0 += 1; if r0 != 0 goto again; exit", 2),
        ("r0 = 0; again: if r0 == 0 goto again; exit", 1),
        ("call f; exit; f: goto f", 2),
        ("call f; exit; f: again: call g; goto again; g: exit", None),
    ],
)
def test_endless_loops_end(asm: str, slot: int | None) -> None:
    for engine in ("jit", "interpreter"):
        fault = Workbench(engine, budget=10_000).run(assemble(asm)).fault
        assert fault is not None
        assert fault.kind is FaultKind.BUDGET
        if engine == "jit" and slot is not None:
            assert fault.slot == slot


@pytest.mark.parametrize(
    ("asm", "verdict"),
    [
        ("r0 = 4; if r0 == 4 goto next; next: exit", 4),  # both ways of a branch are one
        ("r0 = 4; goto next; next: exit", 4),
        ("goto on; back: r0 = 6; exit; on: goto back", 6),
        ("r0 = 0; exit; r0 = 1; exit", 0),  # dead code
        ("r0 = 5; if r0 == 5 goto out; r0 = 1; out: exit", 5),
        ("goto start; end: exit; start: r0 = 3; goto end", 3),
    ],
)
def test_shapes_of_control_flow(asm: str, verdict: int) -> None:
    for engine in ("jit", "interpreter"):
        assert Workbench(engine).run(assemble(asm)).verdict == verdict


def test_the_first_slot_may_be_a_target() -> None:
    """LLVM allows no branch to a function's entry block."""
    asm = "start: r1 = map_value[0]; r0 = *(u64 *)(r1 +0); r0 += 1; *(u64 *)(r1 +0) = r0; if r0 != 7 goto start; exit"
    for engine in ("jit", "interpreter"):
        assert Workbench(engine, [array(8)]).run(assemble(asm)).verdict == 7
