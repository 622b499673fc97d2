"""Helpers that read numbers out of text and compare text. Follows kernel/bpf/helpers.c and lib/kstrtox.c."""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.helpers.rows import native_helper
from xdpsim.memory.native import native
from xdpsim.memory.raw import load8, load64, slt, store64

_EINVAL = -22 & M64
_ERANGE = -34 & M64
_MINUS_ONE = -1 & M64
_BASE_MASK = 0x1F
"""BPF_STRTOX_BASE_MASK: the flags hold the base and nothing else."""
_MOST_DIGITS = 63
"""A number is looked for in so many bytes behind blanks and sign."""
_MAX = M64
_NO_DIGIT = 255


@native
def text_byte(at: int, end: int) -> int:
    """The byte at `at`, NUL from `end` on."""
    return load8(at) if at < end else 0


@native
def is_blank(byte: int) -> int:
    """isspace of the kernel, whose table is Latin-1: a no-break space counts."""
    return 1 if 9 <= byte <= 13 or byte == 32 or byte == 160 else 0


@native
def digit_value(byte: int) -> int:
    """The value of a hexadecimal digit, 255 for what is none."""
    if 48 <= byte <= 57:
        return byte - 48
    lower = byte | 32
    return lower - 87 if 97 <= lower <= 102 else _NO_DIGIT


@native
def has_hex_prefix(at: int, end: int) -> int:
    """Whether 0x or 0X stands at `at`."""
    return 1 if text_byte(at, end) == 48 and text_byte(at + 1, end) | 32 == 120 else 0


@native
def radix_of(at: int, end: int, base: int) -> int:
    """The base that is meant by base 0: 16 behind 0x and before a digit of it, 8 behind 0, else 10."""
    if base:
        return base
    if has_hex_prefix(at, end) and digit_value(text_byte(at + 2, end)) != _NO_DIGIT:
        return 16
    return 8 if text_byte(at, end) == 48 else 10


@native
def skip_blanks(at: int, end: int) -> int:
    """The first address at or behind `at` that holds no blank."""
    while at < end and is_blank(load8(at)):
        at = at + 1
    return at


@native
def parse_digits(start: int, at: int, end: int, base: int, res: int) -> int:
    """Store the number at `at`; the bytes used since `start`, -EINVAL without a digit, -ERANGE over 64 bits."""
    base = radix_of(at, end, base)
    if base == 16 and has_hex_prefix(at, end):
        at = at + 2
    first = at
    value = 0
    overflows = 0
    digit = digit_value(text_byte(at, end))
    while digit < base:
        if value > (_MAX - digit) // base:
            overflows = 1
        value = value * base + digit
        at = at + 1
        digit = digit_value(text_byte(at, end))
    if overflows:
        return _ERANGE
    if at == first:
        return _EINVAL
    store64(res, value)
    return at - start


@native
def parse_magnitude(buf: int, size: int, flags: int, res: int) -> int:
    """Store the number in the text without its sign; the bytes used, or an errno."""
    store64(res, 0)
    base = flags & _BASE_MASK
    if size == 0 or flags & ~_BASE_MASK:
        return _EINVAL
    if base and base != 8 and base != 10 and base != 16:
        return _EINVAL
    end = buf + size
    at = skip_blanks(buf, end)
    if text_byte(at, end) == 45:
        at = at + 1
    if at == end:
        return _EINVAL
    if end - at > _MOST_DIGITS:
        end = at + _MOST_DIGITS
    return parse_digits(buf, at, end, base, res)


@native
def is_negative_text(buf: int, size: int) -> int:
    """Whether a minus sign follows the blanks."""
    return 1 if text_byte(skip_blanks(buf, buf + size), buf + size) == 45 else 0


@native_helper(105)
def bpf_strtol(rs: int, buf: int, size: int, flags: int, res: int) -> int:
    """Store the signed number that the text begins with; the bytes used, -EINVAL without one, -ERANGE if too large."""
    is_negative = is_negative_text(buf, size)
    used = parse_magnitude(buf, size, flags, res)
    if used >> 63:
        return used
    value = load64(res)
    if is_negative:
        value = 0 - value
        if slt(0, value):
            store64(res, 0)
            return _ERANGE
        store64(res, value)
    elif value >> 63:
        store64(res, 0)
        return _ERANGE
    return used


@native_helper(106)
def bpf_strtoul(rs: int, buf: int, size: int, flags: int, res: int) -> int:
    """As strtol, for an unsigned number: a minus sign is -EINVAL."""
    is_negative = is_negative_text(buf, size)
    used = parse_magnitude(buf, size, flags, res)
    if used >> 63 == 0 and is_negative:
        store64(res, 0)
        return _EINVAL
    return used


@native_helper(182)
def bpf_strncmp(rs: int, left: int, size: int, right: int) -> int:
    """-1, 0 or 1 as the first `size` bytes of `left` sort before, with or behind the string `right`."""
    end = left + size
    while left < end:
        a = load8(left)
        b = load8(right)
        if a != b:
            return _MINUS_ONE if a < b else 1
        if a == 0:
            return 0
        left = left + 1
        right = right + 1
    return 0
