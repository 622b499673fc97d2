"""Keys and values of one map between bytes and what people write: typed by BTF where the map has it, else plain.

Bytes are always taken. Keys of an LPM trie are CIDR text, keys of index maps numbers. Values typed by BTF have the
shape of btf/values.py; without BTF they are bytes.
"""

from __future__ import annotations

import ipaddress
import json
from typing import TypeAlias, Union

from xdpsim.btf.values import Value, decode_value, encode_lpm_key, encode_plain, encode_value
from xdpsim.errors import InputError
from xdpsim.maps.spec import MapSpec

INDEX_TYPES = frozenset({"ARRAY", "PERCPU_ARRAY", "PROG_ARRAY", "DEVMAP", "CPUMAP", "XSKMAP", "ARRAY_OF_MAPS"})
"""Maps that are keyed by a number below max_entries."""

Key: TypeAlias = Union[int, float, str, bytes, "tuple[Value, ...]", "StructKey"]
"""What iteration yields: hashable, and good to look up with."""


class StructKey(dict[str, Value]):
    """A struct key by field name; hashable, so that `dict(map)` works. Not to be changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True))


class Codec:
    """Encodes and decodes for one map; errors name the map."""

    def __init__(self, spec: MapSpec) -> None:
        self.spec = spec
        self.key_type = _usable_type(spec, spec.key_type, spec.key_size)
        self.value_type = _usable_type(spec, spec.value_type, spec.value_size)

    @property
    def is_typed(self) -> bool:
        """Whether BTF says what the values are."""
        return self.value_type != 0

    def encode_key(self, key: object, where: str = "") -> bytes:
        """The bytes of a key in any of its forms; InputError says what would have been right."""
        spec = self.spec
        where = where or f"map {spec.name}: key"
        if isinstance(key, StructKey):
            key = dict(key)
        if spec.type == "LPM_TRIE" and isinstance(key, str) and spec.key_size in (8, 20):
            return encode_lpm_key(spec.key_size, key, where)
        if spec.btf is not None and self.key_type:
            return encode_value(spec.btf, self.key_type, key, where=where)
        return encode_plain(spec.key_size, key, where)

    def decode_key(self, key: bytes) -> Key:
        """A key as iteration yields it."""
        if self.spec.type == "LPM_TRIE" and len(key) in (8, 20):
            return self.key_text(key)
        if self.spec.type in INDEX_TYPES:
            return int.from_bytes(key, "little")
        typed = self.typed_key(key)
        if isinstance(typed, dict):
            return StructKey(typed)
        if isinstance(typed, list):
            return tuple(typed)
        return key if typed is None else typed

    def typed_key(self, key: bytes) -> Value | None:
        """The key as BTF types it, None where nothing types it."""
        if self.spec.btf is None or not self.key_type:
            return None
        return decode_value(self.spec.btf, self.key_type, key, f"map {self.spec.name}: key")

    def key_text(self, key: bytes) -> str:
        """A key as messages show it: an index, a network, a number, or hex."""
        spec = self.spec
        if spec.type == "LPM_TRIE" and len(key) in (8, 20):
            return f"{ipaddress.ip_address(key[4:])}/{int.from_bytes(key[:4], 'little')}"
        if spec.type in INDEX_TYPES:
            return str(int.from_bytes(key, "little"))
        typed = self.typed_key(key)
        if typed is not None:
            return typed if isinstance(typed, str) else json.dumps(typed)
        return "0x" + key[::-1].hex() if len(key) in (1, 2, 4, 8) else key.hex(" ")

    def encode_value(self, value: object, where: str, base: bytes | None = None) -> bytes:
        """The bytes of one value; `base` gives the fields that `value` leaves out."""
        spec = self.spec
        if spec.btf is not None and self.value_type:
            return encode_value(spec.btf, self.value_type, value, where=where, base=base)
        return encode_plain(spec.value_size, value, where)

    def decode_value(self, data: bytes) -> Value | bytes:
        """One value as BTF types it, else its bytes."""
        typed = self.typed_value(data)
        return data if typed is None else typed

    def typed_value(self, data: bytes) -> Value | None:
        """One value as BTF types it, None where nothing types it."""
        if self.spec.btf is None or not self.value_type:
            return None
        return decode_value(self.spec.btf, self.value_type, data, f"map {self.spec.name}: value")


def _usable_type(spec: MapSpec, type_id: int, size: int) -> int:
    """The type if it has values of that size; 0 otherwise, as libbpf then makes the map without BTF."""
    if spec.btf is None or not type_id:
        return 0
    try:
        return type_id if spec.btf.size_of(type_id) == size else 0
    except InputError:
        return 0
