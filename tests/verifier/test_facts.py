"""What engines are told of a program: accesses and maps of calls that hold on every path, and stack to zero."""

from __future__ import annotations

import pytest

from tests.support.verifier_cases import make_case
from xdpsim.isa.asm import assemble
from xdpsim.verifier.facts import Facts, find_facts
from xdpsim.verifier.main import verify
from xdpsim.verifier.proven import facts_of

CONTEXT = (
    ("r0 = *(u32 *)(r1 +4); exit", {0: 4}),
    ("r6 = r1; call 5; r0 = *(u32 *)(r6 +8); exit", {2: 8}),
    ("r2 = r1; r2 += 4; r0 = *(u32 *)(r2 +8); exit", {2: 12}),
    ("*(u64 *)(r10 -8) = r1; call 5; r1 = *(u64 *)(r10 -8); r0 = *(u32 *)(r1 +0); exit", {3: 0}),
    ("*(u64 *)(r10 -8) = r1; r0 = 1; r2 = r10; lock *(u64 *)(r2 -16) += r0; r1 = *(u64 *)(r10 -8); "
        "r0 = *(u32 *)(r1 +0); exit", {5: 0}),
    ("call f; exit; f: r0 = *(u32 *)(r1 +0); exit", {2: 0}),
    ("if r1 == 0 goto other; r6 = r1; goto on; other: r6 = r1; on: r0 = *(u32 *)(r6 +0); exit", {4: 0}),
    # from here on: nobody knows
    ("r0 = *(u32 *)(r2 +4); exit", {}),
    ("call 5; r0 = *(u32 *)(r1 +4); exit", {}),
    ("if r2 == 0 goto on; r1 += 4; on: r0 = *(u32 *)(r1 +4); exit", {}),
    ("r6 = r1; if r2 == 0 goto on; r6 = r2; on: r0 = *(u32 *)(r6 +4); exit", {}),
    ("*(u64 *)(r10 -8) = r1; *(u8 *)(r10 -5) = 0; r1 = *(u64 *)(r10 -8); r0 = *(u32 *)(r1 +0); exit", {}),
    ("*(u64 *)(r10 -8) = r1; r2 = r10; r3 = 8; r2 -= r3; *(u64 *)(r2 +0) = r3; r1 = *(u64 *)(r10 -8); "
        "r0 = *(u32 *)(r1 +0); exit", {}),
    ("*(u64 *)(r10 -8) = r1; r2 = -8; r2 += r10; *(u64 *)(r2 +0) = 0; r1 = *(u64 *)(r10 -8); "
        "r0 = *(u32 *)(r1 +0); exit", {}),
    ("*(u64 *)(r10 -8) = r1; r2 = r10; r2 += -8; if r3 == 0 goto on; r2 += -8; on: *(u64 *)(r2 +0) = 0; "
        "r1 = *(u64 *)(r10 -8); r0 = *(u32 *)(r1 +0); exit", {}),
    ("*(u64 *)(r10 -8) = r1; r2 = r10; r2 += -8; if r3 == 0 goto on; r2 = r3; on: *(u64 *)(r2 +0) = 0; "
        "r1 = *(u64 *)(r10 -8); r0 = *(u32 *)(r1 +0); exit", {}),
    ("*(u64 *)(r10 -8) = r1; r1 = r10; r1 += -8; call f; r1 = *(u64 *)(r10 -8); r0 = *(u32 *)(r1 +0); exit; "
        "f: *(u64 *)(r1 +0) = 0; exit", {}),
    ("*(u64 *)(r10 -8) = r1; r2 = r10; *(u64 *)(r10 -16) = r2; *(u64 *)(r10 -24) = 0; r3 = *(u64 *)(r10 -16); "
        "*(u64 *)(r3 -8) = 0;"
     " r1 = *(u64 *)(r10 -8); r0 = *(u32 *)(r1 +0); exit", {}),
    ("*(u64 *)(r10 -8) = r1; r2 = 5; lock *(u64 *)(r10 -8) += r2; r1 = *(u64 *)(r10 -8); r0 = *(u32 *)(r1 +0); "
        "exit", {}),
)  # fmt: skip


@pytest.mark.parametrize(("asm", "expected"), CONTEXT)
def test_context_accesses(asm: str, expected: dict[int, int]) -> None:
    assert find_facts(assemble(asm), "XDP").context_offsets == expected


@pytest.mark.parametrize(
    ("asm", "expected"),
    [
        ("r1 = map[2]; r2 = r10; r2 += -4; call 1; exit", {4: 2}),
        ("r6 = map[2]; call 5; r1 = r6; r2 = r10; r2 += -4; call 1; exit", {6: 2}),
        ("if r2 == 0 goto b; r1 = map[2]; goto on; b: r1 = map[1]; on: r2 = r10; r2 += -4; call 1; exit", {}),
    ],
)
def test_maps_of_calls(asm: str, expected: dict[int, int]) -> None:
    assert find_facts(assemble(asm), "XDP").call_maps == expected


@pytest.mark.parametrize(
    ("asm", "expected"),
    [
        ("r0 = 0; exit", 0),
        ("*(u64 *)(r10 -8) = 1; r0 = 0; exit", 8),
        ("r2 = r10; r2 += -40; r0 = *(u8 *)(r2 +3); exit", 40),
        ("r2 = r10; r0 = *(u8 *)(r2 -17); exit", 17),
        ("call f; exit; f: *(u64 *)(r10 -64) = 1; exit", 64),
        ("r2 = r10; r3 = 64; r2 -= r3; r0 = *(u64 *)(r2 +0); exit", 512),
        ("r2 = r10; r2 += -8; if r3 == 0 goto on; r2 += -8; on: r0 = *(u64 *)(r2 +0); exit", 512),
        ("r2 = -8; r2 += r10; r1 = map[0]; call 1; exit", 512),
    ],
)
def test_how_much_stack_a_program_may_see(asm: str, expected: int) -> None:
    assert find_facts(assemble(asm), "XDP").stack_bytes == expected


def verified(asm: str) -> Facts:
    """The facts of an accepted program."""
    case = make_case({"name": "x", "asm": asm})
    verdict = verify(case.spec, case.maps, case.btf)
    assert verdict.env is not None
    assert verdict.accepted, verdict.message
    return facts_of(verdict.env)


EITHER = """
r2 = *(u32 *)(r1 +0); r3 = *(u32 *)(r1 +4); r4 = r2; r4 += 14; r0 = 2; if r4 > r3 goto out
*(u64 *)(r10 -8) = 0; r6 = r2; r7 = *(u32 *)(r2 +0); if r7 == 5 goto on; r6 = r10; r6 += -8
on: *(u8 *)(r6 +0) = 1
out: exit
"""


def test_an_access_by_pointers_of_two_kinds_is_told_as_neither() -> None:
    facts = verified(EITHER)
    assert facts.accesses == {0: "context", 1: "context", 6: "stack", 8: "packet", 12: "memory"}
    assert facts.writes_packet


def test_untrusted_memory_is_not_proven() -> None:
    facts = verified("r1 = 0; r2 = 0; call kfunc bpf_rdonly_cast; r0 = *(u64 *)(r0 +0); exit")
    assert facts.accesses == {3: "kernel"}
