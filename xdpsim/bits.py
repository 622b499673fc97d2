"""Bit arithmetic on Python ints that stand for machine words. A word is always held unsigned."""

from __future__ import annotations

M8 = 0xFF
M16 = 0xFFFF
M32 = 0xFFFF_FFFF
M64 = 0xFFFF_FFFF_FFFF_FFFF


def mask(bits: int) -> int:
    """All ones in the low `bits` bits."""
    return (1 << bits) - 1


def signed(value: int, bits: int) -> int:
    """The low `bits` bits of `value` read as two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def sign_extend(value: int, from_bits: int, to_bits: int = 64) -> int:
    """Low `from_bits` bits of `value`, sign-extended to an unsigned word of `to_bits`."""
    return signed(value, from_bits) & mask(to_bits)


def byte_swap(value: int, bits: int) -> int:
    """Low `bits` bits (16, 32 or 64) with their bytes reversed; higher bits are dropped."""
    return int.from_bytes((value & mask(bits)).to_bytes(bits // 8, "little"), "big")


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple
