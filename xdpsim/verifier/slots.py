"""Stack slots: what their bytes are, and how one of them is changed. Access rules are in stack.py.

Slots are immutable, so every change here puts a new one into the frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_MAP,
    PTR_TO_ARENA,
    PTR_TO_BTF_ID,
    PTR_TO_BUF,
    PTR_TO_CTX,
    PTR_TO_FLOW_KEYS,
    PTR_TO_FUNC,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_STACK,
    PTR_TO_TCP_SOCK,
    PTR_TO_XDP_SOCK,
    SCALAR_VALUE,
)
from xdpsim.verifier.state import (
    DYNPTR,
    EMPTY_SLOT,
    INVALID,
    IRQ_FLAG,
    ITER,
    MISC,
    SPILL,
    UNINIT,
    ZERO_BYTE,
    Frame,
    Reg,
    Slot,
)

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env

SPILLABLE = frozenset(
    {
        PTR_TO_MAP_VALUE,
        PTR_TO_STACK,
        PTR_TO_CTX,
        PTR_TO_PACKET,
        PTR_TO_PACKET_META,
        PTR_TO_PACKET_END,
        PTR_TO_FLOW_KEYS,
        CONST_PTR_TO_MAP,
        PTR_TO_SOCKET,
        PTR_TO_SOCK_COMMON,
        PTR_TO_TCP_SOCK,
        PTR_TO_XDP_SOCK,
        PTR_TO_BTF_ID,
        PTR_TO_BUF,
        PTR_TO_MEM,
        PTR_TO_FUNC,
        PTR_TO_MAP_KEY,
        PTR_TO_ARENA,
    }
)
"""Pointers that keep what is known of them when they are stored to the stack."""
SLOT_BYTES = 8
_SPECIAL = frozenset({SPILL, DYNPTR, ITER, IRQ_FLAG})


def spi_of(off: int) -> int:
    """The slot that holds the byte at `off` (negative) of a frame; for its end (0) the first one, as C divides."""
    return (-off - 1) >> 3 if off else 0


def is_spill(slot: Slot) -> bool:
    """Whether a register, or part of one, was spilled there."""
    return slot.kinds[7] == SPILL


def is_scalar_spill(slot: Slot) -> bool:
    """Whether a number was spilled there."""
    return slot.kinds[7] == SPILL and slot.reg.type == SCALAR_VALUE


def is_full_scalar_spill(slot: Slot) -> bool:
    """Whether all 64 bits of a number were spilled there."""
    return slot.kinds[0] == SPILL and slot.reg.type == SCALAR_VALUE


def is_special(slot: Slot) -> bool:
    """Whether the slot is more than plain bytes."""
    return slot.kinds[7] in _SPECIAL


def is_spillable(reg: Reg) -> bool:
    """Whether a store of this pointer is a spill."""
    return (reg.type & BASE_MASK) in SPILLABLE


def spill(env: Env, frame: Frame, spi: int, reg: Reg, size: int) -> None:
    """Put `reg` into the lowest `size` bytes of a slot; what lies above turns into plain bytes."""
    old = frame.stack[spi].kinds
    if size == SLOT_BYTES:
        kinds = _ALL_SPILL
    else:
        above = (kind if kind in (ZERO_BYTE, INVALID) else MISC for kind in old[: SLOT_BYTES - size])
        kinds = bytes((*above, *_ALL_SPILL[:size]))
    frame.stack[spi] = Slot(kinds, reg)


def scrubbed(kinds: bytes) -> bytes:
    """Every byte that was anything is plain now."""
    return bytes(kind if kind == INVALID else MISC for kind in kinds)


def write_bytes(frame: Frame, off: int, size: int, kind: int) -> None:
    """Plain data at `off`: whatever the slot held before is gone."""
    spi = (-off - 1) >> 3
    old = frame.stack[spi]
    kinds = bytearray(scrubbed(old.kinds) if is_special(old) else old.kinds)
    slot = -off - 1
    for i in range(size):
        kinds[(slot - i) & 7] = kind
    frame.stack[spi] = Slot(bytes(kinds), UNINIT)


def grow(env: Env, frame: Frame, needed: int) -> None:
    """See that the frame has `needed` bytes of stack, rounded up to whole slots."""
    slots = (needed + 7) >> 3
    stack = frame.stack
    if len(stack) >= slots:
        return
    stack.extend([EMPTY_SLOT] * (slots - len(stack)))
    subprog = env.subprogs[frame.subprogno]
    if subprog.stack_depth < slots * SLOT_BYTES:
        subprog.stack_depth = slots * SLOT_BYTES


_ALL_SPILL = bytes([SPILL] * SLOT_BYTES)
