"""Which Linux a program needs: every row that may be asked has its version, and loops are found."""

from __future__ import annotations

import pytest

from xdpsim.analysis.needs import Need, has_loop, kernel_needed
from xdpsim.helpers.kfunc_since import KFUNC_SINCE
from xdpsim.helpers.rows import KFUNCS
from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Insn
from xdpsim.isa.since import insn_since
from xdpsim.sim.sim import HELPER_MODULES
from xdpsim.versions import Linux


def test_every_kernel_function_has_its_first_linux() -> None:
    assert HELPER_MODULES  # their import fills KFUNCS
    assert [name for name in KFUNCS if name not in KFUNC_SINCE] == []
    assert all(Linux("5.13") <= Linux(version) <= Linux("6.18") for version in KFUNC_SINCE.values())


@pytest.mark.parametrize(
    ("asm", "since"),
    [
        ("r0 = 1", "3.18"),
        ("r0 s%= r1", "6.6"),
        ("r0 = (s8)r1", "6.6"),
        ("r0 = bswap32 r0", "6.6"),
        ("r0 = be32 r0", "3.18"),
        ("if r0 < 5 goto +0", "4.14"),
        ("if w0 == 5 goto +0", "5.1"),
        ("gotol +0", "6.6"),
        ("may_goto +0", "6.9"),
        ("lock *(u64 *)(r10 -8) += r1", "3.18"),
        ("lock *(u64 *)(r10 -8) &= r1", "5.12"),
        ("r1 = load_acquire((u64 *)(r10 -8))", "6.15"),
        ("r1 = map[0]", "3.18"),
        ("r1 = map_value[0]+8", "5.2"),
        ("call pc+0", "4.16"),
        ("call kfunc #0", "5.13"),
    ],
)
def test_instructions(asm: str, since: str) -> None:
    (insn, *_) = assemble(asm)
    assert isinstance(insn, Insn)
    assert insn_since(insn) == since


@pytest.mark.parametrize(
    ("asm", "loops"),
    [
        ("r0 = 1; exit", False),
        ("l: r0 += 1; if r0 < 5 goto l; exit", True),
        ("goto b; a: exit; b: r0 = 1; goto a", False),
        ("if r1 == 0 goto a; r0 = 1; a: r0 = 2; exit", False),
        ("call f; exit; f: call g; exit; g: l: goto l", True),
        ("r0 = 1; exit; l: goto l", False),
    ],
)
def test_loops(asm: str, loops: bool) -> None:
    assert has_loop(assemble(asm)) is loops


def test_the_latest_wins_and_says_what_for() -> None:
    needs = [Need("5.8", "a"), Need("5.18", "b"), Need("5.18", "c"), Need("5.18", "b"), Need("3.18", "d")]
    assert kernel_needed(needs) == ("5.18", ["b", "c"])
    assert kernel_needed([]) == ("3.18", [])
