"""References: what was acquired and must be released, and what of the state dies when it is.

Locks and saved irq flags stand in the same list, in the order in which they were taken, and so do their counters in
the state. The lists of a state are replaced, never changed: copies of the state share them. Follows
acquire_reference_state() and its relatives, release_reference() and check_resource_leak() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from xdpsim.verifier.env import Env
from xdpsim.verifier.regtypes import NON_OWN_REF
from xdpsim.verifier.state import REF_IRQ, REF_LOCK_MASK, REF_PTR, SPILL, UNINIT, Ref, Reg, Slot, State


def invalid_reg(env: Env) -> Reg:
    """What a pointer becomes when its object is gone (mark_reg_invalid)."""
    return env.unknown if env.allow_ptr_leaks else UNINIT


def change_registers(state: State, change: Callable[[Reg], Reg | None]) -> None:
    """Put `change(reg)` in place of each register and spilled register for which it is not None, in all frames."""
    for frame in state.frames:
        regs = frame.regs
        for number, reg in enumerate(regs):
            new = change(reg)
            if new is not None:
                regs[number] = new
        stack = frame.stack
        for spi, slot in enumerate(stack):
            if slot.kinds[7] == SPILL:
                new = change(slot.reg)
                if new is not None:
                    stack[spi] = Slot(slot.kinds, new)


def acquire(env: Env, insn_idx: int) -> int:
    """A new reference to an object, acquired at `insn_idx`; its id."""
    env.id_gen = number = env.id_gen + 1
    env.cur.refs = [*env.cur.refs, Ref(REF_PTR, number, insn_idx)]
    return number


def acquire_irq(env: Env, insn_idx: int) -> int:
    """Interrupts are switched off at `insn_idx`; the id of the saved flags."""
    env.id_gen = number = env.id_gen + 1
    env.cur.refs = [*env.cur.refs, Ref(REF_IRQ, number, insn_idx)]
    env.cur.active_irq_id = number
    return number


def acquire_lock(env: Env, insn_idx: int, kind: int, number: int, ptr: Any) -> None:
    """A lock is taken: `kind` REF_*LOCK*, the id of the pointer to it and the map or BTF that it lies in."""
    state = env.cur
    state.refs = [*state.refs, Ref(kind, number, insn_idx, ptr)]
    state.active_locks += 1
    state.active_lock_id, state.active_lock_ptr = number, ptr


def find_lock(state: State, kinds: int, number: int, ptr: Any) -> Ref | None:
    """The lock of one of these kinds that is held under that id and pointer."""
    for ref in state.refs:
        if ref.kind & kinds and ref.id == number and ref.ptr is ptr:
            return ref
    return None


def release_lock(state: State, kind: int, number: int, ptr: Any) -> bool:
    """The lock is given back, and the one taken before it is the active one; False when it is not held."""
    previous_id, previous_ptr = 0, None
    for at, ref in enumerate(state.refs):
        if ref.kind == kind and ref.id == number and ref.ptr is ptr:
            state.refs = state.refs[:at] + state.refs[at + 1 :]
            state.active_locks -= 1
            state.active_lock_id, state.active_lock_ptr = previous_id, previous_ptr
            return True
        if ref.kind & REF_LOCK_MASK:
            previous_id, previous_ptr = ref.id, ref.ptr
    return False


def release_irq(state: State, number: int) -> int:
    """The flags are restored: 0; EACCES when others must be restored first, EINVAL when there are none."""
    if number != state.active_irq_id:
        return errno.EACCES
    previous = 0
    for at, ref in enumerate(state.refs):
        if ref.kind != REF_IRQ:
            continue
        if ref.id == number:
            state.refs = state.refs[:at] + state.refs[at + 1 :]
            state.active_irq_id = previous
            return 0
        previous = ref.id
    return errno.EINVAL


def find(state: State, number: int) -> bool:
    """Whether anything in the list has that id (find_reference_state)."""
    return any(ref.id == number for ref in state.refs)


def release_nomark(state: State, ref_obj_id: int) -> bool:
    """Take the reference off the list, registers stay; False when there is none of that id."""
    for at, ref in enumerate(state.refs):
        if ref.kind == REF_PTR and ref.id == ref_obj_id:
            state.refs = state.refs[:at] + state.refs[at + 1 :]
            return True
    return False


def release(env: Env, ref_obj_id: int) -> bool:
    """Take the reference off the list and invalidate every copy of it; False when there is none of that id."""
    if not release_nomark(env.cur, ref_obj_id):
        return False
    invalid = invalid_reg(env)
    change_registers(env.cur, lambda reg: invalid if reg.ref == ref_obj_id else None)
    return True


def invalidate_non_owning_refs(env: Env) -> None:
    """Pointers into lists and trees that somebody else owns die with the lock."""
    invalid = invalid_reg(env)
    change_registers(env.cur, lambda reg: invalid if reg.type & NON_OWN_REF else None)


def _lingering(env: Env, exception_exit: bool) -> list[Ref]:
    """References still held, each logged; the one that a struct_ops program returns does not count."""
    if not exception_exit and len(env.cur.frames) > 1:
        return []
    returned = env.regs[0].ref if env.prog_type == "STRUCT_OPS" and not exception_exit else 0
    found = [ref for ref in env.cur.refs if ref.kind == REF_PTR and not (returned and ref.id == returned)]
    for ref in found:
        env.note(f"Unreleased reference id={ref.id} alloc_insn={ref.insn}")
    return found


def check_resource_leak(env: Env, exception_exit: bool, check_lock: bool, prefix: str) -> None:
    """Refuse `prefix` (what ends the program here) while anything is held that must be given back."""
    state = env.cur
    if check_lock and state.active_locks:
        env.fail(errno.EINVAL, f"{prefix} cannot be used inside bpf_spin_lock-ed region")
    if state.refs and _lingering(env, exception_exit):
        env.fail(errno.EINVAL, f"{prefix} would lead to reference leak")
    if not check_lock:
        return
    for is_held, region in (
        (state.active_irq_id, "bpf_local_irq_save-ed"),
        (state.active_rcu_lock, "bpf_rcu_read_lock-ed"),
        (state.active_preempt_locks, "bpf_preempt_disable-ed"),
    ):
        if is_held:
            env.fail(errno.EINVAL, f"{prefix} cannot be used inside {region} region")
