"""Bytes of a typed value to Python, in the shape that `bpftool map dump -j` prints under "formatted".

Asked of bpftool 7.1: integers are numbers, except that bit fields and 128-bit integers are hex text; an array of char
that holds printable text up to a NUL is text, else numbers; pointers are numbers; an enum is its name, or a signed
number when no name fits; the fields of an anonymous member stand under "" (bpftool
repeats that key, here the members share one).
"""

from __future__ import annotations

import struct
from typing import TypeAlias, Union

from xdpsim.bits import mask, signed
from xdpsim.btf.types import Array, Btf, DataSec, Enum, Float, Int, Kind, Ref, Struct, Type, Var
from xdpsim.errors import InputError

Value: TypeAlias = Union[int, float, str, "list[Value]", "dict[str, Value]"]
"""What a typed value becomes: anything that JSON can hold, but null."""

BASE_BUDGET = 1 << 16  # values that one decode may yield, plus 16 for each byte: unions of unions multiply
_FLOATS = {2: "e", 4: "f", 8: "d"}


def decode_value(btf: Btf, type_id: int, data: bytes, where: str = "value") -> Value:
    """`data` as the type says; InputError when its length is not the type's size or the type has no values."""
    size = btf.size_of(type_id)
    if len(data) != size:
        raise InputError(f"{where}: {len(data)} bytes, expected {size} for {btf.type_name(type_id)}")
    return _Decoder(btf, bytes(data), where).value(type_id, 0)


def read_bits(data: bytes, bit_offset: int, bits: int, byteorder: str) -> int:
    """`bits` bits from `bit_offset` on, unsigned; offsets count as BTF counts them in that byte order."""
    first, last = bit_offset // 8, (bit_offset + bits + 7) // 8
    if byteorder == "little":
        return int.from_bytes(data[first:last], "little") >> bit_offset % 8 & mask(bits)
    return int.from_bytes(data[first:last], "big") >> last * 8 - bit_offset - bits & mask(bits)


def is_char_array(btf: Btf, row: Array) -> bool:
    """Whether bpftool would look for text in it: plain char, qualifiers allowed, a typedef not."""
    element = btf.get(row.type_id)
    while isinstance(element, Ref) and element.kind in (Kind.CONST, Kind.VOLATILE, Kind.RESTRICT):
        element = btf.get(element.type_id)
    return isinstance(element, Int) and element.size == 1 and (element.is_char or element.name == "char")


class _Decoder:
    """One value being read; counts what it yields."""

    def __init__(self, btf: Btf, data: bytes, where: str) -> None:
        self.btf, self.data, self.where = btf, data, where
        self.budget = BASE_BUDGET + 16 * len(data)

    def value(self, type_id: int, at: int) -> Value:
        """The value of the type that starts at byte `at`."""
        self._spend(1)
        row = self.btf.resolve(type_id)
        if isinstance(row, Int):
            return self._int(row, at)
        if isinstance(row, Struct):
            return self._struct(row, at)
        if isinstance(row, Array):
            return self._array(row, at)
        if isinstance(row, Enum):
            number = self._number(at, row.size)
            negative = signed(number, row.size * 8)
            number = negative if row.is_signed else number
            return next((name for name, value in row.values if value == number), negative)
        if isinstance(row, Var):
            return {row.name: self.value(row.type_id, at)}
        if isinstance(row, DataSec):
            return self._section(row, at)
        if isinstance(row, Float):
            return self._float(row, at)
        return self._number(at, self.btf.size_of(row.id))

    def _spend(self, count: int) -> None:
        self.budget -= count
        if self.budget < 0:
            raise InputError(f"{self.where}: more than {BASE_BUDGET} values in {len(self.data)} bytes")

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], self.btf.byteorder)

    def _int(self, row: Int, at: int) -> Value:
        if row.bit_offset or row.bits % 8 or row.bits not in (8, 16, 32, 64, 128):
            return hex(read_bits(self.data, at * 8 + row.bit_offset, row.bits, self.btf.byteorder))
        number = self._number(at, row.bits // 8)
        if row.bits == 128:
            return hex(number)
        if row.is_bool:
            return bool(number)
        if row.is_char:
            return chr(number)
        return signed(number, row.bits) if row.is_signed else number

    def _float(self, row: Float, at: int) -> Value:
        data = self.data[at : at + row.size]
        if row.size not in _FLOATS:
            return "0x" + (data if self.btf.byteorder == "big" else data[::-1]).hex()
        (number,) = struct.unpack(("<" if self.btf.byteorder == "little" else ">") + _FLOATS[row.size], data)
        return float(number)

    def _struct(self, row: Struct, at: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for m in row.members:
            bit = at * 8 + m.bit_offset
            member: Value
            if m.bit_size:
                self._spend(1)
                member = hex(read_bits(self.data, bit, m.bit_size, self.btf.byteorder))
            elif bit % 8:
                member = self._loose_int(self.btf.resolve(m.type_id), bit)
            else:
                member = self.value(m.type_id, bit // 8)
            earlier = found.get(m.name)
            if m.name == "" and isinstance(earlier, dict) and isinstance(member, dict):
                _merge(earlier, member)
            else:
                found[m.name] = member
        return found

    def _loose_int(self, row: Type, bit: int) -> Value:
        """A bit field as old pahole wrote it: the int itself says how many bits, the member where."""
        if not isinstance(row, Int):
            raise InputError(f"{self.where}: a {row.kind.name.lower()} at bit {bit}, expected a multiple of 8")
        return hex(read_bits(self.data, bit + row.bit_offset, row.bits, self.btf.byteorder))

    def _array(self, row: Array, at: int) -> Value:
        size = self.btf.size_of(row.type_id)
        if is_char_array(self.btf, row):
            text, nul, _rest = self.data[at : at + row.nelems].partition(b"\0")
            if nul and all(0x20 <= byte < 0x7F for byte in text):
                return text.decode("ascii")
        element = self.btf.resolve(row.type_id)
        if isinstance(element, Int) and size == 1 and element.bits == 8 and not element.is_char | element.is_bool:
            data = self.data[at : at + row.nelems]
            return [signed(byte, 8) for byte in data] if element.is_signed else list(data)
        if row.nelems > self.budget:
            raise InputError(f"{self.where}: an array of {row.nelems} elements in {len(self.data)} bytes")
        return [self.value(row.type_id, at + index * size) for index in range(row.nelems)]

    def _section(self, row: DataSec, at: int) -> dict[str, Value]:
        found: list[Value] = []
        for v in row.variables:
            size = self.btf.size_of(v.type_id)
            if at + v.offset + size > len(self.data):
                raise InputError(
                    f"{self.where}: variable of type {v.type_id} ends at byte {at + v.offset + size}, "
                    f"expected at most {len(self.data)}"
                )
            found.append(self.value(v.type_id, at + v.offset))
        return {row.name: found}


def _merge(into: dict[str, Value], more: dict[str, Value]) -> None:
    """Add the fields of one more anonymous member; C keeps their names apart."""
    for name, value in more.items():
        mine = into.get(name)
        if name == "" and isinstance(mine, dict) and isinstance(value, dict):
            _merge(mine, value)
        else:
            into[name] = value
