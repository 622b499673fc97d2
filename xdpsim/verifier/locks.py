"""Spin locks: taking and giving back, of helpers (bpf_spin_lock) and kernel functions (bpf_res_spin_lock).

Follows process_spin_lock() and in_rbtree_lock_required_cb() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from typing import Any

from xdpsim.bits import signed
from xdpsim.isa.rows import Family
from xdpsim.verifier import refs
from xdpsim.verifier.env import Env
from xdpsim.verifier.fields import has_btf, has_field, map_name, record_of
from xdpsim.verifier.regtypes import PTR_TO_MAP_VALUE
from xdpsim.verifier.state import REF_LOCK, REF_RES_LOCK, REF_RES_LOCK_IRQ, Reg

PROCESS_SPIN_LOCK, PROCESS_RES_LOCK, PROCESS_LOCK_IRQ = 1, 2, 4
"""It is a lock (not an unlock); of a bpf_res_spin_lock; with interrupts off."""
_RBTREE_CALLERS = frozenset({"bpf_rbtree_add_impl"})


def in_sleepable(env: Env) -> bool:
    """Whether what is walked may sleep."""
    return env.spec.sleepable or env.cur.in_sleepable


def in_rbtree_lock_required_cb(env: Env) -> bool:
    """Whether a callback runs that compares nodes of a tree: its caller holds the lock."""
    frame = env.cur.frames[-1]
    if len(env.cur.frames) == 1 or not frame.in_callback_fn:
        return False
    caller = env.code[frame.callsite]
    return caller is not None and caller.family is Family.CALL_KFUNC and env.spec.kfuncs[caller.imm] in _RBTREE_CALLERS


def process_spin_lock(env: Env, regno: int, flags: int) -> None:
    """Take or give back the lock that register `regno` points to; `flags` are PROCESS_*."""
    lock = "bpf_res_spin" if flags & PROCESS_RES_LOCK else "bpf_spin"
    reg: Reg = env.regs[regno]
    if reg.num.mask:
        text = f"R{regno} doesn't have constant offset. {lock}_lock has to be at the constant offset"
        env.fail(errno.EINVAL, text)
    owner: Any = reg.extra[0]
    is_map = reg.type == PTR_TO_MAP_VALUE
    if is_map and not has_btf(owner):
        env.fail(errno.EINVAL, f"map '{map_name(owner)}' has to have BTF in order to use {lock}_lock")
    record = record_of(reg)
    if not has_field(record, frozenset({f"{lock}_lock"})):
        what = f"map '{map_name(owner)}'" if is_map else "local 'kptr'"
        env.fail(errno.EINVAL, f"{what} has no valid {lock}_lock")
    off, place = signed(reg.num.value + reg.off, 64), record.offset(f"{lock}_lock")
    if off != place:
        env.fail(errno.EINVAL, f"off {off} doesn't point to 'struct {lock}_lock' that is at {place}")
    kind = REF_LOCK
    if flags & PROCESS_RES_LOCK:
        kind = REF_RES_LOCK_IRQ if flags & PROCESS_LOCK_IRQ else REF_RES_LOCK
    if flags & PROCESS_SPIN_LOCK:
        _lock(env, reg, kind, owner)
    else:
        _unlock(env, reg, kind, owner, lock)


def _lock(env: Env, reg: Reg, kind: int, owner: Any) -> None:
    state = env.cur
    if state.active_locks:
        if kind == REF_LOCK:
            if refs.find_lock(state, REF_LOCK, 0, None):
                env.fail(errno.EINVAL, "Locking two bpf_spin_locks are not allowed")
        elif refs.find_lock(state, REF_RES_LOCK | REF_RES_LOCK_IRQ, reg.id, owner):
            env.fail(errno.EINVAL, "Acquiring the same lock again, AA deadlock detected")
    refs.acquire_lock(env, env.insn_idx, kind, reg.id, owner)


def _unlock(env: Env, reg: Reg, kind: int, owner: Any, lock: str) -> None:
    state = env.cur
    if not state.active_locks:
        env.fail(errno.EINVAL, f"{lock}_unlock without taking a lock")
    if not refs.find_lock(state, kind, reg.id, owner):
        env.fail(errno.EINVAL, f"{lock}_unlock of different lock")
    if reg.id != state.active_lock_id or owner is not state.active_lock_ptr:
        env.fail(errno.EINVAL, f"{lock}_unlock cannot be out of order")
    refs.release_lock(state, kind, reg.id, owner)
    refs.invalidate_non_owning_refs(env)


def in_rcu_cs(env: Env) -> bool:
    """Whether objects protected by RCU stay alive here."""
    state = env.cur
    return state.active_rcu_lock or state.active_locks > 0 or not in_sleepable(env)
