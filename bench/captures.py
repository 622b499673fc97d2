"""Captures made on the spot: one million small packets of 20,000 flows as a file, and one of any size as a stream."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

from bench.programs import UDP, addresses

PACKETS, FLOWS = 1_000_000, 20_000
_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
_SOURCE_AT = 26
_PIECE = 10_000


def flows(rng: random.Random) -> list[bytes]:
    """Packets of 64 bytes; every second one's source is in the access list."""
    listed = list(addresses())
    sources = (rng.choice(listed) if number % 2 else rng.randbytes(4) for number in range(FLOWS))
    return [UDP[:_SOURCE_AT] + source + UDP[_SOURCE_AT + 4 :] for source in sources]


def records(rng: random.Random, packets: list[bytes], first: int, count: int) -> bytes:
    """So many records, a microsecond apart."""
    parts = []
    for number in range(first, first + count):
        data = rng.choice(packets)
        parts.append(struct.pack("<4I", 1_700_000_000 + number // 1_000_000, number % 1_000_000, len(data), len(data)))
        parts.append(data)
    return b"".join(parts)


def write(path: Path) -> None:
    """The file of a million packets."""
    rng = random.Random(1)
    packets = flows(rng)
    with path.open("wb") as file:
        file.write(_HEADER)
        for first in range(0, PACKETS, _PIECE):
            file.write(records(rng, packets, first, _PIECE))


class Endless(io.RawIOBase):
    """A capture of about `size` bytes that is nowhere: the same records over and over."""

    def __init__(self, size: int) -> None:
        rng = random.Random(1)
        self._block = records(rng, flows(rng), 0, _PIECE)
        self._left = max(size // len(self._block), 1)
        self._next = _HEADER

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """A whole block, whatever is asked for up to its size."""
        if not self._next and self._left:
            self._next, self._left = self._block, self._left - 1
        piece, self._next = self._next[:size], self._next[size:]
        return piece
