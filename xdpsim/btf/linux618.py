"""The types of Linux 6.18 that network programs touch, shipped: what CO-RE relocations resolve against by default.

`linux618()` is the table in linux618.types (one line a type, compressed); `in_linux618()` says whether that Linux has a
type of some name at all, in the table or not: linux618.names holds 3 bytes of hash for each, so one name in a thousand
may be taken for one that is there. Measured from a running 6.18 by make_linux618.py; x86-64, little-endian.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xdpsim.btf.parse import VOID
from xdpsim.btf.types import (
    Array,
    Btf,
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
    Struct,
    Type,
)

TYPES_FILE = Path(__file__).with_name("linux618.types")
NAMES_FILE = Path(__file__).with_name("linux618.names")
HASH_BYTES = 3
NAMED_KINDS = {
    Kind.STRUCT: "struct",
    Kind.UNION: "union",
    Kind.ENUM: "enum",
    Kind.ENUM64: "enum",
    Kind.TYPEDEF: "typedef",
}


@dataclass(frozen=True, eq=False)
class KernelTypes:
    """A table of kernel types. `opaque` are ids of structs whose members it does not tell."""

    btf: Btf
    opaque: frozenset[int] = frozenset()


@cache
def linux618() -> KernelTypes:
    """The shipped table, read once."""
    return read_types(_lines())


def read_types(lines: Iterable[str]) -> KernelTypes:
    """A table out of its lines."""
    types: list[Type] = [VOID]
    opaque: set[int] = set()
    for line in lines:
        letter, *fields = line.split("\t")
        if letter in "SU":
            opaque.add(len(types))
        types.append(_READERS[letter](len(types), letter, fields))
    return KernelTypes(Btf(tuple(types)), frozenset(opaque))


@cache
def kfuncs() -> frozenset[str]:
    """Names of the kfuncs of Linux 6.18."""
    return frozenset(row.name for row in linux618().btf.types if isinstance(row, Func))


@cache
def kfunc_numbers() -> dict[str, int]:
    """A number for each kfunc, from 0, in the order of their names."""
    return {name: number for number, name in enumerate(sorted(kfuncs()))}


def name_hash(kind: Kind, name: str) -> bytes:
    """What linux618.names holds for a type."""
    return zlib.crc32(f"{NAMED_KINDS.get(kind, '')} {name}".encode()).to_bytes(4, "little")[:HASH_BYTES]


def in_linux618(kind: Kind, name: str) -> bool:
    """Whether Linux 6.18 has a struct, union, enum or typedef of that name."""
    return name_hash(kind, name) in _hashes()


@cache
def _hashes() -> frozenset[bytes]:
    raw = NAMES_FILE.read_bytes()
    return frozenset(raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES))


def _lines() -> list[str]:
    return zlib.decompress(TYPES_FILE.read_bytes()).decode().split("\n")


def _struct(number: int, letter: str, fields: list[str]) -> Type:
    members = []
    for text in fields[2:]:
        name, type_id, bit, bits = (*text.split(":"), "0")[:4]
        members.append(Member(name, int(type_id), int(bit), int(bits)))
    kind = Kind.UNION if letter in "uU" else Kind.STRUCT
    return Struct(number, kind, fields[0], int(fields[1]), tuple(members))


def _enum(number: int, letter: str, fields: list[str]) -> Type:
    pairs = (text.split("=") for text in fields[3:])
    values = tuple((name, int(value)) for name, value in pairs)
    kind = Kind.ENUM64 if letter == "E" else Kind.ENUM
    return Enum(number, kind, fields[0], int(fields[1]), fields[2] == "1", values)


def _int(number: int, letter: str, fields: list[str]) -> Type:
    name, size, bits, flags = fields
    return Int(number, Kind.INT, name, int(size), int(bits), 0, "s" in flags, "c" in flags, "b" in flags)


def _array(number: int, letter: str, fields: list[str]) -> Type:
    return Array(number, Kind.ARRAY, "", int(fields[0]), 0, int(fields[1]))


def _float(number: int, letter: str, fields: list[str]) -> Type:
    return Float(number, Kind.FLOAT, fields[0], int(fields[1]))


def _proto(number: int, letter: str, fields: list[str]) -> Type:
    return FuncProto(number, Kind.FUNC_PROTO, "", int(fields[0]), tuple(Param("", int(text)) for text in fields[1:]))


def _named_proto(number: int, letter: str, fields: list[str]) -> Type:
    pairs = (text.split(":") for text in fields[1:])
    params = tuple(Param(name, int(type_id)) for name, type_id in pairs)
    return FuncProto(number, Kind.FUNC_PROTO, "", int(fields[0]), params)


def _func(number: int, letter: str, fields: list[str]) -> Type:
    return Func(number, Kind.FUNC, fields[0], int(fields[1]), Linkage.STATIC)


def _fwd(number: int, letter: str, fields: list[str]) -> Type:
    return Fwd(number, Kind.FWD, fields[0], fields[1] == "1")


_REFS = {
    "*": Kind.PTR,
    "t": Kind.TYPEDEF,
    "k": Kind.CONST,
    "v": Kind.VOLATILE,
    "r": Kind.RESTRICT,
    "g": Kind.TYPE_TAG,
}


def _ref(number: int, letter: str, fields: list[str]) -> Type:
    return Ref(number, _REFS[letter], fields[0], int(fields[1]))


_READERS: dict[str, Callable[[int, str, list[str]], Type]] = {
    **dict.fromkeys("suSU", _struct),
    "e": _enum,
    "E": _enum,
    "i": _int,
    "a": _array,
    "f": _float,
    "p": _proto,
    "P": _named_proto,
    "F": _func,
    "w": _fwd,
    **dict.fromkeys(_REFS, _ref),
}
