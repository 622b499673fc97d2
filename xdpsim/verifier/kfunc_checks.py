"""The checks of pointer arguments of kernel functions, one for each kind of parameter.

A check gets the call's Meta, the parameter, its number from 0 and the insn. Follows the second half of
check_kfunc_args() and the process_kf_arg_ptr_to_*() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from xdpsim.helpers.kfunc_rows import KERNEL_CONTEXTS, RELEASE
from xdpsim.verifier import dynptr, graph, irq, iters, locks, mem_args, nulls
from xdpsim.verifier.btf_types import (
    is_projection,
    kernel_btf,
    kernel_struct_id,
    nocast_alias,
    struct_ids_match,
)
from xdpsim.verifier.const_args import check_reg_const_str
from xdpsim.verifier.dynptr_args import process_dynptr_func
from xdpsim.verifier.env import Env, Refusal
from xdpsim.verifier.fields import field_at, has_field, record_of
from xdpsim.verifier.kfunc_info import Param, kind_text
from xdpsim.verifier.locks import in_sleepable
from xdpsim.verifier.log import type_str
from xdpsim.verifier.region import also_fail
from xdpsim.verifier.regs import is_null
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_DYNPTR,
    DYNPTR_TYPE_RINGBUF,
    DYNPTR_TYPE_SKB,
    DYNPTR_TYPE_SKB_META,
    DYNPTR_TYPE_XDP,
    MEM_ALLOC,
    MEM_PERCPU,
    MEM_RDONLY,
    MEM_UNINIT,
    NON_OWN_REF,
    PTR_TO_BTF_ID,
    PTR_TO_CTX,
    PTR_TO_FUNC,
    PTR_TO_MAP_VALUE,
    PTR_TO_STACK,
    PTR_TRUSTED,
)
from xdpsim.verifier.state import Reg

if TYPE_CHECKING:
    pass

from xdpsim.verifier.kfunc_meta import KERNEL_STRUCTS, Meta, is_rcu_reg

_TRUSTED = MEM_ALLOC | PTR_TRUSTED | NON_OWN_REF
_MAKES_DYNPTR = {
    "bpf_dynptr_from_skb": DYNPTR_TYPE_SKB,
    "bpf_dynptr_from_xdp": DYNPTR_TYPE_XDP,
    "bpf_dynptr_from_skb_meta": DYNPTR_TYPE_SKB_META,
}


def _ctx(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    if reg.type != PTR_TO_CTX:
        env.fail(errno.EINVAL, f"arg#{number} expected pointer to ctx, but got {type_str(reg.type)}")
    if meta.kfunc.name == "bpf_cast_to_kern_ctx":
        row = kernel_btf(env).by_name(KERNEL_CONTEXTS[env.prog_type])
        meta.ret_btf_id = row.id if row else 0


def _alloc(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    wanted = {
        PTR_TO_BTF_ID | MEM_ALLOC: "bpf_obj_drop_impl",
        PTR_TO_BTF_ID | MEM_ALLOC | MEM_PERCPU: "bpf_percpu_obj_drop_impl",
    }.get(reg.type)
    if wanted is None:
        env.fail(errno.EINVAL, f"arg#{number} expected pointer to allocated object")
    if meta.kfunc.name != wanted:
        env.fail(errno.EINVAL, f"arg#{number} expected for {wanted}()")
    _need_reference(env, reg)
    meta.arg_btf, meta.arg_btf_id = reg.extra


def _need_reference(env: Env, reg: Reg) -> None:
    if not reg.ref:
        env.fail(errno.EINVAL, "allocated object must be referenced")


def _dynptr(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    name = meta.kfunc.name
    flags = MEM_RDONLY if reg.type == CONST_PTR_TO_DYNPTR else 0
    if "__uninit" in param.suffixes:
        flags |= MEM_UNINIT
    flags |= _MAKES_DYNPTR.get(name, 0)
    clone_ref = 0
    if name == "bpf_dynptr_clone" and flags & MEM_UNINIT:
        flags |= meta.dynptr_type
        clone_ref = meta.dynptr_ref if meta.dynptr_type == DYNPTR_TYPE_RINGBUF else 0
    process_dynptr_func(env, number + 1, insn_idx, flags, clone_ref)
    if not flags & MEM_UNINIT:
        meta.dynptr_id = dynptr.dynptr_id(env, reg)
        meta.dynptr_type = dynptr.dynptr_type(env, reg)
        meta.dynptr_ref = dynptr.dynptr_ref(env, reg)


def _iter(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    if meta.kfunc.name == "bpf_iter_css_task_new" and not in_sleepable(env):
        text = "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs"
        env.fail(errno.EINVAL, text)
    iters.process_iter_arg(env, number + 1, insn_idx, meta)


def _root(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    _need_object(
        env, reg, number, reg.type in (PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC), "map value or allocated object"
    )
    if reg.type != PTR_TO_MAP_VALUE:
        _need_reference(env, reg)
    field = graph.process_root(env, reg, number + 1, param.pointee.name)
    if param.pointee.name == "bpf_list_head":
        meta.list_head = field
    else:
        meta.rbtree_root = field


def _need_object(env: Env, reg: Reg, number: int, is_fine: bool, what: str) -> None:
    if not is_fine:
        env.fail(errno.EINVAL, f"arg#{number} expected pointer to {what}")


def _node(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    name = meta.kfunc.name
    if param.pointee.name == "bpf_list_node" or name == "bpf_rbtree_add_impl":
        _need_object(env, reg, number, reg.type == PTR_TO_BTF_ID | MEM_ALLOC, "allocated object")
        _need_reference(env, reg)
    else:
        is_non_owning = nulls.is_alloc_object(reg.type) and reg.type & NON_OWN_REF
        if not is_non_owning and not reg.ref:
            env.fail(errno.EINVAL, f"{name} can only take non-owning or refcounted bpf_rb_node pointer")
        if locks.in_rbtree_lock_required_cb(env):
            env.fail(errno.EINVAL, f"{name} not allowed in rbtree cb")
    root = meta.list_head if param.pointee.name == "bpf_list_node" else meta.rbtree_root
    assert root is not None
    graph.process_node(env, reg, number + 1, param.pointee.name, root)
    meta.arg_btf, meta.arg_btf_id = reg.extra


def _btf_id(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    base = reg.type & BASE_MASK
    is_unsafe = reg.type & ~(BASE_MASK | _TRUSTED) and not is_rcu_reg(reg)
    if (base != PTR_TO_BTF_ID or is_unsafe) and base not in KERNEL_STRUCTS:
        expected = type_str(base | (reg.type & _TRUSTED))
        env.fail(errno.EINVAL, f"arg#{number} is {type_str(reg.type)} expected {expected} or socket")
    kernel, kfunc = kernel_btf(env), meta.kfunc
    wanted = param.pointee
    if "__map" in param.suffixes:
        wanted = kernel.types[kernel_struct_id(env, "bpf_map")]
    btf, type_id = reg.extra if base == PTR_TO_BTF_ID else (kernel, kernel_struct_id(env, KERNEL_STRUCTS[base]))
    given = btf.types[type_id]
    is_strict = bool(kfunc.flags & RELEASE and reg.ref) or nocast_alias(given.name, wanted.name)
    is_same = struct_ids_match(env, btf, type_id, reg.off, kernel, wanted.id, is_strict)
    if not is_same and not is_projection(wanted.name, given.name):
        env.fail(
            errno.EINVAL,
            f"kernel function {kfunc.name} args#{number} expected pointer to {kind_text(wanted)} {wanted.name} "
            f"but R{number + 1} has a pointer to {kind_text(given)} {given.name}",
        )


def _mem(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    size = meta.kfunc.btf.size_of(param.pointee.id)
    mem_args.check_mem_reg(env, env.regs[number + 1], number + 1, size)


def _mem_size(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    regno = number + 1
    size_param, size_reg = meta.kfunc.params[number + 1], env.regs[regno + 1]
    if "__opt" not in param.suffixes or not is_null(env.regs[regno]):
        _check_sized(env, regno, number)
    if "__szk" in size_param.suffixes:
        if size_reg.num.mask:
            env.fail(errno.EINVAL, f"R{regno + 1} must be a known constant")
        meta.constant = size_reg.num.value


class _Sizes:
    """The call's notes as access.py keeps them for helpers; none of them matters to a kernel function."""

    def __init__(self) -> None:
        self.raw_mode, self.msize_max_value, self.access_size, self.regno = False, 0, 0, 0


def _check_sized(env: Env, regno: int, number: int) -> None:
    """Memory in `regno`, its size in the next register; readable and writable, NULL left aside."""
    saved: Reg = env.regs[regno]
    if nulls.type_may_be_null(saved.type):
        env.regs[regno] = nulls.non_null(saved)
    size_reg = env.regs[regno + 1]
    line = f"arg#{number} arg#{number + 1} memory, len pair leads to invalid memory access"
    try:
        mem_args.check_mem_size_reg(env, size_reg, regno + 1, False, True, _Sizes())
        mem_args.check_mem_size_reg(env, env.regs[regno + 1], regno + 1, True, True, _Sizes())
    except Refusal as refusal:
        also_fail(env, refusal, line)
    env.regs[regno] = saved


def _callback(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    if reg.type != PTR_TO_FUNC:
        env.fail(errno.EINVAL, f"arg{number} expected pointer to func")
    meta.subprogno = reg.extra


def _refcounted(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    if not nulls.is_alloc_object(reg.type):
        env.fail(errno.EINVAL, f"arg#{number} is neither owning or non-owning ref")
    if not reg.type & NON_OWN_REF:
        meta.arg_owning_ref = True
    record = record_of(reg)
    if record is None:
        env.fail(errno.EFAULT, "verifier bug: Couldn't find btf_record")
    if not has_field(record, frozenset({"bpf_refcount"})):
        env.fail(errno.EINVAL, f"arg#{number} doesn't point to a type with bpf_refcount field")
    meta.arg_btf, meta.arg_btf_id = reg.extra


def _str(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    reg: Reg = env.regs[number + 1]
    if reg.type != PTR_TO_MAP_VALUE:
        env.fail(errno.EINVAL, f"arg#{number} doesn't point to a const string")
    check_reg_const_str(env, reg, number + 1)


def _wq(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    """A work queue or a piece of task work, where the map's values have it."""
    reg: Reg = env.regs[number + 1]
    if reg.type != PTR_TO_MAP_VALUE:
        env.fail(errno.EINVAL, f"arg#{number} doesn't point to a map value")
    vmap, name = reg.extra[0], param.pointee.name
    if name == "bpf_task_work":
        _check_map_field(env, reg, number + 1, name)
    off = reg.num.value + reg.off
    if field_at(vmap.record, off, frozenset({name})) is None:
        at = vmap.record.offset(name) if vmap.record is not None else -errno.EINVAL
        env.fail(errno.EINVAL, f"off {off} doesn't point to 'struct {name}' that is at {at}")
    meta.map = reg.extra


def _check_map_field(env: Env, reg: Reg, regno: int, name: str) -> None:
    vmap = reg.extra[0]
    if reg.num.mask:
        env.fail(errno.EINVAL, f"R{regno} doesn't have constant offset. {name} has to be at the constant offset")
    if vmap.spec.btf is None:
        env.fail(errno.EINVAL, f"map '{vmap.spec.name}' has to have BTF in order to use {name}")
    if not has_field(vmap.record, frozenset({name})):
        env.fail(errno.EINVAL, f"map '{vmap.spec.name}' has no valid {name}")


def _irq_flag(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    if env.regs[number + 1].type != PTR_TO_STACK:
        env.fail(errno.EINVAL, f"arg#{number} doesn't point to an irq flag on stack")
    irq.process_irq_flag(env, number + 1, meta.kfunc.name)


def _res_lock(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> None:
    if env.regs[number + 1].type not in (PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC):
        env.fail(errno.EINVAL, f"arg#{number} doesn't point to map value or allocated object")
    name = meta.kfunc.name
    flags = locks.PROCESS_RES_LOCK
    if "unlock" not in name:
        flags |= locks.PROCESS_SPIN_LOCK
    if "irq" in name:
        flags |= locks.PROCESS_LOCK_IRQ
    locks.process_spin_lock(env, number + 1, flags)


CHECKS: dict[str, Callable[[Env, Meta, Param, int, int], None]] = {
    "ctx": _ctx,
    "alloc": _alloc,
    "bpf_dynptr": _dynptr,
    "iter": _iter,
    "bpf_list_head": _root,
    "bpf_rb_root": _root,
    "bpf_list_node": _node,
    "bpf_rb_node": _node,
    "map": _btf_id,
    "btf_id": _btf_id,
    "mem": _mem,
    "mem_size": _mem_size,
    "callback": _callback,
    "refcounted": _refcounted,
    "str": _str,
    "bpf_wq": _wq,
    "bpf_task_work": _wq,
    "irq_flag": _irq_flag,
    "bpf_res_spin_lock": _res_lock,
}
