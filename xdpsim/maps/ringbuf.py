"""RINGBUF: records that programs reserve, fill and submit, and that a user drains in that order.

Follows kernel/bpf/ringbuf.c. In memory a ring is one block: three pages for struct RING, then the data. A record is a
header of 8 bytes {u32 length with the busy and discard bits, u32 pages from the block's start} and its bytes, rounded
up to 8 together. Linux maps the data twice in a row so that a record may run over the end; here the second copy is
memory of its own, which is brought in when such a record is reserved and written back when it is committed.

A program may touch a record between reserve and commit only: RingRegion looks that up for each access.
Which arguments programs may pass, and what user space is told, is left to the helpers.
"""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.maps.header import EINVAL, MAP
from xdpsim.maps.kind import MapKind, MapMemory, Problem, declare
from xdpsim.maps.plain import no_lookup, refuse_delete, refuse_lookup, refuse_next_key, refuse_update
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_NUMA_NODE, MAP_TYPES
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import U64, Struct
from xdpsim.memory.native import native
from xdpsim.memory.raw import copy, load32, load64, store32, store64
from xdpsim.memory.space import Piece, Region
from xdpsim.memory.space_ops import find_region
from xdpsim.memory.structs import REGION

PAGE_BYTES = 4096
DATA_AT = 3 * PAGE_BYTES
"""As in Linux, where programs see it in what reserved records still hold of old ones' headers."""
HEADER_BYTES = 8
BUSY, DISCARDED = 1 << 31, 1 << 30
LENGTH_MASK = DISCARDED - 1
LARGEST_RECORD = 0xFFFF_FFFF // 4
"""RINGBUF_MAX_RECORD_SZ."""

BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP = 1, 2
BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE, BPF_RB_CONS_POS, BPF_RB_PROD_POS = 0, 1, 2, 3

RING = Struct(
    "ring",
    ("producer", U64),  # byte positions: they only grow, the data is at position & (size - 1)
    ("consumer", U64),
    ("pending", U64),  # the oldest record that may still be busy, as known at the last reserve
    ("size", U64),
)
_RING = MAP.offset("values")
_PRODUCER, _CONSUMER = RING.offset("producer"), RING.offset("consumer")
_PENDING, _SIZE = RING.offset("pending"), RING.offset("size")
_REGION_STRIDE = REGION.offset("stride")
_RING_STRIDE = M64
"""The stride of a ring's region, which no other region has: a native check knows a ring by it."""


@native
def ringbuf_record_bytes(length: int) -> int:
    """What a record of `length` bytes takes in the ring."""
    return (length & LENGTH_MASK) + HEADER_BYTES + 7 & ~7


@native
def ringbuf_header_at(ring: int, position: int) -> int:
    """Address of the record header at a position."""
    return ring + DATA_AT + (position & load64(ring + _SIZE) - 1)


@native
def ringbuf_reserve(rs: int, map_: int, size: int, flags: int) -> int:
    """Address of `size` bytes for the program to fill, 0 when they are not to be had; what they hold is old data."""
    ring = load64(map_ + _RING)
    room = load64(ring + _SIZE)
    if flags or size > LARGEST_RECORD:
        return 0
    taken = ringbuf_record_bytes(size)
    if taken > room:
        return 0
    position = load64(ring + _PRODUCER)
    pending = load64(ring + _PENDING)
    while pending < position:
        length = load32(ringbuf_header_at(ring, pending))
        if length & BUSY:
            break
        pending += ringbuf_record_bytes(length)
    store64(ring + _PENDING, pending)
    after = position + taken
    if after - load64(ring + _CONSUMER) >= room or after - pending >= room:
        return 0
    header = ringbuf_header_at(ring, position)
    data = ring + DATA_AT
    if header + taken > data + room:
        copy(data + room, data, header + taken - data - room)
    store32(header, size | BUSY)
    store32(header + 4, (header - ring) >> 12)
    store64(ring + _PRODUCER, after)
    return header + HEADER_BYTES


@native
def ringbuf_open_record(ring: int, addr: int) -> int:
    """The header of the busy record that `addr` lies in, 0 without one."""
    position = load64(ring + _PENDING)
    end = load64(ring + _PRODUCER)
    while position < end:
        header = ringbuf_header_at(ring, position)
        length = load32(header)
        size = length & LENGTH_MASK
        if length & BUSY and addr >= header + HEADER_BYTES and addr < header + HEADER_BYTES + size:
            return header
        if length & BUSY and size == 0 and addr == header + HEADER_BYTES:
            return header
        position += ringbuf_record_bytes(length)
    return 0


@native
def ringbuf_is_sample(rs: int, sample: int) -> int:
    """1 when `sample` is what a reserve gave and no commit has taken yet: what helpers check before they commit."""
    region = find_region(rs, sample)
    if region == 0:
        return 0
    if load64(region + _REGION_STRIDE) != _RING_STRIDE:
        return 0
    header = ringbuf_open_record(load64(region) - DATA_AT, sample)
    if header == 0:
        return 0
    return 1 if sample == header + HEADER_BYTES else 0


@native
def ringbuf_commit(rs: int, sample: int, flags: int, discard: int) -> int:
    """Give the record that starts at `sample` to the consumer, or with `discard` drop it; 1 when a consumer is woken.

    `sample` must be a reserved record: ask ringbuf_is_sample where nothing has proven it.
    """
    header = sample - HEADER_BYTES
    ring = (header & ~(PAGE_BYTES - 1)) - (load32(header + 4) << 12)
    room = load64(ring + _SIZE)
    data = ring + DATA_AT
    length = load32(header) & LENGTH_MASK
    end = header + ringbuf_record_bytes(length)
    if end > data + room:
        copy(data, data + room, end - data - room)
    store32(header, length | DISCARDED if discard else length)
    if flags & BPF_RB_FORCE_WAKEUP:
        return 1
    if flags & BPF_RB_NO_WAKEUP:
        return 0
    return 1 if ringbuf_header_at(ring, load64(ring + _CONSUMER)) == header else 0


@native
def ringbuf_query(map_: int, flags: int) -> int:
    """What bpf_ringbuf_query answers: bytes not consumed, the ring's size, the two positions; 0 for other flags."""
    ring = load64(map_ + _RING)
    if flags == BPF_RB_AVAIL_DATA:
        return load64(ring + _PRODUCER) - load64(ring + _CONSUMER)
    if flags == BPF_RB_RING_SIZE:
        return load64(ring + _SIZE)
    if flags == BPF_RB_CONS_POS:
        return load64(ring + _CONSUMER)
    return load64(ring + _PRODUCER) if flags == BPF_RB_PROD_POS else 0


class RingRegion(Region):
    """The data of a ring, of which a program may touch reserved records alone."""

    __slots__ = ("ring",)

    def __init__(self, name: str, block: Block, size: int) -> None:
        super().__init__(name, block, offset=DATA_AT, stride=_RING_STRIDE, valid=2 * size)
        self.ring = block.address

    def piece_at(self, addr: int, size: int) -> Piece | None:
        """The reserved record that holds all of [addr, addr + size).

        The piece is good for one access: its range is empty, so that nobody keeps it beyond the record's commit.
        """
        header = ringbuf_open_record(self.ring, addr)
        if not header:
            return None
        (length,) = self.block.view[header - self.ring : header - self.ring + 4].cast("I")
        if addr + size > header + HEADER_BYTES + (length & LENGTH_MASK):
            return None
        return Piece(self.name, 1, 0, self.block.address, self.block.view)


def drain(memory: MapMemory) -> list[bytes]:
    """Take every record that is committed, up to the first that is not, as a consumer that is woken would."""
    block = memory.values
    assert block is not None
    words = block.view[: RING.size].cast("Q")
    producer, consumer = (RING.offset(name) // 8 for name in ("producer", "consumer"))
    found = []
    while words[consumer] < words[producer]:
        at = ringbuf_header_at(block.address, words[consumer]) - block.address
        length = int.from_bytes(block.view[at : at + 4], "little")
        if length & BUSY:
            break
        at += HEADER_BYTES
        if not length & DISCARDED:
            found.append(bytes(block.view[at : at + length]))
        words[consumer] += ringbuf_record_bytes(length)
    return found


def ring_problem(spec: MapSpec) -> Problem | None:
    """The creation rules of ring buffers in both directions."""
    for field in ("key_size", "value_size"):
        if getattr(spec, field):
            return Problem(field, "0, for a ring has records only", EINVAL)
    size = spec.max_entries
    if size < PAGE_BYTES or size & (size - 1):
        return Problem("max_entries", "the ring's size in bytes: 4096 or another power of two above", EINVAL)
    return None


def _build(memory: MapMemory) -> None:
    size = memory.spec.max_entries
    block = memory.block(DATA_AT + 2 * size, "ring")
    memory.values = block
    memory.header.values = block.address
    block.view[RING.offset("size") : RING.offset("size") + 8] = size.to_bytes(8, "little")
    memory.slot_name = lambda slot: f"map {memory.spec.name}.data"
    memory.regions.append(RingRegion(f"map {memory.spec.name}", block, size))


RINGBUF = declare(
    MapKind(
        type=MAP_TYPES["RINGBUF"],
        flags=BPF_F_NUMA_NODE,
        check=ring_problem,
        build=_build,
        lookup=no_lookup,
        user_lookup=refuse_lookup,
        update=refuse_update,
        delete=refuse_delete,
        next_key=refuse_next_key,
        drain=drain,
    )
)
