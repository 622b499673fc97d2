"""What comparisons prove of packet pointers, function by function; whole programs are in tests/cases/verifier."""

from __future__ import annotations

import pytest

from tests.verifier.hand_made import env_of
from xdpsim.isa.asm import assemble
from xdpsim.verifier.packet import (
    AT_PKT_END,
    BEYOND_PKT_END,
    clear_all_pkt_pointers,
    find_good_pkt_pointers,
    try_match_pkt_pointers,
)
from xdpsim.verifier.regtypes import (
    DYNPTR_TYPE_XDP,
    NOT_INIT,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    SCALAR_VALUE,
)
from xdpsim.verifier.scalar import UNKNOWN, ZERO, const
from xdpsim.verifier.scalar_alu import truncate
from xdpsim.verifier.state import EMPTY_SLOT, MISC, SPILL, Frame, Reg, Slot

SPILLED = bytes([SPILL] * 8)
BYTE = truncate(UNKNOWN, 1)


def packet(off: int = 0, id: int = 0, range: int = 0, kind: int = PTR_TO_PACKET) -> Reg:
    return Reg(kind, ZERO, off, id, extra=range)


END = packet(kind=PTR_TO_PACKET_END)


def test_range_goes_to_all_pointers_of_the_same_base() -> None:
    env = env_of("exit")
    state = env.cur
    state.frames.append(Frame(0, 1, 0))
    first, second = state.frames
    first.regs[2], first.regs[3], first.regs[4] = packet(), packet(id=7), packet(range=30)
    first.stack = [Slot(SPILLED, packet(off=3)), Slot(bytes([MISC] * 8), packet())]
    second.regs[5] = packet(kind=PTR_TO_PACKET_META)
    second.regs[6] = packet(off=14)
    find_good_pkt_pointers(state, packet(off=14), PTR_TO_PACKET, False)
    assert [first.regs[n].extra for n in (2, 3, 4)] == [14, 0, 30]
    assert [slot.reg.extra for slot in first.stack] == [14, 0]
    assert [second.regs[n].extra for n in (5, 6)] == [0, 14]


@pytest.mark.parametrize(
    ("pointer", "right_open", "proven"),
    [
        (packet(off=8), False, 8),
        (packet(off=8), True, 9),
        (packet(off=0), True, 0),
        (packet(off=-1), False, 0),
        (packet(off=0xFFFF), False, 0xFFFF),
        (packet(off=0x10000), False, 0),
        (Reg(PTR_TO_PACKET, BYTE, 0xFF00, extra=0), False, 0xFF00),
        (Reg(PTR_TO_PACKET, BYTE, 0xFF01, extra=0), False, 0),
    ],
)
def test_range_of_one_comparison(pointer: Reg, right_open: bool, proven: int) -> None:
    env = env_of("exit")
    env.regs[2] = packet()
    find_good_pkt_pointers(env.cur, pointer, PTR_TO_PACKET, right_open)
    assert env.regs[2].extra == proven


@pytest.mark.parametrize(
    ("insn", "not_taken", "taken"),
    [
        ("r2 > r3", 8, BEYOND_PKT_END),
        ("r2 >= r3", 9, AT_PKT_END),
        ("r2 < r3", AT_PKT_END, 9),
        ("r2 <= r3", BEYOND_PKT_END, 8),
        ("r3 < r2", 8, BEYOND_PKT_END),
        ("r3 <= r2", 9, AT_PKT_END),
        ("r3 > r2", AT_PKT_END, 9),
        ("r3 >= r2", BEYOND_PKT_END, 8),
    ],
)
def test_comparisons_with_the_end(insn: str, not_taken: int, taken: int) -> None:
    code = assemble(f"if {insn} goto +0")
    env = env_of("exit")
    env.regs[2], env.regs[3] = packet(off=8), END
    other = env.cur.copy()
    assert code[0] is not None
    dst, src = env.regs[code[0].dst], env.regs[code[0].src]
    assert try_match_pkt_pointers(env, code[0], dst, src, env.cur, other)
    assert (env.regs[2].extra, other.frames[0].regs[2].extra) == (not_taken, taken)


@pytest.mark.parametrize("insn", ["w2 > w3", "r2 == r3", "r2 > 5", "r2 s> r3", "r2 > r4", "r4 > r3"])
def test_comparisons_that_say_nothing(insn: str) -> None:
    code = assemble(f"if {insn} goto +0")
    env = env_of("exit")
    env.regs[2], env.regs[3], env.regs[4] = packet(off=8), END, Reg(SCALAR_VALUE, const(1))
    assert code[0] is not None
    dst, src = env.regs[code[0].dst], env.regs[code[0].src]
    assert not try_match_pkt_pointers(env, code[0], dst, src, env.cur, env.cur.copy())


def test_metadata_ends_where_the_packet_starts() -> None:
    code = assemble("if r2 > r3 goto +0")
    assert code[0] is not None
    for limit, matches in ((packet(), True), (packet(off=1), False), (packet(id=1), False), (END, False)):
        env = env_of("exit")
        env.regs[2], env.regs[3] = packet(off=4, kind=PTR_TO_PACKET_META), limit
        assert try_match_pkt_pointers(env, code[0], env.regs[2], limit, env.cur, env.cur.copy()) is matches
        assert env.regs[2].extra == (4 if matches else 0)


@pytest.mark.parametrize(("caps", "left"), [({"bpf", "perfmon"}, SCALAR_VALUE), ({"bpf"}, NOT_INIT)])
def test_a_moved_packet_forgets_all_pointers(caps: set[str], left: int) -> None:
    env = env_of("exit", caps=frozenset(caps))
    kept = Reg(PTR_TO_MEM, ZERO, extra=(4, 0))
    env.regs[2:6] = [packet(), END, Reg(PTR_TO_MEM | DYNPTR_TYPE_XDP, ZERO, extra=(4, 1)), kept]
    env.cur.frames[0].stack = [EMPTY_SLOT, Slot(SPILLED, packet())]
    clear_all_pkt_pointers(env)
    assert [reg.type for reg in env.regs[2:5]] == [left] * 3
    assert env.regs[5] is kept
    assert env.cur.frames[0].stack[1].reg.type == left
