"""The BTF of an object, made ready for BPF_BTF_LOAD: the compiler leaves gaps that only the ELF file can fill.

Section sizes and offsets of global variables, hidden functions made static, and externs (which the kernel's BTF does
not know) made plain integers. Type ids stay. Follows btf_fixup_datasec() and bpf_object__collect_externs() of libbpf.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from xdpsim.bits import M32
from xdpsim.btf.parse import MAGIC, VOID
from xdpsim.btf.types import (
    Array,
    Btf,
    DataSec,
    DeclTag,
    Enum,
    Func,
    FuncProto,
    Int,
    Kind,
    Linkage,
    SectionVar,
    Struct,
    Type,
    Var,
)
from xdpsim.errors import InputError
from xdpsim.loader.elf import Elf

_EXTERN_SECTIONS = (".ksyms", ".kconfig")
_DUMMY = "dummy_ksym"


@dataclass
class _Changes:
    """Rows that change, and whether externs need the stand-in variable."""

    rows: dict[int, Type]
    int_id: int
    dummy_id: int
    uses_dummy: bool = False


def complete(btf: Btf, elf: Elf) -> Btf:
    """`btf` with what the ELF file knows; InputError when a section that BTF describes is not there."""
    last = len(btf.types)
    int_id = next((t.id for t in btf.types if isinstance(t, Int) and t.size == 4 and t.is_signed), last)
    changes = _Changes({}, int_id, last + (int_id == last))
    offsets: dict[int, dict[str, int]] = {}
    for symbol in elf.symbols:
        if symbol.bind != "LOCAL":
            offsets.setdefault(symbol.section, {})[symbol.name] = symbol.value
    hidden = {s.name for s in elf.symbols if s.type == "FUNC" and s.visibility in ("HIDDEN", "INTERNAL")}
    for row in btf.types:
        if isinstance(row, Func) and row.linkage != Linkage.STATIC and row.name in hidden:
            changes.rows[row.id] = replace(row, linkage=Linkage.STATIC)
        elif isinstance(row, DataSec) and not row.size:
            if row.name in _EXTERN_SECTIONS:
                _externs(btf, row, changes)
            else:
                changes.rows[row.id] = _section(btf, row, elf, offsets)
        elif isinstance(row, DataSec):
            changes.rows[row.id] = _sorted(row)
    return _rebuild(btf, changes)


def _sorted(row: DataSec) -> DataSec:
    return replace(row, variables=tuple(sorted(row.variables, key=lambda v: v.offset)))


def _section(btf: Btf, row: DataSec, elf: Elf, offsets: dict[int, dict[str, int]]) -> DataSec:
    """Static variables have their offset in the file already; those of global ones are in the symbols."""
    section = elf.named(row.name)
    if section is None or not section.size:
        raise InputError(f"btf type {row.id}: data section {row.name!r}, which the object does not have")
    places = offsets.get(section.index, {})
    variables = []
    for listed in row.variables:
        variable, v = btf.get(listed.type_id), listed
        if isinstance(variable, Var) and variable.linkage != Linkage.STATIC:
            if variable.name not in places:
                raise InputError(f"btf type {row.id}: variable {variable.name!r} of {row.name!r} has no symbol there")
            v = replace(listed, offset=places[variable.name])
        if v.offset + v.size > section.size:
            raise InputError(
                f"btf type {row.id}: variable {variable.name!r} ends at byte {v.offset + v.size} of {row.name!r}, "
                f"which has {section.size}"
            )
        variables.append(v)
    return _sorted(replace(row, size=section.size, variables=tuple(variables)))


def _externs(btf: Btf, row: DataSec, changes: _Changes) -> None:
    """libbpf's stand-ins: each extern becomes an int; a function in the section is replaced by a dummy variable."""
    variables = []
    for index, v in enumerate(row.variables):
        target = btf.get(v.type_id)
        place = SectionVar(v.type_id, 4 * index, 4)
        if isinstance(target, Func):
            changes.rows[target.id] = replace(target, linkage=Linkage.GLOBAL)
            proto = btf.get(target.type_id)
            if isinstance(proto, FuncProto):
                named = tuple(replace(p, name=p.name or (_DUMMY if p.type_id else "")) for p in proto.params)
                changes.rows[proto.id] = replace(proto, params=named)
            changes.uses_dummy = True
            place = replace(place, type_id=changes.dummy_id)
        elif isinstance(target, Var):
            changes.rows[target.id] = replace(target, linkage=Linkage.GLOBAL, type_id=changes.int_id)
            changes.uses_dummy = True
        variables.append(place)
    changes.rows[row.id] = replace(row, size=4 * len(variables), variables=tuple(variables))


def _rebuild(btf: Btf, changes: _Changes) -> Btf:
    """The types with the changes, and raw bytes to match: same strings, type section written anew where it changed."""
    if all(btf.types[type_id] == row for type_id, row in changes.rows.items()):
        return btf
    types = [changes.rows.get(row.id, row) for row in btf.types]
    if changes.uses_dummy:
        if changes.int_id == len(types):
            types.append(Int(changes.int_id, Kind.INT, "int", 4, 32, 0, True, False, False))
        types.append(Var(changes.dummy_id, Kind.VAR, _DUMMY, changes.int_id, Linkage.GLOBAL))
    return Btf(tuple(types), _patch(btf, types, changes), btf.byteorder)


def _patch(btf: Btf, types: list[Type], changes: _Changes) -> bytes:
    order = "<" if btf.byteorder == "little" else ">"
    size, type_off, type_len, str_off, str_len = struct.unpack_from(order + "5I", btf.raw, 4)
    rows = bytearray(btf.raw[size + type_off : size + type_off + type_len])
    strings = bytearray(btf.raw[size + str_off : size + str_off + str_len])
    dummy = 0
    if changes.uses_dummy:
        dummy = len(strings)
        strings += _DUMMY.encode() + b"\0"
    at = 0
    for old, new in zip(btf.types[1:], types[1:], strict=False):
        if old != new:
            _patch_row(rows, at, new, order, dummy)
        at += _row_size(old)
    for new in types[len(btf.types) :]:
        if isinstance(new, Int):
            name, dummy_int = len(strings), b"int\0"
            strings += dummy_int
            rows += struct.pack(order + "4I", name, Kind.INT << 24, 4, 1 << 24 | 32)
        elif isinstance(new, Var):
            rows += struct.pack(order + "4I", dummy, Kind.VAR << 24, new.type_id, new.linkage)
    header = struct.pack(order + "HBBIIIII", MAGIC, 1, 0, 24, 0, len(rows), len(rows), len(strings))
    return header + bytes(rows) + bytes(strings)


def _patch_row(rows: bytearray, at: int, new: Type, order: str, dummy: int) -> None:
    """Write what may differ into the row that starts at byte `at`."""
    if isinstance(new, Func):
        (info,) = struct.unpack_from(order + "I", rows, at + 4)
        struct.pack_into(order + "I", rows, at + 4, info & ~0xFFFF & M32 | new.linkage)
    elif isinstance(new, Var):
        struct.pack_into(order + "II", rows, at + 8, new.type_id, new.linkage)
    elif isinstance(new, FuncProto):
        for index, param in enumerate(new.params):
            (name,) = struct.unpack_from(order + "I", rows, at + 12 + 8 * index)
            if param.type_id and not name:
                struct.pack_into(order + "I", rows, at + 12 + 8 * index, dummy)
    elif isinstance(new, DataSec):
        struct.pack_into(order + "I", rows, at + 8, new.size)
        for index, v in enumerate(new.variables):
            struct.pack_into(order + "III", rows, at + 12 + 12 * index, v.type_id, v.offset, v.size)


def _row_size(row: Type) -> int:
    """Bytes that the type takes in the type section."""
    if isinstance(row, (Int, Var, DeclTag)):
        return 16
    if isinstance(row, Array):
        return 24
    if isinstance(row, Struct):
        return 12 + 12 * len(row.members)
    if isinstance(row, DataSec):
        return 12 + 12 * len(row.variables)
    if isinstance(row, Enum):
        return 12 + len(row.values) * (12 if row.kind is Kind.ENUM64 else 8)
    if isinstance(row, FuncProto):
        return 12 + 8 * len(row.params)
    return 0 if row is VOID else 12
