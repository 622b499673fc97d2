"""Sums, differences, products and negatives of numbers of which bits and ranges are known.

Each function takes (dst, src, bits) and gives the whole word; results of 32 bits have a clear upper half. Follows
scalar_min_max_add, _sub and _mul, their 32-bit forms, and tnum.c.
"""

from __future__ import annotations

from xdpsim.bits import M32, M64
from xdpsim.verifier.scalar import S32_MAX, S32_MIN, S64_MAX, S64_MIN, Scalar, const, made_of
from xdpsim.verifier.scalar_sync import synced, synced_low
from xdpsim.verifier.tnum import tnum_add, tnum_mul, tnum_neg, tnum_sub

_Four = tuple[int, int, int, int]
_ANY32: tuple[int, int] = (S32_MIN, S32_MAX)
_ANY64: tuple[int, int] = (S64_MIN, S64_MAX)


def add(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d + s."""
    value, mask = tnum_add(d.value, d.mask, s.value, s.mask)
    if bits == 32:
        return synced_low(value, mask, *_add32(d, s))
    return synced((value, mask, *_add64(d, s), *_add32(d, s)))


def plus(d: Scalar, distance: int) -> Scalar:
    """d + distance as linked registers get it: ranges and bits are not brought into line (sync_linked_regs)."""
    s = const(distance)
    return made_of((*tnum_add(d.value, d.mask, s.value, 0), *_add64(d, s), *_add32(d, s)))


def sub(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d - s."""
    value, mask = tnum_sub(d.value, d.mask, s.value, s.mask)
    if bits == 32:
        return synced_low(value, mask, *_sub32(d, s))
    return synced((value, mask, *_sub64(d, s), *_sub32(d, s)))


def neg(d: Scalar, _: Scalar, bits: int) -> Scalar:
    """0 - d; the second operand is not looked at."""
    zero = const(0)
    value, mask = tnum_neg(d.value, d.mask)
    if bits == 32:
        return synced_low(value, mask, *_sub32(zero, d))
    return synced((value, mask, *_sub64(zero, d), *_sub32(zero, d)))


def mul(d: Scalar, s: Scalar, bits: int) -> Scalar:
    """d * s."""
    value, mask = tnum_mul(d.value, d.mask, s.value, s.mask)
    signed = _signed_product(d.s32_min, d.s32_max, s.s32_min, s.s32_max, _ANY32)
    unsigned = _unsigned_product(d.u32_min, d.u32_max, s.u32_min, s.u32_max, M32)
    if bits == 32:
        return synced_low(value, mask, *signed, *unsigned)
    signed64 = _signed_product(d.smin, d.smax, s.smin, s.smax, _ANY64)
    unsigned64 = _unsigned_product(d.umin, d.umax, s.umin, s.umax, M64)
    return synced((value, mask, *signed64, *unsigned64, *signed, *unsigned))


def _add64(d: Scalar, s: Scalar) -> _Four:
    smin, smax = d.smin + s.smin, d.smax + s.smax
    if not (S64_MIN <= smin <= S64_MAX and S64_MIN <= smax <= S64_MAX):
        smin, smax = _ANY64
    umin, umax = d.umin + s.umin, d.umax + s.umax
    if umin <= M64 < umax:
        return smin, smax, 0, M64
    return smin, smax, umin & M64, umax & M64


def _add32(d: Scalar, s: Scalar) -> _Four:
    smin, smax = d.s32_min + s.s32_min, d.s32_max + s.s32_max
    if not (S32_MIN <= smin <= S32_MAX and S32_MIN <= smax <= S32_MAX):
        smin, smax = _ANY32
    umin, umax = d.u32_min + s.u32_min, d.u32_max + s.u32_max
    if umin <= M32 < umax:
        return smin, smax, 0, M32
    return smin, smax, umin & M32, umax & M32


def _sub64(d: Scalar, s: Scalar) -> _Four:
    smin, smax = d.smin - s.smax, d.smax - s.smin
    if not (S64_MIN <= smin <= S64_MAX and S64_MIN <= smax <= S64_MAX):
        smin, smax = _ANY64
    umin, umax = d.umin - s.umax, d.umax - s.umin
    if umin < 0 <= umax:
        return smin, smax, 0, M64
    return smin, smax, umin & M64, umax & M64


def _sub32(d: Scalar, s: Scalar) -> _Four:
    smin, smax = d.s32_min - s.s32_max, d.s32_max - s.s32_min
    if not (S32_MIN <= smin <= S32_MAX and S32_MIN <= smax <= S32_MAX):
        smin, smax = _ANY32
    umin, umax = d.u32_min - s.u32_max, d.u32_max - s.u32_min
    if umin < 0 <= umax:
        return smin, smax, 0, M32
    return smin, smax, umin & M32, umax & M32


def _signed_product(low: int, high: int, low2: int, high2: int, any: tuple[int, int]) -> tuple[int, int]:
    corners = (low * low2, low * high2, high * low2, high * high2)
    least, most = min(corners), max(corners)
    return (least, most) if any[0] <= least and most <= any[1] else any


def _unsigned_product(low: int, high: int, low2: int, high2: int, most: int) -> tuple[int, int]:
    return (low * low2, high * high2) if high * high2 <= most and low * low2 <= most else (0, most)
