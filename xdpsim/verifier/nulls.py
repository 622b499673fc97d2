"""Pointers that may be NULL: which they are, and what each becomes where the program has compared it with zero.

Follows mark_ptr_or_null_regs(), mark_ptr_not_null_reg(), reg_not_null() and is_trusted_reg() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from xdpsim.verifier import refs
from xdpsim.verifier.fields import ASYNC_FIELDS, LOCK_FIELDS, has_field, record_of
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_MAP,
    MEM_ALLOC,
    MEM_RCU,
    NON_OWN_REF,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_TCP_SOCK,
    PTR_TO_XDP_SOCK,
    PTR_TRUSTED,
    PTR_UNTRUSTED,
    SCALAR_VALUE,
)
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import SPILL, Reg, Slot, State

TRUSTED_MODIFIERS = MEM_ALLOC | PTR_TRUSTED | NON_OWN_REF
_UNSAFE_MODIFIERS = ~(BASE_MASK | TRUSTED_MODIFIERS)
_KERNEL_STRUCTS = frozenset({PTR_TO_SOCKET, PTR_TO_SOCK_COMMON, PTR_TO_TCP_SOCK, CONST_PTR_TO_MAP})
"""Types that stand for a kernel struct and so are trusted as they are (reg2btf_ids)."""
_NEVER_NULL = frozenset(
    {PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_MAP_VALUE, PTR_TO_MAP_KEY, PTR_TO_SOCK_COMMON, CONST_PTR_TO_MAP}
)
_VALUE_BECOMES = {"XSKMAP": PTR_TO_XDP_SOCK, "SOCKMAP": PTR_TO_SOCKET, "SOCKHASH": PTR_TO_SOCKET}
"""What a look-up in such a map yields in place of a pointer to the value."""


def type_may_be_null(kind: int) -> bool:
    """Whether the type, of a register or of an argument, admits NULL."""
    return bool(kind & PTR_MAYBE_NULL)


def is_alloc_object(kind: int) -> bool:
    """A pointer to an object of the program's own that bpf_obj_new made (type_is_ptr_alloc_obj)."""
    return kind & BASE_MASK == PTR_TO_BTF_ID and bool(kind & MEM_ALLOC)


def is_trusted(reg: Reg) -> bool:
    """Whether the object behind it is alive for certain."""
    if reg.ref:
        return True
    if reg.type & _UNSAFE_MODIFIERS:
        return False
    return reg.type & BASE_MASK in _KERNEL_STRUCTS or bool(reg.type & TRUSTED_MODIFIERS)


def not_null(reg: Reg) -> bool:
    """Whether a pointer is not NULL for certain (reg_not_null)."""
    kind = reg.type
    if kind & PTR_MAYBE_NULL:
        return False
    kind &= BASE_MASK
    if kind == PTR_TO_BTF_ID:
        return is_trusted(reg)
    if kind == PTR_TO_MEM:
        return not reg.type & PTR_UNTRUSTED
    return kind in _NEVER_NULL


def non_null(reg: Reg) -> Reg:
    """What it is once NULL is ruled out (mark_ptr_not_null_reg)."""
    if reg.type & BASE_MASK != PTR_TO_MAP_VALUE:
        return reg.but(type=reg.type & ~PTR_MAYBE_NULL)
    vmap, map_uid = reg.extra
    inner = vmap.inner
    if inner is not None:
        uid = reg.id if has_field(inner.record, ASYNC_FIELDS) else map_uid
        return reg.but(type=CONST_PTR_TO_MAP, extra=(inner, uid))
    other = _VALUE_BECOMES.get(vmap.spec.type)
    return reg.but(type=PTR_TO_MAP_VALUE) if other is None else reg.but(type=other, extra=None)


def _decided(reg: Reg, is_zero: bool) -> Reg:
    if not (reg.id or reg.type & MEM_RCU) or reg.num.smin or reg.num.smax or reg.num.mask:
        return reg
    if reg.off and not is_alloc_object(reg.type):
        return reg
    if is_zero:
        return Reg(SCALAR_VALUE, ZERO, reg.off, precise=reg.precise)
    made = non_null(reg)
    if made.id and not has_field(record_of(made), LOCK_FIELDS):
        made.id = 0
    return made


def mark_ptr_or_null_regs(state: State, regno: int, is_zero: bool) -> None:
    """Register `regno` was compared: it and all its copies are NULL now, or they are not."""
    this = state.frames[-1].regs[regno]
    number = this.id
    if is_zero and this.ref and this.ref == number:
        refs.release_nomark(state, number)
    for frame in state.frames:
        regs: list[Reg] = frame.regs
        for at, reg in enumerate(regs):
            if reg.id == number and reg.type & PTR_MAYBE_NULL:
                regs[at] = _decided(reg, is_zero)
        stack = frame.stack
        for spi, slot in enumerate(stack):
            spilled = slot.reg
            if spilled.id == number and spilled.type & PTR_MAYBE_NULL and slot.kinds[7] == SPILL:
                stack[spi] = Slot(slot.kinds, _decided(spilled, is_zero))


def may_point_to_lock(reg: Reg) -> bool:
    """Whether there is a spin lock in what it points to (reg_may_point_to_spin_lock)."""
    return has_field(record_of(reg), LOCK_FIELDS)
