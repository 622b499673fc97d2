"""`Btf`, the table of types with its lookups; the rows in it are rows.py's and can be imported from here.

Reading bytes is left to parse.py, typed values to values.py. Follows Documentation/bpf/btf.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from xdpsim.btf.naming import c_text
from xdpsim.btf.rows import (
    ALIASES,
    Array,
    DataSec,
    DeclTag,
    Enum,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    Kind,
    Linkage,
    Member,
    Param,
    Ref,
    SectionVar,
    Struct,
    Type,
    Var,
)
from xdpsim.errors import InputError

__all__ = [
    "ALIASES",
    "POINTER_SIZE",
    "Array",
    "Btf",
    "DataSec",
    "DeclTag",
    "Enum",
    "Float",
    "Func",
    "FuncProto",
    "Fwd",
    "Int",
    "Kind",
    "Linkage",
    "Member",
    "Param",
    "Ref",
    "SectionVar",
    "Struct",
    "Type",
    "Var",
]

POINTER_SIZE = 8


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
        return c_text(self.types, self.get(type_id).id)
