"""A batch: the packets that travel together, as arrays that Python, the native runtime and compiled programs share.

Column n of packet i is `batch.NAME[i]` in Python and the n-th address of the native BATCH struct for compiled code.
The first columns are what a program is given, the others what it leaves.
"""

from __future__ import annotations

from enum import IntEnum

from xdpsim.bits import round_up
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import U32, U64, Struct

DEFAULT_BATCH = 1024
_LINE = 64
_APART = 2 * _LINE
"""Between columns: were they a power of two apart, one packet's words would fight for one set of the cache."""

COLUMNS: tuple[tuple[str, int], ...] = (
    ("frame", U64),  # address of the frame
    ("ktime_ns", U64),
    ("tai_ns", U64),
    ("start", U32),  # offset of the first byte in the frame; read and left
    ("length", U32),  # linear bytes; read and left
    ("meta", U32),  # bytes of metadata before `start`; read and left
    ("has_frags", U32),  # read and left
    ("ifindex", U32),
    ("queue", U32),
    ("verdict", U32),  # the low 32 bits of r0
    ("redirect_kind", U32),
    ("redirect_ifindex", U32),
    ("redirect_flags", U64),
    ("redirect_map", U64),
    ("redirect_key", U64),
    ("insns", U64),
)
BATCH = Struct("batch", *((name, U64) for name, _ in COLUMNS))
"""The native face of a batch: the address of each column."""


class Stop(IntEnum):
    """Why run_batch came back before, or at, the end of the batch."""

    END = 0
    TIMER_DUE = 1
    RING_FULL = 2
    POOL_EMPTY = 3
    EMIT_FULL = 4
    PY_HELPER = 5
    FAULT = 6
    BUDGET = 7
    USER_REQUEST = 8


class Batch:
    """Room for `capacity` packets, of which the first `count` are filled."""

    frame: memoryview
    ktime_ns: memoryview
    tai_ns: memoryview
    start: memoryview
    length: memoryview
    meta: memoryview
    has_frags: memoryview
    ifindex: memoryview
    queue: memoryview
    verdict: memoryview
    redirect_kind: memoryview
    redirect_ifindex: memoryview
    redirect_flags: memoryview
    redirect_map: memoryview
    redirect_key: memoryview
    insns: memoryview

    def __init__(self, capacity: int = DEFAULT_BATCH) -> None:
        self.capacity, self.count = capacity, 0
        rooms = {name: round_up(width * capacity, _LINE) + _APART for name, width in COLUMNS}
        self._block = Block(round_up(BATCH.size, _LINE) + sum(rooms.values()), "batch")
        self.address = self._block.address
        table = self._block.view[: BATCH.size].cast("Q")
        at = round_up(BATCH.size, _LINE)
        for number, (name, width) in enumerate(COLUMNS):
            column = self._block.view[at : at + width * capacity].cast("Q" if width == U64 else "I")
            setattr(self, name, column)
            table[number] = self._block.address + at
            at += rooms[name]

    def clear(self) -> None:
        """Forget the packets; their frames go back to the pool first."""
        self.count = 0

    def append(self, frame: tuple[int, int, int], *, ktime_ns: int = 0, tai_ns: int = 0) -> int:
        """Add a packet as FramePool.put returned it; its index. Every other column starts at 0."""
        at = self.count
        for name, _ in COLUMNS:
            getattr(self, name)[at] = 0
        self.frame[at], self.start[at], self.length[at] = frame
        self.ktime_ns[at], self.tai_ns[at] = ktime_ns, tai_ns
        self.count = at + 1
        return at
