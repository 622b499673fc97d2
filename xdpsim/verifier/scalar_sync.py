"""Brings the ranges and the bits of a number into line with each other, step by step as Linux does.

The steps are neither complete nor idempotent, so their order and number are part of the result: a number is what
Linux computes, which its log shows. Follows reg_bounds_sync and reg_bounds_sanity_check (kernel/bpf/verifier.c).
"""

from __future__ import annotations

from xdpsim.bits import M32, M64
from xdpsim.verifier.scalar import (
    MOST_KEPT,
    S32_MAX,
    S32_MIN,
    S64_MAX,
    S64_MIN,
    Numbers,
    Scalar,
    Violated,
    const,
    made_of,
    numbers,
)
from xdpsim.verifier.tnum import HIGH, tnum_intersect, tnum_range, tnum_step

SIGN32, SIGN64 = 1 << 31, 1 << 63
_ROUNDS = 3
_Four = tuple[int, int, int, int]
_synced: dict[Numbers, Scalar] = {}


def synced(fields: Numbers) -> Scalar:
    """The number with these fields (value, mask, smin, smax, umin, umax, s32_min, .., u32_max), brought into line."""
    known = _synced.get(fields)
    if known is not None:
        return known
    known = made_of(_sync(fields) if fields[1] else _sync_known(fields))
    if len(_synced) >= MOST_KEPT:
        _synced.clear()
    _synced[fields] = known
    return known


def sync(
    value: int,
    mask: int,
    smin: int,
    smax: int,
    umin: int,
    umax: int,
    s32_min: int = S32_MIN,
    s32_max: int = S32_MAX,
    u32_min: int = 0,
    u32_max: int = M32,
) -> Scalar:
    """The number with these fields, brought into line (reg_bounds_sync)."""
    return synced((value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max))


def synced_low(value: int, mask: int, s32_min: int, s32_max: int, u32_min: int, u32_max: int) -> Scalar:
    """The number whose low half has these fields and whose upper half is zero, brought into line (zext_32_to_64)."""
    smin, smax = (s32_min, s32_max) if s32_min >= 0 and s32_max >= 0 else (0, M32)
    return synced((value & M32, mask & M32, smin, smax, u32_min, u32_max, s32_min, s32_max, u32_min, u32_max))


def limit_s32(s: Scalar, low: int, high: int) -> Scalar:
    """`s` when it is known to lie in low..high, both signed 32-bit numbers (__mark_reg_s32_range)."""
    narrowed = (max(s.smin, low), min(s.smax, high), s.umin, s.umax, max(s.s32_min, low), min(s.s32_max, high))
    return sane(synced((s.value, s.mask, *narrowed, s.u32_min, s.u32_max)))


def limit_smax(s: Scalar, high: int) -> Scalar:
    """`s` when it is known that it is at most `high`, a signed word."""
    return synced((s.value, s.mask, s.smin, high, s.umin, s.umax, s.s32_min, s.s32_max, s.u32_min, s.u32_max))


def sane(s: Scalar) -> Scalar:
    """`s`, or when its ranges contradict each other a Violated with its bits and no ranges."""
    if s.umin > s.umax or s.smin > s.smax or s.u32_min > s.u32_max or s.s32_min > s.s32_max:
        return _violated(s, "range bounds violation")
    if s.mask & M32:
        return s
    if not s.mask and not (s.value == s.umin == s.umax and (s.value ^ SIGN64) - SIGN64 == s.smin == s.smax):
        return _violated(s, "const tnum out of sync with range bounds")
    low = s.value & M32
    if not (low == s.u32_min == s.u32_max and (low ^ SIGN32) - SIGN32 == s.s32_min == s.s32_max):
        return _violated(s, "const subreg tnum out of sync with range bounds")
    return s


def _violated(s: Scalar, what: str) -> Violated:
    made = Violated(s.value, s.mask, S64_MIN, S64_MAX, 0, M64, S32_MIN, S32_MAX, 0, M32)
    made.why = (
        f"{what} u64=[{s.umin:#x}, {s.umax:#x}] s64=[{s.smin & M64:#x}, {s.smax & M64:#x}] "
        f"u32=[{s.u32_min:#x}, {s.u32_max:#x}] s32=[{s.s32_min & M32:#x}, {s.s32_max & M32:#x}] "
        f"var_off=({s.value:#x}, {s.mask:#x})"
    )
    return made


def updated(fields: Numbers) -> Numbers:
    """The ranges narrowed by the known bits; a word with only one member in both is known (__update_reg_bounds)."""
    value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max = fields
    smin, smax, umin, umax = _narrowed(value, mask, smin, smax, umin, umax, SIGN64)
    unknown = ~mask
    if umin & unknown != value or umax & unknown != value or umax <= umin:
        only = _only_member(value, mask, umin, umax)
        if only >= 0:
            return numbers(const(only))
    return (value, mask, smin, smax, umin, umax, *from_bits32(value, mask, s32_min, s32_max, u32_min, u32_max))


def _sync_known(fields: Numbers) -> Numbers:
    """Known bits that fit all ranges settle everything."""
    made = numbers(const(fields[0]))
    value, _, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max = fields
    fits = umin <= value <= umax and smin <= made[2] <= smax
    low = value & M32
    return made if fits and u32_min <= low <= u32_max and s32_min <= made[6] <= s32_max else _sync(fields)


def _only_member(value: int, mask: int, umin: int, umax: int) -> int:
    """The one number that fits bits and range as Linux looks for it, or -1."""
    following = tnum_step(value, mask, umin)
    if umin & ~mask == value:
        return umin if following > umax else -1
    if following == value | mask or following <= umax < tnum_step(value, mask, following):
        return following
    return -1


def _sync(fields: Numbers) -> Numbers:
    value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max = updated(fields)
    for _ in range(_ROUNDS):
        before = (smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max)
        old_mask = mask
        s32_min, s32_max, u32_min, u32_max = _deduce32(*before)
        smin, smax, umin, umax = _across_sign(smin, smax, umin, umax, SIGN64)
        smin, smax, umin, umax = _low_half(smin, smax, umin, umax, u32_min, u32_max)
        if s32_min >= 0 and smin >= S32_MIN and smax <= S32_MAX:
            smin, smax, umin, umax = s32_min, s32_max, s32_min & M64, s32_max & M64
            value, mask = tnum_intersect(value, mask, *tnum_range(umin, umax))
        if mask == old_mask and before == (smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max):
            break
    value, mask = tnum_intersect(value, mask, *tnum_range(umin, umax))
    low, low_mask = tnum_intersect(value & M32, mask & M32, *tnum_range(u32_min, u32_max))
    value, mask = value & HIGH | low, mask & HIGH | low_mask
    return updated((value, mask, smin, smax, umin, umax, s32_min, s32_max, u32_min, u32_max))


def _narrowed(value: int, mask: int, smin: int, smax: int, umin: int, umax: int, sign: int) -> _Four:
    """The ranges of a word whose sign bit is `sign`, narrowed by its known bits."""
    low = ((value | mask & sign) ^ sign) - sign
    if low > smin:
        smin = low
    most = value | mask
    high = ((value | mask & ~sign) ^ sign) - sign
    if high < smax:
        smax = high
    return smin, smax, value if value > umin else umin, most if most < umax else umax


def from_bits32(value: int, mask: int, s32_min: int, s32_max: int, u32_min: int, u32_max: int) -> _Four:
    """The ranges of the low half, narrowed by the known bits (__update_reg32_bounds)."""
    return _narrowed(value & M32, mask & M32, s32_min, s32_max, u32_min, u32_max, SIGN32)


def _deduce32(
    smin: int, smax: int, umin: int, umax: int, s32_min: int, s32_max: int, u32_min: int, u32_max: int
) -> _Four:
    """The low half's ranges from the word's where that keeps its upper half, or crosses it once from minus to plus."""
    distance = (umax >> 32) - (umin >> 32)
    if not distance or distance == 1 or distance == -M32:
        low, high = umin & M32, umax & M32
        if not distance:
            u32_min, u32_max = low if low > u32_min else u32_min, high if high < u32_max else u32_max
        low, high = (low ^ SIGN32) - SIGN32, (high ^ SIGN32) - SIGN32
        if low <= high if not distance else low < 0 <= high:
            s32_min, s32_max = low if low > s32_min else s32_min, high if high < s32_max else s32_max
    distance = (smax >> 32) - (smin >> 32)
    if not distance or distance == 1 or distance == -M32:
        low, high = smin & M32, smax & M32
        if not distance and low <= high:
            u32_min, u32_max = low if low > u32_min else u32_min, high if high < u32_max else u32_max
        low, high = (low ^ SIGN32) - SIGN32, (high ^ SIGN32) - SIGN32
        if low <= high if not distance else low < 0 <= high:
            s32_min, s32_max = low if low > s32_min else s32_min, high if high < s32_max else s32_max
    return _across_sign(s32_min, s32_max, u32_min, u32_max, SIGN32)


def _across_sign(smin: int, smax: int, umin: int, umax: int, sign: int) -> _Four:
    """Signed from unsigned and back, when one does not cross the other's border or meets only one of its ends."""
    low, high = (umin ^ sign) - sign, (umax ^ sign) - sign
    if low <= high:
        smin, smax = low if low > smin else smin, high if high < smax else smax
    word = sign + sign - 1
    unsigned_low, unsigned_high = smin & word, smax & word
    if unsigned_low <= unsigned_high:
        umin = unsigned_low if unsigned_low > umin else umin
        return smin, smax, umin, unsigned_high if unsigned_high < umax else umax
    if umax < unsigned_low:
        return low, smax, umin, unsigned_high if unsigned_high < umax else umax
    if unsigned_high < umin:
        return smin, high, unsigned_low if unsigned_low > umin else umin, umax
    return smin, smax, umin, umax


def _low_half(smin: int, smax: int, umin: int, umax: int, u32_min: int, u32_max: int) -> _Four:
    """The word's ranges when the low half of their ends is replaced by the low half's own range."""
    low, high = smin & ~M32 | u32_min, smax & ~M32 | u32_max
    if low > smin:
        smin = low
    if high < smax:
        smax = high
    low, high = umin & HIGH | u32_min, umax & HIGH | u32_max
    return smin, smax, low if low > umin else umin, high if high < umax else umax


def synced_again(s: Scalar) -> Scalar:
    """`s` after another pass, which may narrow it further; `s` itself when nothing changes."""
    fields = numbers(s)
    made = synced(fields)
    return s if numbers(made) == fields and type(s) is Scalar else made
