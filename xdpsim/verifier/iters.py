"""Open-coded iterators: the stack slots that hold one, and the two ways on from a call that asks for the next element.

The register of each slot has type PTR_TO_STACK (with MEM_RCU or PTR_UNTRUSTED where the iterator needs RCU); its `ref`
is the iterator's reference in the first slot, 0 in the others; its `extra` is (Btf, type id of the iterator's struct,
ACTIVE or DRAINED, depth). Follows mark_stack_slots_iter() and its neighbours, process_iter_arg() and
process_iter_next_call() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from xdpsim.btf.types import Kind, Struct
from xdpsim.helpers.kfunc_rows import ITER_DESTROY, ITER_NEW, RCU_PROTECTED
from xdpsim.verifier import branch, nulls, prune, refs, regs
from xdpsim.verifier.btf_access import in_rcu_cs
from xdpsim.verifier.dynptr import NOT_ALLOCATED, object_spi
from xdpsim.verifier.env import Env
from xdpsim.verifier.mem_access import check_mem_access
from xdpsim.verifier.regtypes import MEM_RCU, PTR_TO_STACK, PTR_UNTRUSTED
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import ITER, UNINIT, Reg, Slot

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.verifier.kfunc_meta import Meta

ACTIVE, DRAINED = 1, 2
_PREFIX = "bpf_iter_"
_ITER_BYTES = bytes([ITER]) * 8


def process_iter_arg(env: Env, regno: int, insn_idx: int, meta: Meta) -> None:
    """The argument in `regno` is an iterator: made, used or ended by the call."""
    reg: Reg = env.regs[regno]
    if reg.type != PTR_TO_STACK:
        env.fail(errno.EINVAL, f"arg#{regno - 1} expected pointer to an iterator on stack")
    kfunc = meta.kfunc
    row = kfunc.params[regno - 1].pointee
    if not isinstance(row, Struct) or row.kind is not Kind.STRUCT or not row.name.startswith(_PREFIX):
        env.fail(errno.EINVAL, f"expected valid iter pointer as arg #{regno - 1}")
    name, slots = row.name.removeprefix(_PREFIX), row.size // 8
    if kfunc.flags & ITER_NEW:
        if not _may_become_iter(env, reg, slots):
            env.fail(errno.EINVAL, f"expected uninitialized iter_{name} as arg #{regno - 1}")
        for at in range(0, slots * 8, 8):
            check_mem_access(env, insn_idx, regno, at, 8, True, -1)
        _mark(env, meta, reg, insn_idx, (kfunc.btf, row.id, ACTIVE, 0), slots)
        return
    problem = _problem(env, reg, kfunc.btf, row.id, slots)
    if problem == errno.EINVAL:
        env.fail(errno.EINVAL, f"expected an initialized iter_{name} as arg #{regno - 1}")
    if problem:
        env.fail(errno.EPROTO, f"expected an RCU CS when using {kfunc.name}")
    spi = object_spi(env, reg, "iter", slots)
    env.stack_live.mark_read(reg.frameno, env.insn_idx, _mask(spi, slots))
    env.scratched_slots |= _mask(spi, slots)
    meta.iter_spi, meta.iter_frameno = spi, reg.frameno
    meta.ref_obj_id = env.cur.frames[reg.frameno].stack[spi].reg.ref
    if kfunc.flags & ITER_DESTROY:
        _unmark(env, reg, spi, slots)


def _mask(spi: int, slots: int) -> int:
    return ((1 << slots) - 1) << spi - slots + 1


def _may_become_iter(env: Env, reg: Reg, slots: int) -> bool:
    """Whether a new iterator fits there (is_iter_reg_valid_uninit); the stack need not reach there yet."""
    spi = object_spi(env, reg, "iter", slots)
    if spi < 0:
        return spi == NOT_ALLOCATED
    stack = env.cur.frames[reg.frameno].stack
    return all(ITER not in slot.kinds for slot in stack[spi - slots + 1 : spi + 1])


def _problem(env: Env, reg: Reg, btf: Btf, type_id: int, slots: int) -> int:
    """0 when a whole iterator of that type is there, EPROTO when it is of no use outside RCU, else EINVAL."""
    spi = object_spi(env, reg, "iter", slots)
    if spi < 0:
        return errno.EINVAL
    stack = env.cur.frames[reg.frameno].stack
    for number in range(slots):
        slot = stack[spi - number]
        marked = slot.reg
        if marked.type & PTR_UNTRUSTED:
            return errno.EPROTO
        if bool(marked.ref) != (number == 0) or slot.kinds != _ITER_BYTES:
            return errno.EINVAL
        if marked.extra[0] is not btf or marked.extra[1] != type_id:
            return errno.EINVAL
    return 0


def _mark(env: Env, meta: Meta, reg: Reg, insn_idx: int, extra: tuple[Btf, int, int, int], slots: int) -> None:
    """The slots hold an iterator now (mark_stack_slots_iter)."""
    frame = env.cur.frames[reg.frameno]
    spi = object_spi(env, reg, "iter", slots)
    number = refs.acquire(env, insn_idx)
    kind = PTR_TO_STACK
    if meta.kfunc.flags & RCU_PROTECTED:
        kind |= MEM_RCU if in_rcu_cs(env) else PTR_UNTRUSTED
    for at in range(slots):
        marked = Reg(kind, ZERO, ref=0 if at else number, extra=extra)
        frame.stack[spi - at] = Slot(_ITER_BYTES, marked)
    env.stack_live.mark_write(frame.frameno, _mask(spi, slots))
    env.scratched_slots |= _mask(spi, slots)


def _unmark(env: Env, reg: Reg, spi: int, slots: int) -> None:
    """The iterator is ended, and its reference given back."""
    frame = env.cur.frames[reg.frameno]
    refs.release(env, frame.stack[spi].reg.ref)
    empty = Slot(bytes(8), UNINIT)
    for at in range(slots):
        frame.stack[spi - at] = empty
    env.stack_live.mark_write(frame.frameno, _mask(spi, slots))
    env.scratched_slots |= _mask(spi, slots)


def process_iter_next_call(env: Env, insn_idx: int, meta: Meta) -> None:
    """Two ways on: here the iterator is drained and R0 is NULL, in a state that waits it is not.

    The other state forgets the ranges of numbers that changed since the loop was last here and that nothing relies on,
    so that the loop converges.
    """
    state = env.cur
    frame = state.frames[meta.iter_frameno]
    slot = frame.stack[meta.iter_spi]
    btf, type_id, phase, depth = slot.reg.extra
    if phase == ACTIVE:
        parent = state.parent
        if parent is None or parent.insn_idx != insn_idx or not regs.same_callsites(parent, state):
            env.fail(errno.EFAULT, "verifier bug: bad parent state for iter next call")
        before = prune.find_prev_entry(env, parent, insn_idx)
        queued = branch.push_stack(env, insn_idx + 1, insn_idx, False)
        again = slot.reg.but(extra=(btf, type_id, ACTIVE, depth + 1))
        queued.frames[meta.iter_frameno].stack[meta.iter_spi] = Slot(slot.kinds, again)
        if before is not None:
            prune.widen_imprecise(env, before, queued)
        running = queued.frames[-1].regs
        running[0] = nulls.non_null(running[0])
    frame.stack[meta.iter_spi] = Slot(slot.kinds, slot.reg.but(extra=(btf, type_id, DRAINED, depth)))
    env.regs[0] = env.zero
