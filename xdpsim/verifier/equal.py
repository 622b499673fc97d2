"""Whether a kept state covers the current one: registers, stack and references, one against the other.

Follows regsafe(), stacksafe(), refsafe() and states_equal() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.verifier.regtypes import (
    BASE_MASK,
    NOT_INIT,
    PTR_TO_ARENA,
    PTR_TO_BUF,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_STACK,
    PTR_TO_TP_BUFFER,
    SCALAR_VALUE,
)
from xdpsim.verifier.scalar import within
from xdpsim.verifier.state import (
    BPF_ADD_CONST,
    DYNPTR,
    INVALID,
    IRQ_FLAG,
    ITER,
    MISC,
    REF_LOCK_MASK,
    SPILL,
    UNKNOWN_REG,
    ZERO_BYTE,
    Frame,
    Reg,
    Slot,
    State,
)

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.scalar import Scalar

NOT_EXACT, EXACT, RANGE_WITHIN = range(3)
_RANGED = frozenset({PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE, PTR_TO_MEM, PTR_TO_BUF, PTR_TO_TP_BUFFER})


class Ids:
    """Which id of the current state stands for which id of the kept one; `fresh` numbers what has none."""

    __slots__ = ("back", "forth", "fresh")

    def __init__(self, fresh: int) -> None:
        self.forth: dict[int, int] = {}
        self.back: dict[int, int] = {}
        self.fresh = fresh

    def match(self, old: int, cur: int) -> bool:
        """Both unset, or the same pair as ever (check_ids)."""
        if not old or not cur:
            return old == cur
        known = self.forth.get(old)
        if known is not None:
            return known == cur
        if cur in self.back:
            return False
        self.forth[old] = cur
        self.back[cur] = old
        return True

    def match_scalars(self, old: int, cur: int) -> bool:
        """As match(), but nothing rests on the links of a number that was kept without an id (check_scalar_ids)."""
        if not old:
            return True
        if not cur:
            self.fresh += 1
            cur = self.fresh
        return self.match(old, cur)


def same_number(old: Scalar, cur: Scalar) -> bool:
    """All that is known is the same."""
    return old is cur or (
        old.value == cur.value
        and old.mask == cur.mask
        and old.umin == cur.umin
        and old.umax == cur.umax
        and old.smin == cur.smin
        and old.smax == cur.smax
        and old.u32_min == cur.u32_min
        and old.u32_max == cur.u32_max
        and old.s32_min == cur.s32_min
        and old.s32_max == cur.s32_max
    )


def same_contents(old: Reg, cur: Reg) -> bool:
    """The registers are the same but for their ids (the memcmp up to `id`)."""
    return old.type == cur.type and old.off == cur.off and old.extra == cur.extra and same_number(old.num, cur.num)


def regs_exact(old: Reg, cur: Reg, ids: Ids) -> bool:
    """The same, with ids that correspond."""
    return same_contents(old, cur) and ids.match(old.id, cur.id) and ids.match(old.ref, cur.ref)


def reg_safe(env: Env, old: Reg, cur: Reg, ids: Ids, exact: int) -> bool:
    """Whether what is safe with `old` is safe with `cur`."""
    if exact == EXACT:
        return regs_exact(old, cur, ids)
    kind = old.type
    if kind == NOT_INIT and (exact == NOT_EXACT or cur.type == NOT_INIT):
        return True
    if kind != cur.type:
        return False
    if kind == SCALAR_VALUE:
        return _scalar_safe(env, old, cur, ids, exact)
    kind &= BASE_MASK
    if kind in _RANGED:
        return (
            old.off == cur.off
            and old.extra == cur.extra
            and within(cur.num, old.num)
            and ids.match(old.id, cur.id)
            and ids.match(old.ref, cur.ref)
        )
    if kind in (PTR_TO_PACKET, PTR_TO_PACKET_META):
        if old.extra < 0 or cur.extra < 0:  # at or behind the end: comparisons are decided by it
            if old.extra != cur.extra:
                return False
        elif old.extra > cur.extra:
            return False
        return bool(old.off == cur.off and ids.match(old.id, cur.id) and within(cur.num, old.num))
    if kind == PTR_TO_STACK:
        return regs_exact(old, cur, ids) and old.frameno == cur.frameno
    return kind == PTR_TO_ARENA or regs_exact(old, cur, ids)


def _scalar_safe(env: Env, old: Reg, cur: Reg, ids: Ids, exact: int) -> bool:
    if env.explore_alu_limits:
        return same_contents(old, cur) and ids.match_scalars(old.id, cur.id)
    if not old.precise and exact == NOT_EXACT:
        return True
    if old.id:
        if (old.id ^ cur.id) & BPF_ADD_CONST:
            return False
        if old.id & BPF_ADD_CONST and old.off != cur.off:
            return False
    return within(cur.num, old.num) and ids.match_scalars(old.id, cur.id)


_ALL_MISC = bytes([MISC]) * 8
_INVALID, _UNREAD = bytes([INVALID]), bytes([INVALID, MISC])


def _as_scalar(env: Env, slot: Slot) -> Reg | None:
    """What a load of the whole slot gives, where that is a number."""
    kinds = slot.kinds
    if kinds[0] == SPILL:
        return slot.reg if slot.reg.type == SCALAR_VALUE else None
    if kinds == _ALL_MISC or (env.allow_uninit_stack and not kinds.strip(_UNREAD)):
        return UNKNOWN_REG
    return None


def stack_differs(env: Env, old: Frame, cur: Frame, ids: Ids, exact: int) -> int:
    """The first slot of `old` with which something may be safe that is not safe with that of `cur`, else -1."""
    have = len(cur.stack)
    for spi, old_slot in enumerate(old.stack):
        if spi >= have:
            if exact != NOT_EXACT or not _is_unused(env, old_slot):
                return spi
            continue
        cur_slot = cur.stack[spi]
        if old_slot is cur_slot and not old_slot.reg.id and not old_slot.reg.ref:
            continue
        if not _slot_safe(env, old_slot, cur_slot, ids, exact):
            return spi
    return -1


def _is_unused(env: Env, slot: Slot) -> bool:
    return not slot.kinds.strip(_UNREAD if env.allow_uninit_stack else _INVALID)


def _slot_safe(env: Env, old: Slot, cur: Slot, ids: Ids, exact: int) -> bool:
    """Byte by byte, as Linux compares: the first byte of a slot that counts may settle the whole slot."""
    if exact != NOT_EXACT and old.kinds != cur.kinds:
        return _exact_prefix_settles(env, old, cur, ids, exact)
    if _is_unused(env, old):
        return True
    old_reg = _as_scalar(env, old)
    if old_reg is not None:
        cur_reg = _as_scalar(env, cur)
        if cur_reg is not None:
            return reg_safe(env, old_reg, cur_reg, ids, exact)
    for kind, other in zip(old.kinds, cur.kinds, strict=True):
        if kind == INVALID or (kind == MISC and (env.allow_uninit_stack or other == ZERO_BYTE)):
            continue
        if kind != other:
            return False
    return _object_safe(env, old, cur, ids, exact)


def _exact_prefix_settles(env: Env, old: Slot, cur: Slot, ids: Ids, exact: int) -> bool:
    """Exact comparison of slots whose bytes differ in kind: equal only when both load as numbers before they differ."""
    for place in range(8):
        kind = old.kinds[place]
        if kind != cur.kinds[place]:
            return False
        if kind == INVALID or (kind == MISC and env.allow_uninit_stack):
            continue
        old_reg, cur_reg = _as_scalar(env, old), _as_scalar(env, cur)
        if old_reg is not None and cur_reg is not None:
            return reg_safe(env, old_reg, cur_reg, ids, exact)
    return False


def _object_safe(env: Env, old: Slot, cur: Slot, ids: Ids, exact: int) -> bool:
    """The last byte of the slot says what it holds: a spill, or a part of an object."""
    kind = old.kinds[7]
    a, b = old.reg, cur.reg
    if kind == SPILL:
        return reg_safe(env, a, b, ids, exact)
    if kind == DYNPTR:
        return bool(a.extra == b.extra) and ids.match(a.ref, b.ref)
    if kind == ITER:
        return bool(a.extra[:3] == b.extra[:3]) and ids.match(a.ref, b.ref)
    if kind == IRQ_FLAG:
        return ids.match(a.ref, b.ref) and bool(a.extra == b.extra)
    return True


def _refs_safe(old: State, cur: State, ids: Ids) -> bool:
    if len(old.refs) != len(cur.refs) or old.active_locks != cur.active_locks:
        return False
    if old.active_preempt_locks != cur.active_preempt_locks or old.active_rcu_lock != cur.active_rcu_lock:
        return False
    if not ids.match(old.active_irq_id, cur.active_irq_id) or not ids.match(old.active_lock_id, cur.active_lock_id):
        return False
    if old.active_lock_ptr is not cur.active_lock_ptr:
        return False
    for a, b in zip(old.refs, cur.refs, strict=True):
        if not ids.match(a.id, b.id) or a.kind != b.kind or (a.kind & REF_LOCK_MASK and a.ptr is not b.ptr):
            return False
    return True


def states_equal(env: Env, old: State, cur: State, exact: int) -> bool:
    """Whether a program that is safe from `old` on is safe from `cur` on."""
    if old.curframe != cur.curframe or (old.speculative and not cur.speculative):
        return False
    if old.in_sleepable != cur.in_sleepable:
        return False
    if old.differed is not None and _differs_again(env, old, cur, exact, *old.differed):
        return False
    ids = Ids(env.id_gen)
    for frameno, a in enumerate(old.frames):
        b = cur.frames[frameno]
        if a.callsite != b.callsite or a.callback_depth > b.callback_depth:
            return False
        a_regs, b_regs = a.regs, b.regs
        for regno in _registers[env.aux[old.insn_of_frame(frameno)].live_regs_before & 0x7FF]:
            old_reg, cur_reg = a_regs[regno], b_regs[regno]
            if old_reg is cur_reg and not old_reg.id and not old_reg.ref:
                continue
            if not reg_safe(env, old_reg, cur_reg, ids, exact):
                old.differed = frameno, regno
                return False
        spi = stack_differs(env, a, b, ids, exact)
        if spi >= 0:
            old.differed = frameno, 11 + spi
            return False
    return _refs_safe(old, cur, ids)


def _differs_again(env: Env, old: State, cur: State, exact: int, frameno: int, where: int) -> bool:
    """Whether the states differ where another one differed from `old` before: most do, as branches part there."""
    ids = Ids(env.id_gen)
    a, b = old.frames[frameno], cur.frames[frameno]
    if where < 11:
        return not reg_safe(env, a.regs[where], b.regs[where], ids, exact)
    spi = where - 11
    return spi < len(b.stack) and not _slot_safe(env, a.stack[spi], b.stack[spi], ids, exact)


class _Registers(dict[int, tuple[int, ...]]):
    """The registers in a mask."""

    def __missing__(self, mask: int) -> tuple[int, ...]:
        self[mask] = made = tuple(regno for regno in range(11) if mask >> regno & 1)
        return made


_registers = _Registers()
