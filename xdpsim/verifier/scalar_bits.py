"""And, or, exclusive or and shifts of numbers of which bits and ranges are known.

Each function takes (dst, src, bits) and gives the whole word; results of 32 bits have a clear upper half. Shifts look
at the count's only member: scalar_alu.py asks before whether it has one in range. Follows scalar_min_max_and, _or,
_xor, _lsh, _rsh and _arsh, and their 32-bit forms.
"""

from __future__ import annotations

from xdpsim.bits import M32, M64
from xdpsim.verifier.scalar import S32_MAX, S32_MIN, S64_MAX, S64_MIN, Scalar
from xdpsim.verifier.scalar_sync import SIGN32, SIGN64, from_bits32, synced, synced_low, updated
from xdpsim.verifier.tnum import tnum_and, tnum_arshift, tnum_or, tnum_xor


def and_(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d & s: at least what is known, at most the smaller of both maxima."""
    value, mask = tnum_and(d.value, d.mask, s.value, s.mask)
    umax, u32_max = min(d.umax, s.umax), min(d.u32_max, s.u32_max)
    return _bitwise(value, mask, value, umax, value & M32, u32_max, not (d.mask | s.mask) & M32, bits)


def or_(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d | s: at least the larger of both minima, at most what is known or may be."""
    value, mask = tnum_or(d.value, d.mask, s.value, s.mask)
    umin, u32_min = max(d.umin, s.umin), max(d.u32_min, s.u32_min)
    most = value | mask
    return _bitwise(value, mask, umin, most, u32_min, most & M32, not (d.mask | s.mask) & M32, bits)


def xor(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d ^ s: what the bits tell."""
    value, mask = tnum_xor(d.value, d.mask, s.value, s.mask)
    most = value | mask
    return _bitwise(value, mask, value, most, value & M32, most & M32, not (d.mask | s.mask) & M32, bits)


def _bitwise(
    value: int, mask: int, umin: int, umax: int, u32_min: int, u32_max: int, low_known: bool, bits: int
) -> Scalar:
    """The signed ranges are the unsigned ones unless those cross the sign; a known low half is taken from the bits."""
    if low_known:
        u32_min = u32_max = value & M32
    low, high = (u32_min ^ SIGN32) - SIGN32, (u32_max ^ SIGN32) - SIGN32
    s32_min, s32_max = (low, high) if low <= high else (S32_MIN, S32_MAX)
    low, high = (umin ^ SIGN64) - SIGN64, (umax ^ SIGN64) - SIGN64
    smin, smax = (low, high) if low <= high else (S64_MIN, S64_MAX)
    fields = (value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max)
    if bits == 64:
        return synced(fields)
    value, mask, *_, s32_min, s32_max, u32_min, u32_max = updated(fields)
    return synced_low(value, mask, s32_min, s32_max, u32_min, u32_max)


def lsh(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d << s; when a one may be shifted out the ranges come from the bits alone."""
    count = s.umin
    u32_min, u32_max = d.u32_min << count, d.u32_max << count
    if count > 31 or d.u32_max > 1 << (31 - count):
        u32_min, u32_max = 0, M32
    if bits == 32:
        value, mask = d.value << count & M32, d.mask << count & M32
        return synced_low(value, mask, *from_bits32(value, mask, S32_MIN, S32_MAX, u32_min, u32_max))
    smin, smax = (d.s32_min << 32, d.s32_max << 32) if count == 32 else (S64_MIN, S64_MAX)
    umin, umax = (0, M64) if d.umax > 1 << (63 - count) else (d.umin << count, d.umax << count)
    value, mask = d.value << count & M64, d.mask << count & M64
    return synced((value, mask, smin, smax, umin, umax, S32_MIN, S32_MAX, u32_min, u32_max))


def rsh(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d >> s without sign; of a 64-bit result the low half's ranges come from the bits alone."""
    count = s.umin
    if bits == 32:
        value, mask = (d.value & M32) >> count, (d.mask & M32) >> count
        ranges = from_bits32(value, mask, S32_MIN, S32_MAX, d.u32_min >> count, d.u32_max >> count)
        return synced_low(value, mask, *ranges)
    unsigned = d.umin >> count, d.umax >> count
    return synced((d.value >> count, d.mask >> count, S64_MIN, S64_MAX, *unsigned, S32_MIN, S32_MAX, 0, M32))


def arsh(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d >> s with its sign; unsigned ranges, and of a 64-bit result the low half's, come from the bits alone."""
    count = s.umin
    value, mask = tnum_arshift(d.value, d.mask, count, bits)
    if bits == 32:
        ranges = from_bits32(value, mask, d.s32_min >> count, d.s32_max >> count, 0, M32)
        return synced_low(value, mask, *ranges)
    return synced((value, mask, d.smin >> count, d.smax >> count, 0, M64, S32_MIN, S32_MAX, 0, M32))
