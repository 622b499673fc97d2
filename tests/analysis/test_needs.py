"""Which Linux a program needs: every row that may be asked has its version, and loops are found."""

from __future__ import annotations

import pytest

from xdpsim.analysis.needs import Need, has_loop, kernel_needed, missing, needs_of
from xdpsim.helpers.kfunc_since import KFUNC_SINCE
from xdpsim.helpers.rows import KFUNCS
from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Insn
from xdpsim.isa.since import insn_since
from xdpsim.loader.model import Line, ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_MMAPABLE, BPF_F_RDONLY_PROG
from xdpsim.progtypes.attach import AttachType as At
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


def spec(asm: str, prog_type: str = "XDP", attach: int = 0) -> ProgramSpec:
    """A program with a source line for each slot."""
    code = assemble(asm, maps={"m": 0})
    lines = tuple(Line(slot, "a.c", 10 + slot, 1, "") for slot in range(len(code)))
    return ProgramSpec("p", "s", prog_type, attach, code, (Subprogram("p", 0),), lines, "GPL")


_NOTHING = "r0 = 0; exit"
_TAIL_CALL_AND_FUNCTION = "r2 = map[0]; call 12; call f; exit; f: r0 = 0; exit"


@pytest.mark.parametrize(
    ("asm", "prog_type", "attach", "since", "what", "slot"),
    [
        (_NOTHING, "CGROUP_SOCK_ADDR", At.CGROUP_UNIX_CONNECT, "6.7", "attach type CGROUP_UNIX_CONNECT", -1),
        (_NOTHING, "SCHED_CLS", At.TCX_INGRESS, "4.1", "program type SCHED_CLS", -1),
        ("call 14; exit", "XDP", 0, "6.10", "bpf_get_current_pid_tgid in programs of type XDP", 0),
        ("call 14; exit", "KPROBE", 0, "4.2", "bpf_get_current_pid_tgid", 0),
        ("*(u32 *)(r1 + 8) = 1; r0 = 0; exit", "SCHED_CLS", 0, "6.3", "stores of constants to the context", 0),
        ("r2 = 1; *(u32 *)(r1 + 8) = r2; r0 = 0; exit", "SCHED_CLS", 0, "4.1", "program type SCHED_CLS", -1),
        ("r0 = 0; l: r0 += 1; if r0 < 9 goto l; exit", "XDP", 0, "5.3", "a loop", 2),
        (_TAIL_CALL_AND_FUNCTION, "XDP", 0, "5.10", "tail calls in a program with functions", 2),
        ("r0 = *(u32 *)(r1 + 64); exit", "SK_LOOKUP", At.SK_LOOKUP, "5.17", "bpf_sk_lookup.ingress_ifindex", 0),
    ],
)  # fmt: skip
def test_what_a_program_needs_most(asm: str, prog_type: str, attach: int, since: str, what: str, slot: int) -> None:
    newest = max(needs_of(spec(asm, prog_type, attach), ()), key=lambda need: Linux(need.since))
    assert (newest.since, newest.what, newest.slot) == (since, what, slot)
    assert (newest.line.line if newest.line else -1) == (10 + slot if slot >= 0 else -1)


def test_flags_of_maps_count_and_those_of_inner_maps() -> None:
    inner = MapSpec("i", "ARRAY", 4, 4, 1, flags=BPF_F_MMAPABLE)
    outer = MapSpec("o", "ARRAY_OF_MAPS", 4, 4, 1, inner=inner)
    frozen = MapSpec("f", "ARRAY", 4, 4, 1, flags=BPF_F_RDONLY_PROG)
    whats = {need.what: need.since for need in needs_of(spec("r0 = 0; exit"), (outer, frozen))}
    assert whats["map flag MMAPABLE"] == "5.5"
    assert whats["map flag RDONLY_PROG"] == "5.2"


def test_what_is_missing_comes_once_and_newest_first() -> None:
    needs = [Need("5.8", "a", 3), Need("6.1", "b", 4), Need("5.8", "a", 9), Need("5.8", "c", soft=True)]
    assert missing(needs, Linux("5.4")) == [Need("6.1", "b", 4), Need("5.8", "a", 3)]
    assert missing(needs, Linux("6.1")) == []
