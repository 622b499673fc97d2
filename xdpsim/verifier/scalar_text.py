"""A number as the verifier's log shows it. Follows print_reg_state and print_scalar_ranges (kernel/bpf/log.c)."""

from __future__ import annotations

from xdpsim.bits import M32, M64
from xdpsim.verifier.scalar import S32_MAX, S32_MIN, S64_MAX, S64_MIN, Scalar
from xdpsim.verifier.tnum import tnum_text

_ADD_CONST = 1 << 31


def snum_text(number: int) -> str:
    """A signed word: decimal if it fits 16 bits, else hexadecimal (verbose_snum)."""
    return str(number) if -0x8000 <= number <= 0x7FFF else f"{number & M64:#x}"


def unum_text(number: int) -> str:
    """An unsigned word: decimal if it fits 16 bits, else hexadecimal (verbose_unum)."""
    return str(number) if number <= 0xFFFF else f"{number:#x}"


def scalar_text(num: Scalar, id: int, off: int, precise: bool) -> str:
    """A register that holds a number: `P5`, `scalar(id=1,umax=255,var_off=(0x0; 0xff))`.

    `id` and `off` are the register's: with BPF_ADD_CONST in `id` the distance to its linked registers is shown.
    """
    mark = "P" if precise else ""
    if not num.mask:
        return mark + snum_text(_signed64(num.value))
    parts = []
    if id:
        distance = f"{off:+d}" if id & _ADD_CONST else ""
        parts.append(f"id={id & ~_ADD_CONST}{distance}")
    return f"{mark}scalar({','.join(parts + range_parts(num))})"


def range_parts(num: Scalar) -> list[str]:
    """What is known beyond the type's own limits, equal ends merged: `["smin=0", "umax=255", "var_off=(..)"]`."""
    rows = [
        ("smin", num.smin, num.smin == S64_MIN),
        ("smax", num.smax, num.smax == S64_MAX),
        ("umin", num.umin, num.umin == 0),
        ("umax", num.umax, num.umax == M64),
        ("smin32", _shown32(num.s32_min), num.s32_min == S32_MIN),
        ("smax32", _shown32(num.s32_max), num.s32_max == S32_MAX),
        ("umin32", num.u32_min, num.u32_min == 0),
        ("umax32", num.u32_max, num.u32_max == M32),
    ]
    parts, shown = [], set()
    for index, (name, number, omitted) in enumerate(rows):
        if omitted or index in shown:
            continue
        names = name
        for later in range(index + 2, len(rows), 2):
            other, value, gone = rows[later]
            if not gone and later not in shown and value == number:
                shown.add(later)
                names += f"={other}"
        parts.append(f"{names}={snum_text(number) if name[0] == 's' else unum_text(number)}")
    if num.mask != M64:
        parts.append(f"var_off={tnum_text(num.value, num.mask)}")
    return parts


def _shown32(number: int) -> int:
    """A signed half: as a word with its sign when shown in decimal, without it in hexadecimal."""
    return number if -0x8000 <= number <= 0x7FFF else number & M32


def _signed64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
