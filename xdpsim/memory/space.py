"""The address space of programs: which native addresses they may touch, and what those addresses are called.

Registers hold native addresses; this module gives them names such as `packet+14` or `map acl[10.0.0.0/8].value+8`, so
that no raw address ever reaches a user. Kept twice: as Python objects for the interpreter and for messages, and as a
sorted native table that compiled code bisects (memory/space_ops.py).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable

from xdpsim.bits import M64
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import View
from xdpsim.memory.structs import REGION, RUN_STATE, XDP_BUFF

NEAR_BYTES = 1 << 20
"""An address this close to a region is described by its distance from it."""


class Piece:
    """A run of bytes [lo, hi) that may be touched as one; `view[addr - base]` is the byte at `addr`."""

    __slots__ = ("base", "hi", "lo", "name", "view", "writable")

    def __init__(self, name: str, lo: int, hi: int, base: int, view: memoryview, writable: bool = True) -> None:
        self.name, self.lo, self.hi, self.base, self.view, self.writable = name, lo, hi, base, view, writable


class Region:
    """Slots of `valid` bytes every `stride` bytes in [start, end) of `block`: a map's values, global data, a context.

    `slot_name(n)` names slot n in messages; it is called only for them. A region with `valid` 0 may be named and passed
    to helpers, but not touched: a map's header.
    """

    __slots__ = ("block", "end", "name", "number", "slot_name", "start", "stride", "valid", "writable")

    def __init__(
        self,
        name: str,
        block: Block,
        *,
        offset: int = 0,
        count: int = 1,
        stride: int = 0,
        valid: int,
        writable: bool = True,
        slot_name: Callable[[int], str] | None = None,
    ) -> None:
        self.name, self.block, self.writable, self.valid = name, block, writable, valid
        self.stride = stride or max(valid, 1)
        self.start = block.address + offset
        self.end = self.start + (count - 1) * self.stride + (valid or self.stride)
        self.slot_name = slot_name or (lambda slot: name)
        self.number = 0

    def piece_at(self, addr: int, size: int) -> Piece | None:
        """The slot that holds all of [addr, addr + size), or None."""
        slot, inner = divmod(addr - self.start, self.stride)
        if addr + size > self.end or inner + size > self.valid:
            return None
        lo = self.start + slot * self.stride
        return Piece(self.name, lo, lo + self.valid, self.block.address, self.block.view, self.writable)


_ENTRY = struct.Struct("<6Q")
assert _ENTRY.size == REGION.size


class BadAddress(ValueError):
    """A helper in Python would touch what the program may not; engines make a fault of it."""

    def __init__(self, described: str, address: int, size: int, is_write: bool) -> None:
        super().__init__(described)
        self.address, self.size, self.is_write = address, size, is_write


class AddressSpace:
    """All regions of one emulated machine, plus the pieces that move: the packet and the stack."""

    def __init__(self, run_state: View) -> None:
        self._run_state = run_state
        self._regions: list[Region] = []
        self._starts: list[int] = []
        self._table = Block(REGION.size * 64, "region table")
        self._numbers = 0
        self.packet = Piece("packet", 0, 0, 0, memoryview(b""))
        self.stack = Piece("stack", 0, 0, 0, memoryview(b""))
        self._publish()

    def add(self, region: Region) -> None:
        """Let programs touch `region` from now on."""
        at = bisect_right(self._starts, region.start)
        self._numbers += 1
        region.number = self._numbers
        self._regions.insert(at, region)
        self._starts.insert(at, region.start)
        self._publish()

    def remove(self, region: Region) -> None:
        """Take a region away; its memory may then be freed."""
        at = self._regions.index(region)
        del self._regions[at], self._starts[at]
        self._publish()

    def _publish(self) -> None:
        needed = len(self._regions) * REGION.size
        if needed > self._table.size:
            self._table = Block(needed * 2, "region table")
        for at, region in enumerate(self._regions):
            entry = (region.start, region.end, region.stride, region.valid, int(region.writable), region.number)
            _ENTRY.pack_into(self._table.view, at * REGION.size, *entry)
        self._run_state.regions = self._table.address
        self._run_state.region_count = len(self._regions)

    def follow_run_state(self) -> None:
        """Let the moving pieces be where compiled code left them, for messages and for helpers in Python."""
        state = self._run_state
        xdp = state.base + RUN_STATE.offset("xdp")
        words = (XDP_BUFF.offset(name) + xdp for name in ("data_meta", "data_end"))
        self.packet.lo, self.packet.hi = (int.from_bytes(state.buffer[at : at + 8], "little") for at in words)
        self.stack.lo = state.stack_low
        self.stack.hi = state.address + RUN_STATE.offset("stack") + RUN_STATE.members["stack"].count

    def region_at(self, addr: int) -> Region | None:
        """The region whose range holds `addr`, slots or gaps alike."""
        at = bisect_right(self._starts, addr) - 1
        if at < 0 or addr >= self._regions[at].end:
            return None
        return self._regions[at]

    def piece_at(self, addr: int, size: int) -> Piece | None:
        """The piece that holds all of [addr, addr + size), or None: then the access is a fault."""
        for moving in (self.packet, self.stack):
            if moving.lo <= addr and addr + size <= moving.hi:
                return moving
        region = self.region_at(addr)
        return region.piece_at(addr, size) if region else None

    def readable(self, addr: int, size: int) -> bool:
        """Whether a program may read all of the range; true for an empty one."""
        return size == 0 or self.piece_at(addr, size) is not None

    def writable(self, addr: int, size: int) -> bool:
        """Whether a program may write all of the range; true for an empty one."""
        if size == 0:
            return True
        piece = self.piece_at(addr, size)
        return piece is not None and piece.writable

    def read(self, addr: int, size: int) -> bytes:
        """Bytes that a program could read; BadAddress outside."""
        piece = self.piece_at(addr, size) if size else self.packet
        if piece is None:
            raise BadAddress(self.describe(addr), addr, size, False)
        at = addr - piece.base
        return bytes(piece.view[at : at + size])

    def write(self, addr: int, data: bytes) -> None:
        """Write where a program could; BadAddress outside, but nothing may be written anywhere."""
        if not data:
            return
        piece = self.piece_at(addr, len(data))
        if piece is None or not piece.writable:
            raise BadAddress(self.describe(addr), addr, len(data), True)
        at = addr - piece.base
        piece.view[at : at + len(data)] = data

    def describe(self, addr: int, size: int = 1) -> str:
        """What an address is to a person: a region's name and an offset, a distance from one, or a small number."""
        for moving in (self.packet, self.stack):
            if moving.lo <= addr <= moving.hi and moving.hi > moving.lo:
                return f"{moving.name}+{addr - moving.lo}{_overrun(addr + size - moving.hi)}"
        region = self.region_at(addr) or self.region_at(addr - 1)  # just behind its end is still told by its name
        if region is not None:
            slot, inner = divmod(min(addr, region.end - 1) - region.start, region.stride)
            inner += addr - min(addr, region.end - 1)
            return f"{region.slot_name(slot)}+{inner}{_overrun(inner + size - region.valid)}"
        return self._describe_outside(addr)

    def _describe_outside(self, addr: int) -> str:
        if addr < 0x10000:
            return f"the number {addr}, which is no pointer" if addr else "a null pointer"
        if addr > M64 - 0xFFFF:
            return f"the number {addr - M64 - 1}, which is no pointer"
        context = self._run_state.context
        if 0 <= addr - context <= XDP_BUFF.size:
            return f"context+{addr - context}"
        ranges = [(m.name, m.lo, m.hi) for m in (self.packet, self.stack) if m.hi > m.lo]
        ranges.append(("context", context, context + XDP_BUFF.size))
        ranges += [(r.name, r.start, r.end) for r in self._regions]
        near = [(lo - addr if addr < lo else addr - hi, name, addr < lo) for name, lo, hi in ranges]
        distance, name, is_before = min(near, default=(NEAR_BYTES, "", False))
        if distance >= NEAR_BYTES:
            return "an address in no region"
        return f"{counted(distance)} before {name}" if is_before else f"{counted(distance)} past the end of {name}"


def _overrun(excess: int) -> str:
    return f", {counted(excess)} past its end" if excess > 0 else ""


def counted(number: int) -> str:
    """`1 byte`, `2 bytes`."""
    return f"{number} byte{'s' * (number != 1)}"
