"""Pointers kept in map values and objects: what may be stored where, and what a load yields.

Follows map_kptr_match_type(), btf_ld_kptr_type(), mark_uptr_ld_reg(), check_map_kptr_access() and process_kptr_func()
of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from xdpsim.isa.rows import Family
from xdpsim.verifier import btf_types
from xdpsim.verifier.btf_access import in_rcu_cs
from xdpsim.verifier.btf_fields import GRAPH_NODES, KPTR_PERCPU, KPTR_REF, KPTR_UNREF, KPTRS, UPTR
from xdpsim.verifier.btf_record import Field, record_of_type
from xdpsim.verifier.env import Env, Refusal
from xdpsim.verifier.fields import field_at, has_field, record_of
from xdpsim.verifier.log import type_str
from xdpsim.verifier.nulls import is_alloc_object
from xdpsim.verifier.region import check_ptr_off_reg
from xdpsim.verifier.regs import is_null
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    MEM_ALLOC,
    MEM_PERCPU,
    MEM_RCU,
    NON_OWN_REF,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_MEM,
    PTR_TRUSTED,
    PTR_UNTRUSTED,
)
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import Reg

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn

_RCU_PROTECTED = frozenset({"prog_test_ref_kfunc", "cgroup", "bpf_cpumask", "task_struct", "bpf_crypto_ctx"})
"""Kernel structs that RCU keeps alive (rcu_protected_types)."""
_LOADS = (Family.LOAD,)
_STORES = (Family.STORE_REG, Family.STORE_IMM)


def map_kptr_match_type(env: Env, field: Field, reg: Reg, regno: int) -> None:
    """Refuse a pointer that may not be kept in that field."""
    problem = ""
    if reg.type & BASE_MASK == PTR_TO_BTF_ID:
        btf, type_id = reg.extra
        name = btf.types[type_id].name
        if not reg.type & ~BASE_MASK & ~_allowed_flags(env, field, reg):
            try:
                check_ptr_off_reg(env, reg, regno, True)
            except Refusal as refusal:
                env.refuse(errno.EACCES, refusal.message)
            is_strict = field.kind != KPTR_UNREF
            if btf_types.struct_ids_match(env, btf, type_id, reg.off, field.btf, field.type_id, is_strict):
                return
            problem = name
    expected = f"expected={type_str(PTR_TO_BTF_ID)}{field.type_name}"
    if field.kind == KPTR_UNREF:
        expected += f" or {type_str(PTR_TO_BTF_ID | PTR_UNTRUSTED)}{field.type_name}"
    env.fail(errno.EACCES, f"invalid kptr access, R{regno} type={type_str(reg.type)}{problem} {expected}")


def _allowed_flags(env: Env, field: Field, reg: Reg) -> int:
    """Flags that the pointer may have: those of kernel objects, or of the program's own."""
    if reg.extra[0] is not env.btf:
        return PTR_MAYBE_NULL | PTR_TRUSTED | MEM_RCU | (PTR_UNTRUSTED if field.kind == KPTR_UNREF else 0)
    return PTR_MAYBE_NULL | MEM_ALLOC | (MEM_PERCPU if field.kind == KPTR_PERCPU else 0)


def loaded_kind(env: Env, field: Field) -> int:
    """Flags of the pointer that a load from the field yields (btf_ld_kptr_type)."""
    is_safe = field.kind == KPTR_PERCPU or (
        field.kind == KPTR_REF and (not field.is_kernel or field.type_name in _RCU_PROTECTED)
    )
    if not (is_safe and in_rcu_cs(env)):
        return PTR_MAYBE_NULL | PTR_UNTRUSTED
    flags = PTR_MAYBE_NULL | MEM_RCU
    if field.kind == KPTR_PERCPU:
        flags |= MEM_PERCPU
    elif not field.is_kernel:
        flags |= MEM_ALLOC
    if not field.is_kernel and field.btf is not None:
        record = record_of_type(field.btf, field.type_id)
        if has_field(record, GRAPH_NODES):
            flags |= NON_OWN_REF
    return flags


def check_map_kptr_access(env: Env, regno: int, value_regno: int, insn_idx: int, field: Field) -> None:
    """An insn reads or writes a pointer kept in a map value; its size, place and offset were checked."""
    insn = env.code[insn_idx]
    assert insn is not None
    if insn.family not in _LOADS + _STORES:
        env.fail(errno.EACCES, "kptr in map can only be accessed using BPF_MEM instruction mode")
    if insn.family in _LOADS:
        env.regs[value_regno] = _loaded(env, field)
        return
    if field.kind in (KPTR_REF, KPTR_PERCPU):
        env.fail(errno.EACCES, "store to referenced kptr disallowed")
    if field.kind == UPTR:
        env.fail(errno.EACCES, "store to uptr disallowed")
    _check_store(env, insn, value_regno, field)


def _loaded(env: Env, field: Field) -> Reg:
    number = env.new_id()
    if field.kind == UPTR:
        assert field.btf is not None
        return Reg(PTR_TO_MEM | PTR_MAYBE_NULL, ZERO, id=number, extra=(field.btf.size_of(field.type_id), 0))
    return Reg(PTR_TO_BTF_ID | loaded_kind(env, field), ZERO, id=number, extra=(field.btf, field.type_id))


def _check_store(env: Env, insn: Insn, value_regno: int, field: Field) -> None:
    if insn.family is Family.STORE_IMM:
        if insn.imm:
            env.fail(errno.EACCES, f"BPF_ST imm must be 0 when storing to kptr at off={field.offset}")
        return
    reg: Reg = env.regs[value_regno]
    if not is_null(reg):
        map_kptr_match_type(env, field, reg, value_regno)


def process_kptr_func(env: Env, regno: int) -> Field:
    """Where bpf_kptr_xchg puts a pointer: a kptr field that may own it."""
    reg: Reg = env.regs[regno]
    if not is_alloc_object(reg.type) and reg.extra[0].spec.btf is None:
        name = reg.extra[0].spec.name
        env.fail(errno.EINVAL, f"map '{name}' has to have BTF in order to use bpf_kptr_xchg")
    record = record_of(reg)
    if reg.num.mask:
        text = f"R{regno} doesn't have constant offset. kptr has to be at the constant offset"
        env.fail(errno.EINVAL, text)
    if not has_field(record, KPTRS):
        env.fail(errno.EINVAL, f"R{regno} has no valid kptr")
    off = reg.off + reg.num.value
    field: Field | None = field_at(record, off, KPTRS)
    if field is None:
        env.fail(errno.EACCES, f"off={off} doesn't point to kptr")
    if field.kind == KPTR_UNREF:
        env.fail(errno.EACCES, f"off={off} kptr isn't referenced kptr")
    return field
