"""Loads and stores through pointers to kernel structs and to objects of the program's own types.

What a load yields depends on the member found and on how far the pointer is trusted. Follows
check_ptr_to_btf_access() and check_ptr_to_map_access() of kernel/bpf/verifier.c, btf_struct_access() of
kernel/bpf/btf.c and nf_conntrack_btf_struct_access() of net/netfilter/nf_conntrack_bpf.c.
"""

from __future__ import annotations

from errno import EACCES, EFAULT, EINVAL, EPERM
from typing import TYPE_CHECKING

from xdpsim.btf.types import Btf, Kind, Struct
from xdpsim.errors import Unsupported
from xdpsim.verifier.btf_record import record_of_type
from xdpsim.verifier.btf_types import kernel_btf, kernel_struct
from xdpsim.verifier.btf_walk import PTR, PTR_UNTRUSTED_MEM, SCALAR, WalkError, walk_to_member
from xdpsim.verifier.licences import GPL_COMPATIBLE
from xdpsim.verifier.nulls import is_alloc_object, is_trusted
from xdpsim.verifier.regtypes import (
    MEM_ALLOC,
    MEM_PERCPU,
    MEM_RCU,
    MEM_RDONLY,
    MEM_USER,
    NON_OWN_REF,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_MEM,
    PTR_TRUSTED,
    PTR_UNTRUSTED,
)
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import Reg
from xdpsim.verifier.tnum import tnum_text

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.vmap import VMap

_RCU = {
    ("task_struct", "cpus_ptr"),
    ("task_struct", "cgroups"),
    ("task_struct", "real_parent"),
    ("task_struct", "group_leader"),
    ("cgroup", "kn"),
    ("css_set", "dfl_cgrp"),
    ("cgroup_subsys_state", "cgroup"),
}
"""Members that are trusted under RCU and never null."""
_RCU_OR_NULL = {("mm_struct", "exe_file"), ("sk_buff", "sk"), ("request_sock", "sk")}
_TRUSTED = {
    ("bpf_iter_meta", "seq"),
    ("bpf_iter__task", "meta"),
    ("bpf_iter__task", "task"),
    ("linux_binprm", "file"),
    ("file", "f_inode"),
}
_TRUSTED_OR_NULL = {("dentry", "d_inode"), ("socket", "sk")}
_CONNTRACK_WRITERS = frozenset({"XDP", "SCHED_CLS", "SCHED_ACT"})
_CONNTRACK_STRUCTS = frozenset({"nf_conn", "nf_conn___init"})
_MAP_STRUCTS = {
    **dict.fromkeys(("ARRAY", "PERCPU_ARRAY", "PROG_ARRAY", "PERF_EVENT_ARRAY"), "bpf_array"),
    **dict.fromkeys(("CGROUP_ARRAY", "ARRAY_OF_MAPS"), "bpf_array"),
    **dict.fromkeys(("HASH", "PERCPU_HASH", "LRU_HASH", "LRU_PERCPU_HASH", "HASH_OF_MAPS"), "bpf_htab"),
    **dict.fromkeys(("DEVMAP", "DEVMAP_HASH"), "bpf_dtab"),
    **dict.fromkeys(("QUEUE", "STACK"), "bpf_queue_stack"),
    **dict.fromkeys(("RINGBUF", "USER_RINGBUF"), "bpf_ringbuf_map"),
    **dict.fromkeys(("SK_STORAGE", "INODE_STORAGE", "TASK_STORAGE", "CGRP_STORAGE"), "bpf_local_storage_map"),
    **dict.fromkeys(("CGROUP_STORAGE", "PERCPU_CGROUP_STORAGE"), "bpf_cgroup_storage_map"),
    "STACK_TRACE": "bpf_stack_map",
    "LPM_TRIE": "lpm_trie",
    "SOCKMAP": "bpf_stab",
    "SOCKHASH": "bpf_shtab",
    "CPUMAP": "bpf_cpu_map",
    "XSKMAP": "xsk_map",
    "REUSEPORT_SOCKARRAY": "reuseport_array",
    "STRUCT_OPS": "bpf_struct_ops_map",
    "BLOOM_FILTER": "bpf_bloom_filter",
    "ARENA": "bpf_arena",
}
"""The kernel struct behind a map of each type (map_btf_id)."""


def in_rcu_cs(env: Env) -> bool:
    """Whether pointers under RCU stay good for now."""
    state = env.cur
    return bool(state.active_rcu_lock or state.active_locks or not (env.spec.sleepable or state.in_sleepable))


def check_ptr_to_btf_access(env: Env, regno: int, off: int, size: int, write: bool, value_regno: int) -> bool:
    """Load or store a member; True when a load yields a number, which the caller puts into the register."""
    reg: Reg = env.regs[regno]
    btf, type_id = reg.extra
    name = btf.get(type_id).name
    is_kernel = btf is not env.btf
    if not env.allow_ptr_leaks:
        env.fail(EPERM, f"'struct {name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN")
    if is_kernel and env.spec.licence not in GPL_COMPATIBLE:
        env.fail(EINVAL, f"Cannot access kernel 'struct {name}' from non-GPL compatible program")
    _check_offset(env, reg, regno, name, off)
    if write and not reg.type & MEM_ALLOC:
        _check_kernel_write(env, name, off, size)
        return False
    if write and not is_alloc_object(reg.type):
        env.fail(EACCES, "only read is supported")
    if reg.type & MEM_ALLOC and not reg.type & (NON_OWN_REF | MEM_RCU) and not reg.ref:
        env.fail(EFAULT, "verifier bug: ref_obj_id for allocated object must be non-zero")
    if reg.type & MEM_ALLOC:
        _check_special_fields(env, btf, type_id, off, size)
    kind, flags, next_id, member = _member(env, btf, type_id, off, size)
    if is_kernel and not write and not reg.type & PTR_UNTRUSTED:
        env.aux[env.insn_idx].notes.setdefault("members", set()).add((name, off))
    if kind == PTR and reg.type & MEM_ALLOC:
        kind = SCALAR  # a pointer kept in the program's own object is a number when loaded
    if write or value_regno < 0:
        return False
    if kind == SCALAR:
        return True
    if kind == PTR:
        flags = _trust(env, reg, name, member, flags)
    mark_btf_ld_reg(env, value_regno, kind, btf, next_id, flags)
    return False


def _check_offset(env: Env, reg: Reg, regno: int, name: str, off: int) -> None:
    num = reg.num
    if off < 0:
        env.fail(EACCES, f"R{regno} is ptr_{name} invalid negative access: off={off}")
    if num.mask or num.value:
        var_off = tnum_text(num.value, num.mask)
        env.fail(EACCES, f"R{regno} is ptr_{name} invalid variable offset: off={off}, var_off={var_off}")
    if reg.type & MEM_USER:
        env.fail(EACCES, f"R{regno} is ptr_{name} access user memory: off={off}")
    if reg.type & MEM_PERCPU:
        env.fail(EACCES, f"R{regno} is ptr_{name} access percpu memory: off={off}")


def _check_kernel_write(env: Env, name: str, off: int, size: int) -> None:
    """Of kernel structs only the mark of a connection may be written, by XDP and tc."""
    if env.prog_type not in _CONNTRACK_WRITERS or name not in _CONNTRACK_STRUCTS:
        env.fail(EACCES, "only read is supported")
    start, end = _conntrack_mark(env)
    if off != start:
        env.fail(EACCES, f"no write support to nf_conn at off {off}")
    if off + size > end:
        env.fail(
            EACCES,
            f"write access at off {off} with size {size} beyond the member of nf_conn ended at {end}",
        )


def _conntrack_mark(env: Env) -> tuple[int, int]:
    """Where nf_conn.mark lies: its first byte and the one behind it."""
    btf, type_id = kernel_struct(env, "nf_conn")
    row = btf.get(type_id)
    member = row.member("mark") if isinstance(row, Struct) else None
    if member is None:
        raise Unsupported("the kernel types at hand do not say where nf_conn.mark lies")
    return member.bit_offset // 8, member.bit_offset // 8 + 4


def _check_special_fields(env: Env, btf: Btf, type_id: int, off: int, size: int) -> None:
    record = record_of_type(btf, type_id)
    if record is not None:
        for field in record.fields:
            if off < field.offset + field.size and field.offset < off + size:
                env.fail(EACCES, f"direct access to {field.name} is disallowed")


def _member(env: Env, btf: Btf, type_id: int, off: int, size: int) -> tuple[int, int, int, str]:
    try:
        return walk_to_member(btf, type_id, off, size)
    except WalkError as error:
        env.fail(error.errno, error.text)


def _trust(env: Env, reg: Reg, name: str, member: str, flags: int) -> int:
    """Flags of a pointer that was loaded from a struct called `name`."""
    if reg.type & PTR_UNTRUSTED:
        return PTR_UNTRUSTED
    if not (is_trusted(reg) or reg.type & MEM_RCU):
        return flags & ~(PTR_TRUSTED | MEM_ALLOC | MEM_RCU)
    place = name, member
    if place in _TRUSTED:
        return flags | PTR_TRUSTED
    if place in _TRUSTED_OR_NULL:
        return flags | PTR_TRUSTED | PTR_MAYBE_NULL
    if not in_rcu_cs(env) or reg.type & PTR_MAYBE_NULL:
        return PTR_UNTRUSTED
    if place in _RCU:
        return flags | MEM_RCU
    if place in _RCU_OR_NULL:
        return (flags | MEM_RCU | PTR_MAYBE_NULL) & ~PTR_UNTRUSTED
    if flags & MEM_RCU:
        return flags | PTR_MAYBE_NULL
    return flags if flags & (MEM_PERCPU | MEM_USER) else flags & ~(PTR_TRUSTED | MEM_ALLOC | MEM_RCU)


def mark_btf_ld_reg(env: Env, regno: int, kind: int, btf: Btf, type_id: int, flags: int) -> None:
    """The register holds a pointer that was loaded: to a struct (kind PTR), or to memory that is read by probing."""
    precise = env.zero.precise
    if kind == PTR_UNTRUSTED_MEM:
        env.regs[regno] = Reg(PTR_TO_MEM | MEM_RDONLY | PTR_UNTRUSTED, ZERO, precise=precise, extra=(0, 0))
        return
    link = env.new_id() if flags & PTR_MAYBE_NULL else 0
    env.regs[regno] = Reg(PTR_TO_BTF_ID | flags, ZERO, 0, link, 0, precise, 0, (btf, type_id))


def check_ptr_to_map_access(env: Env, regno: int, off: int, size: int, write: bool, value_regno: int) -> bool:
    """Load a member of the kernel's struct of a map; True when it is a number, left to the caller to note."""
    reg: Reg = env.regs[regno]
    vmap: VMap = reg.extra[0]
    name = _MAP_STRUCTS[vmap.spec.type]
    if not env.allow_ptr_leaks:
        env.fail(EPERM, f"'struct {name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN")
    if off < 0:
        env.fail(EACCES, f"R{regno} is {name} invalid negative access: off={off}")
    if write:
        env.fail(EACCES, f"only read from {name} is supported")
    btf, type_id = _map_struct(env, name, off + size)
    kind, flags, next_id, _ = _member(env, btf, type_id, off, size)
    if value_regno < 0:
        return False
    if kind == SCALAR:
        return True
    mark_btf_ld_reg(env, value_regno, kind, btf, next_id, flags)
    return False


def _map_struct(env: Env, name: str, end: int) -> tuple[Btf, int]:
    """The struct of a map; all begin with struct bpf_map, which is enough for an access that ends inside of it."""
    kernel = kernel_btf(env)
    common = kernel.by_name("bpf_map", Kind.STRUCT)
    if kernel.by_name(name, Kind.STRUCT) is None and isinstance(common, Struct) and end <= common.size:
        return kernel, common.id
    return kernel_struct(env, name)
