"""Tristate numbers: words of 64 bits of which some are unknown. A tnum is a pair of ints, `value` and `mask`.

`value` holds the known bits, `mask` has a one for each unknown bit, value & mask == 0. Results are those of
kernel/bpf/tnum.c in Linux 6.18, not merely sound ones: other algorithms know more or less.
"""

from __future__ import annotations

from xdpsim.bits import M32, M64, byte_swap

Tnum = tuple[int, int]

UNKNOWN: Tnum = (0, M64)
HIGH = M64 ^ M32


def tnum_range(low: int, high: int) -> Tnum:
    """The bits that all words from `low` to `high` (both unsigned) have in common."""
    delta = (1 << (low ^ high).bit_length()) - 1
    return low & ~delta & M64, delta


def tnum_add(value: int, mask: int, value2: int, mask2: int) -> Tnum:
    """Sum; a bit that a carry may change is unknown."""
    total = value + value2
    unknown = ((mask + mask2 + total) ^ total) | mask | mask2
    return total & ~unknown & M64, unknown & M64


def tnum_sub(value: int, mask: int, value2: int, mask2: int) -> Tnum:
    """Difference; a bit that a borrow may change is unknown."""
    rest = value - value2
    unknown = ((rest + mask) ^ (rest - mask2)) | mask | mask2
    return rest & ~unknown & M64, unknown & M64


def tnum_neg(value: int, mask: int) -> Tnum:
    """0 minus the number."""
    return tnum_sub(0, 0, value, mask)


def tnum_and(value: int, mask: int, value2: int, mask2: int) -> Tnum:
    """Bitwise and."""
    both = value & value2
    return both, (value | mask) & (value2 | mask2) & ~both


def tnum_or(value: int, mask: int, value2: int, mask2: int) -> Tnum:
    """Bitwise or."""
    either = value | value2
    return either, (mask | mask2) & ~either


def tnum_xor(value: int, mask: int, value2: int, mask2: int) -> Tnum:
    """Bitwise exclusive or."""
    unknown = mask | mask2
    return (value ^ value2) & ~unknown, unknown


def tnum_mul(value: int, mask: int, value2: int, mask2: int) -> Tnum:
    """Product by long multiplication: an unknown bit of the first factor joins both outcomes (since Linux 6.18)."""
    got, unknown = 0, 0
    while value or mask:
        if value & 1:
            got, unknown = tnum_add(got, unknown, value2, mask2)
        elif mask & 1:
            got, unknown = tnum_union(got, unknown, *tnum_add(got, unknown, value2, mask2))
        value, mask = value >> 1, mask >> 1
        value2, mask2 = value2 << 1 & M64, mask2 << 1 & M64
    return got, unknown


def tnum_union(value: int, mask: int, value2: int, mask2: int) -> Tnum:
    """What holds of both numbers' members."""
    unknown = (value ^ value2) | mask | mask2
    return value & value2 & ~unknown, unknown


def tnum_intersect(value: int, mask: int, value2: int, mask2: int) -> Tnum:
    """What is known when both hold; where they contradict each other the bit comes out as one."""
    unknown = mask & mask2
    return (value | value2) & ~unknown, unknown


def tnum_overlap(value: int, mask: int, value2: int, mask2: int) -> bool:
    """Whether no bit known in both differs."""
    return not (value ^ value2) & ~(mask | mask2)


def tnum_lshift(value: int, mask: int, shift: int) -> Tnum:
    """Shift to the left by 0 to 63."""
    return value << shift & M64, mask << shift & M64


def tnum_arshift(value: int, mask: int, shift: int, bits: int) -> Tnum:
    """Arithmetic shift of the low `bits` (32 or 64) by a known count; the result has `bits` bits."""
    word, sign = (1 << bits) - 1, 1 << (bits - 1)
    return (((value & word) ^ sign) - sign) >> shift & word, (((mask & word) ^ sign) - sign) >> shift & word


def tnum_in(value: int, mask: int, value2: int, mask2: int) -> bool:
    """Whether all members of the second number are members of the first."""
    return not mask2 & ~mask and value == value2 & ~mask


def tnum_step(value: int, mask: int, word: int) -> int:
    """The smallest member above `word`, or the largest member when there is none (backported into 6.18)."""
    most = value | mask
    if word >= most:
        return most
    if word < value:
        return value
    if value | word & mask > word:
        flip = (~word & value).bit_length()
        return word >> flip << flip | value & (1 << flip) - 1
    flip = (word & ~most).bit_length()
    kept = (M64 << flip) & M64
    return (((kept & mask & word) | (kept & ~mask)) + (1 << flip)) & mask | value


def tnum_bswap(value: int, mask: int, bits: int) -> Tnum:
    """The low 16, 32 or 64 bits with their bytes reversed, the rest cleared."""
    return byte_swap(value, bits), byte_swap(mask, bits)


def tnum_text(value: int, mask: int) -> str:
    """As Linux's log prints it (tnum_strn): a known number alone, in decimal up to 65535."""
    if mask:
        return f"({value:#x}; {mask:#x})"
    return str(value) if value <= 0xFFFF else f"{value:#x}"
