"""What a comparison of two numbers tells: whether a branch is decided, and what each way leaves of both numbers.

`op` is a name of isa.rows.BRANCH, `bits` 64 or 32. Follows is_scalar_branch_taken, regs_refine_cond_op and
reg_set_min_max (kernel/bpf/verifier.c); order and number of the steps are Linux's, and show in the results.
"""

from __future__ import annotations

from collections.abc import Callable

from xdpsim.bits import M32, M64
from xdpsim.verifier.scalar import MOST_KEPT, S32_MAX, S32_MIN, S64_MAX, S64_MIN, Scalar, numbers
from xdpsim.verifier.scalar_sync import SIGN32, SIGN64, sane, synced, synced_again
from xdpsim.verifier.tnum import HIGH, tnum_and, tnum_intersect, tnum_or

Four = tuple[Scalar, Scalar, Scalar, Scalar]
Fields = list[int]
"""A number under change: the fields of a Scalar in order."""

VALUE, MASK, SMIN, SMAX, UMIN, UMAX, S32MIN, S32MAX, U32MIN, U32MAX = range(10)
_refined: dict[tuple[Scalar, Scalar, str, int], Four] = {}


def branch_taken(a: Scalar, b: Scalar, op: str, bits: int) -> int:
    """1 when the branch is always taken, 0 when never, -1 when it may go either way."""
    return _DECIDERS[op](a, b, bits)


def _equal(a: Scalar, b: Scalar, bits: int) -> int:
    unknown, differing = a.mask | b.mask, a.value ^ b.value
    if bits == 64:
        if not unknown:
            return 0 if differing else 1
        if differing & ~unknown or a.umin > b.umax or a.umax < b.umin or a.smin > b.smax or a.smax < b.smin:
            return 0
    else:
        if not unknown & M32:
            return 0 if differing & M32 else 1
        if differing & ~unknown & M32:
            return 0
    apart = a.u32_min > b.u32_max or a.u32_max < b.u32_min or a.s32_min > b.s32_max or a.s32_max < b.s32_min
    return 0 if apart else -1


def _not_equal(a: Scalar, b: Scalar, bits: int) -> int:
    known = _equal(a, b, bits)
    return known if known < 0 else 1 - known


def _bit_set(a: Scalar, b: Scalar, bits: int) -> int:
    word = M64 if bits == 64 else M32
    if b.mask & word:
        a, b = b, a
    if b.mask & word:
        return -1
    wanted = b.value & word
    if a.value & wanted:
        return 1
    return -1 if (a.mask | a.value) & wanted else 0


def _above(a: Scalar, b: Scalar, bits: int) -> int:
    if bits == 64:
        return 1 if a.umin > b.umax else 0 if a.umax <= b.umin else -1
    return 1 if a.u32_min > b.u32_max else 0 if a.u32_max <= b.u32_min else -1


def _above_or_equal(a: Scalar, b: Scalar, bits: int) -> int:
    if bits == 64:
        return 1 if a.umin >= b.umax else 0 if a.umax < b.umin else -1
    return 1 if a.u32_min >= b.u32_max else 0 if a.u32_max < b.u32_min else -1


def _greater(a: Scalar, b: Scalar, bits: int) -> int:
    if bits == 64:
        return 1 if a.smin > b.smax else 0 if a.smax <= b.smin else -1
    return 1 if a.s32_min > b.s32_max else 0 if a.s32_max <= b.s32_min else -1


def _greater_or_equal(a: Scalar, b: Scalar, bits: int) -> int:
    if bits == 64:
        return 1 if a.smin >= b.smax else 0 if a.smax < b.smin else -1
    return 1 if a.s32_min >= b.s32_max else 0 if a.s32_max < b.s32_min else -1


_DECIDERS: dict[str, Callable[[Scalar, Scalar, int], int]] = {
    "jeq": _equal,
    "jne": _not_equal,
    "jset": _bit_set,
    "jgt": _above,
    "jge": _above_or_equal,
    "jlt": lambda a, b, bits: _above(b, a, bits),
    "jle": lambda a, b, bits: _above_or_equal(b, a, bits),
    "jsgt": _greater,
    "jsge": _greater_or_equal,
    "jslt": lambda a, b, bits: _greater(b, a, bits),
    "jsle": lambda a, b, bits: _greater_or_equal(b, a, bits),
}


def refine(a: Scalar, b: Scalar, op: str, bits: int) -> Four:
    """What is left of (a, b) where the branch `a op b` is taken, then of (a, b) where it is not."""
    key = (a, b, op, bits)
    known = _refined.get(key)
    if known is None:
        if len(_refined) >= MOST_KEPT:
            _refined.clear()
        known = _refined[key] = (*_one_way(a, b, op, bits), *_one_way(a, b, _OPPOSITE[op], bits))
    return known


def refine_same(a: Scalar, op: str, bits: int) -> tuple[Scalar, Scalar]:
    """What is left of `a` where `a op a` is taken, and where it is not: both operands are one register.

    6.18 decides such a branch as any other and changes the one register on both sides' behalf, step after step.
    """
    ways = []
    for way in (op, _OPPOSITE[op]):
        fields = list(numbers(a))
        _REFINERS[way](fields, fields, bits)
        ways.append(sane(synced_again(synced(_frozen(fields)))))
    return ways[0], ways[1]


_OPPOSITE = {
    "jeq": "jne",
    "jne": "jeq",
    "jset": "not jset",
    "jge": "jlt",
    "jgt": "jle",
    "jle": "jgt",
    "jlt": "jge",
    "jsge": "jslt",
    "jsgt": "jsle",
    "jsle": "jsgt",
    "jslt": "jsge",
}


def _one_way(a: Scalar, b: Scalar, op: str, bits: int) -> tuple[Scalar, Scalar]:
    left, right = list(numbers(a)), list(numbers(b))
    _REFINERS[op](left, right, bits)
    return _settled(a, left), _settled(b, right)


def _settled(before: Scalar, fields: Fields) -> Scalar:
    """The changed number brought into line; the very object it was when nothing came of it."""
    made = synced(_frozen(fields))
    return before if numbers(made) == numbers(before) and type(before) is Scalar else sane(made)


def _frozen(f: Fields) -> tuple[int, int, int, int, int, int, int, int, int, int]:
    return (f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9])


def _refine_equal(a: Fields, b: Fields, bits: int) -> None:
    first = SMIN if bits == 64 else S32MIN
    for low in (first, first + 2):
        a[low] = b[low] = max(a[low], b[low])
        a[low + 1] = b[low + 1] = min(a[low + 1], b[low + 1])
    if bits == 64:
        a[VALUE], a[MASK] = b[VALUE], b[MASK] = tnum_intersect(a[VALUE], a[MASK], b[VALUE], b[MASK])
        return
    value, mask = tnum_intersect(a[VALUE] & M32, a[MASK] & M32, b[VALUE] & M32, b[MASK] & M32)
    _set_low(a, value, mask)
    _set_low(b, value, mask)


def _refine_unequal(a: Fields, b: Fields, bits: int) -> None:
    """A known number that is an end of the other one's range cuts it off."""
    word, sign = (M64, SIGN64) if bits == 64 else (M32, SIGN32)
    if b[MASK] & word:
        a, b = b, a
    if b[MASK] & word:
        return
    number = b[VALUE] & word
    signed = (number ^ sign) - sign
    first = SMIN if bits == 64 else S32MIN
    if a[first + 2] == number:
        a[first + 2] = number + 1 & word
    if a[first + 3] == number:
        a[first + 3] = number - 1 & word
    if a[first] == signed:
        a[first] = ((number + 1 & word) ^ sign) - sign
    if a[first + 1] == signed:
        a[first + 1] = ((number - 1 & word) ^ sign) - sign


def _refine_set(a: Fields, b: Fields, bits: int) -> None:
    """A single known bit is one; of several, any may be."""
    word = M64 if bits == 64 else M32
    if b[MASK] & word:
        a, b = b, a
    number = b[VALUE] & word
    if b[MASK] & word or not number or number & number - 1:
        return
    if bits == 64:
        a[VALUE], a[MASK] = tnum_or(a[VALUE], a[MASK], number, 0)
    else:
        _set_low(a, *tnum_or(a[VALUE] & M32, a[MASK] & M32, number, 0))


def _refine_clear(a: Fields, b: Fields, bits: int) -> None:
    """All bits of a known number are zero in the other; its ranges are forgotten and follow from its bits."""
    word = M64 if bits == 64 else M32
    if b[MASK] & word:
        a, b = b, a
    if b[MASK] & word:
        return
    number = b[VALUE] & word
    a[SMIN:] = [S64_MIN, S64_MAX, 0, M64, S32_MIN, S32_MAX, 0, M32]
    if bits == 64:
        a[VALUE], a[MASK] = tnum_and(a[VALUE], a[MASK], M64 ^ number, 0)
    else:
        _set_low(a, *tnum_and(a[VALUE] & M32, a[MASK] & M32, M32 ^ number, 0))


def _set_low(a: Fields, value: int, mask: int) -> None:
    a[VALUE], a[MASK] = a[VALUE] & HIGH | value, a[MASK] & HIGH | mask


def _refine_most(a: Fields, b: Fields, low: int, apart: int) -> None:
    """a + apart <= b, for the range that begins at field `low`."""
    high = low + 1
    a[high] = min(a[high], b[high] - apart)
    b[low] = max(a[low] + apart, b[low])


def _at_most(wide: int, narrow: int, apart: int, turned: bool) -> Callable[[Fields, Fields, int], None]:
    def refiner(a: Fields, b: Fields, bits: int) -> None:
        low = wide if bits == 64 else narrow
        if turned:
            _refine_most(b, a, low, apart)
        else:
            _refine_most(a, b, low, apart)

    return refiner


_REFINERS: dict[str, Callable[[Fields, Fields, int], None]] = {
    "jeq": _refine_equal,
    "jne": _refine_unequal,
    "jset": _refine_set,
    "not jset": _refine_clear,
    "jle": _at_most(UMIN, U32MIN, 0, turned=False),
    "jlt": _at_most(UMIN, U32MIN, 1, turned=False),
    "jge": _at_most(UMIN, U32MIN, 0, turned=True),
    "jgt": _at_most(UMIN, U32MIN, 1, turned=True),
    "jsle": _at_most(SMIN, S32MIN, 0, turned=False),
    "jslt": _at_most(SMIN, S32MIN, 1, turned=False),
    "jsge": _at_most(SMIN, S32MIN, 0, turned=True),
    "jsgt": _at_most(SMIN, S32MIN, 1, turned=True),
}
