"""Internet checksums over program memory. Follows net/core/filter.c (bpf_csum_diff) and RFC 1071."""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.helpers.rows import Arg, Ret, native_helper
from xdpsim.memory.native import native
from xdpsim.memory.raw import load32

_EINVAL = -22 & M64
_LOW32 = 0xFFFF_FFFF


@native
def add_words(addr: int, size: int, start: int) -> int:
    """Sum of the 32-bit words of [addr, addr + size) and `start`, in 64 bits; `size` is a multiple of 4."""
    total = start
    end = addr + size
    while addr < end:
        total = total + load32(addr)
        addr = addr + 4
    return total


@native
def fold(total: int) -> int:
    """A sum folded to 16 bits with end-around carry, not complemented."""
    total = (total & _LOW32) + (total >> 32)
    total = (total & _LOW32) + (total >> 32)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@native_helper(
    28, args=(Arg.MEM_OR_NULL, Arg.SIZE_OR_ZERO, Arg.MEM_OR_NULL, Arg.SIZE_OR_ZERO, Arg.ANYTHING), returns=Ret.INTEGER
)
def bpf_csum_diff(rs: int, before: int, before_size: int, after: int, after_size: int, seed: int) -> int:
    """The folded sum that takes `before` out of `seed` and puts `after` in; -EINVAL unless sizes are multiples of 4."""
    if (before_size | after_size) & 3:
        return _EINVAL
    seed = seed & _LOW32
    if before_size == 0 and after_size == 0:
        return seed
    total = seed
    if after_size:
        total = add_words(after, after_size, total)
    if before_size:
        removed = add_words(before, before_size, 0)
        removed = (removed & _LOW32) + (removed >> 32)
        removed = (removed & _LOW32) + (removed >> 32)
        total = total + (_LOW32 - removed)
    return fold(total)
