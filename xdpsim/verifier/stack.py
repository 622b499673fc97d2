"""Reads and writes of the stack: spills, fills, bytes at fixed and at variable offsets.

Follows check_stack_read(), check_stack_write() and check_stack_range_initialized() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EACCES, EFAULT, EINVAL
from typing import TYPE_CHECKING, Any

from xdpsim.isa.rows import Family
from xdpsim.verifier.dynptr import destroy_if_dynptr_stack_slot
from xdpsim.verifier.fastcall import SPILLS
from xdpsim.verifier.history import push, stack_flags
from xdpsim.verifier.log import print_linfo
from xdpsim.verifier.precision import mark_chain_precision
from xdpsim.verifier.regs import frame_of, give_scalar_id, is_null, is_pointer
from xdpsim.verifier.regtypes import NOT_INIT, PTR_TO_STACK, SCALAR_VALUE
from xdpsim.verifier.slots import (
    grow,
    is_scalar_spill,
    is_spill,
    is_spillable,
    scrubbed,
    spi_of,
    spill,
    write_bytes,
)
from xdpsim.verifier.state import (
    DYNPTR,
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
    const_reg,
)
from xdpsim.verifier.tnum import tnum_text

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env

MAX_STACK = 512
MAX_VAR_OFF = 1 << 29
FASTCALL_OFF = -(1 << 15)


def check_within_bounds(env: Env, regno: int, off: int, size: int, *, write: bool) -> None:
    """The access lies inside the 512 bytes (and, unprivileged, reads only what was written); the frame grows to it."""
    reg = env.regs[regno]
    frame = frame_of(env, reg)
    num = reg.num
    extra = " write to" if write else " read from"
    if num.mask == 0:
        low = num.smin + off
        high = low + size
    else:
        if num.smax >= MAX_VAR_OFF or num.smin <= -MAX_VAR_OFF:
            env.fail(EACCES, f"invalid unbounded variable-offset{extra} stack R{regno}")
        low = num.smin + off
        high = num.smax + off + size
    lowest = -MAX_STACK if write or env.allow_uninit_stack else -8 * len(frame.stack)
    error = 0
    if low < lowest or low > -1:
        error = EACCES
    elif high > 0:
        error = EINVAL
    elif size < 0:
        error = EFAULT
    if error:
        if num.mask == 0:
            env.fail(error, f"invalid{extra} stack R{regno} off={low} size={size}")
        where = f"var_off={tnum_text(num.value, num.mask)} off={off} size={size}"
        env.fail(error, f"invalid variable-offset{extra} stack R{regno} {where}")
    grow(env, frame, -low)


def _keep_fastcall_contract(env: Env, frame: Frame, insn_idx: int, off: int) -> None:
    """An access to the spills of fastcall patterns from outside of one: the subprogram's patterns stay as they are."""
    subprog = env.subprogs[frame.subprogno]
    if subprog.fastcall_stack_off <= off or env.aux[insn_idx].fastcall_pattern:
        return
    subprog.fastcall_stack_off = FASTCALL_OFF
    end = env.subprogs[frame.subprogno + 1].start
    for aux in env.aux[subprog.start : end]:
        aux.fastcall_pattern = 0
        aux.notes.pop(SPILLS, None)


def check_stack_write(env: Env, ptr_regno: int, off: int, size: int, value_regno: int, insn_idx: int) -> None:
    """Store register `value_regno` (-1: the insn's immediate, or something unknown) through a stack pointer."""
    reg = env.regs[ptr_regno]
    if reg.num.mask == 0:
        _write_fixed(env, frame_of(env, reg), off + reg.num.smin, size, value_regno, insn_idx)
    else:
        _write_variable(env, frame_of(env, reg), reg, off, size, value_regno, insn_idx)


def _stored_immediate(env: Env, insn_idx: int, value_regno: int) -> int | None:
    insn = env.code[insn_idx]
    return insn.imm if value_regno < 0 and insn is not None and insn.family is Family.STORE_IMM else None


def _write_fixed(env: Env, frame: Frame, off: int, size: int, value_regno: int, insn_idx: int) -> None:
    spi = spi_of(off)
    old = frame.stack[spi]
    if not env.allow_ptr_leaks and is_spill(old) and not is_scalar_spill(old) and size != 8:
        env.fail(EACCES, "attempt to corrupt spilled pointer on stack")
    regs = env.regs
    reg: Reg | None = regs[value_regno] if value_regno >= 0 else None
    first = (-off - 1) & 7
    written = old.kinds[first - size + 1 : first + 1]
    if not env.bypass_spec_v4 and (
        (reg is not None and is_spillable(reg)) or any(kind not in (MISC, ZERO_BYTE) for kind in written)
    ):
        env.aux[insn_idx].nospec_result = True
    destroy_if_dynptr_stack_slot(env, frame, spi)
    whole = off & 7 == 0
    if whole and size == 8:
        env.stack_live.mark_write(frame.frameno, 1 << spi)
    _keep_fastcall_contract(env, frame, insn_idx, off)
    env.scratched_slots |= 1 << spi
    if reg is not None and whole and reg.type == SCALAR_VALUE and env.bpf_capable:
        fits = reg.num.umax.bit_length() <= 8 * size
        if fits:
            reg = give_scalar_id(env, regs, value_regno)
        elif reg.id:
            reg = Reg(SCALAR_VALUE, reg.num, reg.off, 0, reg.ref, reg.precise)
        spill(env, frame, spi, reg, size)
    elif (
        reg is None and whole and env.bpf_capable and (imm := _stored_immediate(env, insn_idx, value_regno)) is not None
    ):
        spill(env, frame, spi, const_reg(imm), size)
    elif reg is not None and is_spillable(reg):
        if size != 8:
            print_linfo(env, insn_idx, "; ")
            env.fail(EACCES, "invalid size of register spill")
        if frame is not env.cur.frames[env.cur.curframe] and reg.type == PTR_TO_STACK:
            env.fail(EINVAL, "cannot spill pointers to stack into stack frame of the caller")
        spill(env, frame, spi, reg, size)
    else:
        _write_plain(env, frame, off, size, value_regno, insn_idx)
        return
    push(env, env.cur, stack_flags(frame.frameno, spi))


def _write_plain(env: Env, frame: Frame, off: int, size: int, value_regno: int, insn_idx: int) -> None:
    """Bytes that are no spill; zeroes are known as such, which makes the register they came from precise."""
    kind = MISC
    if value_regno >= 0:
        if is_null(env.regs[value_regno]):
            mark_chain_precision(env, value_regno)
            kind = ZERO_BYTE
    elif _stored_immediate(env, insn_idx, value_regno) == 0:
        kind = ZERO_BYTE
    write_bytes(frame, off, size, kind)


def _write_variable(env: Env, frame: Frame, ptr: Reg, off: int, size: int, value_regno: int, insn_idx: int) -> None:
    """A store somewhere in a range: every slot of it loses its spill, zeroes stay zeroes where zero is written."""
    low, high = ptr.num.smin + off, ptr.num.smax + off + size
    is_zero = is_null(env.regs[value_regno]) if value_regno >= 0 else _stored_immediate(env, insn_idx, value_regno) == 0
    for at in range(low, high):
        destroy_if_dynptr_stack_slot(env, frame, spi_of(at))
    _keep_fastcall_contract(env, frame, insn_idx, low)
    zero_used = False
    for at in range(low, high):
        zero_used |= _write_maybe(env, frame, at, is_zero, insn_idx)
    if zero_used and value_regno >= 0:
        mark_chain_precision(env, value_regno)


_SPECIAL = (SPILL, DYNPTR, ITER, IRQ_FLAG)


def _write_maybe(env: Env, frame: Frame, at: int, is_zero: bool, insn_idx: int) -> bool:
    """One byte that a store with a variable offset may write; whether it counted that zero is written."""
    spi, place = spi_of(at), (-at - 1) & 7
    env.scratched_slots |= 1 << spi
    slot = frame.stack[spi]
    kind = slot.kinds[place]
    if not env.allow_ptr_leaks and kind not in (MISC, ZERO_BYTE):
        where = f"insn {insn_idx}, ptr off: {at}"
        env.fail(EINVAL, f"spilled ptr in range of var-offset stack write; {where}")
    if is_zero and kind == SPILL and is_scalar_spill(slot) and is_null(slot.reg):
        return True
    if slot.kinds[7] in _SPECIAL:  # nothing is left of a spilled value that may have been hit
        slot = Slot(bytes(byte and MISC for byte in slot.kinds), UNINIT)
        kind = slot.kinds[place]
    stays_zero = is_zero and kind == ZERO_BYTE
    if kind == INVALID and not env.allow_uninit_stack:
        where = f"insn {insn_idx}, off: {at}"
        env.fail(EINVAL, f"uninit stack in range of var-offset write prohibited for !root; {where}")
    kinds = bytearray(slot.kinds)
    kinds[place] = ZERO_BYTE if stays_zero else MISC
    reg = slot.reg if slot.reg.type == NOT_INIT else UNINIT
    frame.stack[spi] = Slot(bytes(kinds), reg)
    return stays_zero


def check_stack_read(env: Env, ptr_regno: int, off: int, size: int, dst_regno: int) -> None:
    """Load from the stack into `dst_regno`; -1: the value goes to no register and must not be a pointer."""
    reg = env.regs[ptr_regno]
    num = reg.num
    if num.mask == 0:
        _read_fixed(env, frame_of(env, reg), off + num.smin, size, dst_regno)
        return
    if dst_regno < 0:
        where = f"var_off={tnum_text(num.value, num.mask)} off={off} size={size}"
        env.fail(EACCES, f"variable offset stack pointer cannot be passed into helper function; {where}")
    frame = frame_of(env, reg)
    check_stack_range_initialized(env, ptr_regno, off, size, False, False, None)
    _load_bytes(env, frame, num.smin + off, num.smax + off + size, dst_regno)
    _keep_fastcall_contract(env, frame, env.insn_idx, num.smin + off)


def _load_bytes(env: Env, frame: Frame, low: int, high: int, dst_regno: int) -> None:
    """Plain bytes into a register: zero when all of them are, else anything."""
    for at in range(low, high):
        env.scratched_slots |= 1 << spi_of(at)
        if frame.stack[spi_of(at)].kinds[(-at - 1) & 7] != ZERO_BYTE:
            env.regs[dst_regno] = env.unknown
            return
    env.regs[dst_regno] = env.zero


def _read_fixed(env: Env, frame: Frame, off: int, size: int, dst_regno: int) -> None:
    spi = spi_of(off)
    slot = frame.stack[spi]
    env.scratched_slots |= 1 << spi
    _keep_fastcall_contract(env, env.cur.frames[env.cur.curframe], env.insn_idx, off)
    env.stack_live.mark_read(frame.frameno, env.insn_idx, 1 << spi)
    if slot.kinds[7] == SPILL:
        if size == 8 and slot.kinds[0] == SPILL:
            if dst_regno >= 0:
                env.regs[dst_regno] = slot.reg
            elif is_pointer(slot.reg, env.allow_ptr_leaks):
                env.fail(EACCES, f"leaking pointer from stack off {off}")
        elif not _read_part(env, slot, off, size, dst_regno):
            return
        push(env, env.cur, stack_flags(frame.frameno, spi))
        return
    _need_readable(env, slot, off, size, spilled_ok=False)
    if dst_regno >= 0:
        _load_bytes(env, frame, off, off + size, dst_regno)


def _read_part(env: Env, slot: Slot, off: int, size: int, dst_regno: int) -> bool:
    """Load part of a spilled number, or more than was spilled; whether the register got (part of) what was spilled."""
    reg, kinds = slot.reg, slot.kinds
    if reg.type != SCALAR_VALUE:
        print_linfo(env, env.insn_idx, "; ")
        env.fail(EACCES, "invalid size of register fill")
    if dst_regno < 0:
        return False
    spilled = 1
    while spilled < 8 and kinds[7 - spilled] == SPILL:
        spilled += 1
    regs = env.regs
    if size <= spilled and off & 7 == 0:
        narrows = reg.num.umax.bit_length() > size * 8
        regs[dst_regno] = Reg(SCALAR_VALUE, reg.num, reg.off, 0, reg.ref, reg.precise) if narrows else reg
        return True
    place = -off - 1
    read = [kinds[(place - i) & 7] for i in range(size)]
    _need_readable(env, slot, off, size, spilled_ok=True)
    if read.count(SPILL) == size and is_null(reg):
        regs[dst_regno] = env.zero
        return True
    regs[dst_regno] = env.zero if read.count(ZERO_BYTE) == size else env.unknown
    return False


def _need_readable(env: Env, slot: Slot, off: int, size: int, *, spilled_ok: bool) -> None:
    place = -off - 1
    kinds = slot.kinds
    for i in range(size):
        kind = kinds[(place - i) & 7]
        if kind in (MISC, ZERO_BYTE) or (kind == SPILL and spilled_ok) or (kind == INVALID and env.allow_uninit_stack):
            continue
        env.fail(EACCES, f"invalid read from stack off {off}+{i} size {size}")


def check_stack_range_initialized(
    env: Env, regno: int, off: int, size: int, zero_size_allowed: bool, write: bool, meta: Any
) -> None:
    """A helper (or a load at a variable offset) reads `size` bytes of stack, or with `write` may write them.

    `meta` in raw mode: the helper initialises the bytes itself; `meta.access_size` and `meta.regno` note them.
    """
    reg = env.regs[regno]
    frame = frame_of(env, reg)
    num = reg.num
    if size == 0 and not zero_size_allowed:
        env.fail(EACCES, "invalid zero-sized read")
    check_within_bounds(env, regno, off, size, write=write)
    if num.mask == 0:
        low = high = num.smin + off
    else:
        if not env.bypass_spec_v1:
            what = f"R{regno} variable offset stack access prohibited for !root"
            env.fail(EACCES, f"{what}, var_off={tnum_text(num.value, num.mask)}")
        if meta is not None and meta.raw_mode:
            meta = None
        low, high = num.smin + off, num.smax + off
    if meta is not None and meta.raw_mode:
        _note_raw_access(env, frame, low, high + size, regno, size, meta)
        return
    for at in range(low, high + size):
        if not _touch_byte(env, frame, at, write):
            _not_readable(env, regno, num, low, at, size)
        env.stack_live.mark_read(reg.frameno, env.insn_idx, 1 << spi_of(at))


def _note_raw_access(env: Env, frame: Frame, low: int, end: int, regno: int, size: int, meta: Any) -> None:
    for at in range(low, end):
        place = -at - 1
        if len(frame.stack) * 8 > place and frame.stack[spi_of(at)].kinds[place & 7] == DYNPTR:
            env.fail(EACCES, f"potential write to dynptr at off={at} disallowed")
    meta.access_size, meta.regno = size, regno


def _touch_byte(env: Env, frame: Frame, at: int, write: bool) -> bool:
    """One byte that a helper reads, and with `write` may overwrite; False when it may not."""
    place = -at - 1
    spi = place >> 3
    if len(frame.stack) * 8 <= place:
        env.fail(EFAULT, "allocated_stack too small")
    slot = frame.stack[spi]
    kind = slot.kinds[place & 7]
    if kind == MISC:
        return True
    if kind == ZERO_BYTE or (kind == INVALID and env.allow_uninit_stack):
        if write:
            kinds = bytearray(slot.kinds)
            kinds[place & 7] = MISC
            frame.stack[spi] = Slot(bytes(kinds), slot.reg)
        return True
    if is_spill(slot) and (slot.reg.type == SCALAR_VALUE or env.allow_ptr_leaks):
        if write:
            frame.stack[spi] = Slot(scrubbed(slot.kinds), env.unknown)
        return True
    return False


def _not_readable(env: Env, regno: int, num: Any, low: int, at: int, size: int) -> None:
    if num.mask == 0:
        env.fail(EACCES, f"invalid read from stack R{regno} off {low}+{at - low} size {size}")
    env.fail(
        EACCES, f"invalid read from stack R{regno} var_off {tnum_text(num.value, num.mask)}+{at - low} size {size}"
    )
