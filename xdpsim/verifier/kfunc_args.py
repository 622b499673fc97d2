"""Arguments of a call of a kernel function, each against its parameter.

What a parameter wants follows from its C type, the end of its name and sometimes from what the register holds. Follows
check_kfunc_args() and get_kfunc_ptr_arg_type() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from xdpsim.helpers.kfunc_rows import RCU, RELEASE, TRUSTED_ARGS
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier import arg_types, nulls, precision
from xdpsim.verifier.btf_types import (
    is_projection,
    is_scalar_struct,
)
from xdpsim.verifier.env import Env
from xdpsim.verifier.fields import has_field
from xdpsim.verifier.kfunc_info import MAX_ARGS, Param, is_scalar, is_struct, kind_text
from xdpsim.verifier.regs import is_null
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_MAP,
    OBJ_RELEASE,
    PTR_TO_BTF_ID,
    PTR_TO_MAP_VALUE,
    SCALAR_VALUE,
)
from xdpsim.verifier.state import Reg

if TYPE_CHECKING:
    from xdpsim.btf.types import Type

from xdpsim.verifier.kfunc_checks import CHECKS
from xdpsim.verifier.kfunc_meta import KERNEL_STRUCTS, Meta, is_rcu_reg


def check_kfunc_args(env: Env, meta: Meta, insn_idx: int) -> None:
    """Check all argument registers and learn what the call does with them."""
    kfunc = meta.kfunc
    params = kfunc.params
    if len(params) > MAX_ARGS:
        env.fail(errno.EINVAL, f"Function {kfunc.name} has {len(params)} > {MAX_ARGS} args")
    skip = False
    for number, param in enumerate(params):
        if skip or "__ign" in param.suffixes:
            skip = False
            continue
        if "__prog" in param.suffixes:
            env.aux[insn_idx].notes["arg_prog"] = number + 1
        elif param.is_scalar:
            _check_scalar(env, meta, param, number + 1)
        else:
            skip = _check_pointer(env, meta, param, number, insn_idx)
    if kfunc.flags & RELEASE and not meta.release_regno:
        env.fail(errno.EINVAL, f"release kernel function {kfunc.name} expects refcounted PTR_TO_BTF_ID")


def _check_scalar(env: Env, meta: Meta, param: Param, regno: int) -> None:
    reg: Reg = env.regs[regno]
    if reg.type != SCALAR_VALUE:
        env.fail(errno.EINVAL, f"R{regno} is not a scalar")
    is_size = param.name in ("rdonly_buf_size", "rdwr_buf_size")
    if "__k" in param.suffixes:
        if reg.num.mask:
            env.fail(errno.EINVAL, f"R{regno} must be a known constant")
        precision.mark_chain_precision(env, regno)
        meta.constant = reg.num.value
    elif is_size:
        if reg.num.mask:
            env.fail(errno.EINVAL, f"R{regno} is not a const")
        meta.r0_size, meta.r0_rdonly = reg.num.value, param.name == "rdonly_buf_size"
        precision.mark_chain_precision(env, regno)


def _check_pointer(env: Env, meta: Meta, param: Param, number: int, insn_idx: int) -> bool:
    """A pointer argument; whether the next argument is its size and so checked with it."""
    kfunc, regno = meta.kfunc, number + 1
    reg: Reg = env.regs[regno]
    if not param.is_pointer:
        env.fail(errno.EINVAL, f"Unrecognized arg#{number} type {kind_text(param.type)}")
    needs_trust = kfunc.flags & (TRUSTED_ARGS | RELEASE | RCU)
    if needs_trust and "__nullable" not in param.suffixes and (is_null(reg) or nulls.type_may_be_null(reg.type)):
        env.fail(errno.EACCES, f"Possibly NULL pointer passed to trusted arg{number}")
    if reg.ref:
        meta.ref_obj_id = reg.ref
        if kfunc.flags & RELEASE:
            meta.release_regno = regno
    kind = _kind_of(env, meta, param, number)
    if kind == "null":
        return False
    if kind == "map":
        _note_map(env, meta, reg, regno)
    if kind in ("map", "alloc", "btf_id"):
        _check_trust(env, meta, reg, regno)
    arg_types.check_func_arg_reg_off(env, reg, regno, OBJ_RELEASE if kfunc.flags & RELEASE and reg.ref else 0)
    CHECKS[kind](env, meta, param, number, insn_idx)
    return kind == "mem_size"


def is_prog_ctx(env: Env, row: Type) -> bool:
    """Whether a struct is the context of this type of program, as programs or as the kernel sees it."""
    context = PROG_TYPES[env.prog_type].struct
    return is_struct(row) and bool(context) and (row.name == context or is_projection(context, row.name))


def _kind_of(env: Env, meta: Meta, param: Param, number: int) -> str:
    """What the parameter wants: a key of CHECKS, or "null" where it takes the NULL that is passed."""
    kfunc, reg = meta.kfunc, env.regs[number + 1]
    if kfunc.name == "bpf_cast_to_kern_ctx" or is_prog_ctx(env, param.pointee):
        return "ctx"
    if "__nullable" in param.suffixes and is_null(reg):
        return "null"
    for suffix, kind in (("__alloc", "alloc"), ("__refcounted_kptr", "refcounted")):
        if suffix in param.suffixes:
            return kind
    if param.points_to("bpf_dynptr"):
        return "bpf_dynptr"
    if (kfunc.is_iter and number == 0) or "__iter" in param.suffixes:
        return "iter"
    for name in ("bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node"):
        if param.points_to(name):
            return name
    for suffix, kind in (("__str", "str"), ("__map", "map")):
        if suffix in param.suffixes:
            return kind
    for name in ("bpf_wq", "bpf_task_work"):
        if param.points_to(name):
            return name
    if "__irq_flag" in param.suffixes:
        return "irq_flag"
    if param.points_to("bpf_res_spin_lock"):
        return "bpf_res_spin_lock"
    return _kind_by_register(env, meta, param, number, reg)


def _kind_by_register(env: Env, meta: Meta, param: Param, number: int, reg: Reg) -> str:
    """A pointer that the parameter alone says nothing special of: an object of the kernel, a callback, memory."""
    kfunc, row = meta.kfunc, param.pointee
    base = reg.type & BASE_MASK
    if base == PTR_TO_BTF_ID or base in KERNEL_STRUCTS:
        if not is_struct(row):
            what = f"args#{number} pointer type {kind_text(row)} {_name(row)}"
            env.fail(errno.EINVAL, f"kernel function {kfunc.name} {what} is not supported")
        return "btf_id"
    if param.is_callback:
        return "callback"
    has_size = number + 1 < len(kfunc.params) and _is_size(kfunc.params[number + 1], env.regs[number + 2])
    if not is_scalar(row) and not is_scalar_struct(env, kfunc.btf, row) and not (has_size and not row.id):
        what = "void, " if has_size else ""
        text = (
            f"arg#{number} pointer type {kind_text(row)} {_name(row)} must point to {what}scalar, or struct with scalar"
        )
        env.fail(errno.EINVAL, text)
    return "mem_size" if has_size else "mem"


def _name(row: Type) -> str:
    return row.name if row.id else ""


def _is_size(param: Param, reg: Reg) -> bool:
    return param.is_scalar and reg.type == SCALAR_VALUE and not param.suffixes.isdisjoint({"__sz", "__szk"})


def _note_map(env: Env, meta: Meta, reg: Reg, regno: int) -> None:
    """A map argument; together with a work queue it must be the map that this lies in."""
    if reg.type & BASE_MASK not in (CONST_PTR_TO_MAP, PTR_TO_MAP_VALUE):
        env.fail(errno.EINVAL, f"pointer in R{regno} isn't map pointer")
    before, (vmap, uid) = meta.map, reg.extra
    if before is not None and (vmap is not before[0] or uid != before[1]):
        if has_field(vmap.record, frozenset({"bpf_task_work"})):
            what, first, second = "bpf_task_work", 2, 3
        else:
            what, first, second = "workqueue", 1, 2
        text = f"{what} pointer in R{first} map_uid={before[1]} doesn't match map pointer in R{second} map_uid={uid}"
        env.fail(errno.EINVAL, text)
    meta.map = (vmap, uid)


def _check_trust(env: Env, meta: Meta, reg: Reg, regno: int) -> None:
    flags = meta.kfunc.flags
    if not flags & (TRUSTED_ARGS | RELEASE | RCU) or nulls.is_trusted(reg):
        return
    if not flags & RCU:
        env.fail(errno.EINVAL, f"R{regno} must be referenced or trusted")
    if not is_rcu_reg(reg):
        env.fail(errno.EINVAL, f"R{regno} must be a rcu pointer")
