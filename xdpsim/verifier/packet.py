"""Packet pointers: what a comparison with the end of the packet proves, and what forgets all of them.

A comparison proves bytes for every register and spilled value with the same id, in all frames. Follows
find_good_pkt_pointers(), try_match_pkt_pointers() and clear_all_pkt_pointers() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xdpsim.verifier.regtypes import (
    BASE_MASK,
    DYNPTR_TYPE_SKB,
    DYNPTR_TYPE_SKB_META,
    DYNPTR_TYPE_XDP,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
)
from xdpsim.verifier.state import SPILL, UNINIT, Reg, Slot, State

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env

MAX_PACKET_OFF = 0xFFFF
AT_PKT_END, BEYOND_PKT_END = -1, -2
"""Ranges of a pointer that is known to lie at or behind the end: `extra` of packet pointers."""
ANY_PACKET = (PTR_TO_PACKET, PTR_TO_PACKET_META, PTR_TO_PACKET_END)
_PACKET_SLICES = DYNPTR_TYPE_SKB | DYNPTR_TYPE_XDP | DYNPTR_TYPE_SKB_META


def change_regs(state: State, change: Callable[[Reg], Reg]) -> None:
    """Replace every register and every spilled value of all frames by what `change` makes of it."""
    for frame in state.frames:
        regs = frame.regs
        for number, reg in enumerate(regs):
            made = change(reg)
            if made is not reg:
                regs[number] = made
        stack = frame.stack
        for spi, slot in enumerate(stack):
            if slot.kinds[7] == SPILL:
                made = change(slot.reg)
                if made is not slot.reg:
                    stack[spi] = Slot(slot.kinds, made)


def find_good_pkt_pointers(state: State, dst_reg: Reg, dst_type: int, range_right_open: bool) -> None:
    """`dst_reg` is at most the end of the packet (right open: below it): prove the bytes before it."""
    if dst_reg.off < 0 or (dst_reg.off == 0 and range_right_open):
        return
    new_range = dst_reg.off + 1 if range_right_open else dst_reg.off
    umax = dst_reg.num.umax
    if umax > MAX_PACKET_OFF or umax + dst_reg.off > MAX_PACKET_OFF:
        return
    wanted = dst_reg.id

    def proven(reg: Reg) -> Reg:
        if reg.type == dst_type and reg.id == wanted and reg.extra < new_range:
            return with_range(reg, new_range)
        return reg

    change_regs(state, proven)


def with_range(reg: Reg, proven: int) -> Reg:
    """The packet pointer with `proven` bytes behind its base."""
    return Reg(reg.type, reg.num, reg.off, reg.id, reg.ref, reg.precise, reg.frameno, proven)


def mark_pkt_end(state: State, regno: int, range_open: bool) -> None:
    """The register is at the end of the packet or behind it (open: certainly behind); not told of metadata."""
    regs = state.frames[state.curframe].regs
    if regs[regno].type == PTR_TO_PACKET:
        regs[regno] = with_range(regs[regno], BEYOND_PKT_END if range_open else AT_PKT_END)


def clear_all_pkt_pointers(env: Env) -> None:
    """Something may have moved the packet: no pointer into it is good any more."""
    forgotten = env.unknown if env.allow_ptr_leaks else UNINIT

    def forget(reg: Reg) -> Reg:
        kind = reg.type
        if kind in ANY_PACKET or (kind & BASE_MASK == PTR_TO_MEM and kind & _PACKET_SLICES):
            return forgotten
        return reg

    change_regs(env.cur, forget)


# What a comparison `pointer OP limit` says: whether the jump is taken where the pointer is good, whether the good side
# excludes equality (right open), and whether the bad side does (range open).
_RULES: dict[str, tuple[bool, bool, bool]] = {
    "jgt": (False, False, True),
    "jlt": (True, True, False),
    "jge": (False, True, False),
    "jle": (True, False, True),
}
_FLIPPED = {"jgt": "jlt", "jlt": "jgt", "jge": "jle", "jle": "jge"}


def try_match_pkt_pointers(
    env: Env, insn: Insn, dst_reg: Reg, src_reg: Reg, this_branch: State, other_branch: State
) -> bool:
    """Learn from a comparison of packet pointers; False when it is none. The other branch is where the jump goes."""
    if not insn.uses_reg or insn.bits != 64 or insn.op not in _RULES:
        return False
    if _is_bounded(dst_reg, src_reg):
        pointer, regno, op = dst_reg, insn.dst, insn.op
    elif _is_bounded(src_reg, dst_reg):
        pointer, regno, op = src_reg, insn.src, _FLIPPED[insn.op]
    else:
        return False
    good_jumps, right_open, range_open = _RULES[op]
    good, bad = (other_branch, this_branch) if good_jumps else (this_branch, other_branch)
    find_good_pkt_pointers(good, pointer, pointer.type, right_open)
    mark_pkt_end(bad, regno, range_open)
    return True


def _is_bounded(pointer: Reg, limit: Reg) -> bool:
    """A pointer into packet or metadata against the end of its region; metadata ends where the packet starts."""
    if pointer.type == PTR_TO_PACKET:
        return limit.type == PTR_TO_PACKET_END
    return pointer.type == PTR_TO_PACKET_META and is_packet_start(limit)


def is_packet_start(reg: Reg) -> bool:
    """An unchanged `data`."""
    return reg.type == PTR_TO_PACKET and not (reg.id or reg.off or reg.num.mask or reg.num.value)
