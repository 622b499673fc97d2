"""Maps against helpers and against types of programs, and which map and key a call has.

Follows check_map_func_compatibility(), check_map_prog_compatibility(), record_func_map() and record_func_key() of
kernel/bpf/verifier.c; which pairs fit is in helpers/map_pairs.py.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.helpers.map_pairs import (
    CHANGERS,
    HELPERS_OF_MAP,
    MAPS_OF_HELPER,
    RECORDED,
    SLEEPABLE_MAPS,
    SOCKET_MAPS,
    SOCKET_UPDATERS,
)
from xdpsim.maps.types import MAP_TYPES
from xdpsim.verifier import precision
from xdpsim.verifier.callinfo import TAIL_CALL
from xdpsim.verifier.env import Env
from xdpsim.verifier.fields import LOCK_FIELDS, has_field, is_read_only
from xdpsim.verifier.regtypes import SCALAR_VALUE
from xdpsim.verifier.state import Reg
from xdpsim.verifier.vmap import VMap

MAX_USED_MAPS = 64
TRACING_TYPES = frozenset({"KPROBE", "TRACEPOINT", "PERF_EVENT", "RAW_TRACEPOINT", "RAW_TRACEPOINT_WRITABLE"})
_CGROUP_STORAGES = frozenset({"CGROUP_STORAGE", "PERCPU_CGROUP_STORAGE"})
_GRAPH_ROOTS = frozenset({"bpf_list_head", "bpf_rb_root"})


def func_name(func_id: int) -> str:
    """A helper as messages name it: bpf_map_lookup_elem#1."""
    row = HELPERS_BY_ID.get(func_id)
    return f"{row.name if row else 'bpf_unspec' if func_id == 0 else 'unknown'}#{func_id}"


def check_map_func_compatibility(env: Env, vmap: VMap | None, func_id: int) -> None:
    """Refuse a map of a type that does not go with the helper."""
    if vmap is None:
        return
    kind = vmap.spec.type
    helpers, types = HELPERS_OF_MAP.get(kind), MAPS_OF_HELPER.get(func_id)
    fits = helpers is None or func_id in helpers or (kind in SOCKET_MAPS and _may_update_sockmap(env, func_id))
    if not fits or (types is not None and kind not in types):
        env.fail(errno.EINVAL, f"cannot pass map_type {MAP_TYPES[kind].id} into func {func_name(func_id)}")


def _may_update_sockmap(env: Env, func_id: int) -> bool:
    types = SOCKET_UPDATERS.get(func_id)
    if types is None:
        return False
    if env.prog_type in types:
        return True
    env.note("cannot update sockmap in this context")
    return False


def check_map_prog_compatibility(env: Env, vmap: VMap, earlier: Sequence[VMap]) -> None:
    """Refuse a map that a program of this type cannot use; `earlier` are the maps that it was found to use before."""
    record, kind = vmap.record, vmap.spec.type
    if len(earlier) >= MAX_USED_MAPS:
        text = f"The total number of maps per program has reached the limit of {MAX_USED_MAPS}"
        env.fail(errno.E2BIG, text)
    if record is not None:
        _check_fields(env, vmap)
    if kind == "STRUCT_OPS":
        env.fail(errno.EINVAL, "bpf_struct_ops map cannot be used in prog")
    if env.spec.sleepable and kind not in SLEEPABLE_MAPS:
        text = "Sleepable programs can only use array, hash, ringbuf and local storage maps"
        env.fail(errno.EINVAL, text)
    if kind in _CGROUP_STORAGES and any(other.spec.type == kind for other in earlier):
        env.fail(errno.EBUSY, "only one cgroup storage of each type is allowed")
    if kind == "ARENA":
        _check_arena(env, vmap, earlier)


def _check_fields(env: Env, vmap: VMap) -> None:
    is_tracing = env.prog_type in TRACING_TYPES
    if is_tracing and has_field(vmap.record, _GRAPH_ROOTS):
        env.fail(errno.EINVAL, "tracing progs cannot use bpf_{list_head,rb_root} yet")
    if has_field(vmap.record, LOCK_FIELDS):
        if env.prog_type == "SOCKET_FILTER":
            env.fail(errno.EINVAL, "socket filter progs cannot use bpf_spin_lock yet")
        if is_tracing:
            env.fail(errno.EINVAL, "tracing progs cannot use bpf_spin_lock yet")
    for name in ("bpf_timer", "bpf_wq"):
        if is_tracing and has_field(vmap.record, frozenset({name})):
            env.fail(errno.EINVAL, f"tracing progs cannot use {name} yet")


def _check_arena(env: Env, vmap: VMap, earlier: Sequence[VMap]) -> None:
    if any(other.spec.type == "ARENA" for other in earlier):
        env.fail(errno.EBUSY, "Only one arena per program")
    if not env.allow_ptr_leaks or not env.bpf_capable:
        env.fail(errno.EPERM, "CAP_BPF and CAP_PERFMON are required to use arena")
    if not vmap.spec.map_extra:
        env.fail(errno.EINVAL, "arena's user address must be set via map_extra or mmap()")


def record_func_map(env: Env, vmap: VMap | None, func_id: int, insn_idx: int) -> None:
    """Keep the map that the call is given; False in its place once another path gives another."""
    if func_id not in RECORDED or vmap is None:
        return
    if func_id in CHANGERS:
        if is_read_only(vmap):
            env.fail(errno.EACCES, "write into map forbidden")
        vmap.uses.add("write")
    aux = env.aux[insn_idx]
    if aux.map_of_call is None:
        aux.map_of_call = vmap
    elif aux.map_of_call is not vmap:
        aux.map_of_call = False


def record_func_key(env: Env, vmap: VMap | None, func_id: int, insn_idx: int) -> None:
    """Keep the constant index of a tail call; False in its place when it is not known or differs between paths."""
    if func_id != TAIL_CALL:
        return
    if vmap is None or vmap.spec.type != "PROG_ARRAY":
        env.fail_unended(errno.EINVAL, "expected prog array map for tail call")
    reg: Reg = env.regs[3]
    aux, number = env.aux[insn_idx], reg.num.value
    if reg.type != SCALAR_VALUE or reg.num.mask or number >= vmap.spec.max_entries:
        aux.map_key = False
        return
    precision.mark_chain_precision(env, 3)
    if aux.map_key is None:
        aux.map_key = number
    elif aux.map_key is not False and aux.map_key != number:
        aux.map_key = False
