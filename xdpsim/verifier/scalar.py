"""What is known of a 64-bit number: tnum, and signed and unsigned ranges of the word and of its low half.

A Scalar is immutable: transfer functions (scalar_alu.py, scalar_branch.py) return another one, or the same. Follows
struct tnum (kernel/bpf/tnum.c) and the bounds of struct bpf_reg_state (include/linux/bpf_verifier.h).
"""

from __future__ import annotations

from xdpsim.bits import M32, M64

S64_MIN, S64_MAX = -(1 << 63), (1 << 63) - 1
S32_MIN, S32_MAX = -(1 << 31), (1 << 31) - 1


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


UNKNOWN = Scalar(0, M64, S64_MIN, S64_MAX, 0, M64, S32_MIN, S32_MAX, 0, M32)


def const(number: int) -> Scalar:
    """Exactly `number`, taken modulo 2**64."""
    value = number & M64
    signed64 = value - (1 << 64) if value >> 63 else value
    low = value & M32
    signed32 = low - (1 << 32) if low >> 31 else low
    return Scalar(value, 0, signed64, signed64, value, value, signed32, signed32, low, low)


ZERO = const(0)
