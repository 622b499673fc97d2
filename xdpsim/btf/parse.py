"""Bytes of a .BTF section to `Btf`, either byte order. Input is hostile: every count, offset and id is checked first.

What the types mean together (loops, members outside their struct) is checked in check.py. Follows the layouts in
include/uapi/linux/btf.h and the checks of kernel/bpf/btf.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from xdpsim.btf import check
from xdpsim.btf.types import (
    Array,
    Btf,
    DataSec,
    DeclTag,
    Enum,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    Kind,
    Member,
    Param,
    Ref,
    SectionVar,
    Struct,
    Type,
    Var,
)
from xdpsim.errors import InputError

MAGIC = 0xEB9F
HEADER_SIZE = 24
MAX_NAME = 4096  # the kernel stops at 511 characters; more would let a small file fill the memory
SHARED_NAMES = 8  # how often the strings may be used as parts of others before that is taken for an attack
VOID = Type(0, Kind.VOID, "void")


@dataclass(frozen=True, slots=True)
class Header:
    """Where a .BTF section keeps its types and strings; offsets from the start of the section."""

    byteorder: Literal["little", "big"]
    types_start: int
    types_end: int
    strings_start: int
    strings_end: int

    @property
    def prefix(self) -> str:
        """The byte order as struct.unpack wants it."""
        return "<" if self.byteorder == "little" else ">"


def read_header(raw: bytes) -> Header:
    """Check the header of a .BTF section; InputError says which field lies."""
    if len(raw) < HEADER_SIZE:
        raise InputError(f"btf header: {len(raw)} bytes, expected at least {HEADER_SIZE}")
    byteorder: Literal["little", "big"] = "big" if raw[:2] == MAGIC.to_bytes(2, "big") else "little"
    magic, version, _flags, size, type_off, type_len, str_off, str_len = struct.unpack_from(
        ("<" if byteorder == "little" else ">") + "HBBIIIII", raw
    )
    if magic != MAGIC:
        raise InputError(f"btf header: magic is 0x{magic:04x}, expected 0x{MAGIC:04x}")
    if version != 1:
        raise InputError(f"btf header: version {version}, expected 1")
    if not HEADER_SIZE <= size <= len(raw):
        raise InputError(f"btf header: hdr_len {size}, expected {HEADER_SIZE} to {len(raw)}")
    for name, start, length in (("types", type_off, type_len), ("strings", str_off, str_len)):
        if size + start + length > len(raw):
            end = size + start + length
            raise InputError(f"btf header: the {name} end at byte {end}, expected at most {len(raw)}")
    if type_off % 4:
        raise InputError(f"btf header: type_off {type_off}, expected a multiple of 4")
    strings = size + str_off
    if not str_len or raw[strings] or raw[strings + str_len - 1]:
        raise InputError("btf strings: expected a first and a last byte of zero")
    return Header(byteorder, size + type_off, size + type_off + type_len, strings, strings + str_len)


def read_string(raw: bytes, header: Header, offset: int, limit: int = MAX_NAME) -> str | None:
    """The string at `offset` of the string table, cut at `limit` bytes; None when the offset lies outside."""
    start = header.strings_start + offset
    if start >= header.strings_end:
        return None
    end = raw.find(0, start, min(start + limit, header.strings_end))
    return raw[start : end if end >= 0 else start + limit].decode("utf-8", "backslashreplace")


def parse(raw: bytes) -> Btf:
    """All types of a .BTF section. InputError names the type id, the byte offset and what was expected."""
    raw = bytes(raw)
    header = read_header(raw)
    reader = _Reader(raw, header)
    types: list[Type] = [VOID]
    while reader.offset < header.types_end:
        types.append(reader.next_type(len(types)))
    btf = Btf(tuple(types), raw, header.byteorder)
    check.check(btf)
    return btf


class _Reader:
    """A place in the type section, and the type being read (for messages)."""

    def __init__(self, raw: bytes, header: Header) -> None:
        self.raw, self.header = raw, header
        self.offset = header.types_start
        self.id, self.start = 0, self.offset
        self.common = struct.Struct(header.prefix + "III")
        self.layouts: dict[str, struct.Struct] = {}
        self.names: dict[int, str] = {}
        self.name_bytes = 0

    def bad(self, found: str) -> InputError:
        return InputError(f"btf type {self.id} (offset {self.start - self.header.types_start}): {found}")

    def name(self, offset: int) -> str:
        name = self.names.get(offset)
        if name is None:
            name = read_string(self.raw, self.header, offset)
            if name is None:
                size = self.header.strings_end - self.header.strings_start
                raise self.bad(f"name at string offset {offset}, expected below {size}")
            self.name_bytes += len(name)
            if self.name_bytes > MAX_NAME + SHARED_NAMES * (self.header.strings_end - self.header.strings_start):
                raise self.bad("names that share their bytes, expected each string once")
            self.names[offset] = name
        return name

    def records(self, layout: str, count: int) -> list[tuple[int, ...]]:
        """`count` records at the current place, which moves behind them."""
        record = self.layouts.setdefault(layout, struct.Struct(self.header.prefix + layout))
        end = self.offset + record.size * count
        if end > self.header.types_end:
            left = self.header.types_end - self.offset
            raise self.bad(f"{count} records of {record.size} bytes, but only {left} bytes are left")
        found = list(record.iter_unpack(self.raw[self.offset : end]))
        self.offset = end
        return found

    def next_type(self, type_id: int) -> Type:
        self.id, self.start = type_id, self.offset
        left = self.header.types_end - self.offset
        if left < self.common.size:
            raise self.bad(f"{left} bytes are left, expected {self.common.size} for a type")
        name_off, info, size_or_type = self.common.unpack_from(self.raw, self.offset)
        self.offset += self.common.size
        kind = info >> 24 & 0x1F
        if kind not in _READERS:
            raise self.bad(f"kind {kind}, expected 1 to {max(_READERS)}")
        if info & 0x6000_0000 or info & 0x00FF_0000:
            raise self.bad(f"info 0x{info:08x}, expected its reserved bits to be zero")
        vlen, flag = info & 0xFFFF, bool(info >> 31)
        return _READERS[kind](self, Kind(kind), self.name(name_off), vlen, flag, size_or_type)


def _int(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, size: int) -> Type:
    ((word,),) = r.records("I", 1)
    encoding, bit_offset, bits = word >> 24 & 0xF, word >> 16 & 0xFF, word & 0xFF
    if size not in (1, 2, 4, 8, 16):
        raise r.bad(f"int {name!r} of {size} bytes, expected 1, 2, 4, 8 or 16")
    if not bits or bit_offset + bits > size * 8:
        raise r.bad(f"int {name!r} with bits {bit_offset} to {bit_offset + bits}, expected 1 to {size * 8}")
    if encoding not in (0, 1, 2, 4):
        raise r.bad(f"int {name!r} with encoding {encoding}, expected one of signed, char, bool")
    return Int(r.id, kind, name, size, bits, bit_offset, encoding == 1, encoding == 2, encoding == 4)


def _ref(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, type_id: int) -> Type:
    return Ref(r.id, kind, name, type_id)


def _array(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, size: int) -> Type:
    ((type_id, index_type_id, nelems),) = r.records("III", 1)
    return Array(r.id, kind, name, type_id, index_type_id, nelems)


def _struct(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, size: int) -> Type:
    members = []
    for name_off, type_id, place in r.records("III", vlen):
        bit_offset, bit_size = (place & 0xFF_FFFF, place >> 24) if flag else (place, 0)
        members.append(Member(r.name(name_off), type_id, bit_offset, bit_size))
    return Struct(r.id, kind, name, size, tuple(members))


def _enum_size(r: _Reader, name: str, size: int) -> None:
    if size not in (1, 2, 4, 8):
        raise r.bad(f"enum {name!r} of {size} bytes, expected 1, 2, 4 or 8")


def _enum(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, size: int) -> Type:
    _enum_size(r, name, size)
    values = tuple((r.name(name_off), value) for name_off, value in r.records("Ii" if flag else "II", vlen))
    return Enum(r.id, kind, name, size, flag, values)


def _enum64(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, size: int) -> Type:
    _enum_size(r, name, size)
    rows = r.records("IIi" if flag else "III", vlen)
    return Enum(
        r.id, kind, name, size, flag, tuple((r.name(name_off), high << 32 | low) for name_off, low, high in rows)
    )


def _fwd(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, size: int) -> Type:
    return Fwd(r.id, kind, name, flag)


def _func(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, type_id: int) -> Type:
    if vlen > 2:
        raise r.bad(f"function {name!r} with linkage {vlen}, expected 0 to 2")
    return Func(r.id, kind, name, type_id, vlen)


def _func_proto(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, return_id: int) -> Type:
    params = tuple(Param(r.name(name_off), type_id) for name_off, type_id in r.records("II", vlen))
    return FuncProto(r.id, kind, name, return_id, params)


def _var(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, type_id: int) -> Type:
    ((linkage,),) = r.records("I", 1)
    if linkage > 2:
        raise r.bad(f"variable {name!r} with linkage {linkage}, expected 0 to 2")
    return Var(r.id, kind, name, type_id, linkage)


def _datasec(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, size: int) -> Type:
    return DataSec(r.id, kind, name, size, tuple(SectionVar(*row) for row in r.records("III", vlen)))


def _float(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, size: int) -> Type:
    if size not in (2, 4, 8, 12, 16):
        raise r.bad(f"float {name!r} of {size} bytes, expected 2, 4, 8, 12 or 16")
    return Float(r.id, kind, name, size)


def _decl_tag(r: _Reader, kind: Kind, name: str, vlen: int, flag: bool, type_id: int) -> Type:
    ((component,),) = r.records("i", 1)
    if component < -1:
        raise r.bad(f"declaration tag {name!r} of component {component}, expected -1 or more")
    return DeclTag(r.id, kind, name, type_id, component)


_READERS: dict[int, Callable[[_Reader, Kind, str, int, bool, int], Type]] = {
    Kind.INT: _int,
    Kind.PTR: _ref,
    Kind.ARRAY: _array,
    Kind.STRUCT: _struct,
    Kind.UNION: _struct,
    Kind.ENUM: _enum,
    Kind.FWD: _fwd,
    Kind.TYPEDEF: _ref,
    Kind.VOLATILE: _ref,
    Kind.CONST: _ref,
    Kind.RESTRICT: _ref,
    Kind.FUNC: _func,
    Kind.FUNC_PROTO: _func_proto,
    Kind.VAR: _var,
    Kind.DATASEC: _datasec,
    Kind.FLOAT: _float,
    Kind.DECL_TAG: _decl_tag,
    Kind.TYPE_TAG: _ref,
    Kind.ENUM64: _enum64,
}
