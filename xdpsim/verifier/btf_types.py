"""Types compared: whether a pointer to one struct will do where another is expected, and which structs hold only numbers.

Follows __btf_type_is_scalar_struct() of kernel/bpf/verifier.c, btf_type_ids_nocast_alias() and btf_is_projection_of()
of kernel/bpf/btf.c.
"""

from __future__ import annotations

from xdpsim.btf.types import Array, Btf, Enum, Int, Struct, Type
from xdpsim.verifier.env import Env

_INIT = "___init"
_MAX_NESTING = 3
_PROJECTIONS = {("__sk_buff", "sk_buff"), ("xdp_md", "xdp_buff")}


def is_scalar_struct(env: Env, btf: Btf, row: Type, depth: int = 0) -> bool:
    """Whether a struct or union is made of numbers, arrays of numbers and such structs, at most four levels deep."""
    if not isinstance(row, Struct):
        return False
    for member in row.members:
        inner = btf.resolve(member.type_id)
        if isinstance(inner, Struct):
            if depth >= _MAX_NESTING:
                env.verbose("max struct nesting depth exceeded\n")
                return False
            if not is_scalar_struct(env, btf, inner, depth + 1):
                return False
            continue
        if isinstance(inner, Array):
            if not inner.nelems:
                return False
            inner = btf.resolve(inner.type_id)
        if not isinstance(inner, (Int, Enum)):
            return False
    return True


def nocast_alias(one: str, other: str) -> bool:
    """Whether one of two struct names is the other with "___init" behind it: then neither passes for the other."""
    return one == other + _INIT or other == one + _INIT


def is_projection(expected: str, given: str) -> bool:
    """Whether programs see the struct `given` as `expected`."""
    return (expected, given) in _PROJECTIONS
