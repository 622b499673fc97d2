"""What is known of a 64-bit number: tnum, and signed and unsigned ranges of the word and of its low half.

A Scalar is immutable: transfer functions (scalar_alu.py, scalar_branch.py) return another one, or the same. Equal
results are mostly one object, so that a test by identity settles most comparisons. Follows struct tnum
(kernel/bpf/tnum.c) and the bounds of struct bpf_reg_state (include/linux/bpf_verifier.h).
"""

from __future__ import annotations

from xdpsim.bits import M32, M64

S64_MIN, S64_MAX = -(1 << 63), (1 << 63) - 1
S32_MIN, S32_MAX = -(1 << 31), (1 << 31) - 1
MOST_KEPT = 1 << 16
"""A table of known results is emptied when it holds so many."""

Numbers = tuple[int, int, int, int, int, int, int, int, int, int]
"""The fields of a Scalar in the order of its arguments."""


class Scalar:
    """Bits: `value` holds the known ones, `mask` has a one for each unknown bit (value & mask == 0).

    `umin`, `umax`, `u32_min`, `u32_max` are unsigned, `smin`, `smax`, `s32_min`, `s32_max` signed Python ints; all
    ranges include their ends. Never changed after it was made.
    """

    __slots__ = ("mask", "s32_max", "s32_min", "smax", "smin", "u32_max", "u32_min", "umax", "umin", "value")

    def __init__(
        self,
        value: int,
        mask: int,
        smin: int,
        smax: int,
        umin: int,
        umax: int,
        s32_min: int,
        s32_max: int,
        u32_min: int,
        u32_max: int,
    ) -> None:
        self.value, self.mask = value, mask
        self.smin, self.smax, self.umin, self.umax = smin, smax, umin, umax
        self.s32_min, self.s32_max, self.u32_min, self.u32_max = s32_min, s32_max, u32_min, u32_max

    def __repr__(self) -> str:
        return f"Scalar{numbers(self)}"


class Violated(Scalar):
    """A number whose ranges contradicted each other and were given up; `why` says how they stood.

    Linux prints "verifier bug: REG INVARIANTS VIOLATION (place): " and `why` to its log and goes on.
    """

    __slots__ = ("why",)

    why: str


def numbers(s: Scalar) -> Numbers:
    """All fields, in the order in which Scalar takes them."""
    return (s.value, s.mask, s.smin, s.smax, s.umin, s.umax, s.s32_min, s.s32_max, s.u32_min, s.u32_max)


UNKNOWN = Scalar(0, M64, S64_MIN, S64_MAX, 0, M64, S32_MIN, S32_MAX, 0, M32)
_consts: dict[int, Scalar] = {}
_made: dict[Numbers, Scalar] = {numbers(UNKNOWN): UNKNOWN}


def const(number: int) -> Scalar:
    """Exactly `number`, taken modulo 2**64."""
    known = _consts.get(number)
    if known is not None:
        return known
    value = number & M64
    signed64 = value - (1 << 64) if value >> 63 else value
    low = value & M32
    signed32 = low - (1 << 32) if low >> 31 else low
    if value != number:
        return const(value)
    made = made_of((value, 0, signed64, signed64, value, value, signed32, signed32, low, low))
    if len(_consts) >= MOST_KEPT:
        _consts.clear()
    _consts[value] = made
    return made


def made_of(fields: Numbers) -> Scalar:
    """A Scalar of these fields: the one that exists already, unless it was forgotten."""
    known = _made.get(fields)
    if known is not None:
        return known
    if len(_made) >= MOST_KEPT:
        _made.clear()
    made = _made[fields] = Scalar(*fields)
    return made


def within(new: Scalar, old: Scalar) -> bool:
    """Whether everything that `new` may be `old` may be too (range_within and tnum_in)."""
    return new is old or (
        old.umin <= new.umin
        and old.umax >= new.umax
        and old.smin <= new.smin
        and old.smax >= new.smax
        and old.u32_min <= new.u32_min
        and old.u32_max >= new.u32_max
        and old.s32_min <= new.s32_min
        and old.s32_max >= new.s32_max
        and not new.mask & ~old.mask
        and new.value & ~old.mask == old.value
    )


ZERO = const(0)
