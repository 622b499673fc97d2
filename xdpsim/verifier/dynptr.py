"""Dynptrs: two stack slots each, the references that some hold, and the slices that die with them.

The register of both slots has type CONST_PTR_TO_DYNPTR and `extra` (DYNPTR_TYPE_*, whether it is the slot at the lower
address); its `id` links the slices made of it, its `ref` is that of a ring buffer record. A callback's argument is such
a register itself. Functions that take `env` log what they find wrong before they say so. Arguments of calls are checked
by dynptr_args.py. Follows mark_stack_slots_dynptr() and its neighbours in kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno

from xdpsim.bits import signed
from xdpsim.verifier import refs
from xdpsim.verifier.env import Env
from xdpsim.verifier.regtypes import (
    CONST_PTR_TO_DYNPTR,
    DYNPTR_TYPE_RINGBUF,
    PTR_MAYBE_NULL,
    PTR_TO_MEM,
)
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import DYNPTR, EMPTY_SLOT, Frame, Reg, Slot

SLOTS = 2
BAD_OFFSET, NOT_ALLOCATED = -1, -2
"""What object_spi says in place of a slot: the offset is wrong (the log says how), or the stack ends before it."""
_SLICES = (PTR_TO_MEM, PTR_TO_MEM | PTR_MAYBE_NULL)
_DYNPTR_BYTES = bytes([DYNPTR]) * 8


def object_spi(env: Env, reg: Reg, kind: str, slots: int) -> int:
    """The stack slot of an object of `slots` slots that the stack pointer names, the one at the lowest address."""
    if reg.num.mask:
        env.note(f"{kind} has to be at a constant offset")
        return BAD_OFFSET
    off = signed(reg.off + reg.num.value, 32)
    spi = (-off - 1) // 8 if off else 0  # C's division: the slot below the frame's end stands for the end too
    if off % 8 or spi + 1 < slots:
        env.note(f"cannot pass in {kind} at an offset={off}")
        return BAD_OFFSET
    return spi if spi < len(env.cur.frames[reg.frameno].stack) else NOT_ALLOCATED


def dynptr_spi(env: Env, reg: Reg) -> int:
    """The first slot of the dynptr that the stack pointer names, or as object_spi."""
    return object_spi(env, reg, "dynptr", SLOTS)


def _slot_reg(env: Env, reg: Reg) -> Reg | None:
    """The register that stands for the dynptr behind `reg`, also where no dynptr was marked; None as object_spi."""
    if reg.type == CONST_PTR_TO_DYNPTR:
        return reg
    spi = dynptr_spi(env, reg)
    return None if spi < 0 else env.cur.frames[reg.frameno].stack[spi].reg


def dynptr_id(env: Env, reg: Reg) -> int:
    """What links the slices of the dynptr to it; negative when there is none."""
    slot = _slot_reg(env, reg)
    return -1 if slot is None else slot.id


def dynptr_ref(env: Env, reg: Reg) -> int:
    """The reference that the dynptr holds, 0 for none; negative when there is no dynptr."""
    slot = _slot_reg(env, reg)
    return -1 if slot is None else slot.ref


def dynptr_type(env: Env, reg: Reg) -> int:
    """DYNPTR_TYPE_* of the dynptr, 0 when there is none (dynptr_get_type)."""
    slot = _slot_reg(env, reg)
    return _type_of(slot) if slot is not None else 0


def _type_of(slot: Reg) -> int:
    return slot.extra[0] if slot.type == CONST_PTR_TO_DYNPTR and slot.extra else 0


def _is_first(slot: Reg) -> bool:
    return bool(slot.type == CONST_PTR_TO_DYNPTR and slot.extra and slot.extra[1])


def callback_argument(env: Env, kind: int) -> Reg:
    """What a callback gets for `const struct bpf_dynptr *` (mark_dynptr_cb_reg)."""
    return Reg(CONST_PTR_TO_DYNPTR, ZERO, id=env.new_id(), extra=(kind, True))


def _forget(env: Env, frame: Frame, spi: int) -> None:
    """Nothing is in the two slots any more."""
    frame.stack[spi] = frame.stack[spi - 1] = EMPTY_SLOT
    env.stack_live.mark_write(frame.frameno, 3 << spi - 1)


def destroy_if_dynptr_stack_slot(env: Env, frame: Frame, spi: int) -> None:
    """The slot is about to be overwritten: a dynptr in it ends, with its slices; refuse when it holds a record."""
    slot = frame.stack[spi]
    if slot.kinds[0] != DYNPTR:
        return
    if not _is_first(slot.reg):
        spi += 1
        slot = frame.stack[spi]
    if _type_of(slot.reg) == DYNPTR_TYPE_RINGBUF:
        env.fail(errno.EINVAL, "cannot overwrite referenced dynptr")
    env.scratched_slots |= 3 << spi - 1
    number, invalid = slot.reg.id, refs.invalid_reg(env)
    refs.change_registers(env.cur, lambda reg: invalid if reg.type in _SLICES and reg.extra[1] == number else None)
    _forget(env, frame, spi)


def mark_stack_slots_dynptr(env: Env, reg: Reg, kind: int, insn_idx: int, clone_ref: int) -> None:
    """The two slots hold a dynptr of that type now; `clone_ref` is the record that a clone shares, 0 for none."""
    frame = env.cur.frames[reg.frameno]
    spi = dynptr_spi(env, reg)
    destroy_if_dynptr_stack_slot(env, frame, spi)
    destroy_if_dynptr_stack_slot(env, frame, spi - 1)
    number = env.new_id()
    held = 0
    if kind == DYNPTR_TYPE_RINGBUF:
        held = clone_ref or refs.acquire(env, insn_idx)
    for at, is_first in ((spi, True), (spi - 1, False)):
        marked = Reg(CONST_PTR_TO_DYNPTR, ZERO, id=number, ref=held, extra=(kind, is_first))
        frame.stack[at] = Slot(_DYNPTR_BYTES, marked)
    env.stack_live.mark_write(frame.frameno, 3 << spi - 1)


def unmark_stack_slots_dynptr(env: Env, reg: Reg) -> bool:
    """The dynptr is given back, and with a record all its clones and slices; False when there is no such dynptr."""
    frame = env.cur.frames[reg.frameno]
    spi = dynptr_spi(env, reg)
    if spi < 0:
        return False
    slot = frame.stack[spi].reg
    if _type_of(slot) != DYNPTR_TYPE_RINGBUF:
        _forget(env, frame, spi)
        return True
    number = slot.ref
    refs.release(env, number)
    for at in range(1, len(frame.stack)):
        clone = frame.stack[at]
        if clone.reg.ref == number and clone.kinds[0] == DYNPTR and _is_first(clone.reg):
            _forget(env, frame, at)
    return True


def is_dynptr_reg_valid_uninit(env: Env, reg: Reg) -> bool:
    """Whether a new dynptr may be made there; overwriting one that holds nothing is fine."""
    return reg.type != CONST_PTR_TO_DYNPTR and dynptr_spi(env, reg) != BAD_OFFSET


def is_dynptr_reg_valid_init(env: Env, reg: Reg) -> bool:
    """Whether there is a whole dynptr."""
    if reg.type == CONST_PTR_TO_DYNPTR:
        return True
    spi = dynptr_spi(env, reg)
    if spi < 0:
        return False
    stack = env.cur.frames[reg.frameno].stack
    return _is_first(stack[spi].reg) and stack[spi].kinds == stack[spi - 1].kinds == _DYNPTR_BYTES
