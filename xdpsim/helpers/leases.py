"""Memory that a program may touch for a while: ring buffer records, allocated objects, keys that callbacks are given.

The interpreter keeps the piece that an access hit last; a lease hands out one and the same piece, so that its end is
felt everywhere at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xdpsim.helpers.machine import Machine
from xdpsim.memory.arena import Block
from xdpsim.memory.space import Piece, Region


class Lease(Region):
    """`size` bytes from `offset` of `block` on, until `close`."""

    __slots__ = ("_piece",)

    def __init__(self, name: str, block: Block, offset: int, size: int, *, writable: bool = True) -> None:
        super().__init__(name, block, offset=offset, valid=size, writable=writable)
        self._piece = Piece(name, self.start, self.end, block.address, block.view, writable)

    def piece_at(self, addr: int, size: int) -> Piece | None:
        """The one piece, when it holds all of [addr, addr + size)."""
        piece = self._piece
        return piece if piece.lo <= addr and addr + size <= piece.hi else None

    def close(self) -> None:
        """Whoever still holds the piece may touch nothing with it from now on."""
        self._piece.lo, self._piece.hi = 1, 0


class Rooms:
    """Blocks for the copies of keys that callbacks see, one for each depth of nesting."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._blocks: list[Block] = []
        self._depth = 0

    @contextmanager
    def open(self, name: str, size: int, *, writable: bool = False) -> Iterator[Lease]:
        """`size` bytes that programs may read, and write if `writable`, inside the with statement."""
        if self._depth == len(self._blocks):
            self._blocks.append(Block(size, "callback arguments"))
        elif self._blocks[self._depth].size < size:
            self._blocks[self._depth] = Block(size, "callback arguments")
        lease = Lease(name, self._blocks[self._depth], 0, size, writable=writable)
        self._depth += 1
        self._machine.space.add(lease)
        try:
            yield lease
        finally:
            self._depth -= 1
            self._machine.space.remove(lease)
            lease.close()
