"""BLOOM_FILTER: a set of values that may say yes wrongly, never no.

Follows kernel/bpf/bloom_filter.c and include/linux/jhash.h, so that with BPF_F_ZERO_SEED even the wrong answers are
those of Linux; without it Linux's seed is random and here it is 0. `map_extra` is the number of hash functions.
"""

from __future__ import annotations

from xdpsim.bits import M32
from xdpsim.maps.header import MAP, NEG_EINVAL, NEG_ENOENT, NEG_EOPNOTSUPP
from xdpsim.maps.keyless import keyless_problem
from xdpsim.maps.kind import ACCESS_FLAGS, MapKind, MapMemory, declare
from xdpsim.maps.plain import no_lookup, wrong_update
from xdpsim.maps.types import BPF_F_NUMA_NODE, BPF_F_ZERO_SEED, MAP_TYPES
from xdpsim.memory.native import native
from xdpsim.memory.raw import load8, load32, load64, store8

DEFAULT_HASHES, MOST_HASHES = 5, 15
_VALUE_SIZE, _HASHES = MAP.offset("value_size"), MAP.offset("hashes")
_BITS, _MASK = MAP.offset("buckets"), MAP.offset("bucket_mask")
_INITIAL = 0xDEAD_BEEF


@native
def rotate32(word: int, count: int) -> int:
    """A 32-bit word rotated left by 1 to 31 bits."""
    word = word & M32
    return (word << count | word >> 32 - count) & M32


@native
def tail_word(at: int, size: int) -> int:
    """The first `size` bytes at an address, at most 4, as one word."""
    if size >= 4:
        return load32(at)
    word = 0
    while size:
        size -= 1
        word = word << 8 | load8(at + size)
    return word


@native
def jhash(key: int, size: int, seed: int) -> int:
    """Bob Jenkins' hash of `size` bytes as Linux has it, 32 bits; of whole words it is jhash2."""
    a = _INITIAL + size + seed
    b = a
    c = a
    while size > 12:
        a = a + load32(key)
        b = b + load32(key + 4)
        c = c + load32(key + 8)
        a = a - c ^ rotate32(c, 4)
        c = c + b
        b = b - a ^ rotate32(a, 6)
        a = a + c
        c = c - b ^ rotate32(b, 8)
        b = b + a
        a = a - c ^ rotate32(c, 16)
        c = c + b
        b = b - a ^ rotate32(a, 19)
        a = a + c
        c = c - b ^ rotate32(b, 4)
        b = b + a
        size -= 12
        key += 12
    a = a + tail_word(key, size)
    b = b + (tail_word(key + 4, size - 4) if size > 4 else 0)
    c = c + (tail_word(key + 8, size - 8) if size > 8 else 0)
    c = (c ^ b) - rotate32(b, 14)
    a = (a ^ c) - rotate32(c, 11)
    b = (b ^ a) - rotate32(a, 25)
    c = (c ^ b) - rotate32(b, 16)
    a = (a ^ c) - rotate32(c, 4)
    b = (b ^ a) - rotate32(a, 14)
    c = (c ^ b) - rotate32(b, 24)
    return c & M32


@native
def bloom_bit(map_: int, value: int, index: int) -> int:
    """Number of the bit that hash function `index` gives a value."""
    return jhash(value, load32(map_ + _VALUE_SIZE), index) & load64(map_ + _MASK)


@native
def bloom_push(rs: int, map_: int, value: int, flags: int) -> int:
    """Add a value."""
    if flags:
        return NEG_EINVAL
    index = 0
    while index < load64(map_ + _HASHES):
        bit = bloom_bit(map_, value, index)
        at = load64(map_ + _BITS) + (bit >> 3)
        store8(at, load8(at) | 1 << (bit & 7))
        index += 1
    return 0


@native
def bloom_peek(rs: int, map_: int, value: int) -> int:
    """0 when the value may have been added, -ENOENT when it was not."""
    index = 0
    while index < load64(map_ + _HASHES):
        bit = bloom_bit(map_, value, index)
        if load8(load64(map_ + _BITS) + (bit >> 3)) >> (bit & 7) & 1 == 0:
            return NEG_ENOENT
        index += 1
    return 0


@native
def bloom_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """A user's update is a push."""
    return bloom_push(rs, map_, value, flags)


@native
def bloom_delete(rs: int, map_: int, key: int) -> int:
    """Nothing can be taken out."""
    return NEG_EOPNOTSUPP


@native
def bloom_next_key(rs: int, map_: int, key: int, following: int) -> int:
    """There is nothing to walk."""
    return NEG_EOPNOTSUPP


def _build(memory: MapMemory) -> None:
    spec, header = memory.spec, memory.header
    hashes = spec.map_extra or DEFAULT_HASHES
    bits = spec.max_entries * hashes
    most = bits > M32 or bits // 5 * 7 > 1 << 31
    bits = 1 << 32 if most else 1 << (max(bits // 5 * 7, 64) - 1).bit_length()
    block = memory.block(bits // 8, "bits")
    memory.values = block
    header.hashes, header.buckets, header.bucket_mask = hashes, block.address, bits - 1


BLOOM_FILTER = declare(
    MapKind(
        type=MAP_TYPES["BLOOM_FILTER"],
        flags=BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | ACCESS_FLAGS,
        map_extra=MOST_HASHES,
        check=keyless_problem,
        build=_build,
        lookup=no_lookup,
        update=wrong_update,
        user_update=bloom_update,
        delete=bloom_delete,
        next_key=bloom_next_key,
        push=bloom_push,
        peek=bloom_peek,
        length=lambda header: 0,
    )
)
