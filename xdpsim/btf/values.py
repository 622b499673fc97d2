"""Typed values both ways: `decode_value` (decode.py) and `encode_value`, with the untyped helpers of text.py.

`encode_value` reads back what decode_value and bpftool print, and the shorthands that people write: addresses as
text, byte lists, hex. A field that is not given is zero, as in a C initialiser.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from xdpsim.bits import mask
from xdpsim.btf.decode import Value, decode_value
from xdpsim.btf.text import (
    encode_lpm_key,
    encode_plain,
    fixed,
    parse_address,
    parse_bytes,
    parse_hex,
    parse_int,
    shorthands,
    show,
)
from xdpsim.btf.types import Array, Btf, DataSec, Enum, Float, Int, Kind, Member, Struct, Type, Var
from xdpsim.errors import InputError

__all__ = ["Value", "decode_value", "encode_lpm_key", "encode_plain", "encode_value"]

_FLOATS = {2: "e", 4: "f", 8: "d"}
MAX_VALUE = 1 << 30  # bytes; a map value cannot be larger, a hostile type can


def encode_value(btf: Btf, type_id: int, value: object, *, where: str = "value", base: bytes | None = None) -> bytes:
    """The bytes of `value` as the type says; `base` holds the bytes that fields not given keep (else zero).

    InputError names the field by its path from `where`, what was found and what would have been right.
    """
    size = btf.size_of(type_id)
    if size > MAX_VALUE:
        raise InputError(f"{where}: {btf.type_name(type_id)} takes {size} bytes, expected at most {MAX_VALUE}")
    encoder = _Encoder(btf, fixed(base, size, f"{where}: base") if base is not None else bytes(size))
    encoder.put(type_id, value, 0, where)
    return bytes(encoder.data)


class _Encoder:
    """The bytes so far, and for union members which bits were already said."""

    def __init__(self, btf: Btf, base: bytes) -> None:
        self.btf = btf
        self.data = bytearray(base)
        self.said = bytearray(len(base))

    def put(self, type_id: int, value: object, at: int, where: str) -> None:
        """Write `value` at byte `at`."""
        row = self.btf.resolve(type_id)
        size = self.btf.size_of(row.id)
        if isinstance(value, (bytes, bytearray, memoryview)):
            self._bytes(fixed(bytes(value), size, where), at, where)
        elif isinstance(row, Struct):
            self._struct(row, value, at, where)
        elif isinstance(row, Array):
            self._array(row, value, at, where)
        elif isinstance(row, DataSec):
            self._section(row, value, at, where)
        elif isinstance(row, Var):
            inner = value[row.name] if isinstance(value, Mapping) and list(value) == [row.name] else value
            self.put(row.type_id, inner, at, where)
        elif isinstance(value, (list, tuple)):
            self._bytes(fixed(parse_bytes(value, where), size, where), at, where)
        elif isinstance(row, Float):
            self._bytes(self._float(row, value, where), at, where)
        else:
            self._scalar(row, value, at * 8, size * 8, where)

    # scalars

    def _scalar(self, row: Type, value: object, bit: int, bits: int, where: str) -> None:
        if isinstance(row, Int) and not row.is_signed and bits == row.size * 8 and isinstance(value, str):
            address = parse_address(value, row.size) if row.size in (4, 16) else None
            if address is not None:
                return self._bytes(address, bit // 8, where)
        if isinstance(row, Int) and (row.bit_offset or row.bits < bits):
            bit, bits = bit + row.bit_offset, row.bits
        return self._bits(self._number(row, value, bits, where), bit, bits, where)

    def _number(self, row: Type, value: object, bits: int, where: str) -> int:
        """`value` as an unsigned word of `bits` bits."""
        is_signed = isinstance(row, (Int, Enum)) and row.is_signed
        number: int | None = None
        high = mask(bits - 1) if is_signed and bits else mask(bits)
        if isinstance(row, Int) and row.is_bool:
            return self._bool(value, where)
        if isinstance(value, int) and not isinstance(value, bool):
            number = value
        elif isinstance(value, str):
            number = dict(row.values).get(value) if isinstance(row, Enum) else None
            if number is None:
                number = parse_int(value)
                high = mask(bits) if value.strip()[:2].lower() == "0x" else high  # hex text writes the bit pattern
            if number is None and isinstance(row, Int) and row.is_char and len(value) == 1:
                number = ord(value)
        if number is None:
            raise InputError(f"{where}: {show(value)}, expected {self._expected(row)}", hint=_names(row))
        low = -(1 << bits - 1) if is_signed or isinstance(row, Enum) else 0
        if not low <= number <= high:
            raise InputError(f"{where}: {show(number)}, expected {low} to {high} ({self._expected(row)})")
        return number & mask(bits)

    def _bool(self, value: object, where: str) -> int:
        known = {"true": 1, "false": 0, "1": 1, "0": 0}
        if isinstance(value, int) and value in (0, 1):
            return int(value)
        if isinstance(value, str) and value.lower() in known:
            return known[value.lower()]
        raise InputError(f"{where}: {show(value)}, expected true or false")

    def _expected(self, row: Type) -> str:
        name = self.btf.type_name(row.id)
        if isinstance(row, Int) and row.size == 4 and not row.is_signed:
            return f"{name}, a number or an IPv4 address"
        return f"{name}, a name or a number" if isinstance(row, Enum) else f"{name}, a number"

    def _float(self, row: Float, value: object, where: str) -> bytes:
        if row.size not in _FLOATS:
            return encode_plain(row.size, value, where)
        try:
            number = float(value) if isinstance(value, (int, float, str)) else None
            if number is not None:
                return struct.pack(("<" if self.btf.byteorder == "little" else ">") + _FLOATS[row.size], number)
        except (ValueError, OverflowError):
            pass
        raise InputError(f"{where}: {show(value)}, expected {row.name}, a number")

    # aggregates

    def _struct(self, row: Struct, value: object, at: int, where: str) -> None:
        if isinstance(value, Mapping):
            for name, field in value.items():
                self._field(row, name, field, at, where)
            return
        data: bytes | None = None
        if isinstance(value, (list, tuple)):
            data = fixed(parse_bytes(value, where), row.size, where)
        elif isinstance(value, str):
            data = self._struct_text(row, value, where)
        only = self._only_member(row)
        if data is not None:
            self._bytes(data, at, where)
        elif only is not None and not isinstance(value, (list, tuple)):
            self.put(only.type_id, value, at, where)
        else:
            raise InputError(f"{where}: {show(value)}, expected {self.btf.type_name(row.id)}", hint=_names(row))

    def _struct_text(self, row: Struct, text: str, where: str) -> bytes | None:
        """Text for a whole struct: hex of its size, or CIDR where it is the key of an LPM trie."""
        data = parse_hex(text)
        if data is not None and len(data) == row.size:
            return data
        first = row.members[0] if len(row.members) > 1 else None
        is_key = first is not None and first.bit_offset == 0 and self.btf.size_of(first.type_id) == 4
        if first is not None and is_key and row.size in (8, 20) and ("/" in text or first.name.startswith("prefix")):
            return encode_lpm_key(row.size, text, where, self.btf.byteorder)
        return None

    def _only_member(self, row: Struct) -> Member | None:
        """The member that stands for the whole: the only one, or in a union (in6_addr) the first of the full size."""
        whole = [m for m in row.members if not m.bit_size and self.btf.size_of(m.type_id) == row.size]
        if len(row.members) == 1 or (row.kind is Kind.UNION and len(whole) == len(row.members)):
            return whole[0] if whole else None
        return None

    def _field(self, row: Struct, name: object, value: object, at: int, where: str) -> None:
        path = f"{where}.{name}" if name else where
        if name == "" and isinstance(value, Mapping):
            for inner, field in value.items():
                self._field(row, inner, field, at, where)
            return
        found = _find(self.btf, row, str(name), 0)
        if found is None:
            raise InputError(f"{path}: no such field in {self.btf.type_name(row.id)}", hint=_names(row))
        member, bit = found
        if member.bit_size:
            self._bitfield(member, value, at * 8 + bit, path)
        elif bit % 8:
            self._scalar(
                self.btf.resolve(member.type_id), value, at * 8 + bit, self.btf.size_of(member.type_id) * 8, path
            )
        else:
            self.put(member.type_id, value, at + bit // 8, path)

    def _bitfield(self, member: Member, value: object, bit: int, where: str) -> None:
        self._bits(
            self._number(self.btf.resolve(member.type_id), value, member.bit_size, where), bit, member.bit_size, where
        )

    def _array(self, row: Array, value: object, at: int, where: str) -> None:
        size = self.btf.size_of(row.type_id)
        if isinstance(value, str):
            return self._array_text(row, value, at, where)
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: {show(value)}, expected {self.btf.type_name(row.id)}, a list of {row.nelems}")
        if len(value) == row.nelems:
            for index, item in enumerate(value):
                self.put(row.type_id, item, at + index * size, f"{where}[{index}]")
            return None
        if len(value) == row.nelems * size:
            return self._bytes(parse_bytes(value, where), at, where)
        raise InputError(f"{where}: {len(value)} elements, expected {row.nelems} ({self.btf.type_name(row.id)})")

    def _array_text(self, row: Array, text: str, at: int, where: str) -> None:
        element = self.btf.resolve(row.type_id)
        size = self.btf.size_of(row.id)
        if isinstance(element, Int) and element.size == 1 and (element.is_char or element.name == "char"):
            data = text.encode()
            if len(data) > size:
                raise InputError(f"{where}: text of {len(data)} bytes, expected at most {size}")
            for index in range(at + len(data), at + size):
                self.data[index] &= self.said[index]
            return self._bytes(data + b"\0" * (len(data) < size), at, where)
        found = parse_address(text, size) if isinstance(element, Int) else None
        if found is None and isinstance(element, Int) and element.size == 1:
            found = parse_hex(text, size)
            found = fixed(found, size, where) if found is not None else None
        if found is None:
            raise InputError(f"{where}: {show(text)}, expected {self.btf.type_name(row.id)}", hint=shorthands(size))
        return self._bytes(found, at, where)

    def _section(self, row: DataSec, value: object, at: int, where: str) -> None:
        if isinstance(value, Mapping) and list(value) == [row.name] and isinstance(value[row.name], (list, Mapping)):
            value = value[row.name]
        given: dict[str, object] = {}
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(part, Mapping):
                raise InputError(f"{where}: {show(part)}, expected variables of {row.name} by name")
            given.update({str(name): field for name, field in part.items()})
        places = {self.btf.get(v.type_id).name: v for v in row.variables}
        for name, field in given.items():
            if name not in places:
                known = ", ".join(list(places)[:12])
                raise InputError(f"{where}.{name}: no such variable in {row.name}", hint=f"it has {known}")
            place = places[name]
            if at + place.offset + self.btf.size_of(place.type_id) > len(self.data):
                raise InputError(f"{where}.{name}: lies outside {row.name} of {len(self.data)} bytes")
            self.put(place.type_id, field, at + place.offset, f"{where}.{name}")

    # writing

    def _bytes(self, data: bytes, at: int, where: str) -> None:
        if any(self.said[at : at + len(data)]):
            for index, byte in enumerate(data):
                self._bits(byte, (at + index) * 8, 8, where)
            return
        self.data[at : at + len(data)] = data
        self.said[at : at + len(data)] = b"\xff" * len(data)

    def _bits(self, number: int, bit: int, bits: int, where: str) -> None:
        """Write an unsigned word; a bit that another member of a union already set otherwise is an InputError."""
        first, last = bit // 8, (bit + bits + 7) // 8
        order = self.btf.byteorder
        shift = bit % 8 if order == "little" else last * 8 - bit - bits
        window, new = mask(bits) << shift, number << shift
        said = int.from_bytes(self.said[first:last], order)
        old = int.from_bytes(self.data[first:last], order)
        if (old ^ new) & window & said:
            raise InputError(f"{where}: contradicts another member of the same union", hint="give one of them")
        self.data[first:last] = (old & ~window | new).to_bytes(last - first, order)
        self.said[first:last] = (said | window).to_bytes(last - first, order)


def _find(btf: Btf, row: Struct, name: str, bit: int) -> tuple[Member, int] | None:
    """The member called `name`, also inside anonymous members, and its bit offset in the outermost struct."""
    todo, seen = [(row, bit)], {row.id}
    while todo:
        at, offset = todo.pop(0)
        for m in at.members:
            inner = btf.resolve(m.type_id)
            if m.name == name and name:
                return m, offset + m.bit_offset
            if m.name == "" and isinstance(inner, Struct) and inner.id not in seen:
                seen.add(inner.id)
                todo.append((inner, offset + m.bit_offset))
    return None


def _names(row: Type) -> str:
    """What could have been written, as a hint."""
    if isinstance(row, Enum):
        names = [name for name, _ in row.values]
    elif isinstance(row, Struct):
        names = [m.name or "(anonymous)" for m in row.members]
    else:
        return ""
    return f"{'one of' if isinstance(row, Enum) else 'its fields are'} {', '.join(names[:12])}" + (
        ", ..." if len(names) > 12 else ""
    )
