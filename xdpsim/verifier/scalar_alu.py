"""What arithmetic makes of what is known of its operands: one function per operation of isa.rows.ALU, and casts.

Each operation takes (dst, src, bits) and gives the whole 64-bit result: 32-bit operations clear the upper half.
Division, remainder, byte swaps and shifts by a count that is not known or too large give an unknown word, even of
known operands: Linux 6.18 does not look further. Follows adjust_scalar_min_max_vals, coerce_reg_to_size and their kin
(kernel/bpf/verifier.c).
"""

from __future__ import annotations

from collections.abc import Callable

from xdpsim.bits import M32, M64, byte_swap, signed
from xdpsim.isa.rows import ALU
from xdpsim.verifier import scalar_arith, scalar_bits
from xdpsim.verifier.scalar import MOST_KEPT, S32_MAX, S32_MIN, S64_MAX, S64_MIN, UNKNOWN, Scalar, const, made_of
from xdpsim.verifier.scalar_sync import sane, synced, synced_again, synced_low
from xdpsim.verifier.tnum import HIGH, tnum_bswap, tnum_range

Transfer = Callable[[Scalar, Scalar, int], Scalar]


def _unknown(_: Scalar, __: Scalar, ___: int) -> Scalar:
    return UNKNOWN


def _remembering(name: str, transfer: Transfer) -> Transfer:
    """`transfer` that computes with numbers when both operands are known, and keeps the other results."""
    meaning = ALU[name].meaning
    results: dict[tuple[Scalar, Scalar, int], Scalar] = {}

    def remembered(d: Scalar, s: Scalar, bits: int) -> Scalar:
        if not d.mask and not s.mask:
            if bits == 64:
                return const(meaning(d.value, s.value, 64) & M64)
            return const(meaning(d.value & M32, s.value & M32, 32) & M32)
        key = (d, s, bits)
        result = results.get(key)
        if result is None:
            if len(results) >= MOST_KEPT:
                results.clear()
            result = results[key] = sane(transfer(d, s, bits))
        return result

    return remembered


def _shift(name: str, transfer: Transfer) -> Transfer:
    """`transfer` for counts that are known and smaller than the word (is_safe_to_compute_dst_reg_range)."""
    shifted = _remembering(name, transfer)

    def guarded(d: Scalar, s: Scalar, bits: int) -> Scalar:
        if s.umax < bits and not s.mask and s.umin == s.umax and s.smin == s.smax:
            return shifted(d, s, bits)
        return UNKNOWN

    return guarded


def _neg(d: Scalar, s: Scalar, bits: int) -> Scalar:
    if not d.mask:
        return const(-d.value & (M64 if bits == 64 else M32))
    return sane(scalar_arith.neg(d, s, bits))


ALU_TRANSFER: dict[str, Transfer] = {
    "add": _remembering("add", scalar_arith.add),
    "sub": _remembering("sub", scalar_arith.sub),
    "mul": _remembering("mul", scalar_arith.mul),
    "div": _unknown,
    "sdiv": _unknown,
    "or": _remembering("or", scalar_bits.or_),
    "and": _remembering("and", scalar_bits.and_),
    "lsh": _shift("lsh", scalar_bits.lsh),
    "rsh": _shift("rsh", scalar_bits.rsh),
    "mod": _unknown,
    "smod": _unknown,
    "xor": _remembering("xor", scalar_bits.xor),
    "arsh": _shift("arsh", scalar_bits.arsh),
    "neg": _neg,
}


def forked(d: Scalar, s: Scalar, op: str) -> tuple[Scalar, Scalar] | None:
    """The two numbers that `d` is split into before `and` and `or` with a known number, or None.

    What may only be -1 or 0, in the word or in its low half, goes on as -1; the same insn is walked once more with 0,
    in a state pushed for it (maybe_fork_scalars, backported into 6.18).
    """
    if s.mask or op not in ("and", "or"):
        return None
    if d.smin == -1 and d.smax == 0:
        return const(-1), const(0)
    if d.s32_min == -1 and d.s32_max == 0:
        return _with_low_half(d, -1), _with_low_half(d, 0)
    return None


def _with_low_half(s: Scalar, number: int) -> Scalar:
    """`s` with a known low half; the word's ranges stay as they are (__mark_reg32_known)."""
    low = number & M32
    value, mask = s.value & HIGH | low, s.mask & HIGH
    return made_of((value, mask, s.smin, s.smax, s.umin, s.umax, number, number, low, low))


def endian(s: Scalar, op: str, bits: int) -> Scalar:
    """A byte swap ("le" on this machine: a cut) of 16, 32 or 64 bits; a swap keeps bits only (scalar_byte_swap)."""
    if not s.mask:
        return const(s.value & (1 << bits) - 1 if op == "le" else byte_swap(s.value, bits))
    if op != "le":
        value, mask = tnum_bswap(s.value, s.mask, bits)
        s = Scalar(value, mask, S64_MIN, S64_MAX, 0, M64, S32_MIN, S32_MAX, 0, M32)
    return sane(synced_again(s if bits == 64 else truncate(s, bits // 8)))


def zext32(s: Scalar) -> Scalar:
    """The low half with a clear upper half, as wX = wY leaves it (zext_32_to_64 and reg_bounds_sync)."""
    return sane(synced_low(s.value, s.mask, s.s32_min, s.s32_max, s.u32_min, s.u32_max))


def truncate(s: Scalar, size_bytes: int) -> Scalar:
    """What a load or store of 1, 2 or 4 bytes keeps, the rest cleared (coerce_reg_to_size)."""
    word = (1 << size_bytes * 8) - 1
    umin, umax = (s.umin & word, s.umax & word) if s.umin & ~word == s.umax & ~word else (0, word)
    low = (s.s32_min, s.s32_max, s.u32_min, s.u32_max) if size_bytes == 4 else (S32_MIN, S32_MAX, 0, M32)
    return synced((s.value & word, s.mask & word, umin, umax, umin, umax, *low))


def movsx(s: Scalar, from_bits: int, bits: int) -> Scalar:
    """The low 8, 16 or 32 bits with their sign, in a word of `bits`; of 32 bits the upper half is clear."""
    if bits == 64:
        return sane(sign_extend_to(s, from_bits // 8))
    if not s.mask:
        return const(signed(s.value, from_bits) & M32)
    low, high = _signed_ends(s.s32_min, s.s32_max, from_bits)
    if (low >= 0) == (high >= 0):
        value, mask = tnum_range(low & M64, high & M64)
        return sane(synced_low(value, mask, low, high, low & M32, high & M32))
    return sane(synced_low(0, M64, low, high, 0, M32))


def sign_extend_to(s: Scalar, size_bytes: int) -> Scalar:
    """The low 1, 2 or 4 bytes with their sign; ranges and bits are not brought into line (coerce_reg_to_size_sx)."""
    bits = size_bytes * 8
    if not s.mask:
        return const(signed(s.value, bits))
    low, high = _signed_ends(s.smin, s.smax, bits)
    if (low >= 0) == (high >= 0):
        value, mask = tnum_range(low & M64, high & M64)
        return made_of((value, mask, low, high, low & M64, high & M64, low, high, low & M32, high & M32))
    return made_of((0, M64, low, high, 0, M64, low, high, 0, M32))


def _signed_ends(low: int, high: int, bits: int) -> tuple[int, int]:
    """The range of the low `bits` of a signed range, or all when what is above them differs between its ends."""
    whole = -(1 << bits - 1), (1 << bits - 1) - 1
    if low >> bits != high >> bits:
        return whole
    low, high = signed(low, bits), signed(high, bits)
    low, high = min(low, high), max(low, high)
    return (low, high) if (low >= 0) == (high >= 0) else whole
