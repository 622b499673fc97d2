"""What a helper leaves in R0, by the kind of its result, and what the call acquires.

Follows the second half of check_helper_call() and do_refine_retval_range() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from xdpsim.bits import M64
from xdpsim.errors import InputError
from xdpsim.helpers.ids import HELPERS_BY_NAME
from xdpsim.helpers.kinds import Ret
from xdpsim.helpers.map_pairs import SOCKET_MAPS
from xdpsim.verifier import btf_types, kfunc_info, refs, regtypes
from xdpsim.verifier.env import Env
from xdpsim.verifier.fields import LOCK_FIELDS, has_field
from xdpsim.verifier.helper_args import KNOWN_KEY_MAPS, CallMeta
from xdpsim.verifier.map_rules import func_name
from xdpsim.verifier.regtypes import (
    MEM_ALLOC,
    MEM_PERCPU,
    MEM_RCU,
    MEM_RDONLY,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_TCP_SOCK,
)
from xdpsim.verifier.scalar import S64_MAX, UNKNOWN, ZERO, Scalar
from xdpsim.verifier.scalar_sync import sane, sync
from xdpsim.verifier.state import UNINIT, Reg

MAX_ERRNO = 4095
NR_CPU_IDS = 2
"""CPUs that get_smp_processor_id may name: as many as Linux found where our answers were recorded."""


def _ids(names: str) -> frozenset[int]:
    return frozenset(HELPERS_BY_NAME[f"bpf_{name}"].id for name in names.split())


_LOOKUP = HELPERS_BY_NAME["bpf_map_lookup_elem"].id
_SIZE_OR_ERRNO = _ids("get_stack get_task_stack probe_read_str probe_read_kernel_str probe_read_user_str")
"""Their result is at most the size that they are given, or a negative errno."""
_CPU_NUMBER = _ids("get_smp_processor_id")
_OF_DYNPTR = _ids("dynptr_data")
"""Their result lives as long as the dynptr, and holds its reference."""


def ret_flags(kind: Ret) -> int:
    """The flags of a kind of result as bits."""
    return sum(getattr(regtypes, name) for name in kind.flags)


_FLAGS = {kind: ret_flags(kind) for kind in Ret}
_BOUNDED_CPU = sync(0, M64, 0, NR_CPU_IDS - 1, 0, NR_CPU_IDS - 1, 0, NR_CPU_IDS - 1, 0, NR_CPU_IDS - 1)


def set_return(env: Env, meta: CallMeta, insn_idx: int, percpu_alloc: bool) -> None:
    """Put the result in R0; `percpu_alloc`: a per-CPU object of the program's own was looked up (per_cpu_ptr)."""
    kind = meta.proto.returns
    made = MAKERS[kind.base](env, meta, _FLAGS[kind], percpu_alloc)
    if made.type & PTR_MAYBE_NULL:
        made.id = env.new_id()
    if meta.func_id in _OF_DYNPTR:
        made.extra = (made.extra[0], meta.dynptr_id)
        made.ref = meta.ref_obj_id
    elif meta.proto.casts:
        made.ref = meta.ref_obj_id
    elif meta.proto.acquires or (meta.func_id == _LOOKUP and meta.map and meta.map.spec.type in SOCKET_MAPS):
        made.id = made.ref = refs.acquire(env, insn_idx)
    env.regs[0] = made


def _pointer(env: Env, kind: int, extra: object = None) -> Reg:
    return Reg(kind, ZERO, precise=not env.bpf_capable, extra=extra)


def _integer(env: Env, meta: CallMeta, flags: int, percpu_alloc: bool) -> Reg:
    if meta.func_id in _CPU_NUMBER:
        num: Scalar = _BOUNDED_CPU
    elif meta.func_id in _SIZE_OR_ERRNO:
        num = _size_or_errno(meta.msize_max_value)
    else:
        num = UNKNOWN
    return env.unknown.but(num=num)


def _size_or_errno(most: int) -> Scalar:
    """-MAX_ERRNO up to `most` (do_refine_retval_range)."""
    most_signed = most if most <= S64_MAX else most - (1 << 64)
    low = ((most & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000
    return sane(sync(0, M64, -MAX_ERRNO, most_signed, 0, M64, -MAX_ERRNO, low, 0, 0xFFFF_FFFF))


def _void(env: Env, meta: CallMeta, flags: int, percpu_alloc: bool) -> Reg:
    return UNINIT.but()


def _map_value(env: Env, meta: CallMeta, flags: int, percpu_alloc: bool) -> Reg:
    vmap = meta.map
    assert vmap is not None
    if meta.func_id == _LOOKUP and vmap.spec.type in KNOWN_KEY_MAPS and 0 <= meta.const_map_key < vmap.spec.max_entries:
        flags &= ~PTR_MAYBE_NULL
    made = _pointer(env, PTR_TO_MAP_VALUE | flags, (vmap, meta.map_uid))
    if not flags & PTR_MAYBE_NULL and has_field(vmap.record, LOCK_FIELDS):
        made.id = env.new_id()
    return made


def _socket(env: Env, meta: CallMeta, flags: int, percpu_alloc: bool) -> Reg:
    return _pointer(env, _SOCKETS[meta.proto.returns.base] | flags)


def _memory(env: Env, meta: CallMeta, flags: int, percpu_alloc: bool) -> Reg:
    return _pointer(env, PTR_TO_MEM | flags, (meta.mem_size, 0))


def _memory_or_struct(env: Env, meta: CallMeta, flags: int, percpu_alloc: bool) -> Reg:
    """A per-CPU variable: a struct, or memory of its size."""
    btf, type_id = meta.ret_btf
    row = btf.resolve(type_id)
    if kfunc_info.is_struct(row):
        if percpu_alloc:
            return _pointer(env, PTR_TO_BTF_ID | MEM_ALLOC | MEM_RCU, meta.ret_btf)
        return _pointer(env, PTR_TO_BTF_ID | flags & ~MEM_RDONLY, meta.ret_btf)
    try:
        size = btf.size_of(row.id)
    except InputError:
        text = f"unable to resolve the size of type '{row.name}': {-errno.EINVAL}"
        env.fail(errno.EINVAL, text)
    return _pointer(env, PTR_TO_MEM | flags, (size, 0))


def _struct(env: Env, meta: CallMeta, flags: int, percpu_alloc: bool) -> Reg:
    """A kernel struct, or what bpf_kptr_xchg found in the field."""
    field = meta.kptr_field
    if field is None:
        return _pointer(env, PTR_TO_BTF_ID | flags, btf_types.kernel_struct(env, meta.proto.ret_btf))
    if not field.is_kernel:
        flags |= MEM_ALLOC | (MEM_PERCPU if field.kind == "percpu_kptr" else 0)
    if not field.type_id:
        text = f"invalid return type {_BTF_ID_RESULT} of func {func_name(meta.func_id)}"
        env.fail(errno.EINVAL, text)
    return _pointer(env, PTR_TO_BTF_ID | flags, (field.btf, field.type_id))


_BTF_ID_RESULT = 8
"""RET_PTR_TO_BTF_ID as a number."""
_SOCKETS = {
    "RET_PTR_TO_SOCKET": PTR_TO_SOCKET,
    "RET_PTR_TO_SOCK_COMMON": PTR_TO_SOCK_COMMON,
    "RET_PTR_TO_TCP_SOCK": PTR_TO_TCP_SOCK,
}
MAKERS: dict[str, Callable[[Env, CallMeta, int, bool], Reg]] = {
    "RET_INTEGER": _integer,
    "RET_VOID": _void,
    "RET_PTR_TO_MAP_VALUE": _map_value,
    **dict.fromkeys(_SOCKETS, _socket),
    "RET_PTR_TO_MEM": _memory,
    "RET_PTR_TO_MEM_OR_BTF_ID": _memory_or_struct,
    "RET_PTR_TO_BTF_ID": _struct,
}
