"""Types compared: whether a pointer to one struct will do for another, and which structs hold only numbers.

Follows __btf_type_is_scalar_struct() of kernel/bpf/verifier.c, btf_struct_ids_match(), btf_type_ids_nocast_alias() and
btf_is_projection_of() of kernel/bpf/btf.c.
"""

from __future__ import annotations

from xdpsim.btf.linux618 import linux618
from xdpsim.btf.types import Array, Btf, Enum, Int, Kind, Struct, Type
from xdpsim.errors import Unsupported
from xdpsim.verifier.btf_walk import STRUCT, WalkError, walk_struct
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
                env.note("max struct nesting depth exceeded")
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


def kernel_btf(env: Env) -> Btf:
    """The kernel's types: those that the program was relocated against, or the shipped ones."""
    return env.kernel_btf or linux618().btf


def kernel_struct_id(env: Env, name: str) -> int:
    """The id of a kernel struct; Unsupported where the types at hand do not have it."""
    row = kernel_btf(env).by_name(name, Kind.STRUCT)
    if row is None:
        raise Unsupported(f"the kernel types at hand do not hold struct {name}")
    return row.id


def kernel_struct(env: Env, name: str) -> tuple[Btf, int]:
    """A kernel struct as a register holds it; Unsupported where the types at hand do not have it."""
    return kernel_btf(env), kernel_struct_id(env, name)


def struct_ids_match(
    env: Env, btf: Btf, type_id: int, off: int, wanted_btf: Btf | None, wanted_id: int, strict: bool
) -> bool:
    """Whether a struct is the wanted one or (not strict) has it at `off`; the log says what was found there."""
    if off == 0 and type_id == wanted_id and btf is wanted_btf:
        return True
    if strict:
        return False
    flags = 0
    while True:
        try:
            kind, flags, type_id, _ = walk_struct(btf, type_id, off, 1, flags)
        except WalkError as error:
            env.note(error.text)
            return False
        if kind != STRUCT:
            return False
        if type_id == wanted_id and btf is wanted_btf:
            return True
        off = 0
