"""Arguments of helpers: one function for each kind that needs more than a register of the right type.

Follows check_func_arg() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from xdpsim.bits import M32, signed
from xdpsim.helpers.ids import HELPERS_BY_NAME
from xdpsim.helpers.map_pairs import SOCKET_MAPS
from xdpsim.helpers.proto_rows import Proto
from xdpsim.progtypes.loading import LOAD_RULES, Packet
from xdpsim.verifier import alignment, dynptr, dynptr_args, locks, mem_args, precision
from xdpsim.verifier.arg_types import Kind, check_func_arg_reg_off, check_reg_type
from xdpsim.verifier.const_args import check_reg_const_str, constant_map_key
from xdpsim.verifier.env import Env
from xdpsim.verifier.fields import KPTR_FIELDS, field_at, has_btf, has_field, map_name, record_of
from xdpsim.verifier.nulls import is_alloc_object
from xdpsim.verifier.regs import check_src, is_null
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    MEM_ALIGNED,
    MEM_FIXED_SIZE,
    MEM_UNINIT,
    MEM_WRITE,
    OBJ_RELEASE,
    PACKET_TYPES,
    PTR_MAYBE_NULL,
    PTR_TO_STACK,
    SCALAR_VALUE,
)
from xdpsim.verifier.state import Reg
from xdpsim.verifier.vmap import VMap

_PACKET_READERS = frozenset(name for name, rules in LOAD_RULES.items() if rules.packet in (Packet.READ, Packet.WRITE))
"""Program types that may give packet memory to helpers whose prototypes take it (may_access_direct_pkt_data)."""
KNOWN_KEY_MAPS = frozenset({"ARRAY", "PERCPU_ARRAY"})
"""Where a look-up of a constant key below max_entries yields no NULL (can_elide_value_nullness)."""


class CallMeta:
    """What the arguments of one call have told so far (struct bpf_call_arg_meta)."""

    __slots__ = (
        "access_size",
        "changes_packet",
        "const_map_key",
        "dynptr_id",
        "func_id",
        "kptr_field",
        "map",
        "map_uid",
        "mem_size",
        "msize_max_value",
        "proto",
        "raw_mode",
        "ref_obj_id",
        "regno",
        "release_regno",
        "ret_btf",
        "subprogno",
    )

    def __init__(self, proto: Proto) -> None:
        self.proto, self.func_id, self.changes_packet = proto, proto.id, proto.moves_packet
        self.map: VMap | None = None
        self.map_uid = 0
        self.raw_mode = False
        self.regno = self.access_size = self.mem_size = self.msize_max_value = 0
        """The register with memory to be written before it was, and its size; sizes of what is returned."""
        self.release_regno = self.ref_obj_id = self.dynptr_id = self.subprogno = self.const_map_key = 0
        self.kptr_field: Any = None
        self.ret_btf: Any = None
        """(BTF, type id) of a per-CPU variable."""


Plan = tuple[tuple[int, Kind, Kind | None], ...]
"""A prototype's arguments: register, kind, kind of the argument before it."""

_PEEK = HELPERS_BY_NAME["bpf_map_peek_elem"].id
_MAP_VALUE_KIND = Kind("ARG_PTR_TO_MAP_VALUE")
_SOCK_KIND = Kind("ARG_PTR_TO_BTF_ID_SOCK_COMMON")


def check_func_arg(env: Env, regno: int, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    """Check argument register `regno` against its kind, and keep what the rest of the call needs of it."""
    reg = check_src(env, regno)
    if kind.base == "ARG_ANYTHING":
        if reg.type != SCALAR_VALUE and not env.allow_ptr_leaks:
            env.fail(errno.EACCES, f"R{regno} leaks addr into helper function")
        return
    if reg.type & BASE_MASK in PACKET_TYPES and not _may_pass_packet(env, meta):
        env.fail(errno.EACCES, "helper access to the packet is not allowed")
    if kind.base == "ARG_PTR_TO_MAP_VALUE":
        kind = _resolved(env, kind, meta)
    if not (kind.flags & PTR_MAYBE_NULL and is_null(reg)):
        check_reg_type(env, regno, kind, meta.func_id, meta.kptr_field)
        check_func_arg_reg_off(env, reg, regno, kind.flags, kind.base == "ARG_PTR_TO_DYNPTR")
    if kind.flags & OBJ_RELEASE:
        _check_release(env, reg, regno, kind, meta)
    if reg.ref and kind.base != "ARG_KPTR_XCHG_DEST":
        if meta.ref_obj_id:
            env.fail(errno.EACCES, f"more than one arg with ref_obj_id R{regno} {reg.ref} {meta.ref_obj_id}")
        meta.ref_obj_id = reg.ref
    check = _CHECKS.get(kind.base)
    if check is not None:
        check(env, regno, reg, kind, before, meta, insn_idx)


def _may_pass_packet(env: Env, meta: CallMeta) -> bool:
    if env.prog_type in _PACKET_READERS:
        return meta.proto.pkt_access
    return LOAD_RULES[env.prog_type].packet is Packet.OPTION


def _resolved(env: Env, kind: Kind, meta: CallMeta) -> Kind:
    """What a map's value is for this type of map (resolve_map_arg_type)."""
    map_type = meta.map.spec.type if meta.map else ""
    if map_type in SOCKET_MAPS:
        if kind.flags:
            env.fail(errno.EINVAL, "invalid arg_type for sockmap/sockhash")
        return _SOCK_KIND
    if map_type == "BLOOM_FILTER" and meta.func_id == _PEEK:
        return _MAP_VALUE_KIND
    return kind


def _check_release(env: Env, reg: Reg, regno: int, kind: Kind, meta: CallMeta) -> None:
    """What the helper gives back must be held."""
    if kind.base == "ARG_PTR_TO_DYNPTR":
        if reg.type != PTR_TO_STACK:
            env.fail(errno.EINVAL, "cannot release unowned const bpf_dynptr")
        if dynptr.dynptr_ref(env, reg) <= 0:
            env.fail(errno.EINVAL, f"arg {regno} is an unacquired reference")
    elif not reg.ref and not is_null(reg):
        env.fail(errno.EINVAL, f"R{regno} must be referenced when passed to release function")
    meta.release_regno = regno


def _map_ptr(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    vmap, uid = reg.extra
    if meta.map is not None and (meta.map is not vmap or meta.map_uid != uid):
        text = f"timer pointer in R1 map_uid={meta.map_uid} doesn't match map pointer in R2 map_uid={uid}"
        env.fail(errno.EINVAL, text)
    meta.map, meta.map_uid = vmap, uid


def _map_key(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    assert meta.map is not None
    size = meta.map.spec.key_size
    mem_args.check_helper_mem_access(env, regno, size, False, False, None)
    if meta.map.spec.type in KNOWN_KEY_MAPS:
        meta.const_map_key = constant_map_key(env, reg, size)


def _map_value(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    if kind.flags & PTR_MAYBE_NULL and is_null(reg):
        return
    assert meta.map is not None
    meta.raw_mode = bool(kind.flags & MEM_UNINIT)
    size, write = meta.map.spec.value_size, bool(kind.flags & MEM_WRITE)
    mem_args.check_helper_mem_access(env, regno, size, write, False, meta)


def _percpu(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    if not reg.extra[1]:
        env.fail(errno.EACCES, f"Helper has invalid btf_id in R{regno}")
    meta.ret_btf = reg.extra


def _spin_lock(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    if locks.in_rbtree_lock_required_cb(env):
        env.fail(errno.EACCES, "can't spin_{lock,unlock} in rbtree cb")
    is_lock = meta.proto.name == "bpf_spin_lock"
    locks.process_spin_lock(env, regno, locks.PROCESS_SPIN_LOCK if is_lock else 0)


def check_map_field_pointer(env: Env, regno: int, name: str) -> VMap:
    """Refuse a pointer into a map's value that is not at the field of that name; the map."""
    reg: Reg = env.regs[regno]
    vmap: VMap = reg.extra[0]
    if reg.num.mask:
        env.fail(errno.EINVAL, f"R{regno} doesn't have constant offset. {name} has to be at the constant offset")
    if not has_btf(vmap):
        env.fail(errno.EINVAL, f"map '{map_name(vmap)}' has to have BTF in order to use {name}")
    if not has_field(vmap.record, frozenset({name})):
        env.fail(errno.EINVAL, f"map '{map_name(vmap)}' has no valid {name}")
    off, place = signed(reg.num.value + reg.off, 64), vmap.record.offset(name)
    if off != place:
        env.fail(errno.EINVAL, f"off {off} doesn't point to 'struct {name}' that is at {place}")
    return vmap


def _timer(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    meta.map, meta.map_uid = check_map_field_pointer(env, regno, "bpf_timer"), reg.extra[1]


def _func(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    meta.subprogno = reg.extra


def _mem(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    meta.raw_mode = bool(kind.flags & MEM_UNINIT)
    if kind.flags & MEM_FIXED_SIZE:
        mem_args.check_helper_mem_access(env, regno, kind.size, bool(kind.flags & MEM_WRITE), False, meta)
        if kind.flags & MEM_ALIGNED:
            alignment.check_ptr_alignment(env, reg, 0, kind.size, True)


def _size(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    assert before is not None
    zero_ok = kind.base == "ARG_CONST_SIZE_OR_ZERO"
    mem_args.check_mem_size_reg(env, reg, regno, bool(before.flags & MEM_WRITE), zero_ok, meta)


def _dynptr(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    dynptr_args.process_dynptr_func(env, regno, insn_idx, kind.flags)


def _alloc_size(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    if reg.num.mask:
        env.fail(errno.EACCES, f"R{regno} is not a known constant'")
    meta.mem_size = reg.num.value & M32
    precision.mark_chain_precision(env, regno)


def _const_str(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    check_reg_const_str(env, reg, regno)


def _kptr_dest(env: Env, regno: int, reg: Reg, kind: Kind, before: Kind | None, meta: CallMeta, insn_idx: int) -> None:
    """The field that bpf_kptr_xchg writes (process_kptr_func)."""
    if not is_alloc_object(reg.type):
        vmap: VMap = reg.extra[0]
        if not has_btf(vmap):
            env.fail(errno.EINVAL, f"map '{map_name(vmap)}' has to have BTF in order to use bpf_kptr_xchg")
        meta.map = vmap
    record = record_of(reg)
    if reg.num.mask:
        env.fail(errno.EINVAL, f"R{regno} doesn't have constant offset. kptr has to be at the constant offset")
    if not has_field(record, KPTR_FIELDS):
        env.fail(errno.EINVAL, f"R{regno} has no valid kptr")
    off = signed(reg.off + reg.num.value, 32)
    field = field_at(record, off, KPTR_FIELDS)
    if field is None:
        env.fail(errno.EACCES, f"off={off} doesn't point to kptr")
    if field.kind == "kptr_untrusted":
        env.fail(errno.EACCES, f"off={off} kptr isn't referenced kptr")
    meta.kptr_field = field


_CHECKS: dict[str, Callable[[Env, int, Reg, Kind, Kind | None, CallMeta, int], None]] = {
    "ARG_CONST_MAP_PTR": _map_ptr,
    "ARG_PTR_TO_MAP_KEY": _map_key,
    "ARG_PTR_TO_MAP_VALUE": _map_value,
    "ARG_PTR_TO_PERCPU_BTF_ID": _percpu,
    "ARG_PTR_TO_SPIN_LOCK": _spin_lock,
    "ARG_PTR_TO_TIMER": _timer,
    "ARG_PTR_TO_FUNC": _func,
    "ARG_PTR_TO_MEM": _mem,
    "ARG_CONST_SIZE": _size,
    "ARG_CONST_SIZE_OR_ZERO": _size,
    "ARG_PTR_TO_DYNPTR": _dynptr,
    "ARG_CONST_ALLOC_SIZE_OR_ZERO": _alloc_size,
    "ARG_PTR_TO_CONST_STR": _const_str,
    "ARG_KPTR_XCHG_DEST": _kptr_dest,
}
"""By kind: what is checked beyond the type of the register. The other kinds need no more."""
