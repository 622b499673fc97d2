"""A map as bpf(2) sees it: native memory that programs share with users, and plain bytes with the kernel's errno.

The typed face over it is map.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from xdpsim.bits import M64, signed
from xdpsim.errors import InputError
from xdpsim.maps.codec import Codec
from xdpsim.maps.header import EINVAL, ENOENT, EPERM, FIRST_ERROR, MAP
from xdpsim.maps.kind import MapKind, MapMemory, slot_bytes
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import ENTRY_BYTES, SpecialField, special_fields
from xdpsim.maps.types import BPF_ANY, BPF_F_LOCK, BPF_F_RDONLY, BPF_F_WRONLY
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import View
from xdpsim.memory.native import NativeFunction
from xdpsim.memory.space import Region
from xdpsim.memory.structs import RUN_STATE

_KERNEL_BYTES = 1024
"""Bytes that the header takes at least: more than Linux's struct of a map whose members a program may read."""


@cache
def _user_state() -> Block:
    """The run state that operations see when a user calls them: CPU 0."""
    return Block(RUN_STATE.size, "user's run state")


class ByteMap:
    """One map of a machine. Made by `create_map`.

    Where values stand for interfaces or programs, `check_value` may be set by who knows the world: it gets the bytes of
    a user's new value and returns 0 or the negative errno with which Linux would refuse it. `find_map` likewise says
    which map has a number, for maps of maps.
    """

    def __init__(self, spec: MapSpec, kind: MapKind, cpus: int, number: int) -> None:
        self.spec, self.kind, self.cpus, self.number = spec, kind, cpus, number
        self.codec = Codec(spec)
        self.special: tuple[SpecialField, ...] = special_fields(spec) if self.codec.is_typed else ()
        self.check_value: Callable[[bytes], int] | None = None
        self.find_map: Callable[[int], ByteMap | None] = lambda number: None
        self._copies = cpus if kind.per_cpu else 1
        self._stride = slot_bytes(spec.value_size)
        self._make_header()
        self._memory = MapMemory(spec, self.header, cpus)
        kind.build(self._memory)
        for region in self._memory.regions:
            region.slot_name = self._memory.slot_name or self._slot_name

    def _make_header(self) -> None:
        spec, kind = self.spec, self.kind
        key_room = slot_bytes(spec.key_size)
        self._key_at = MAP.size
        self._next_at = self._key_at + key_room
        self._value_at = self._next_at + key_room
        special_at = self._value_at + self._stride * self._copies
        whole = special_at + ENTRY_BYTES * (len(self.special) + 1)
        self._block = Block(max(whole, _KERNEL_BYTES), f"map {spec.name}")
        self.header = View(MAP, self._block.view, 0, self._block.address)
        kind.write_operations(spec, self.header)
        self.header.type = kind.type.id
        for field in ("key_size", "value_size", "max_entries"):
            setattr(self.header, field, getattr(spec, field))
        self.header.flags = spec.flags & ~(BPF_F_RDONLY | BPF_F_WRONLY) | kind.added_flags
        self.header.cpus, self.header.number = self.cpus, self.number
        self.header.redirect_flags = kind.redirect_flags
        for at, entry in enumerate(self.special):
            place = special_at + at * ENTRY_BYTES
            self._block.view[place : place + ENTRY_BYTES] = entry.table_entry
        self.header.special = self._block.address + special_at if self.special else 0
        self.header.has_lock = int(any(entry.kind == "bpf_spin_lock" for entry in self.special))

    @property
    def name(self) -> str:
        """The map's name in its object."""
        return self.spec.name

    @property
    def header_address(self) -> int:
        """What a program's map pointer is: the address of the native header (maps/header.py)."""
        return self._block.address

    @property
    def header_region(self) -> Region:
        """The header as a region that may be named and passed to helpers, but not touched."""
        return Region(f"map {self.name}", self._block, stride=self._block.size, valid=0)

    @property
    def value_address(self) -> int:
        """Address of slot 0's value: for direct access to arrays and global data."""
        return self.header.values

    @property
    def regions(self) -> list[Region]:
        """What programs may touch of this map; their slots are named by their keys."""
        return self._memory.regions

    def key_at(self, address: int) -> bytes | None:
        """The key whose value holds `address`; None outside of the values, and where no key was there yet."""
        region = next((r for r in self.regions if r.start <= address < r.end), None)
        return self._memory.key_of_slot((address - region.start) // region.stride) if region else None

    def _slot_name(self, slot: int) -> str:
        key = self._memory.key_of_slot(slot)
        named = f"map {self.name}[{self.codec.key_text(key)}].value" if key is not None else f"map {self.name}.value"
        return f"{named} (cpu {slot // self._memory.value_slots})" if self._copies > 1 else named

    # bytes, with the kernel's errno

    def find_bytes(self, key: bytes, value: bytes = b"") -> bytes | int:
        """The value under `key` as bpf(2) gives it, else the negative errno.

        Of a per-CPU map these are all CPUs' values, each rounded up to 8 bytes; of a queue or stack what is next; of a
        Bloom filter `value`, if it may have been added.
        """
        if value:
            return self._take(self.kind.peek, value)
        return -self.kind.lookup_error if self.kind.lookup_error else self._look(key)

    def _look(self, key: bytes) -> bytes | int:
        address = (self.kind.user_lookup or self.kind.lookup_for(self.spec))(*self._call(key))
        if address >= FIRST_ERROR:
            return signed(address, 64)
        if self.kind.load is not None and address:
            return self.kind.load(self, address)
        return self._read(address) if address else -ENOENT

    def lookup_bytes(self, key: bytes) -> bytes | None:
        """As find_bytes, with None where there is no value to be had; also where Linux would not let a user look."""
        found = self._look(key)
        return None if isinstance(found, int) else found

    def update_bytes(self, key: bytes, value: bytes, flags: int = BPF_ANY) -> int:
        """Set the value under `key`: 0 or a negative errno. A per-CPU map takes all CPUs' values."""
        if self.is_frozen:
            return -EPERM
        kind = self.kind
        size = self._stride * self._copies if kind.per_cpu else self.spec.value_size
        self._put(self._value_at, value, size, "value")
        if flags & BPF_F_LOCK and not self.header.has_lock:
            return -EINVAL
        words = (*self._call(key), self._block.address + self._value_at, flags & M64)
        refused = signed(kind.update_error(*words), 64) if kind.update_error is not None else 0
        if not refused and self.check_value is not None:
            refused = self.check_value(value)
        if refused:
            return refused
        if kind.store is not None:
            stored = kind.store(self, value)
            if isinstance(stored, int):
                return stored
            self._block.view[self._value_at : self._value_at + len(stored)] = stored
        return signed((kind.user_update or kind.update)(*words), 64)

    def delete_bytes(self, key: bytes) -> int:
        """Remove `key`: 0 or a negative errno."""
        if self.is_frozen:
            return -EPERM
        return signed((self.kind.user_delete or self.kind.delete)(*self._call(key)), 64)

    def take_bytes(self) -> bytes | int:
        """Take the next element of a queue or stack; else the negative errno, -ENOENT when it is empty."""
        return self._take(self.kind.pop, bytes(self.spec.value_size))

    def _take(self, operation: NativeFunction, value: bytes) -> bytes | int:
        size = self.spec.value_size
        self._put(self._value_at, value, size, "value")
        error = operation(_user_state().address, self._block.address, self._block.address + self._value_at)
        return signed(error, 64) or bytes(self._block.view[self._value_at : self._value_at + size])

    @property
    def elements_bytes(self) -> list[bytes] | None:
        """The elements of a queue or stack, oldest first; None for other types of map."""
        return self.kind.elements(self._memory) if self.kind.elements is not None else None

    def drain(self) -> list[bytes]:
        """Take the records that programs have submitted since the last call; there are some in ring buffers only."""
        return self.kind.drain(self._memory) if self.kind.drain is not None else []

    def find_next_key(self, key: bytes | None) -> bytes | int:
        """The key behind `key` (None: the first), else the negative errno: -ENOENT at the end."""
        state, header, key_address = self._call(key or bytes(self.spec.key_size))
        following = header + self._next_at
        error = self.kind.next_key(state, header, key_address if key is not None else 0, following)
        return signed(error, 64) or bytes(self._block.view[self._next_at : self._next_at + self.spec.key_size])

    def next_key_bytes(self, key: bytes | None) -> bytes | None:
        """The key behind `key` (None: the first), None at the end. An unknown key starts over, as on Linux."""
        found = self.find_next_key(key)
        return None if isinstance(found, int) else found

    def keys_bytes(self) -> Iterator[bytes]:
        """All keys in the order of next_key_bytes; the map must not change meanwhile."""
        key = self.next_key_bytes(None)
        while key is not None:
            yield key
            key = self.next_key_bytes(key)

    def items_bytes(self) -> list[tuple[bytes, bytes]]:
        """Key and value of every element there is now."""
        found = ((key, self.lookup_bytes(key)) for key in self.keys_bytes())
        return [(key, value) for key, value in found if value is not None]

    @property
    def is_frozen(self) -> bool:
        """Whether users may not write it."""
        return self.spec.read_only or bool(self.spec.flags & BPF_F_RDONLY)

    def _call(self, key: bytes) -> tuple[int, int, int]:
        self._put(self._key_at, key, self.spec.key_size, "key")
        header = self._block.address
        return _user_state().address, header, header + self._key_at

    def _put(self, at: int, data: bytes, size: int, what: str) -> None:
        if len(data) != size:
            raise InputError(f"map {self.name}: {what} of {len(data)} bytes, expected {size}")
        self._block.view[at : at + size] = data

    def _read(self, address: int) -> bytes:
        block = self._memory.values
        assert block is not None
        at = address - block.address
        if not self.kind.per_cpu:
            return self._without_special(bytes(block.view[at : at + self.spec.value_size]))
        step = self.header.cpu_stride
        copies = (bytes(block.view[at + n * step : at + n * step + self._stride]) for n in range(self.cpus))
        return b"".join(self._without_special(copy) for copy in copies)

    def _without_special(self, value: bytes) -> bytes:
        for entry in self.special:
            value = value[: entry.offset] + entry.initial + value[entry.offset + entry.size :]
        return value
