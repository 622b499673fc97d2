"""Numbers as Linux's verifier log prints them: ranges, known bits, constants.

Follows print_scalar_ranges and tnum_strn of kernel/bpf/log.c.
"""

from __future__ import annotations

from xdpsim.bits import M32, M64
from xdpsim.verifier.scalar import S32_MAX, S32_MIN, S64_MAX, S64_MIN, Scalar


def unsigned_text(number: int) -> str:
    """Decimal up to 65535, beyond it hexadecimal."""
    return str(number) if number <= 0xFFFF else f"{number:#x}"


def signed_text(number: int) -> str:
    """Decimal in 16 bits, beyond them hexadecimal in 64."""
    return str(number) if -0x8000 <= number <= 0x7FFF else f"{number & M64:#x}"


def tnum_text(value: int, mask: int) -> str:
    """A constant, or (known ones; unknown bits)."""
    return f"({value:#x}; {mask:#x})" if mask else unsigned_text(value)


def scalar_text(num: Scalar) -> str:
    """Every bound that says something, joined by commas, then the known bits; empty for an unknown number."""
    bounds = [
        ("smin", num.smin, num.smin == S64_MIN),
        ("smax", num.smax, num.smax == S64_MAX),
        ("umin", num.umin, num.umin == 0),
        ("umax", num.umax, num.umax == M64),
        ("smin32", _short(num.s32_min), num.s32_min == S32_MIN),
        ("smax32", _short(num.s32_max), num.s32_max == S32_MAX),
        ("umin32", num.u32_min, num.u32_min == 0),
        ("umax32", num.u32_max, num.u32_max == M32),
    ]
    pieces = []
    omitted = [omit for _, _, omit in bounds]
    for at, (name, value, _) in enumerate(bounds):
        if omitted[at]:
            continue
        names = [name]
        for other in range(at + 2, len(bounds), 2):
            if not omitted[other] and bounds[other][1] == value:
                omitted[other] = True
                names.append(bounds[other][0])
        shown = signed_text(value) if name[0] == "s" else unsigned_text(value)
        pieces.append("=".join((*names, shown)))
    if num.mask != M64 or num.value:
        pieces.append(f"var_off={tnum_text(num.value, num.mask)}")
    return ",".join(pieces)


def _short(number: int) -> int:
    """A bound of the low half: what does not print as a decimal prints as 32 bits."""
    return number if -0x8000 <= number <= 0x7FFF else number & M32
