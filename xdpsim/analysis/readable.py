"""Map keys and values as people read them: names, fields and addresses by BTF, on one line.

For reports only: what a machine reads is `Map.dump()`, in bpftool's shape. A `__be32` is shown as an IPv4 address and a
`__be16` as the number people write; six bytes are a MAC address; fields called pad or reserved are left out when zero.
"""

from __future__ import annotations

import ipaddress
from socket import AF_INET6, inet_ntop
from typing import TypeAlias, Union

from xdpsim.btf.decode import decode_value, is_char_array
from xdpsim.btf.types import Array, Btf, Enum, Int, Member, Ref, Struct, Type
from xdpsim.errors import InputError
from xdpsim.maps.map import Map

Leaf: TypeAlias = Union[int, str]
Leaves: TypeAlias = dict[str, Leaf]
"""Field path ("" for a value without fields) -> a number, or text that cannot be counted with."""

ARRAY_TYPES = ("ARRAY", "PERCPU_ARRAY")
SHOWN_BYTES = 16
_BIG_ENDIAN = {"__be16": 2, "__be32": 4, "in_addr_t": 4}
_PADDING = ("pad", "reserved", "unused")
_MAX_LEAVES = 64


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def index_names(source: Map) -> dict[int, str]:
    """Names for a map's keys: of the enum that is the key's type, or for an array of the one enum that fits.

    An enum fits when it names every index of the array once and at most the array's size besides (RULE_MAX): programs
    declare such keys as __u32. Empty when no enum fits, or more than one.
    """
    spec = source.spec
    if spec.btf is None:
        return {}
    key_type = spec.btf.resolve(spec.key_type) if spec.key_type else None
    if isinstance(key_type, Enum):
        return {value: name for name, value in key_type.values}
    if spec.type not in ARRAY_TYPES or spec.max_entries < 2:
        return {}
    fitting = [row for row in spec.btf.types if isinstance(row, Enum) and _fits(row, spec.max_entries)]
    return {value: name for name, value in fitting[0].values} if len(fitting) == 1 else {}


def _fits(row: Enum, entries: int) -> bool:
    numbers = sorted(value for _, value in row.values)
    return numbers in (list(range(entries)), list(range(entries + 1)))


class Reader:
    """Shows keys and values of one map."""

    def __init__(self, source: Map) -> None:
        self.map = source
        self.names = index_names(source)

    def key(self, key: bytes) -> str:
        """A key as it stands between the brackets of `map[key]`."""
        codec, btf = self.map.codec, self.map.spec.btf
        number = int.from_bytes(key, "little")
        if len(key) == self.map.spec.key_size == 4 and number in self.names:
            return printable(self.names[number])
        if self.map.spec.type == "LPM_TRIE" or btf is None or not codec.key_type or self._is_index():
            return printable(codec.key_text(key))
        leaves = _leaves(btf, codec.key_type, key)
        if leaves is None:
            return codec.key_text(key)
        if len(leaves) == 1:
            return str(next(iter(leaves.values())))
        return " ".join(f"{name}={value}" for name, value in leaves.items())

    def _is_index(self) -> bool:
        return self.map.spec.type in ARRAY_TYPES

    def leaves(self, value: bytes) -> Leaves:
        """The fields of a value as Map.lookup_bytes gives it; numbers of a per-CPU map are summed over its CPUs."""
        parts = [self._part(part) for part in self.map.split(value)] if self.map.kind.per_cpu else [self._part(value)]
        total = dict(parts[0])
        for part in parts[1:]:
            for name, leaf in part.items():
                before = total.get(name, 0)
                total[name] = before + leaf if isinstance(leaf, int) and isinstance(before, int) else before
        return total

    def _part(self, value: bytes) -> Leaves:
        codec, btf = self.map.codec, self.map.spec.btf
        if btf is not None and codec.value_type:
            leaves = _leaves(btf, codec.value_type, value)
            if leaves is not None:
                return leaves
        if len(value) in (1, 2, 4, 8):
            return {"": int.from_bytes(value, "little")}
        return {"": _hex(value)}

    def value(self, value: bytes) -> str:
        """A value on one line; fields that are zero are left out unless all are."""
        leaves = self.leaves(value)
        shown = {name: leaf for name, leaf in leaves.items() if leaf} or leaves
        return ", ".join(_pair(name, leaf) for name, leaf in shown.items())


def _pair(name: str, leaf: Leaf) -> str:
    number = f"{leaf:,}" if isinstance(leaf, int) else leaf
    return f"{name} {number}" if name else number


def _hex(data: bytes) -> str:
    return data[:SHOWN_BYTES].hex(" ") + (f" .. ({len(data)} bytes)" if len(data) > SHOWN_BYTES else "")


def _leaves(btf: Btf, type_id: int, data: bytes) -> Leaves | None:
    """The fields of typed bytes; None for what BTF cannot take apart, or what would not fit a line."""
    found: Leaves = {}
    try:
        _walk(btf, type_id, data, "", found)
    except InputError:
        return None
    return found if len(found) <= _MAX_LEAVES else None


def _walk(btf: Btf, type_id: int, data: bytes, path: str, found: Leaves) -> None:
    if len(found) > _MAX_LEAVES:
        return
    alias, row = _alias(btf, type_id), btf.resolve(type_id)
    if alias in _BIG_ENDIAN and len(data) == _BIG_ENDIAN[alias]:
        found[path] = str(ipaddress.IPv4Address(data)) if len(data) == 4 else int.from_bytes(data, "big")
    elif isinstance(row, Struct) and row.name == "in6_addr":
        found[path] = inet_ntop(AF_INET6, data)
    elif isinstance(row, Struct) and row.members:
        for member in row.members:
            _member(btf, member, data, path, found)
    elif isinstance(row, Array):
        _array(btf, row, data, path, found)
    else:
        found[path] = _leaf(btf, row, data)


def _member(btf: Btf, member: Member, data: bytes, path: str, found: Leaves) -> None:
    name = f"{path}.{member.name}" if path and member.name else path or member.name
    if member.bit_size:
        number = int.from_bytes(data, "little") >> member.bit_offset & (1 << member.bit_size) - 1
        found[name] = number
        return
    start = member.bit_offset // 8
    part = data[start : start + btf.size_of(member.type_id)]
    if any(part) or not member.name.strip("_").startswith(_PADDING):
        _walk(btf, member.type_id, part, name, found)


def _array(btf: Btf, row: Array, data: bytes, path: str, found: Leaves) -> None:
    element = btf.resolve(row.type_id)
    if is_char_array(btf, row):
        text = data.split(b"\0", 1)[0].decode("ascii", "replace")
        found[path] = printable(text) if text.isprintable() else _hex(data)
    elif isinstance(element, Int) and element.size == 1:
        found[path] = data.hex(":") if row.nelems == 6 else _hex(data)
    else:
        size = btf.size_of(row.type_id)
        for index in range(min(row.nelems, _MAX_LEAVES + 1)):
            _walk(btf, row.type_id, data[index * size : (index + 1) * size], f"{path}[{index}]", found)


def _leaf(btf: Btf, row: Type, data: bytes) -> Leaf:
    value = decode_value(btf, row.id, data)
    if isinstance(value, bool):
        return "true" if value else 0
    return value if isinstance(value, int) else printable(str(value))


def _alias(btf: Btf, type_id: int) -> str:
    """The outermost typedef of a type that says something of its byte order, through qualifiers."""
    row = btf.get(type_id)
    while isinstance(row, Ref) and row.name not in _BIG_ENDIAN and row.type_id:
        inner = btf.get(row.type_id)
        if not isinstance(inner, Ref):
            break
        row = inner
    return row.name
