"""Internet checksums over program memory. Follows net/core/filter.c (bpf_csum_diff) and RFC 1071."""

from __future__ import annotations

from xdpsim.helpers.rows import native_helper
from xdpsim.memory.native import native
from xdpsim.memory.raw import load8, load32

_LOW32 = 0xFFFF_FFFF


@native
def carry_around(total: int) -> int:
    """A sum of 32-bit words brought back to 32 bits by adding what went over; 0 only for a sum of nothing but zeros."""
    total = (total & _LOW32) + (total >> 32)
    return (total & _LOW32) + (total >> 32)


@native
def csum_partial(addr: int, size: int, start: int) -> int:
    """The 32-bit sum of the words of [addr, addr + size) and `start`; an odd rest counts as if zeros followed."""
    total = start
    end = addr + size
    while addr + 4 <= end:
        total = total + load32(addr)
        addr = addr + 4
    shift = 0
    while addr < end:
        total = total + (load8(addr) << shift)
        shift = shift + 8
        addr = addr + 1
    return carry_around(total)


@native
def csum_fold(total: int) -> int:
    """A 32-bit sum in 16 bits, not complemented (csum_from32to16)."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@native_helper(28, only_arguments=True)
def bpf_csum_diff(rs: int, before: int, before_size: int, after: int, after_size: int, seed: int) -> int:
    """The sum, in 16 bits, that takes `before` out of `seed` and puts `after` in. Linux 6.18 takes odd sizes too."""
    total = seed & _LOW32
    if after_size:
        total = csum_partial(after, after_size, total)
        if before_size:
            total = carry_around(total + (csum_partial(before, before_size, 0) ^ _LOW32))
    elif before_size:
        total = csum_partial(before, before_size, total ^ _LOW32) ^ _LOW32
    return csum_fold(total)
