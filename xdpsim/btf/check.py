"""What must hold between the types of a BTF section before anybody follows a reference in it.

After `check` every id exists, nothing contains itself by value, no chain of references is deeper than MAX_DEPTH, and
members, elements and variables have sizes and lie where they may. Follows btf_resolve() in kernel/bpf/btf.c, which
stops at a depth of 32.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdpsim.btf.types import (
    ALIASES,
    Array,
    Btf,
    DataSec,
    DeclTag,
    Func,
    FuncProto,
    Kind,
    Linkage,
    Ref,
    Struct,
    Type,
    Var,
)
from xdpsim.errors import InputError

MAX_DEPTH = 64
MAX_SIZE = 0xFFFF_FFFF
_SIZED = frozenset(
    {Kind.INT, Kind.PTR, Kind.ARRAY, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT},
)
_DECLARATIONS = frozenset({Kind.VAR, Kind.DATASEC, Kind.DECL_TAG, Kind.FUNC})


def check(btf: Btf) -> None:
    """Raise InputError, naming type and member, for the first reference that does not hold."""
    for row in btf.types[1:]:
        for what, type_id in _references(row):
            if type_id >= len(btf.types):
                raise _bad(row, f"{what} has type {type_id}, expected an id below {len(btf.types)}")
    _check_loops(btf)
    sizes = _Sizes(btf)
    for row in btf.types[1:]:
        _check_kinds(btf, row)
        sizes.check(row)


def _bad(row: Type, found: str) -> InputError:
    return InputError(f"btf type {row.id} ({row.kind.name.lower()} {row.name!r}): {found}")


def _references(row: Type) -> Iterator[tuple[str, int]]:
    """Every type id in the row, with what it is the type of."""
    if isinstance(row, Struct):
        for m in row.members:
            yield f"member {m.name!r}", m.type_id
    elif isinstance(row, Array):
        yield "the element", row.type_id
        yield "the index", row.index_type_id
    elif isinstance(row, FuncProto):
        yield "the result", row.return_id
        for p in row.params:
            yield f"parameter {p.name!r}", p.type_id
    elif isinstance(row, DataSec):
        for v in row.variables:
            yield "a variable", v.type_id
    elif isinstance(row, (Ref, Func, Var, DeclTag)):
        yield "it", row.type_id


def _held(row: Type) -> tuple[int, ...]:
    """The types that the row contains by value, or is another name of."""
    if isinstance(row, Struct):
        return tuple({m.type_id for m in row.members})
    if isinstance(row, (Array, Var)) or (isinstance(row, Ref) and row.kind in ALIASES):
        return (row.type_id,)
    return ()


def _check_loops(btf: Btf) -> None:
    """Depth-first over `_held` with a stack of our own; depth[id] is how many levels lie below it."""
    depth: dict[int, int] = {}
    for row in btf.types:
        if row.id in depth:
            continue
        stack, open_ids = [(row, iter(_held(row)))], {row.id}
        while stack:
            at, rest = stack[-1]
            child = next((c for c in rest if c not in depth), None)
            if child is None:
                depth[at.id] = 1 + max((depth[c] for c in _held(at)), default=0)
                if depth[at.id] > MAX_DEPTH:
                    raise _bad(at, f"nested {depth[at.id]} deep, expected at most {MAX_DEPTH}")
                open_ids.discard(at.id)
                stack.pop()
            elif child in open_ids:
                raise _bad(btf.types[child], f"contains itself through type {at.id}")
            else:
                open_ids.add(child)
                stack.append((btf.types[child], iter(_held(btf.types[child]))))


def _check_kinds(btf: Btf, row: Type) -> None:
    if isinstance(row, Func) and btf.types[row.type_id].kind is not Kind.FUNC_PROTO:
        raise _bad(row, f"has type {row.type_id}, {btf.types[row.type_id].kind.name}, expected a FUNC_PROTO")
    if isinstance(row, Ref) and btf.types[row.type_id].kind in _DECLARATIONS:
        raise _bad(row, f"refers to type {row.type_id}, {btf.types[row.type_id].kind.name}, expected a type")
    if isinstance(row, Var) and row.linkage == Linkage.EXTERN:
        return
    if isinstance(row, (Struct, Array, Var)):
        for type_id in _held(row):
            kind = btf.resolve(type_id).kind
            if kind not in _SIZED:
                raise _bad(row, f"holds type {type_id} ({btf.type_name(type_id)}), expected a type that has a size")
    if isinstance(row, DataSec):
        for v in row.variables:
            if btf.types[v.type_id].kind not in (Kind.VAR, Kind.FUNC):
                raise _bad(row, f"lists type {v.type_id}, {btf.types[v.type_id].kind.name}, expected VAR or FUNC")


class _Sizes:
    """Sizes by id, remembered: a chain of arrays would otherwise be walked again for each of its links."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.known: dict[int, int] = {}

    def of(self, type_id: int) -> int:
        if type_id not in self.known:
            self.known[type_id] = self.btf.size_of(type_id)
        return self.known[type_id]

    def check(self, row: Type) -> None:
        if isinstance(row, Array) and self.of(row.id) > MAX_SIZE:
            raise _bad(row, f"{self.of(row.id)} bytes, expected at most {MAX_SIZE}")
        if not isinstance(row, Struct):
            return
        for m in row.members:
            bits = m.bit_size or self.of(m.type_id) * 8
            if m.bit_offset + bits > row.size * 8:
                raise _bad(row, f"member {m.name!r} ends at bit {m.bit_offset + bits}, expected at most {row.size * 8}")
            if m.bit_size and self.btf.resolve(m.type_id).kind not in (Kind.INT, Kind.ENUM, Kind.ENUM64):
                raise _bad(row, f"bit field {m.name!r} of type {self.btf.type_name(m.type_id)}, expected an integer")
            if m.bit_size > self.of(m.type_id) * 8:
                raise _bad(row, f"bit field {m.name!r} of {m.bit_size} bits, wider than its type")
            if not m.bit_size and m.bit_offset % 8 and self.btf.resolve(m.type_id).kind is not Kind.INT:
                raise _bad(row, f"member {m.name!r} at bit {m.bit_offset}, expected a multiple of 8")
