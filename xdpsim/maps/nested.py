"""ARRAY_OF_MAPS and HASH_OF_MAPS: maps whose values are other maps, all made after one template.

Follows kernel/bpf/map_in_map.c, arraymap.c and hashtab.c. A slot holds the address of the inner map's header, which is
what a program's lookup yields; users give a map or its number in the machine and read the number.
Which map has a number is the machine's knowledge: `find_map` asks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.btf.values import Value
from xdpsim.errors import XdpsimBug
from xdpsim.maps.array import array_next_key, array_problem
from xdpsim.maps.hash import (
    HASH,
    hash_delete,
    hash_lookup,
    hash_lookup4,
    hash_lookup8,
    hash_lookup16,
    hash_next_key,
    hash_problem,
    hash_update,
)
from xdpsim.maps.hash_nodes import NODE_KEY, build_nodes
from xdpsim.maps.header import EBADF, EINVAL, ENOTSUPP, MAP
from xdpsim.maps.kind import KINDS, MapKind, MapMemory, Problem, check_spec, declare, slot_bytes
from xdpsim.maps.plain import refuse_delete, refuse_update
from xdpsim.maps.references import encode_number, reference_lookup, reference_slot, slot_delete, slot_update_error
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import special_fields
from xdpsim.maps.types import (
    BPF_F_INNER_MAP,
    BPF_F_NUMA_NODE,
    BPF_F_RDONLY,
    BPF_F_WRONLY,
    MAP_TYPES,
)
from xdpsim.memory.arena import block_at
from xdpsim.memory.native import NativeFunction, native
from xdpsim.memory.raw import load64, store64

if TYPE_CHECKING:
    from xdpsim.maps.bytemap import ByteMap

_ADDRESS_BYTES = 8
_NUMBER = MAP.offset("number")
_NEVER_INNER = frozenset({"PROG_ARRAY", "STRUCT_OPS", "CGROUP_STORAGE", "PERCPU_CGROUP_STORAGE"})
"""Types without map_meta_equal."""


@native
def inner_array_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the inner map's header, 0 for an empty slot."""
    slot = reference_slot(map_, key)
    return load64(slot) if slot else 0


@native
def inner_array_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a slot to the header whose address `value` holds."""
    store64(reference_slot(map_, key), load64(value))
    return 0


@native
def inner_hash_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the inner map's header under a key of any size, or 0."""
    value = hash_lookup(rs, map_, key)
    return load64(value) if value else 0


@native
def inner_hash_lookup4(rs: int, map_: int, key: int) -> int:
    """As inner_hash_lookup, for keys of 4 bytes."""
    value = hash_lookup4(rs, map_, key)
    return load64(value) if value else 0


@native
def inner_hash_lookup8(rs: int, map_: int, key: int) -> int:
    """As inner_hash_lookup, for keys of 8 bytes."""
    value = hash_lookup8(rs, map_, key)
    return load64(value) if value else 0


@native
def inner_hash_lookup16(rs: int, map_: int, key: int) -> int:
    """As inner_hash_lookup, for keys of 16 bytes."""
    value = hash_lookup16(rs, map_, key)
    return load64(value) if value else 0


def same_shape(template: MapSpec, inner: MapSpec) -> bool:
    """Whether a map may stand where the template does: the map_meta_equal of its type."""
    fields = ("type", "key_size", "value_size", "flags")
    if any(getattr(template, field) != getattr(inner, field) for field in fields):
        return False
    is_sized = template.type == "XSKMAP" or (template.type == "ARRAY" and not template.flags & BPF_F_INNER_MAP)
    if is_sized and template.max_entries != inner.max_entries:
        return False
    return special_fields(template) == special_fields(inner)


def _store(outer: ByteMap, value: bytes) -> bytes | int:
    """The address of the inner map with the number that a user gave."""
    inner = outer.find_map(int.from_bytes(value, "little"))
    if inner is None:
        return -EBADF
    assert outer.spec.inner is not None
    return inner.header_address.to_bytes(8, "little") if same_shape(outer.spec.inner, inner.spec) else -EINVAL


def _load(outer: ByteMap, address: int) -> bytes:
    """The number of the inner map whose header's address lies at `address`."""
    header = int.from_bytes(_bytes_at(address, _ADDRESS_BYTES), "little")
    return _bytes_at(header + _NUMBER, 4)


def _bytes_at(address: int, size: int) -> bytes:
    block = block_at(address, size)
    if block is None:
        raise XdpsimBug(f"{size} bytes at {address:#x} are outside all memory of xdpsim")
    return bytes(block.view[address - block.address : address - block.address + size])


def _inner_problem(spec: MapSpec) -> Problem | None:
    inner = spec.inner
    if inner is None:
        return Problem("inner", "a template for the inner maps", EBADF)
    if inner.type in ("ARRAY_OF_MAPS", "HASH_OF_MAPS"):
        return Problem("inner", "a template that is no map of maps itself", EINVAL, inner.type)
    if inner.type in _NEVER_INNER:
        return Problem("inner", f"another type than {', '.join(sorted(_NEVER_INNER))}", ENOTSUPP, inner.type)
    if inner.type in KINDS:
        check_spec(KINDS[inner.type], inner)
    return None


def _size_problem(spec: MapSpec) -> Problem | None:
    return Problem("value_size", "4, for the value is a map", EINVAL) if spec.value_size != 4 else None


def _array_problem(spec: MapSpec) -> Problem | None:
    return _size_problem(spec) or array_problem(spec) or _inner_problem(spec)


def _hash_problem(spec: MapSpec) -> Problem | None:
    return _size_problem(spec) or hash_problem(spec) or _inner_problem(spec)


def _build_array(memory: MapMemory) -> None:
    slots = memory.spec.max_entries
    block = memory.block(slots * _ADDRESS_BYTES, "slots")
    memory.place_values(block, count=slots, stride=_ADDRESS_BYTES)
    memory.regions.clear()


def _build_hash(memory: MapMemory) -> None:
    """A hash with values of 8 bytes: the addresses."""
    value_at = NODE_KEY + slot_bytes(memory.spec.key_size)
    node_bytes = value_at + _ADDRESS_BYTES
    nodes = build_nodes(memory, node_bytes)
    assert memory.nodes is not None
    memory.place_values(memory.nodes, offset=value_at, count=nodes, stride=node_bytes)
    memory.regions.clear()
    memory.header.value_size = _ADDRESS_BYTES


def _encode(spec: MapSpec, value: object, where: str) -> object:
    return encode_number(value, "number", where)


def _decode(value: bytes) -> Value:
    return int.from_bytes(value, "little")


_SIZED: dict[int, NativeFunction] = {4: inner_hash_lookup4, 8: inner_hash_lookup8, 16: inner_hash_lookup16}


def _lookup(spec: MapSpec) -> NativeFunction:
    return _SIZED.get(spec.key_size, inner_hash_lookup)


ARRAY_OF_MAPS = declare(
    MapKind(
        type=MAP_TYPES["ARRAY_OF_MAPS"],
        flags=BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
        check=_array_problem,
        build=_build_array,
        lookup=inner_array_lookup,
        user_lookup=reference_lookup,
        update=refuse_update,
        user_update=inner_array_update,
        update_error=slot_update_error,
        delete=refuse_delete,
        user_delete=slot_delete,
        next_key=array_next_key,
        encode_value=_encode,
        decode_value=_decode,
        store=_store,
        load=_load,
    )
)
HASH_OF_MAPS = declare(
    MapKind(
        type=MAP_TYPES["HASH_OF_MAPS"],
        flags=HASH.flags,
        check=_hash_problem,
        build=_build_hash,
        lookup=_lookup,
        user_lookup=hash_lookup,
        update=refuse_update,
        user_update=hash_update,
        delete=refuse_delete,
        user_delete=hash_delete,
        next_key=hash_next_key,
        encode_value=_encode,
        decode_value=_decode,
        store=_store,
        load=_load,
        length=lambda header: header.count,
    )
)
