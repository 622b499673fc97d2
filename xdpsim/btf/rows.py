"""BTF types as plain rows, one class for each layout of record. Follows include/uapi/linux/btf.h.

Users import them from types.py, together with the table that holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """BTF_KIND_*."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


ALIASES = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
"""Kinds that have the size and meaning of the type they name."""


class Linkage(IntEnum):
    """Of functions and variables (BTF_FUNC_* and BTF_VAR_* share the numbers)."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


@dataclass(frozen=True, slots=True)
class Type:
    """What every kind has; VOID, PTR and the ALIASES are told apart by `kind`. `id` is the index in `Btf.types`."""

    id: int
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Ref(Type):
    """PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG: one other type."""

    type_id: int


@dataclass(frozen=True, slots=True)
class Int(Type):
    """An integer of `size` bytes, of which `bits` count, from bit `bit_offset` on."""

    size: int
    bits: int
    bit_offset: int
    is_signed: bool
    is_char: bool
    is_bool: bool


@dataclass(frozen=True, slots=True)
class Float(Type):
    """A float of `size` bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Array(Type):
    """`nelems` elements of `type_id`."""

    type_id: int
    index_type_id: int
    nelems: int


@dataclass(frozen=True, slots=True)
class Member:
    """Member of a struct or union; `bit_size` is 0 unless it is a bit field."""

    name: str
    type_id: int
    bit_offset: int
    bit_size: int


@dataclass(frozen=True, slots=True)
class Struct(Type):
    """STRUCT or UNION of `size` bytes."""

    size: int
    members: tuple[Member, ...]

    def member(self, name: str) -> Member | None:
        """The member called `name`, anonymous members not searched."""
        return next((m for m in self.members if m.name == name), None)


@dataclass(frozen=True, slots=True)
class Enum(Type):
    """ENUM or ENUM64 of `size` bytes; the values are in order and may repeat."""

    size: int
    is_signed: bool
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Fwd(Type):
    """A struct or union that is only declared."""

    is_union: bool


@dataclass(frozen=True, slots=True)
class Func(Type):
    """A function: `type_id` is its FUNC_PROTO."""

    type_id: int
    linkage: int


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter; the last one of a variadic function has no name and type 0."""

    name: str
    type_id: int


@dataclass(frozen=True, slots=True)
class FuncProto(Type):
    """Parameters and return type."""

    return_id: int
    params: tuple[Param, ...]


@dataclass(frozen=True, slots=True)
class Var(Type):
    """A global variable."""

    type_id: int
    linkage: int


@dataclass(frozen=True, slots=True)
class SectionVar:
    """Where a variable lies in its section, in bytes."""

    type_id: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class DataSec(Type):
    """A data section of `size` bytes; `variables` as the file orders them."""

    size: int
    variables: tuple[SectionVar, ...]


@dataclass(frozen=True, slots=True)
class DeclTag(Type):
    """A tag on a declaration; `component` is a member or parameter index, -1 for the whole."""

    type_id: int
    component: int
