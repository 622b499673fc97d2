"""Loads and stores of the context, as the rows of the program type's context allow them.

Follows check_ctx_access() of kernel/bpf/verifier.c; what the is_valid_access functions of net/core/filter.c say is in
xdpsim/progtypes.
"""

from __future__ import annotations

from errno import EACCES
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from xdpsim.progtypes.context import Field, Yields
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier.btf_types import kernel_struct
from xdpsim.verifier.regtypes import (
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_FLOW_KEYS,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TRUSTED,
)
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import Reg

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env

_KINDS = {
    Yields.PACKET_START: PTR_TO_PACKET,
    Yields.PACKET_END: PTR_TO_PACKET_END,
    Yields.PACKET_META: PTR_TO_PACKET_META,
    Yields.SOCKET: PTR_TO_SOCKET,
    Yields.SOCKET_OR_NULL: PTR_TO_SOCKET | PTR_MAYBE_NULL,
    Yields.SOCK_COMMON: PTR_TO_SOCK_COMMON,
    Yields.SOCK_COMMON_OR_NULL: PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL,
    Yields.FLOW_KEYS: PTR_TO_FLOW_KEYS,
    Yields.TRUSTED_BTF_ID: PTR_TO_BTF_ID | PTR_TRUSTED,
}
_PACKET_KINDS = frozenset({PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_PACKET_META})
_NOTHING = frozenset({""})
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
        or (field.store_capability if write else field.load_capability) not in _NOTHING | env.caps
    ):
        env.fail(EACCES, f"invalid bpf_context access off={off} size={size}")
    return field


def loaded_pointer(env: Env, field: Field) -> Reg | None:
    """What a load of the field leaves, None for a number."""
    kind = _KINDS.get(field.yields)
    if kind is None:
        return None
    link = env.new_id() if kind & PTR_MAYBE_NULL else 0
    extra: Any = 0 if kind in _PACKET_KINDS else None
    if field.yields is Yields.TRUSTED_BTF_ID:
        extra = kernel_struct(env, field.btf)
    return Reg(kind, ZERO, 0, link, 0, env.zero.precise, 0, extra)
