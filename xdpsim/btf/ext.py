"""The .BTF.ext section: which function, source line and CO-RE relocation belongs to which insn.

Records may be longer than the fields known here; the file says how long. Follows btf_ext_parse() in libbpf and
struct btf_ext_header in its btf.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xdpsim.btf.parse import MAGIC, Header, read_header, read_string
from xdpsim.btf.types import Btf
from xdpsim.errors import InputError

LINE_TEXT_LIMIT = 256
_OLD_HEADER_SIZE, _HEADER_SIZE = 24, 32  # without and with CO-RE relocations
MAX_RECORD = 4096


@dataclass(frozen=True, slots=True)
class FuncInfo:
    """The function (BTF FUNC `type_id`) that starts at `offset` bytes into its section."""

    offset: int
    type_id: int


@dataclass(frozen=True, slots=True)
class LineInfo:
    """A source position; `file_off` and `line_off` are string offsets in the .BTF section."""

    offset: int
    file_off: int
    line_off: int
    line_col: int

    @property
    def line(self) -> int:
        """Line number, from 1."""
        return self.line_col >> 10

    @property
    def column(self) -> int:
        """Column, from 1."""
        return self.line_col & 0x3FF


@dataclass(frozen=True, slots=True)
class CoreRelo:
    """A CO-RE relocation: `kind` is enum bpf_core_relo_kind, `access` a path such as "0:1:2"."""

    offset: int
    type_id: int
    access: str
    kind: int


@dataclass(frozen=True)
class BtfExt:
    """The records by the name of the section they are about, in the order of the file."""

    functions: dict[str, tuple[FuncInfo, ...]]
    lines: dict[str, tuple[LineInfo, ...]]
    relocations: dict[str, tuple[CoreRelo, ...]]


class Strings:
    """The string table of a .BTF section, by offset."""

    def __init__(self, btf: Btf) -> None:
        self.raw = btf.raw
        self.header: Header = read_header(btf.raw)
        self.known: dict[int, str] = {}

    def at(self, offset: int) -> str:
        """The string, cut at LINE_TEXT_LIMIT bytes; InputError when the offset lies outside."""
        if offset not in self.known:
            text = read_string(self.raw, self.header, offset, LINE_TEXT_LIMIT)
            if text is None:
                size = self.header.strings_end - self.header.strings_start
                raise InputError(f"btf.ext: string offset {offset}, expected below {size}")
            self.known[offset] = text
        return self.known[offset]


def parse_ext(raw: bytes, btf: Btf) -> BtfExt:
    """All records of a .BTF.ext section that goes with `btf`. InputError names part, offset and expectation."""
    order = "<" if btf.byteorder == "little" else ">"
    if len(raw) < _OLD_HEADER_SIZE:
        raise InputError(f"btf.ext header: {len(raw)} bytes, expected at least {_OLD_HEADER_SIZE}")
    magic, version, _flags, header_size = struct.unpack_from(order + "HBBI", raw)
    if magic != MAGIC:
        raise InputError(f"btf.ext header: magic is 0x{magic:04x}, expected 0x{MAGIC:04x} in the byte order of .BTF")
    if version != 1:
        raise InputError(f"btf.ext header: version {version}, expected 1")
    if not _OLD_HEADER_SIZE <= header_size <= len(raw):
        raise InputError(f"btf.ext header: hdr_len {header_size}, expected {_OLD_HEADER_SIZE} to {len(raw)}")
    reader = _Reader(raw, order, header_size, Strings(btf))
    functions = reader.part("func_info", 8, "II")
    lines = reader.part("line_info", 16, "IIII")
    core = reader.part("core_relo", 24, "IIII") if header_size >= _HEADER_SIZE else {}
    strings = reader.strings
    return BtfExt(
        {name: tuple(FuncInfo(*row) for row in rows) for name, rows in functions.items()},
        {name: tuple(LineInfo(*row) for row in rows) for name, rows in lines.items()},
        {name: tuple(CoreRelo(o, t, strings.at(a), k) for o, t, a, k in rows) for name, rows in core.items()},
    )


class _Reader:
    """Reads the three parts of the section, which are laid out alike."""

    def __init__(self, raw: bytes, order: str, header_size: int, strings: Strings) -> None:
        self.raw, self.order, self.header_size, self.strings = raw, order, header_size, strings

    def part(self, what: str, header_at: int, layout: str) -> dict[str, list[tuple[int, ...]]]:
        """Section name -> records; `header_at` is where the header keeps the part's offset and length."""
        start, length = struct.unpack_from(self.order + "II", self.raw, header_at)
        if not length:
            return {}
        at, end = self.header_size + start, self.header_size + start + length
        if end > len(self.raw) or start % 4 or length < 4:
            raise InputError(f"btf.ext {what}: bytes {at} to {end}, expected at most {len(self.raw)}, aligned to 4")
        (size,) = struct.unpack_from(self.order + "I", self.raw, at)
        known = struct.calcsize(self.order + layout)
        if not known <= size <= MAX_RECORD or size % 4:
            raise InputError(f"btf.ext {what}: records of {size} bytes, expected {known} to {MAX_RECORD}")
        found: dict[str, list[tuple[int, ...]]] = {}
        at += 4
        while at < end:
            if end - at < 8:
                raise InputError(f"btf.ext {what}: {end - at} bytes at offset {at}, expected a section header of 8")
            name_off, count = struct.unpack_from(self.order + "II", self.raw, at)
            at += 8
            name = self.strings.at(name_off)
            if not count or at + count * size > end:
                raise InputError(
                    f"btf.ext {what}: {count} records of {size} bytes for section {name!r} at offset {at}, "
                    f"expected 1 to {(end - at) // size}"
                )
            one = struct.Struct(self.order + layout + f"{size - known}x")
            found.setdefault(name, []).extend(one.iter_unpack(self.raw[at : at + count * size]))
            at += count * size
        return found
