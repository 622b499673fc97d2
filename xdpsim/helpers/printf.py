"""The kernel's formatting for programs, in two steps: values are packed into 512 bytes, then laid out by the format.

Both steps read the format, and the second can lose its place in the packed bytes where the output is full: what comes
out then is what Linux prints too. There are no kernel symbols here, so %ps, %pS and %pB show numbers; addresses of
xdpsim's own are shown as numbers that are the same in every run. Follows bpf_bprintf_prepare in kernel/bpf/helpers.c
and bstr_printf in lib/vsprintf.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from xdpsim.bits import M32, M64, round_up, signed
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import helper

EINVAL, ENOSPC = 22, 28
MAX_VALUES = 12
"""MAX_BPRINTF_VARARGS."""
_PACKED_BYTES = 512
"""MAX_BPRINTF_BIN_ARGS."""
_BLANK = b"\t\n\v\f\r \xa0"
_BREAKS = bytes((*_BLANK, *b"!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~", *range(0xA1, 0xC0), 0xD7, 0xF7, 0x25))
"""What may follow %p, %s, %pks and %pus: blanks and punctuation, as the kernel's Latin-1 table has them."""
_END = rb"(?=[" + re.escape(_BREAKS) + rb"]|$)"
_SPEC = re.compile(
    rb"%(?P<flags>[-+ 0]*)(?P<width>[1-9][0-9]*)?"
    rb"(?:(?P<ip>p[iI][46])|(?P<symbol>pB)|(?P<text>(?:pks|pus|s)" + _END + rb")|(?P<char>c)"
    rb"|(?P<pointer>p(?:[KxsS]|" + _END + rb"))|(?P<long>l{0,2})(?P<integer>[diuxX]))",
    re.DOTALL,
)
_ALNUM = re.compile(rb"[0-9A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\xff]")
_KERNEL_BASE = 0xFFFF_8880_0000_0000
_MOST_ERRNO = 4095
_MOST_WIDTH = (1 << 23) - 1
"""FIELD_WIDTH_MAX."""


class Refused(Exception):
    """The format or its values are not to be had; `errno` is what the helper answers."""

    def __init__(self, errno: int) -> None:
        super().__init__(errno)
        self.errno = errno


@dataclass(frozen=True)
class _Literal:
    """Bytes of the format that stand for themselves."""

    text: bytes


_Piece = _Literal | re.Match[bytes]


def split_format(template: bytes, count: int) -> Iterator[_Piece]:
    """The format as literals and specifiers; Refused for what Linux refuses, or for more specifiers than values."""
    at = 0
    while at < len(template):
        if template.startswith(b"%%", at):
            yield _Literal(b"%")
            at += 2
        elif template[at] == 0x25:
            match = _SPEC.match(template, at)
            if match is None or count == 0:
                raise Refused(EINVAL)
            yield match
            count, at = count - 1, match.end()
        else:
            byte = template[at]
            if (byte < 32 and byte not in _BLANK) or byte == 127:
                raise Refused(EINVAL)
            yield _Literal(template[at : at + 1])
            at += 1


class _Packer:
    """The first step: what each specifier needs, one after the other in 512 bytes."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.data = bytearray(_PACKED_BYTES)
        self.at = 0

    def pack(self, match: re.Match[bytes], value: int) -> None:
        if match["ip"]:
            self._need(4 if match["ip"].endswith(b"4") else 16)
            self._text(_address_text(match["ip"], value, self.machine))
        elif match["symbol"]:
            self._text(b"%#x" % shown(value, self.machine))
        elif match["text"]:
            self._need(1)
            self._text(_string(match["text"], value, self.machine)[: _PACKED_BYTES - self.at - 1])
        elif match["char"]:
            self._need(1)
            self.data[self.at] = value & 0xFF
            self.at += 1
        else:
            self._word(value, 8 if match["pointer"] or match["long"] else 4)

    def _need(self, count: int) -> None:
        if _PACKED_BYTES - self.at < count:
            raise Refused(ENOSPC)

    def _text(self, text: bytes) -> None:
        """The text and a NUL as far as they fit; the place moves on as if they did."""
        room = max(_PACKED_BYTES - self.at, 0)
        kept = (text[: max(room - 1, 0)] + b"\0")[:room]
        self.data[self.at : self.at + len(kept)] = kept
        self.at += len(text) + 1

    def _word(self, value: int, size: int) -> None:
        self.at = round_up(self.at, 4)
        self._need(size)
        self.data[self.at : self.at + size] = (value & M64).to_bytes(8, "little")[:size]
        self.at += size


def _address_text(kind: bytes, value: int, machine: Machine) -> bytes:
    """%pI4 and its relatives; zeroes where the address cannot be read."""
    size = 4 if kind.endswith(b"4") else 16
    raw = machine.space.read(value, size) if machine.space.readable(value, size) else bytes(size)
    if size == 4:
        return b".".join((b"%d" if kind == b"pI4" else b"%03d") % byte for byte in raw)
    return (b":" if kind == b"pI6" else b"").join(raw[n : n + 2].hex().encode() for n in range(0, 16, 2))


def _string(kind: bytes, value: int, machine: Machine) -> bytes:
    """A string in memory of programs; what cannot be read ends it. There is no user space for %pus to read."""
    return b"" if kind == b"pus" else read_string(value, _PACKED_BYTES, machine)


def read_string(addr: int, most: int, machine: Machine) -> bytes:
    """The bytes from `addr` up to a NUL, the end of readable memory or `most` of them."""
    piece = machine.space.piece_at(addr, 1)
    if piece is None:
        return b""
    at = addr - piece.base
    return bytes(piece.view[at : at + min(most, piece.hi - addr)]).partition(b"\0")[0]


def shown(value: int, machine: Machine) -> int:
    """The number that stands for a value printed as a pointer: itself unless it is an address of xdpsim's own."""
    space = machine.space
    if space.piece_at(value, 1) is None and space.region_at(value) is None and value != machine.run_state.context:
        return value
    return _KERNEL_BASE | crc32(space.describe(value).encode())


def pointer_text(machine: Machine, value: int, *, raw: bool) -> bytes:
    """The 16 digits of %px, or of %p, which in Linux is a hash of 32 bits unless it is 0 or an error."""
    number = shown(value, machine)
    if not raw and 0 < number < M64 - _MOST_ERRNO:
        number = crc32(number.to_bytes(8, "little"))
    return b"%016x" % number


class _Printer:
    """The second step: lays the packed values out; `out` grows without end, of which `size` bytes are kept."""

    def __init__(self, machine: Machine, packed: bytes, size: int) -> None:
        self.machine, self.packed, self.size = machine, packed, size
        self.at = 0
        self.out = bytearray()

    def put(self, match: re.Match[bytes]) -> None:
        if match["ip"] or match["symbol"] or match["text"] in (b"pks", b"pus"):
            if len(self.out) < self.size:
                self.out += self._take_text()
        elif match["text"]:
            self.out += _padded(self._take_text(), match)
        elif match["char"]:
            self.out += _padded(self._take(1).to_bytes(1, "little"), match)
        elif match["pointer"]:
            self.out += self._pointer(match, self._take(8))
        else:
            self.out += _integer(match, self._take(8 if match["long"] else 4))

    def _take_text(self) -> bytes:
        text = self.packed[self.at :].partition(b"\0")[0]
        self.at += len(text) + 1
        return text

    def _take(self, size: int) -> int:
        self.at = round_up(self.at, min(size, 4))
        value = int.from_bytes(self.packed[self.at : self.at + size], "little")
        self.at += size
        return value

    def _pointer(self, match: re.Match[bytes], value: int) -> bytes:
        kind = match["pointer"]
        if kind in (b"ps", b"pS"):
            return _padded(b"%#x" % shown(value, self.machine), match)
        digits = pointer_text(self.machine, value, raw=kind == b"px")
        return _number(b"", digits.lstrip(b"0") or b"0", match["flags"], _width(match)) if match["width"] else digits


def _integer(match: re.Match[bytes], value: int) -> bytes:
    kind, flags = match["integer"], match["flags"]
    sign = b""
    if kind in (b"d", b"i"):
        value = signed(value, 64 if match["long"] else 32)
        sign = b"-" if value < 0 else b"+" if b"+" in flags else b" " if b" " in flags else b""
    digits = {b"x": b"%x", b"X": b"%X"}.get(kind, b"%d") % abs(value)
    return _number(sign, digits, flags, _width(match))


def _width(match: re.Match[bytes]) -> int:
    return min(int((match["width"] or b"0")[:9]), _MOST_WIDTH)


def _number(sign: bytes, digits: bytes, flags: bytes, width: int) -> bytes:
    if b"-" in flags:
        return (sign + digits).ljust(width)
    if b"0" in flags:
        return sign + digits.rjust(width - len(sign), b"0")
    return (sign + digits).rjust(width)


def _padded(text: bytes, match: re.Match[bytes]) -> bytes:
    width = _width(match)
    return text.ljust(width) if b"-" in match["flags"] else text.rjust(width)


def format_text(template: bytes, values: list[int], size: int, machine: Machine) -> tuple[bytes, int]:
    """What fits `size` bytes, without a NUL, and the length of the whole; Refused with the errno that Linux answers."""
    pieces: list[_Piece] = []
    packer, left = _Packer(machine), iter(values)
    for piece in split_format(template, len(values)):
        pieces.append(piece)
        if not isinstance(piece, _Literal):
            packer.pack(piece, next(left))
    printer = _Printer(machine, bytes(packer.data), size)
    behind_pointer = False
    for piece in pieces:
        if isinstance(piece, _Literal):
            # Linux steps over all letters and digits behind a %p and its letter.
            behind_pointer = behind_pointer and _ALNUM.fullmatch(piece.text) is not None
            if not behind_pointer:
                printer.out += piece.text
        else:
            printer.put(piece)
            behind_pointer = piece.group().lstrip(b"%-+ 0123456789").startswith(b"p")
    return bytes(printer.out[: max(size - 1, 0)]), len(printer.out)


def read_values(machine: Machine, data: int, size: int) -> list[int]:
    """The array of words that vprintk and snprintf take; Refused unless its size is a multiple of 8 up to 96."""
    if size % 8 or size > MAX_VALUES * 8 or (size and not data):
        raise Refused(EINVAL)
    raw = machine.space.read(data, size) if size else b""
    return [int.from_bytes(raw[n : n + 8], "little") for n in range(0, size, 8)]


@helper(165)
def bpf_snprintf(machine: Machine, out: int, size: int, template: int, data: int, data_size: int) -> int:
    """Format into `out`, cut to `size` bytes with a NUL; the bytes that the whole needs, its NUL included."""
    try:
        values = read_values(machine, data, data_size)
        text, length = format_text(read_string(template, M32, machine), values, size, machine)
    except Refused as refused:
        return -refused.errno
    if size:
        machine.space.write(out, text + b"\0")
    return length + 1
