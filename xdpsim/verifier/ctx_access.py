"""Loads and stores of the context, as the rows of the program type's context allow them.

Follows check_ctx_access() of kernel/bpf/verifier.c; what the is_valid_access functions of net/core/filter.c say is in
xdpsim/progtypes.
"""

from __future__ import annotations

from errno import EACCES
from functools import lru_cache
from typing import TYPE_CHECKING

from xdpsim.progtypes.context import Field, Yields
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier.regtypes import (
    PTR_MAYBE_NULL,
    PTR_TO_FLOW_KEYS,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
)
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import Reg

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env

_KINDS = {
    Yields.PACKET_START: PTR_TO_PACKET,
    Yields.PACKET_END: PTR_TO_PACKET_END,
    Yields.PACKET_META: PTR_TO_PACKET_META,
    Yields.SOCKET: PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL,
    Yields.FLOW_KEYS: PTR_TO_FLOW_KEYS,
}
_EXTRAS = {PTR_TO_PACKET: 0, PTR_TO_PACKET_END: 0, PTR_TO_PACKET_META: 0}
_NEEDS_CAP_BPF = {("CGROUP_SKB", "data"), ("CGROUP_SKB", "data_end")}
_STORE_NEEDS_CAP_BPF = {("CGROUP_SKB", "tstamp")}
_NOT_CONVERTED = frozenset({"NETFILTER"})


def converts_ctx_access(env: Env) -> bool:
    """Whether Linux rewrites context accesses of the type; where it does not, helpers may read the context as bytes."""
    return env.prog_type not in _NOT_CONVERTED


@lru_cache(maxsize=4096)
def _field_at(prog_type: str, attach_type: int, off: int, size: int, write: bool) -> Field | None:
    context = PROG_TYPES[prog_type].context
    if context is None or off < 0:
        return None
    return context.field_at(off, size, write=write, attach_type=attach_type)


def check_ctx_access(env: Env, off: int, size: int, write: bool, is_ldsx: bool) -> Field:
    """The field that is loaded or stored; a pointer cannot be loaded with sign extension."""
    field = _field_at(env.prog_type, env.attach_type, off, size, write)
    if (
        field is None
        or (is_ldsx and field.yields is not Yields.SCALAR)
        or (not env.bpf_capable and _needs_cap_bpf(env.prog_type, field, write))
    ):
        env.fail(EACCES, f"invalid bpf_context access off={off} size={size}")
    return field


def _needs_cap_bpf(prog_type: str, field: Field, write: bool) -> bool:
    place = prog_type, field.name
    return place in _NEEDS_CAP_BPF or (write and place in _STORE_NEEDS_CAP_BPF)


def loaded_pointer(env: Env, field: Field) -> Reg | None:
    """What a load of the field leaves, None for a number."""
    kind = _KINDS.get(field.yields)
    if kind is None:
        return None
    id = env.new_id() if kind & PTR_MAYBE_NULL else 0
    return Reg(kind, ZERO, 0, id, 0, env.zero.precise, 0, _EXTRAS.get(kind))
