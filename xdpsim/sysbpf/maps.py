"""Map commands of bpf(2): create, look up, update, delete, walk, freeze. Keys and values are plain bytes.

Per-CPU values go in and out as the kernel lays them out: possible CPUs times the value size rounded up to 8. Which
kinds of map exist and what they allow is left to the kernel.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from xdpsim.bits import round_up
from xdpsim.sysbpf.syscall import BpfError, Fd, address, bpf, bpf_attr, buffer, writable_attr

_CREATE, _LOOKUP, _UPDATE, _DELETE, _GET_NEXT_KEY = 0, 1, 2, 3, 4
_LOOKUP_AND_DELETE, _FREEZE, _LOOKUP_BATCH = 21, 22, 24

_BATCH_ENTRIES = 1024
_CURSOR_BYTES = 8
"""At least what the opaque cursor of a batch takes; it may be a key, too."""


@dataclass(frozen=True)
class MapDefinition:
    """What BPF_MAP_CREATE takes. Sizes in bytes; `btf` is the handle of the types `key_type` and `value_type`.

    `type` is BPF_MAP_TYPE_*; `per_cpu` says that its values are one per possible CPU.
    """

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    name: str = ""
    inner: Fd | None = None
    numa_node: int = 0
    btf: Fd | None = None
    key_type: int = 0
    value_type: int = 0
    map_extra: int = 0
    per_cpu: bool = False


class KernelMap:
    """One map in the kernel, by its file descriptor; `bytes_per_value` is what a value takes here (per-CPU: all)."""

    def __init__(self, fd: Fd, definition: MapDefinition, bytes_per_value: int) -> None:
        self.fd = fd
        self.definition = definition
        self.bytes_per_value = bytes_per_value

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value behind `key`; None when there is none. BpfError for any other refusal."""
        return self._read(_LOOKUP, key, flags)

    def pop(self, key: bytes = b"") -> bytes | None:
        """BPF_MAP_LOOKUP_AND_DELETE_ELEM: the value, which is gone from the map; None when there was none."""
        return self._read(_LOOKUP_AND_DELETE, key, 0)

    def _read(self, command: int, key: bytes, flags: int) -> bytes | None:
        value = buffer(bytes(self.bytes_per_value))
        result = self._element(command, key, address(value), flags)
        if result == -errno.ENOENT:
            return None
        if result < 0:
            raise BpfError(f"map {self._name}: lookup of key {key.hex() or '(none)'}", -result)
        return value.raw[: self.bytes_per_value]

    def update(self, key: bytes, value: bytes, flags: int = 0) -> int:
        """Store a value: 0, or -errno as the kernel gives it."""
        held = buffer(value.ljust(self.bytes_per_value, b"\0"))
        return self._element(_UPDATE, key, address(held), flags)

    def delete(self, key: bytes) -> int:
        """Remove an entry: 0, or -errno as the kernel gives it."""
        return self._element(_DELETE, key, 0, 0)

    def next_key(self, key: bytes | None) -> bytes | None:
        """The key behind `key` (None: the first one), or None at the end. The order is the kernel's."""
        out = buffer(bytes(self.definition.key_size))
        held = buffer(key) if key is not None else None
        attr = struct.pack("=IIQQ", self.fd.number, 0, address(held), address(out))
        result = bpf(_GET_NEXT_KEY, attr)
        if result == -errno.ENOENT:
            return None
        if result < 0:
            raise BpfError(f"map {self._name}: next key", -result)
        return out.raw[: self.definition.key_size]

    def keys(self) -> Iterator[bytes]:
        """All keys, one call each; entries may change under way."""
        key = self.next_key(None)
        while key is not None:
            yield key
            key = self.next_key(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries; in batches where the kernel can do that for this type of map."""
        try:
            yield from self._items_in_batches()
        except BpfError as err:
            if err.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC, 524):
                raise
            yield from self._items_one_by_one()

    def _items_one_by_one(self) -> Iterator[tuple[bytes, bytes]]:
        for key in list(self.keys()):
            value = self.lookup(key)
            if value is not None:
                yield key, value

    def _items_in_batches(self) -> Iterator[tuple[bytes, bytes]]:
        key_size, value_size = self.definition.key_size, self.bytes_per_value
        room = max(min(_BATCH_ENTRIES, self.definition.max_entries), 1)
        keys, values = buffer(bytes(room * key_size)), buffer(bytes(room * value_size))
        found: list[tuple[bytes, bytes]] = []
        cursor, next_cursor = None, buffer(bytes(max(key_size, _CURSOR_BYTES)))
        while True:
            attr = writable_attr(
                struct.pack(
                    *("=4QIIQQ", address(cursor), address(next_cursor), address(keys), address(values)),
                    *(room, self.fd.number, 0, 0),
                )
            )
            result = bpf_attr(_LOOKUP_BATCH, attr)
            if result < 0 and result != -errno.ENOENT:
                raise BpfError(f"map {self._name}: lookup batch", -result)
            (count,) = struct.unpack_from("=I", attr, 32)
            all_keys, all_values = keys.raw, values.raw
            for n in range(count):
                value = all_values[n * value_size : (n + 1) * value_size]
                found.append((all_keys[n * key_size : (n + 1) * key_size], value))
            if result == -errno.ENOENT:
                break
            cursor, next_cursor = next_cursor, buffer(bytes(max(key_size, _CURSOR_BYTES)))
        yield from found

    def freeze(self) -> None:
        """BPF_MAP_FREEZE: no more writes through bpf(2)."""
        result = bpf(_FREEZE, struct.pack("=I", self.fd.number))
        if result < 0:
            raise BpfError(f"map {self._name}: freeze", -result)

    def close(self) -> None:
        """Give the map back; programs that use it keep it alive."""
        self.fd.close()

    @property
    def _name(self) -> str:
        return self.definition.name or f"(type {self.definition.type})"

    def _element(self, command: int, key: bytes, value_address: int, flags: int) -> int:
        held = buffer(key) if key else None
        attr = struct.pack("=IIQQQ", self.fd.number, 0, address(held), value_address, flags)
        return bpf(command, attr)


def create_map(definition: MapDefinition, possible_cpus: int) -> KernelMap:
    """BPF_MAP_CREATE; BpfError says what the kernel did not like, as far as an errno does."""
    attr = struct.pack(
        "=7I16s5IQ",
        definition.type,
        definition.key_size,
        definition.value_size,
        definition.max_entries,
        definition.flags,
        definition.inner.number if definition.inner else 0,
        definition.numa_node,
        kernel_name(definition.name),
        0,
        definition.btf.number if definition.btf else 0,
        definition.key_type,
        definition.value_type,
        0,
        definition.map_extra,
    )
    result = bpf(_CREATE, attr)
    if result < 0:
        sizes = f"key {definition.key_size}, value {definition.value_size}, {definition.max_entries} entries"
        where = f"map {definition.name or '(unnamed)'} (type {definition.type}, {sizes}, flags {definition.flags:#x})"
        raise BpfError(f"{where}: the kernel does not make it", -result)
    size = possible_cpus * round_up(definition.value_size, 8) if definition.per_cpu else definition.value_size
    return KernelMap(Fd(result), definition, size)


def kernel_name(name: str) -> bytes:
    """At most 15 of the characters that BPF_OBJ_NAME_LEN and its check allow."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)
    return kept[:15].encode()
