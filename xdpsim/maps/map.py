"""A map: native memory that programs share with users, and its face to Python.

`create_map` makes one from a MapSpec. A Map takes plain bytes with the kernel's errno (`lookup_bytes` ...), as
bpf(2) does, and is a MutableMapping whose keys and values are typed by BTF, or text, numbers and lists (codec.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from functools import cache
from typing import TypeAlias, Union

from xdpsim.bits import M64, signed
from xdpsim.btf.values import Value
from xdpsim.errors import InputError, Unsupported
from xdpsim.maps import array, lpm, percpu_hash, references
from xdpsim.maps import hash as hash_
from xdpsim.maps.codec import Codec, Key
from xdpsim.maps.dump import Entry, dump_entries, load_entries
from xdpsim.maps.header import EINVAL, ENOENT, EPERM, ERRNO_NAMES, ERRNO_REASONS, MAP
from xdpsim.maps.kind import KINDS, MapKind, MapMemory, check_spec, slot_bytes
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import ENTRY_BYTES, SpecialField, special_fields
from xdpsim.maps.types import BPF_ANY, BPF_F_LOCK, BPF_F_RDONLY, MAP_TYPES
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import View
from xdpsim.memory.space import Region
from xdpsim.memory.structs import RUN_STATE

MapValue: TypeAlias = Union[Value, bytes, "list[Value | bytes]"]

KIND_MODULES = (array, hash_, lpm, percpu_hash, references)
"""The modules whose rows fill KINDS."""


@cache
def _user_state() -> Block:
    """The run state that operations see when a user calls them: CPU 0."""
    return Block(RUN_STATE.size, "user's run state")


def create_map(spec: MapSpec, *, cpus: int, number: int) -> Map:
    """Make a map for a machine with `cpus` possible CPUs, as its map number `number`.

    InputError, naming map, field and errno, where Linux refuses it; Unsupported for types that xdpsim has not.
    """
    kind = KINDS.get(spec.type)
    if kind is None:
        if spec.type in MAP_TYPES:
            raise Unsupported(f"map {spec.name}: maps of type {spec.type} are not there yet")
        raise InputError(f"map {spec.name}: type {spec.type!r}, expected one of {', '.join(MAP_TYPES)}")
    check_spec(kind, spec)
    return Map(spec, kind, cpus, number)


class Map(MutableMapping[Key, MapValue]):
    """One map of a machine. Made by `create_map`.

    Where values stand for interfaces or programs, `check_value` may be set by who knows the world: it gets the bytes of
    a user's new value and returns 0 or the negative errno with which Linux would refuse it.
    """

    def __init__(self, spec: MapSpec, kind: MapKind, cpus: int, number: int) -> None:
        self.spec, self.kind, self.cpus, self.number = spec, kind, cpus, number
        self.codec = Codec(spec)
        self.special: tuple[SpecialField, ...] = special_fields(spec) if self.codec.is_typed else ()
        self.check_value: Callable[[bytes], int] | None = None
        self._copies = cpus if kind.per_cpu else 1
        self._stride = slot_bytes(spec.value_size)
        self._make_header()
        self._memory = MapMemory(spec, self.header, cpus)
        kind.build(self._memory)
        for region in self._memory.regions:
            region.slot_name = self._slot_name

    def _make_header(self) -> None:
        spec, kind = self.spec, self.kind
        key_room = slot_bytes(spec.key_size)
        self._key_at = MAP.size
        self._next_at = self._key_at + key_room
        self._value_at = self._next_at + key_room
        special_at = self._value_at + self._stride * self._copies
        self._block = Block(special_at + ENTRY_BYTES * (len(self.special) + 1), f"map {spec.name}")
        self.header = View(MAP, self._block.view, 0, self._block.address)
        kind.write_operations(spec, self.header)
        self.header.type = kind.type.id
        for field in ("key_size", "value_size", "max_entries", "flags"):
            setattr(self.header, field, getattr(spec, field))
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
        return Region(f"map {self.name}", self._block, stride=MAP.size, valid=0)

    @property
    def value_address(self) -> int:
        """Address of slot 0's value: for direct access to arrays and global data."""
        return self.header.values

    @property
    def regions(self) -> list[Region]:
        """What programs may touch of this map; their slots are named by their keys."""
        return self._memory.regions

    def _slot_name(self, slot: int) -> str:
        key = self._memory.key_of_slot(slot)
        named = f"map {self.name}[{self.codec.key_text(key)}].value" if key is not None else f"map {self.name}.value"
        return f"{named} (cpu {slot // self._memory.value_slots})" if self._copies > 1 else named

    # bytes, with the kernel's errno

    def lookup_bytes(self, key: bytes) -> bytes | None:
        """The value under `key`, None without one; of a per-CPU map all CPUs' values, each rounded up to 8 bytes."""
        address = (self.kind.user_lookup or self.kind.lookup_for(self.spec))(*self._call(key))
        return self._read(address) if address else None

    def update_bytes(self, key: bytes, value: bytes, flags: int = BPF_ANY) -> int:
        """Set the value under `key`: 0 or a negative errno. A per-CPU map takes all CPUs' values."""
        if self.is_frozen:
            return -EPERM
        size = self._stride * self._copies if self.kind.per_cpu else self.spec.value_size
        self._put(self._value_at, value, size, "value")
        if flags & BPF_F_LOCK and not self.header.has_lock:
            return -EINVAL
        words = (*self._call(key), self._block.address + self._value_at, flags & M64)
        if self.check_value is not None and self.kind.update_error is not None:
            refused = signed(self.kind.update_error(*words), 64) or self.check_value(value)
            if refused:
                return refused
        return signed((self.kind.user_update or self.kind.update)(*words), 64)

    def delete_bytes(self, key: bytes) -> int:
        """Remove `key`: 0 or a negative errno."""
        if self.is_frozen:
            return -EPERM
        return signed(self.kind.delete(*self._call(key)), 64)

    def next_key_bytes(self, key: bytes | None) -> bytes | None:
        """The key behind `key` (None: the first), None at the end. An unknown key starts over, as on Linux."""
        state, header, key_address = self._call(key or bytes(self.spec.key_size))
        following = header + self._next_at
        if self.kind.next_key(state, header, key_address if key is not None else 0, following):
            return None
        return bytes(self._block.view[self._next_at : self._next_at + self.spec.key_size])

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

    # typed

    def __getitem__(self, key: object) -> MapValue:
        value = self.lookup_bytes(self.codec.encode_key(key))
        if value is None:
            raise KeyError(key)
        return self.decode(value)

    def __setitem__(self, key: object, value: object) -> None:
        self.put(key, value)

    def put(self, key: object, value: object, flags: int = BPF_ANY) -> None:
        """Set a value with the flags of bpf_map_update_elem; InputError with the errno's name when it fails."""
        key_bytes = self.codec.encode_key(key)
        where = f"map {self.name}[{self.codec.key_text(key_bytes)}]"
        self.raise_error(self.update_bytes(key_bytes, self.encode(value, where), flags), where)

    def raise_error(self, error: int, where: str) -> None:
        """InputError for a negative errno."""
        if error:
            name = ERRNO_NAMES.get(-error, str(error))
            raise InputError(f"{where}: {name}: {ERRNO_REASONS.get(-error, 'refused')}", hint=self._limits())

    def _limits(self) -> str:
        spec = self.spec
        return (
            f"{spec.type}, key {spec.key_size} bytes, value {spec.value_size} bytes, at most {spec.max_entries} entries"
        )

    def __delitem__(self, key: object) -> None:
        key_bytes = self.codec.encode_key(key)
        error = self.delete_bytes(key_bytes)
        if error == -ENOENT:
            raise KeyError(key)
        self.raise_error(error, f"map {self.name}[{self.codec.key_text(key_bytes)}]")

    def __iter__(self) -> Iterator[Key]:
        return iter([self.codec.decode_key(key) for key, _ in self.items_bytes()])

    def __len__(self) -> int:
        return self.kind.length(self.header) if self.kind.length else len(self.items_bytes())

    def __contains__(self, key: object) -> bool:
        return self.lookup_bytes(self.codec.encode_key(key)) is not None

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<map {self.name} {self.spec.type} {self.number}>"

    def decode(self, value: bytes) -> MapValue:
        """What `lookup_bytes` gave, typed: of a per-CPU map a list with one value for each CPU."""
        if not self.kind.per_cpu:
            as_reference = self.kind.decode_value
            return as_reference(value) if as_reference else self.codec.decode_value(value)
        return [self.codec.decode_value(part) for part in self.split(value)]

    def split(self, value: bytes) -> list[bytes]:
        """Each CPU's value out of what `lookup_bytes` gave."""
        return [value[n : n + self.spec.value_size] for n in range(0, len(value), self._stride)]

    def join(self, values: list[bytes]) -> bytes:
        """What `update_bytes` takes, from each CPU's value."""
        return b"".join(value.ljust(self._stride, b"\0") for value in values)

    def encode(self, value: object, where: str) -> bytes:
        """What `update_bytes` takes, from a typed value; per CPU from a list of them, or one for all CPUs."""
        if not self.kind.per_cpu:
            return self.codec.encode_value(self.kind.encode_value(self.spec, value, where), where)
        if isinstance(value, bytes) and len(value) == self._stride * self._copies != self.spec.value_size:
            return value
        if isinstance(value, list) and self._is_per_cpu_list(value):
            return self.join([self.codec.encode_value(v, f"{where} cpu {n}") for n, v in enumerate(value)])
        return self.join([self.codec.encode_value(value, where)] * self.cpus)

    def _is_per_cpu_list(self, value: list[object]) -> bool:
        """A list is one value for each CPU unless it only makes sense as the elements of one value."""
        if len(value) != self.cpus:
            return False
        nested = any(not isinstance(item, int) for item in value)
        return nested or self.spec.value_size != self.cpus or self.codec.is_typed

    # entries

    def dump(self, *, plain: bool = False) -> list[Entry]:
        """All entries as `bpftool map dump -j` prints them; `plain`: typed alone where BTF knows them."""
        return dump_entries(self, plain=plain)

    def load(self, entries: object, where: str = "") -> None:
        """Set entries in either of bpftool's shapes, or from a mapping; InputError names entry and field."""
        load_entries(self, entries, where)
