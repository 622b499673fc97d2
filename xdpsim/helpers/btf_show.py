"""bpf_snprintf_btf: a kernel type's value as text, the way of btf_type_show in kernel/bpf/btf.c.

Type numbers are those of the shipped Linux 6.18 types, against which programs are relocated by default. A type of which
that table tells only the size is answered like one that does not exist.
"""

from __future__ import annotations

from xdpsim.bits import signed
from xdpsim.btf.linux618 import linux618
from xdpsim.btf.types import ALIASES, Array, Btf, Enum, Int, Kind, Member, Ref, Struct, Type
from xdpsim.errors import InputError
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.printf import pointer_text
from xdpsim.helpers.probe import kernel_error
from xdpsim.helpers.rows import helper

_ENOENT, _EINVAL = 2, 22
COMPACT, NO_NAMES, RAW_POINTERS, ZEROES = 1, 2, 4, 8
"""BTF_F_COMPACT, BTF_F_NONAME, BTF_F_PTR_RAW, BTF_F_ZERO."""
_ALL_FLAGS = 15
_BTF_PTR_BYTES = 16
_MOST_NESTED = 10
"""BTF_SHOW_MAX_ITER: stars, brackets and typedefs of one type."""
_MOST_INDENT = 32
_SIZED = (Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT)
"""btf_type_has_size: other elements of an array count as 0 bytes, so that the first is shown again and again."""


@helper(149)
def bpf_snprintf_btf(machine: Machine, out: int, size: int, what: int, what_size: int, flags: int) -> int:
    """Show the value that a btf_ptr names, cut to `size` bytes with a NUL; the length of the whole, or an errno."""
    if flags & ~_ALL_FLAGS or what_size != _BTF_PTR_BYTES:
        return -_EINVAL
    raw = machine.space.read(what, what_size)
    addr, type_id = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:12], "little")
    table = linux618()
    if type_id == 0:
        return -_EINVAL
    if type_id >= len(table.btf.types) or type_id in table.opaque:
        return -_ENOENT
    length = _size_of(table.btf, type_id)
    if not machine.space.readable(addr, length):
        return kernel_error(machine, addr)
    shower = _Shower(table.btf, flags, machine, machine.space.read(addr, length))
    shower.show(type_id, 0, 0)
    if shower.text:
        machine.space.write(out, bytes(shower.text[: size - 1]) + b"\0")
    return len(shower.text)


def _size_of(btf: Btf, type_id: int) -> int:
    try:
        return btf.size_of(type_id)
    except InputError:
        return 0  # functions and the like, of which only the kind is shown


class _Shower:
    """Walks a value. Members that are all zeroes are left out: a walk without output (`checking`) finds that out."""

    def __init__(self, btf: Btf, flags: int, machine: Machine, data: bytes) -> None:
        self.btf, self.flags, self.machine, self.data = btf, flags, machine, data
        self.text = bytearray()
        self.depth = 0
        self.checking = 0
        self.deepest = 0
        self.member: Member | None = None
        self.in_array = False
        self.chars = False
        self.terminated = False

    def show(self, type_id: int, at: int, bit: int) -> None:
        """Show the value of a type `at` bytes from the start, `bit` bits further on."""
        row = self.btf.resolve(type_id)
        if isinstance(row, (Struct, Array)):
            self._aggregate(row, type_id, at)
        elif isinstance(row, Int):
            self._int(row, type_id, at, bit)
        elif isinstance(row, Enum):
            self._enum(row, type_id, at)
        elif row.kind is Kind.PTR:
            value = self._number(at, 8)
            text = pointer_text(self.machine, value, raw=bool(self.flags & RAW_POINTERS))
            self._value(type_id, b"0x" + text, bool(value))
        else:
            self._put(b"<unsupported kind:%d>" % row.kind.value)

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], "little")

    def _put(self, text: bytes) -> None:
        if not self.checking:
            self.text += text

    def _indent(self) -> bytes:
        return b"" if self.flags & COMPACT else b" " * min(self.depth, _MOST_INDENT)

    def _end(self) -> bytes:
        """What follows a value: a delimiter inside of another, and a new line."""
        return (b"," if self.depth else b"") + (b"" if self.flags & COMPACT else b"\n")

    def _value(self, type_id: int, text: bytes, is_set: bool) -> None:
        if is_set or self.flags & ZEROES or self.depth == 0:
            self._put(self._indent() + self._name(type_id) + text + self._end())
            self.deepest = max(self.deepest, self.depth)

    def _int(self, row: Int, type_id: int, at: int, bit: int) -> None:
        if bit or row.bit_offset or row.bits % 8 or row.bits not in (8, 16, 32, 64):
            self._bits(type_id, at, bit + row.bit_offset, row.bits)
            return
        value = self._number(at, row.size)
        if row.bits == 8 and self.chars:
            if self.terminated or value == 0:
                self.terminated = True
                return
            if 32 <= value < 127 or value >= 160:
                self._value(type_id, b"'%c'" % value, True)
                return
        shown = signed(value, row.bits) if row.is_signed else value
        self._value(type_id, b"%d" % shown, bool(value))

    def _bits(self, type_id: int, at: int, bit: int, bits: int) -> None:
        value = (self._number(at, -(-(bit + bits) // 8)) >> bit) & ((1 << bits) - 1)
        self._value(type_id, _wide_hex(value), bool(value))

    def _enum(self, row: Enum, type_id: int, at: int) -> None:
        size = 8 if row.kind is Kind.ENUM64 else 4
        value = self._number(at, size)
        for name, number in row.values:
            if (number - value) % (1 << 8 * size) == 0:
                self._value(type_id, name.encode(), True)
                return
        shown = signed(value, 8 * size) if row.is_signed else value
        self._value(type_id, b"%d" % shown, bool(value))

    def _aggregate(self, row: Struct | Array, type_id: int, at: int) -> None:
        """First without output, to see whether there is something in it; then, if there is, once more."""
        walk, member = self._struct if isinstance(row, Struct) else self._array, self.member
        if self.depth > 0 and not self.flags & ZEROES:
            if not self.checking:
                self.checking, self.deepest = self.depth + 1, 0
            walk(row, type_id, at)
            self.member = member
            if self.checking != self.depth + 1:
                return
            self.checking = 0
            if self.deepest <= self.depth:
                return
        walk(row, type_id, at)

    def _open(self, type_id: int) -> None:
        self._put(self._indent() + self._name(type_id) + (b"" if self.flags & COMPACT else b"\n"))
        self.depth += 1

    def _close(self, bracket: bytes) -> None:
        self.depth -= 1
        self._put(self._indent() + bracket + self._end())

    def _struct(self, row: Type, type_id: int, at: int) -> None:
        assert isinstance(row, Struct)
        self._open(type_id)
        for member in row.members:
            self.member = member
            place = at + member.bit_offset // 8
            if member.bit_size:
                self._bits(member.type_id, place, member.bit_offset % 8, member.bit_size)
            else:
                self.show(member.type_id, place, member.bit_offset % 8)
            self.member = None
        self._close(b"}")

    def _array(self, row: Type, type_id: int, at: int) -> None:
        assert isinstance(row, Array)
        element = self.btf.resolve(row.type_id)
        size = self.btf.size_of(element.id) if element.kind in _SIZED else 0
        self.chars, self.terminated = isinstance(element, Int) and (size == 1 or element.is_char), False
        self._open(type_id)
        for index in range(row.nelems):
            self.in_array, self.member = True, None
            self.show(row.type_id, at + index * size, 0)
            self.in_array, self.member = False, None
            if self.terminated:
                break
        self.chars = self.terminated = False
        self._close(b"]")

    def _name(self, type_id: int) -> bytes:
        """`.member = (struct name *[]){`, as much of it as there is."""
        if self.in_array:
            return b""
        member = self.member
        found = _describe(self.btf, member.type_id if member else type_id)
        if found is None:
            return b""
        text, opening = found
        if self.flags & NO_NAMES:
            return opening.encode()
        front = f".{member.name} = " if member and member.name else ""
        return f"{front}({text}){opening}".encode()


def _describe(btf: Btf, type_id: int) -> tuple[str, str] | None:
    """A type's name with its stars and brackets, and the bracket that opens its value; None if nested too deep."""
    row, name = btf.get(type_id), ""
    stars = brackets = ""
    opening, is_pointer, is_typedef = "", False, False
    for _ in range(_MOST_NESTED):
        if isinstance(row, Array):
            brackets, opening, following = brackets + "[]", "[", row.type_id
        elif isinstance(row, Ref) and row.kind is Kind.PTR:
            stars, is_pointer, following = stars + "*", True, row.type_id
        elif isinstance(row, Ref) and row.kind is Kind.TYPEDEF:
            name, is_typedef, following = name or row.name, True, row.type_id
        else:
            break
        if not following:
            break
        row = btf.get(following)
        while isinstance(row, Ref) and row.kind in ALIASES and row.kind is not Kind.TYPEDEF:
            row = btf.get(row.type_id)
    else:
        return None
    name = name or ("" if row.kind is Kind.VOID else row.name)
    prefix = ""
    if isinstance(row, Struct):
        prefix, opening = row.kind.name.lower(), opening or "{"
    elif isinstance(row, Enum):
        prefix = "enum"
    if is_typedef:
        prefix = ""
    text = f"{prefix}{' ' if prefix and name else ''}{name}{' ' if stars else ''}{stars}{brackets}"
    return text, "" if is_pointer else opening


def _wide_hex(value: int) -> bytes:
    """A number of up to 128 bits."""
    upper, lower = value >> 64, value & ((1 << 64) - 1)
    return b"0x%x%016x" % (upper, lower) if upper else b"0x%x" % lower
