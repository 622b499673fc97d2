"""Calls of kernel functions: whether the program may make them, what they do to the state, what they give back.

Arguments are kfunc_args.py's. Follows check_kfunc_call() and check_special_kfunc() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from xdpsim.bits import M32, signed
from xdpsim.btf.types import Kind, Ref, Struct
from xdpsim.helpers.kfunc_rows import ACQUIRE, RCU_PROTECTED, RET_NULL, SLEEPABLE
from xdpsim.verifier import branch, btf_record, functions, graph, iters, locks, nulls, packet, refs
from xdpsim.verifier.btf_access import in_rcu_cs
from xdpsim.verifier.btf_types import is_scalar_struct
from xdpsim.verifier.env import Env, Refusal
from xdpsim.verifier.kfunc_args import check_kfunc_args
from xdpsim.verifier.kfunc_info import (
    INSERTS,
    MOVES_PACKET,
    NEW_OBJECT,
    RES_LOCKS,
    SPIN_ALLOWED,
    TASK_WORK,
    Kfunc,
    find_kfunc,
    is_scalar,
    is_struct,
    kind_text,
)
from xdpsim.verifier.kfunc_meta import Meta
from xdpsim.verifier.region import also_fail, may_access_direct_pkt_data
from xdpsim.verifier.regs import clear_caller_saved
from xdpsim.verifier.regtypes import (
    CONST_PTR_TO_MAP,
    MEM_ALLOC,
    MEM_PERCPU,
    MEM_RCU,
    MEM_RDONLY,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TRUSTED,
    PTR_UNTRUSTED,
)
from xdpsim.verifier.scalar import S32_MAX, S32_MIN, UNKNOWN, ZERO
from xdpsim.verifier.scalar_sync import limit_s32
from xdpsim.verifier.state import ITER, SPILL, UNINIT, Frame, Reg, Slot, scalar_reg

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn

__all__ = ["SPIN_ALLOWED", "THROW", "check_kfunc_call"]

THROW = "bpf_throw"
_MAX_ERRNO = 4095
_MAX_PERCPU_BYTES = 512
_NODES = frozenset({"bpf_list_node", "bpf_rb_node"})


def check_kfunc_call(env: Env, insn: Insn, insn_idx: int) -> None:
    """One call; Refusal when the program may not make it."""
    name = env.spec.kfuncs[insn.imm]
    kfunc = find_kfunc(env, name)
    if kfunc is None:
        env.fail(errno.EACCES, f"calling kernel function {name} is not allowed")
    meta = Meta(kfunc)
    env.aux[insn_idx].is_iter_next = kfunc.is_iter_next
    if name in RES_LOCKS:
        _push_failed_lock(env)
    elif name == "__bpf_trap":
        env.fail(errno.EFAULT, "unexpected __bpf_trap() due to uninitialized variable?")
    is_sleepable = bool(kfunc.flags & SLEEPABLE)
    if is_sleepable and not locks.in_sleepable(env):
        env.fail(errno.EACCES, f"program must be sleepable to call sleepable kfunc {name}")
    check_kfunc_args(env, meta, insn_idx)
    _push_callback(env, insn, insn_idx, meta)
    _check_rcu(env, name, is_sleepable)
    _check_preempt(env, name, is_sleepable)
    if env.cur.active_irq_id and is_sleepable:
        env.fail(errno.EACCES, f"kernel func {name} is sleepable within IRQ-disabled region")
    if kfunc.flags & RCU_PROTECTED and not in_rcu_cs(env):
        env.fail(errno.EACCES, f"kernel func {name} requires RCU critical section protection")
    _release(env, insn_idx, meta)
    if name == THROW:
        env.seen_exception = True
        if not env.exception_callback_subprog:
            functions.check_return_code(env, 1, "R1")
    clear_caller_saved(env, env.regs)
    env.scratched_regs |= 0x3F
    _check_result(env, meta, insn_idx)
    if name in MOVES_PACKET:
        packet.clear_all_pkt_pointers(env)
    if kfunc.is_iter_next:
        iters.process_iter_next_call(env, insn_idx, meta)


def _push_failed_lock(env: Env) -> None:
    """The lock may not be had: that way on waits, with an errno in R0."""
    queued = branch.push_stack(env, env.insn_idx + 1, env.insn_idx, False)
    running = queued.frames[-1].regs
    clear_caller_saved(env, running)
    running[0] = scalar_reg(limit_s32(UNKNOWN, -_MAX_ERRNO, -1), not env.bpf_capable)


def _push_callback(env: Env, insn: Insn, insn_idx: int, meta: Meta) -> None:
    setter = _CALLBACKS.get(meta.kfunc.name)
    if setter is None:
        return
    try:
        functions.push_callback_call(env, insn, insn_idx, meta.subprogno, setter)
    except Refusal as refusal:
        also_fail(env, refusal, f"kfunc {meta.kfunc.name}#{meta.kfunc.id} failed callback verification")


def _map_callback(register: int, wanted: tuple[int, int]) -> Callable[[Env, Frame, Frame, int], None]:
    """A callback that gets the map in that register of the caller, a key and a value of it."""

    def setter(env: Env, caller: Frame, callee: Frame, insn_idx: int) -> None:
        extra = (caller.regs[register].extra[0], 0)
        for regno, kind in ((1, CONST_PTR_TO_MAP), (2, PTR_TO_MAP_KEY), (3, PTR_TO_MAP_VALUE)):
            callee.regs[regno] = Reg(kind, ZERO, extra=extra)
        callee.regs[4] = callee.regs[5] = UNINIT
        callee.in_async_callback_fn = True
        callee.callback_ret_range = wanted

    return setter


_CALLBACKS: dict[str, Callable[[Env, Frame, Frame, int], None]] = {
    "bpf_rbtree_add_impl": graph.set_less_callback,
    "bpf_wq_set_callback_impl": _map_callback(1, (0, 0)),
    **dict.fromkeys(TASK_WORK, _map_callback(3, (S32_MIN, S32_MAX))),
}


def _check_rcu(env: Env, name: str, is_sleepable: bool) -> None:
    state = env.cur
    is_lock, is_unlock = name == "bpf_rcu_read_lock", name == "bpf_rcu_read_unlock"
    if not state.active_rcu_lock:
        if is_unlock:
            env.fail(errno.EINVAL, f"unmatched rcu read unlock (kernel function {name})")
        state.active_rcu_lock = is_lock
        return
    if (is_lock or is_unlock) and locks.in_rbtree_lock_required_cb(env):
        env.fail(errno.EACCES, "Calling bpf_rcu_read_{lock,unlock} in unnecessary rbtree callback")
    if is_lock:
        env.fail(errno.EINVAL, f"nested rcu read lock (kernel function {name})")
    if is_unlock:
        _end_rcu(env)
        state.active_rcu_lock = False
    elif is_sleepable:
        env.fail(errno.EACCES, f"kernel func {name} is sleepable within rcu_read_lock region")


def _end_rcu(env: Env) -> None:
    """What RCU kept alive may be gone: pointers to it are of no trust any more."""

    def left(reg: Reg) -> Reg:
        return reg.but(type=reg.type & ~(MEM_RCU | PTR_MAYBE_NULL) | PTR_UNTRUSTED)

    for frame in env.cur.frames:
        for regno, reg in enumerate(frame.regs):
            if reg.type & MEM_RCU:
                frame.regs[regno] = left(reg)
        for spi, slot in enumerate(frame.stack):
            if slot.kinds[7] in (SPILL, ITER) and slot.reg.type & MEM_RCU:
                frame.stack[spi] = Slot(slot.kinds, left(slot.reg))


def _check_preempt(env: Env, name: str, is_sleepable: bool) -> None:
    state = env.cur
    if name == "bpf_preempt_disable":
        state.active_preempt_locks += 1
    elif name == "bpf_preempt_enable":
        if not state.active_preempt_locks:
            env.fail(errno.EINVAL, f"unmatched attempt to enable preemption (kernel function {name})")
        state.active_preempt_locks -= 1
    elif is_sleepable and state.active_preempt_locks:
        env.fail(errno.EACCES, f"kernel func {name} is sleepable within non-preemptible region")


def _release(env: Env, insn_idx: int, meta: Meta) -> None:
    """References that the call takes away: the object released, the node that a list or tree owns now."""
    kfunc = meta.kfunc
    lost = f"kfunc {kfunc.name}#{kfunc.id} reference has not been acquired before"
    if meta.release_regno and not refs.release(env, env.regs[meta.release_regno].ref):
        env.fail(errno.EINVAL, lost)
    if kfunc.name in INSERTS:
        notes, node = env.aux[insn_idx].notes, env.regs[2]
        notes["insert_off"] = node.off
        _note_struct(env, insn_idx, meta)
        if not refs.find(env.cur, node.ref):
            env.fail(errno.EINVAL, lost)
        graph.give_away(env, node.ref)


def _note_struct(env: Env, insn_idx: int, meta: Meta) -> None:
    """For the engines: the fields of the object that the call handles."""
    if meta.arg_btf is not None:
        record = btf_record.record_of_type(meta.arg_btf, meta.arg_btf_id)
        env.aux[insn_idx].notes["kptr_struct_meta"] = record


def _check_result(env: Env, meta: Meta, insn_idx: int) -> None:
    """R0 after the call."""
    kfunc = meta.kfunc
    if is_scalar(kfunc.returns):
        env.regs[0] = env.zero if kfunc.name in RES_LOCKS else env.unknown
    elif kfunc.returns.kind is Kind.PTR:
        _pointer_result(env, meta, insn_idx)
    elif kfunc.name in ("bpf_obj_drop_impl", "bpf_percpu_obj_drop_impl"):
        _note_struct(env, insn_idx, meta)


def _pointer_result(env: Env, meta: Meta, insn_idx: int) -> None:
    kfunc = meta.kfunc
    special = _SPECIAL.get(kfunc.name)
    if special is not None:
        reg = special(env, meta, insn_idx)
    elif kfunc.pointee.name in _NODES:
        root = meta.list_head if kfunc.pointee.name == "bpf_list_node" else meta.rbtree_root
        assert root is not None
        reg = graph.node_reg(root)
    else:
        reg = _plain_result(env, meta)
    may_be_null = kfunc.flags & RET_NULL and not (kfunc.name == "bpf_refcount_acquire_impl" and meta.arg_owning_ref)
    if may_be_null:
        reg = reg.but(type=reg.type | PTR_MAYBE_NULL, id=env.new_id())
    if kfunc.flags & ACQUIRE:
        number = refs.acquire(env, insn_idx)
        reg = reg.but(ref=number, id=number if may_be_null else reg.id)
    elif kfunc.pointee.name in _NODES:
        reg = graph.non_owning(env, reg)
    if not reg.id and nulls.may_point_to_lock(reg):
        reg = reg.but(id=env.new_id())
    env.regs[0] = reg


def _plain_result(env: Env, meta: Meta) -> Reg:
    """A pointer to nothing known, to memory of a type's size, or to an object of the kernel."""
    kfunc, row = meta.kfunc, meta.kfunc.pointee
    if row.kind is Kind.VOID:
        return env.unknown
    is_rcu = MEM_RCU if kfunc.flags & RCU_PROTECTED else 0
    if row.kind is not Kind.STRUCT:
        size, is_read_only = meta.r0_size, meta.r0_rdonly
        if not size:
            size, is_read_only = _size_of(env, kfunc), True
        kind = PTR_TO_MEM | is_rcu | (MEM_RDONLY if is_read_only else 0)
        return Reg(kind, ZERO, ref=meta.ref_obj_id, extra=(size, 0))
    kind = PTR_TO_BTF_ID | (PTR_UNTRUSTED if kfunc.name == "bpf_get_kmem_cache" else is_rcu)
    if kfunc.is_iter_next:
        iterator = env.cur.frames[meta.iter_frameno].stack[meta.iter_spi].reg
        kind |= MEM_RCU if iterator.type & MEM_RCU else PTR_TRUSTED
    return Reg(kind, ZERO, extra=(kfunc.btf, row.id))


def _size_of(env: Env, kfunc: Kfunc) -> int:
    row = kfunc.pointee
    if not (is_struct(row) or is_scalar(row) or isinstance(row, Ref)):
        text = f"kernel function {kfunc.name} returns pointer type {kind_text(row)} {row.name} is not supported"
        env.fail(errno.EINVAL, text)
    return kfunc.btf.size_of(row.id)


def _new_object(env: Env, meta: Meta, insn_idx: int) -> Reg:
    """bpf_obj_new, bpf_percpu_obj_new: an object of a struct of the program."""
    type_id = meta.constant or 0
    if type_id != type_id & M32:
        env.fail(errno.EINVAL, "local type ID argument must be in range [0, U32_MAX]")
    if env.btf is None:
        env.fail(errno.EINVAL, "bpf_obj_new/bpf_percpu_obj_new requires prog BTF")
    row = env.btf.types[type_id] if type_id < len(env.btf.types) else None
    if not isinstance(row, Struct) or row.kind is not Kind.STRUCT:
        env.fail(errno.EINVAL, "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct")
    record = btf_record.record_of_type(env.btf, type_id)
    kind = PTR_TO_BTF_ID | MEM_ALLOC
    if meta.kfunc.name == "bpf_percpu_obj_new_impl":
        kind |= MEM_PERCPU
        if row.size > _MAX_PERCPU_BYTES:
            env.fail(errno.EINVAL, f"bpf_percpu_obj_new type size ({row.size}) is greater than {_MAX_PERCPU_BYTES}")
        if not row.size:
            env.refuse(errno.EINVAL, "")
        if not is_scalar_struct(env, env.btf, row):
            env.fail(errno.EINVAL, "bpf_percpu_obj_new type ID argument must be of a struct of scalars")
        if record is not None:
            env.fail(errno.EINVAL, "bpf_percpu_obj_new type ID argument must not contain special fields")
    env.aux[insn_idx].notes.update(obj_new_size=row.size, kptr_struct_meta=record)
    return Reg(kind, ZERO, extra=(env.btf, type_id))


def _same_object(env: Env, meta: Meta, insn_idx: int) -> Reg:
    """bpf_refcount_acquire."""
    _note_struct(env, insn_idx, meta)
    return Reg(PTR_TO_BTF_ID | MEM_ALLOC, ZERO, extra=(meta.arg_btf, meta.arg_btf_id))


def _kernel_context(env: Env, meta: Meta, insn_idx: int) -> Reg:
    return Reg(PTR_TO_BTF_ID | PTR_TRUSTED, ZERO, extra=(meta.kfunc.btf, meta.ret_btf_id))


def _cast(env: Env, meta: Meta, insn_idx: int) -> Reg:
    """bpf_rdonly_cast: whatever it is, to be read only, and no trust in it."""
    btf, given = meta.kfunc.btf, meta.constant or 0
    type_id = given & M32
    row = btf.types[type_id] if type_id < len(btf.types) else None
    if row is None:
        env.fail(errno.EINVAL, f"Unknown type ID {signed(given, 64)} passed to kfunc bpf_rdonly_cast")
    if is_struct(row):
        return Reg(PTR_TO_BTF_ID | PTR_UNTRUSTED, ZERO, extra=(btf, type_id))
    if row.kind is not Kind.VOID:
        env.fail(errno.EINVAL, "kfunc bpf_rdonly_cast type ID argument must be of a struct or void")
    return Reg(PTR_TO_MEM | MEM_RDONLY | PTR_UNTRUSTED, ZERO, extra=(0, 0))


def _slice(env: Env, meta: Meta, insn_idx: int) -> Reg:
    """bpf_dynptr_slice, bpf_dynptr_slice_rdwr: memory of the constant size, gone with the dynptr."""
    kind = PTR_TO_MEM | meta.dynptr_type
    if meta.kfunc.name == "bpf_dynptr_slice":
        kind |= MEM_RDONLY
    elif not may_access_direct_pkt_data(env, None, True):
        env.fail(errno.EINVAL, "the prog does not allow writes to packet data")
    return Reg(kind, ZERO, extra=((meta.constant or 0) & M32, meta.dynptr_id))


_SPECIAL: dict[str, Callable[[Env, Meta, int], Reg]] = {
    **dict.fromkeys(NEW_OBJECT, _new_object),
    "bpf_refcount_acquire_impl": _same_object,
    "bpf_cast_to_kern_ctx": _kernel_context,
    "bpf_rdonly_cast": _cast,
    "bpf_dynptr_slice": _slice,
    "bpf_dynptr_slice_rdwr": _slice,
}
