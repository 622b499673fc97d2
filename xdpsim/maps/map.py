"""A map: native memory that programs share with users, and its face to Python.

`create_map` makes one from a MapSpec. A Map takes plain bytes with the kernel's errno (`lookup_bytes` ...), as
bpf(2) does, and is a MutableMapping whose keys and values are typed by BTF, or text, numbers and lists (codec.py).
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from typing import TypeAlias, Union

from xdpsim.btf.values import Value
from xdpsim.errors import InputError, Unsupported
from xdpsim.maps import (
    array,
    bloom,
    cgroup_array,
    keyless,
    local_storage,
    lpm,
    lru,
    nested,
    percpu_hash,
    perf,
    references,
    ringbuf,
    targets,
    user_ringbuf,
)
from xdpsim.maps import hash as hash_
from xdpsim.maps.bytemap import ByteMap
from xdpsim.maps.codec import Key
from xdpsim.maps.dump import Entry, dump_entries, load_entries
from xdpsim.maps.header import ENOENT, ERRNO_NAMES, ERRNO_REASONS
from xdpsim.maps.kind import KINDS, check_spec
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_ANY, MAP_TYPES

MapValue: TypeAlias = Union[Value, bytes, "list[Value | bytes]"]

KIND_MODULES = (
    *(array, bloom, cgroup_array, hash_, keyless, local_storage, lpm, lru),
    *(nested, percpu_hash, perf, references, ringbuf, targets, user_ringbuf),
)
"""The modules whose rows fill KINDS."""


def create_map(spec: MapSpec, *, cpus: int, number: int) -> Map:
    """Make a map for a machine with `cpus` possible CPUs, as its map number `number`.

    InputError, naming map, field and errno, where Linux refuses it; Unsupported for types that xdpsim has not.
    """
    if spec.type == "PERF_EVENT_ARRAY" and spec.max_entries == 0:
        spec = replace(spec, max_entries=cpus)  # as libbpf does
    kind = KINDS.get(spec.type)
    if kind is None:
        if spec.type in MAP_TYPES:
            raise Unsupported(f"map {spec.name}: maps of type {spec.type} are not there yet")
        raise InputError(f"map {spec.name}: type {spec.type!r}, expected one of {', '.join(MAP_TYPES)}")
    check_spec(kind, spec)
    return Map(spec, kind, cpus, number)


class Map(ByteMap, MutableMapping[Key, MapValue]):
    """One map of a machine. Made by `create_map`."""

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
        """Whether there is such a key; whether a queue, stack or Bloom filter holds (may hold) such a value."""
        if self.spec.key_size:
            return self.lookup_bytes(self.codec.encode_key(key)) is not None
        value, elements = self.encode(key, f"map {self.name}"), self.elements_bytes
        return isinstance(self.find_bytes(b"", value), bytes) if elements is None else value in elements

    def push(self, value: object, flags: int = BPF_ANY) -> None:
        """Add to a queue, stack or Bloom filter; InputError with the errno's name when it fails."""
        where = f"map {self.name}"
        self.raise_error(self.update_bytes(b"", self.encode(value, where), flags), where)

    def peek(self) -> MapValue | None:
        """What a queue or stack gives next, None when it is empty."""
        found = self.lookup_bytes(b"")
        return None if found is None else self.decode(found)

    def take(self) -> MapValue | None:
        """As peek, and remove it."""
        found = self.take_bytes()
        return None if isinstance(found, int) else self.decode(found)

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
