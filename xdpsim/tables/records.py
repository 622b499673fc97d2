"""Native records that helpers hand to programs: sockets, connections, tasks.

Records of one kind lie side by side in chunks, each chunk one region of the address space, so that a program's access
is checked against one record and described by its name (`socket tcp 10.0.0.1:80+24`).
"""

from __future__ import annotations

from typing import Protocol

from xdpsim.bits import round_up
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import View
from xdpsim.memory.space import AddressSpace, Region
from xdpsim.tables.kernel_structs import place

_ALIGN = 16
_FIRST_COUNT = 8
_MOST_COUNT = 4096


class Memory(Protocol):
    """What the tables need of a machine."""

    run_state: View
    space: AddressSpace


class Record:
    """One record: `size` bytes at `address`. `label` is what it is called in messages."""

    __slots__ = ("_base", "_view", "address", "label", "size")

    def __init__(self, view: memoryview, base: int, address: int, size: int, label: str) -> None:
        self._view, self._base = view, base
        self.address, self.size, self.label = address, size, label

    def read(self, offset: int, width: int) -> int:
        """An unsigned little-endian field."""
        at = self._base + offset
        return int.from_bytes(self._view[at : at + width], "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """Set an unsigned little-endian field; what does not fit is cut off."""
        at = self._base + offset
        self._view[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")

    def write_bytes(self, offset: int, data: bytes) -> None:
        """Set bytes as they are: addresses and ports in network order, names."""
        at = self._base + offset
        self._view[at : at + len(data)] = data

    def set(self, struct_name: str, path: str, value: int | bytes) -> None:
        """Set a member of the kernel's struct that this record stands for."""
        where = place(struct_name, path)
        if isinstance(value, bytes):
            self.write_bytes(where.offset, value[: where.width])
        else:
            self.write(where.offset, where.width, value)

    def get(self, struct_name: str, path: str) -> int:
        """A member of the kernel's struct that this record stands for."""
        where = place(struct_name, path)
        return self.read(where.offset, where.width)


class RecordPool:
    """All records of one kind and size; those given back are used again."""

    def __init__(self, memory: Memory, kind: str, size: int, *, writable: bool = False) -> None:
        self._memory, self._kind, self._size, self._writable = memory, kind, size, writable
        self._stride = round_up(size, _ALIGN)
        self._next_count = _FIRST_COUNT
        self._free: list[Record] = []
        self._live: dict[int, Record] = {}

    def new(self, label: str) -> Record:
        """A zeroed record."""
        if not self._free:
            self._grow()
        record = self._free.pop()
        record.label = label
        record.write_bytes(0, bytes(self._size))
        self._live[record.address] = record
        return record

    def release(self, record: Record) -> None:
        """Give a record back; a program that still points to it reads what comes after it."""
        del self._live[record.address]
        self._free.append(record)

    def at(self, address: int) -> Record | None:
        """The live record that starts at `address`."""
        return self._live.get(address)

    def _grow(self) -> None:
        count = self._next_count
        self._next_count = min(count * 2, _MOST_COUNT)
        block = Block(count * self._stride, f"{self._kind} records")

        def name_of(slot: int) -> str:
            live = self._live.get(block.address + slot * self._stride)
            return f"{self._kind} {live.label}" if live else f"{self._kind} that is free"

        region = Region(
            self._kind,
            block,
            count=count,
            stride=self._stride,
            valid=self._size,
            writable=self._writable,
            slot_name=name_of,
        )
        self._memory.space.add(region)
        for slot in reversed(range(count)):
            base = slot * self._stride
            self._free.append(Record(block.view, base, block.address + base, self._size, ""))
