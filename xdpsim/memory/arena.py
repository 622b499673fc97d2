"""Native memory that xdpsim owns: zeroed, never moved, page-aligned, given back when the last user lets go.

The list of live blocks also serves the Python twins of the raw-memory intrinsics (memory/raw.py), which refuse any
address outside them.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import weakref
from bisect import bisect_right, insort

from xdpsim.bits import round_up
from xdpsim.errors import InputError


class Block:
    """`size` bytes of zeroed memory at native address `address`; `view` reads and writes them.

    Pages that nobody touches cost nothing, so a map of a million entries may be allocated whole.
    """

    __slots__ = ("__weakref__", "_memory", "address", "name", "size", "view")

    def __init__(self, size: int, name: str) -> None:
        self.size = round_up(max(size, 1), mmap.PAGESIZE)
        self.name = name
        try:
            self._memory = _zeroed(self.size)
        except (OSError, OverflowError, ValueError) as err:
            raise InputError(f"{name}: {size} bytes of memory are not to be had: {err}") from err
        self.view = memoryview(self._memory)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        _register(self)


def _zeroed(size: int) -> mmap.mmap:
    """Zeroed memory. On Linux it is private and not reserved: otherwise first touches cost more and huge maps fail."""
    if sys.platform != "linux":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)


_MAP_NORESERVE = 0x4000
"""Of asm-generic/mman.h; the mmap module of Python 3.11 has no name for it."""
_starts: list[int] = []
_blocks: dict[int, weakref.ref[Block]] = {}


def _register(block: Block) -> None:
    address = block.address
    if address not in _blocks:
        insort(_starts, address)
    _blocks[address] = weakref.ref(block)


def block_at(addr: int, size: int) -> Block | None:
    """The live block that holds all of [addr, addr + size), or None."""
    at = bisect_right(_starts, addr) - 1
    while at >= 0:
        block = _blocks[_starts[at]]()
        if block is not None:
            return block if addr + size <= block.address + block.size else None
        del _blocks[_starts[at]]
        del _starts[at]
        at -= 1
    return None
