"""BTF types as plain rows, and `Btf`, the table of them with its lookups.

Reading bytes is left to parse.py, typed values to values.py. Follows Documentation/bpf/btf.rst and
include/uapi/linux/btf.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Literal

from xdpsim.errors import InputError

POINTER_SIZE = 8
NAME_BUDGET = 400  # characters after which a type's C text is cut: hostile BTF nests without end


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


@dataclass(frozen=True, eq=False, repr=False)
class Btf:
    """A table of types: `types[id]`, where id 0 is void. `raw` is what the kernel's BPF_BTF_LOAD takes.

    Two tables are equal only when they are the same object: rows that hold one stay cheap to compare and to hash.
    References inside were checked when it was parsed: every id exists and nothing contains itself by value.
    """

    types: tuple[Type, ...]
    raw: bytes = b""
    byteorder: Literal["little", "big"] = "little"

    def __repr__(self) -> str:
        return f"Btf({len(self.types)} types)"

    @cached_property
    def _names(self) -> dict[str, list[Type]]:
        names: dict[str, list[Type]] = {}
        for row in self.types[1:]:
            names.setdefault(row.name, []).append(row)
        return names

    def get(self, type_id: int) -> Type:
        """The type with that id; InputError when there is none."""
        if not 0 <= type_id < len(self.types):
            raise InputError(f"btf type {type_id}: no such type, expected an id below {len(self.types)}")
        return self.types[type_id]

    def by_name(self, name: str, kind: Kind | None = None) -> Type | None:
        """The first type called `name` (of `kind`, if given), or None."""
        return next((t for t in self._names.get(name, ()) if kind in (None, t.kind)), None)

    def resolve(self, type_id: int) -> Type:
        """The type behind typedefs, qualifiers and type tags; void when there is none."""
        row = self.get(type_id)
        while row.kind in ALIASES and isinstance(row, Ref):
            row = self.get(row.type_id)
        return row

    def size_of(self, type_id: int) -> int:
        """Bytes that a value of the type takes; InputError for types without values (void, functions, forwards)."""
        row = self.resolve(type_id)
        factor = 1
        while isinstance(row, Array):
            factor *= row.nelems
            row = self.resolve(row.type_id)
        if isinstance(row, Var):
            return factor * self.size_of(row.type_id)
        if row.kind is Kind.PTR:
            return factor * POINTER_SIZE
        if isinstance(row, (Int, Float, Struct, Enum, DataSec)):
            return factor * row.size
        raise InputError(f"btf type {type_id} ({self.type_name(type_id)}): has no size")

    def type_name(self, type_id: int) -> str:
        """C-like text: `struct iphdr`, `const char *`, `__u32[4]`, `int (*)(void *)`."""
        from_text = _Namer(self).text(type_id, "")
        return from_text if len(from_text) <= NAME_BUDGET else from_text[:NAME_BUDGET] + "..."


_WORDS = {Kind.STRUCT: "struct", Kind.UNION: "union", Kind.ENUM: "enum", Kind.ENUM64: "enum"}
_QUALIFIERS = {Kind.CONST: "const", Kind.VOLATILE: "volatile", Kind.RESTRICT: "restrict"}


class _Namer:
    """Builds a declaration inside out, as C reads; gives up after a number of steps."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.steps = 64

    def text(self, type_id: int, inner: str) -> str:
        """The declaration of `inner` (may be empty) as the type."""
        while True:
            self.steps -= 1
            if self.steps < 0 or len(inner) > NAME_BUDGET:
                return f"...{inner}"
            row = self.btf.get(type_id)
            if isinstance(row, Array):
                inner, type_id = f"{_group(inner)}[{row.nelems}]", row.type_id
            elif isinstance(row, FuncProto):
                inner, type_id = f"{_group(inner)}({self._params(row)})", row.return_id
            elif isinstance(row, Ref) and row.kind is Kind.PTR:
                inner, type_id = f"*{inner}", row.type_id
            elif isinstance(row, Ref) and row.kind in _QUALIFIERS and inner.startswith(("*", "[")):
                return f"{_QUALIFIERS[row.kind]} {self.text(row.type_id, inner)}"
            elif isinstance(row, Ref) and row.kind in _QUALIFIERS:
                if self.btf.get(row.type_id).kind is Kind.PTR:
                    inner, type_id = f" {_QUALIFIERS[row.kind]}{' ' if inner else ''}{inner}", row.type_id
                else:
                    return f"{_QUALIFIERS[row.kind]} {self.text(row.type_id, inner)}"
            elif isinstance(row, Ref) and row.kind is Kind.TYPE_TAG:
                type_id = row.type_id
            else:
                return _base(row) + (f" {inner}" if inner and not inner.startswith(("[", " ")) else inner)

    def _params(self, row: FuncProto) -> str:
        if not row.params:
            return "void"
        shown = [self.text(p.type_id, "") if p.type_id else "..." for p in row.params[:8]]
        return ", ".join(shown + (["..."] if len(row.params) > 8 else []))


def _group(inner: str) -> str:
    return f"({inner})" if inner.startswith(("*", " ")) else inner


def _base(row: Type) -> str:
    if row.kind is Kind.VOID:
        return "void"
    if isinstance(row, Fwd):
        return f"{'union' if row.is_union else 'struct'} {row.name}"
    word = _WORDS.get(row.kind, "")
    return f"{word} {row.name or '(anonymous)'}" if word else row.name or f"({row.kind.name.lower()})"
