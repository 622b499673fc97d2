"""Native structs, declared once: Python, the native runtime and LLVM IR take offsets and widths from here.

A field is (name, type) or (name, type, count); types are the fixed-width words below or another Struct. Fields are
aligned naturally, as a C compiler would. Nothing here allocates.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Union

from xdpsim.bits import round_up

if TYPE_CHECKING:
    import numpy as np

U8, U16, U32, U64 = 1, 2, 4, 8
_CODES = {U8: "B", U16: "H", U32: "I", U64: "Q"}

FieldType = Union[int, "Struct"]


@dataclass(frozen=True, slots=True)
class Member:
    """One field: byte offset in its struct, bytes of one element, number of elements."""

    name: str
    offset: int
    width: int
    count: int
    struct: Struct | None


class Struct:
    """A C-like struct; `at.name` gives a field's byte offset, `size` the whole, padded to its alignment."""

    def __init__(self, name: str, *fields: tuple[str, FieldType] | tuple[str, FieldType, int]) -> None:
        self.name = name
        self.size: int
        self.members: dict[str, Member] = {}
        offset, self.align = 0, 1
        for field in fields:
            kind, count = field[1], field[2] if len(field) == 3 else 1
            nested = kind if isinstance(kind, Struct) else None
            width = kind.size if isinstance(kind, Struct) else kind
            align = kind.align if isinstance(kind, Struct) else kind
            offset = round_up(offset, align)
            self.members[field[0]] = Member(field[0], offset, width, count, nested)
            offset += width * count
            self.align = max(self.align, align)
        self.size = round_up(offset, self.align)

    def offset(self, name: str) -> int:
        """Byte offset of a field."""
        return self.members[name].offset

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The numpy view of one struct; imports numpy."""
        import numpy as np

        names, formats, offsets = [], [], []
        for member in self.members.values():
            base = member.struct.dtype if member.struct else np.dtype(f"<u{member.width}")
            names.append(member.name)
            formats.append((base, (member.count,)) if member.count > 1 else base)
            offsets.append(member.offset)
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": self.size})

    def scalar(self, name: str) -> tuple[int, struct.Struct]:
        """Offset and packer of a scalar field, for reading and writing it through a buffer."""
        member = self.members[name]
        return member.offset, struct.Struct("<" + _CODES[member.width])


class View:
    """One struct in memory, its scalar fields as attributes; array fields are read through the buffer directly."""

    __slots__ = ("_fields", "address", "base", "buffer")
    buffer: memoryview
    base: int
    address: int
    _fields: dict[str, tuple[int, struct.Struct]]

    def __init__(self, layout: Struct, buffer: memoryview, base: int, address: int) -> None:
        """`base` is the struct's byte offset in `buffer`, `address` its native address."""
        object.__setattr__(self, "buffer", buffer)
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "address", address)
        object.__setattr__(self, "_fields", _scalars(layout))

    def __getattr__(self, name: str) -> int:
        try:
            offset, packer = self._fields[name]
        except KeyError:
            raise AttributeError(name) from None
        value: int = packer.unpack_from(self.buffer, self.base + offset)[0]
        return value

    def __setattr__(self, name: str, value: int) -> None:
        offset, packer = self._fields[name]
        packer.pack_into(self.buffer, self.base + offset, value)


_SCALARS: dict[int, dict[str, tuple[int, struct.Struct]]] = {}


def _scalars(layout: Struct) -> dict[str, tuple[int, struct.Struct]]:
    found = _SCALARS.get(id(layout))
    if found is None:
        plain = [m for m in layout.members.values() if m.count == 1 and m.struct is None]
        found = _SCALARS[id(layout)] = {m.name: layout.scalar(m.name) for m in plain}
    return found
