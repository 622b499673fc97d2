"""bpf_trace_printk: formats a program's text and records it as an event. Follows kernel/trace/bpf_trace.c and
bpf_bprintf_prepare in kernel/bpf/helpers.c."""

from __future__ import annotations

import re

from xdpsim.bits import signed
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import Arg, Ret, helper

_EINVAL = 22
_PIECE = re.compile(
    rb"%%|%(?P<flags>[-+ #0]*)(?P<width>\d*)(?P<length>ll|l|h|hh)?(?P<kind>[diuxXsc]|p[KxSBks]?(?:us|ks)?)?"
)
_MAX_TEXT = 1024
"""TRACE_PRINTK buffer (MAX_BPRINTF_BUF): longer output is cut."""


@helper(6, args=(Arg.MEM, Arg.SIZE), returns=Ret.INTEGER, variadic=True)
def bpf_trace_printk(machine: Machine, fmt: int, size: int, a: int, b: int, c: int) -> int:
    """Record the formatted text; its length, or -EINVAL for a format that Linux refuses."""
    raw = machine.space.read(fmt, size)
    if not raw or b"\0" not in raw:
        return -_EINVAL
    try:
        text = format_text(raw[: raw.index(b"\0")], [a, b, c], machine)
    except ValueError:
        return -_EINVAL
    machine.emit("trace", text[: _MAX_TEXT - 1].decode("latin-1"))
    return len(text)


def format_text(template: bytes, values: list[int], machine: Machine) -> bytes:
    """C formatting with the specifiers that bpf_bprintf_prepare allows; ValueError for others or too few values."""
    left = list(values)

    def expand(match: re.Match[bytes]) -> bytes:
        if match.group() == b"%%":
            return b"%"
        kind = (match["kind"] or b"").decode()
        if not kind or not left:
            raise ValueError(f"format {match.group()!r}")
        return _one(kind, match, left.pop(0), machine)

    if any(byte > 126 or (byte < 32 and byte not in b"\t\n\r\f\v") for byte in template):
        raise ValueError("unprintable byte in the format")
    return _PIECE.sub(expand, template)


def _one(kind: str, match: re.Match[bytes], value: int, machine: Machine) -> bytes:
    flags, width = match["flags"].decode(), match["width"].decode()
    bits = {b"ll": 64, b"l": 64, b"h": 16, b"hh": 8}.get(match["length"] or b"", 32)
    if kind in ("d", "i"):
        return f"%{flags}{width}d".encode() % signed(value, bits)
    if kind in ("u", "x", "X"):
        return f"%{flags}{width}{kind if kind != 'u' else 'd'}".encode() % (value & ((1 << bits) - 1))
    if kind == "c":
        return bytes([value & 0xFF]).rjust(int(width or 0))
    if kind == "s":
        return _string(value, machine).rjust(int(width or 0))
    return machine.space.describe(value).encode()


def _string(addr: int, machine: Machine) -> bytes:
    """A NUL-terminated string in program memory; what cannot be read ends it."""
    found = bytearray()
    while len(found) < _MAX_TEXT and machine.space.readable(addr + len(found), 1):
        byte = machine.space.read(addr + len(found), 1)
        if byte == b"\0":
            break
        found += byte
    return bytes(found)
