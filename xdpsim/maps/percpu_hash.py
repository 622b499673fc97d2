"""PERCPU_HASH: the nodes of hash.py, each with the address of its values, of which every CPU has its own.

Follows kernel/bpf/hashtab.c: an element that exists is written in place, by a program only on its own CPU; in a new
element that a program makes, the other CPUs' values are zero.
"""

from __future__ import annotations

from xdpsim.maps.hash import HASH, hash_delete, hash_lookup, hash_lookup4, hash_lookup8, hash_next_key, hash_problem
from xdpsim.maps.hash_nodes import (
    NODE_KEY,
    build_nodes,
    hash_find_link,
    hash_key,
    hash_link_new,
    hash_take_node,
    hash_update_error,
)
from xdpsim.maps.header import E2BIG, MAP, NEG_EINVAL
from xdpsim.maps.kind import (
    PER_CPU_VALUE_BYTES,
    MapKind,
    MapMemory,
    Problem,
    declare,
    slot_bytes,
)
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import map_copy_padded, map_copy_value, map_init_special
from xdpsim.maps.types import BPF_EXIST, BPF_F_NUMA_NODE, MAP_TYPES
from xdpsim.memory.native import NativeFunction, native
from xdpsim.memory.raw import fill, load32, load64, store64
from xdpsim.memory.structs import RUN_STATE

_KEY_SIZE = MAP.offset("key_size")
_CPUS = MAP.offset("cpus")
_VALUES = MAP.offset("values")
_STRIDE = MAP.offset("value_stride")
_CPU_STRIDE = MAP.offset("cpu_stride")
_NODES = MAP.offset("nodes")
_NODE_STRIDE = MAP.offset("node_stride")
_CPU = RUN_STATE.offset("cpu")


@native
def percpu_hash_own(rs: int, map_: int, place: int) -> int:
    """Address of the running CPU's value, given where a node keeps the address of CPU 0's; 0 for 0."""
    if place == 0:
        return 0
    return load64(place) + load32(rs + _CPU) * load64(map_ + _CPU_STRIDE)


@native
def percpu_hash_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the running CPU's value under a key of any size, or 0."""
    return percpu_hash_own(rs, map_, hash_lookup(rs, map_, key))


@native
def percpu_hash_lookup4(rs: int, map_: int, key: int) -> int:
    """As percpu_hash_lookup, for keys of 4 bytes."""
    return percpu_hash_own(rs, map_, hash_lookup4(rs, map_, key))


@native
def percpu_hash_lookup8(rs: int, map_: int, key: int) -> int:
    """As percpu_hash_lookup, for keys of 8 bytes."""
    return percpu_hash_own(rs, map_, hash_lookup8(rs, map_, key))


@native
def percpu_hash_copy_all(map_: int, values: int, source: int) -> int:
    """Write all CPUs' values from values that follow one another, or zero them when `source` is 0."""
    stride = load64(map_ + _STRIDE)
    cpu = 0
    while cpu < load32(map_ + _CPUS):
        if source:
            map_copy_padded(map_, values, source)
            source += stride
        else:
            fill(values, 0, stride)
            map_init_special(map_, values)
        values += load64(map_ + _CPU_STRIDE)
        cpu += 1
    return 0


@native
def percpu_hash_add(map_: int, link: int, key: int, hash_: int) -> int:
    """A new element at the end of a chain; the address of CPU 0's value."""
    node = hash_take_node(map_)
    hash_link_new(map_, link, node, key, hash_)
    index = (node - load64(map_ + _NODES)) // load64(map_ + _NODE_STRIDE)
    values = load64(map_ + _VALUES) + index * load64(map_ + _STRIDE)
    store64(node + NODE_KEY + (load32(map_ + _KEY_SIZE) + 7 & ~7), values)
    return values


@native
def percpu_hash_put(rs: int, map_: int, key: int, value: int, flags: int, by_user: int) -> int:
    """Set a key's value: by a program the running CPU's, by a user all."""
    if flags > BPF_EXIST:
        return NEG_EINVAL
    size = load32(map_ + _KEY_SIZE)
    hash_ = hash_key(key, size)
    link = hash_find_link(map_, key, hash_)
    old = load64(link)
    error = hash_update_error(map_, old, flags)
    if error:
        return error
    if old:
        values = load64(old + NODE_KEY + (size + 7 & ~7))
    else:
        values = percpu_hash_add(map_, link, key, hash_)
        percpu_hash_copy_all(map_, values, 0)
    if by_user:
        return percpu_hash_copy_all(map_, values, value)
    return map_copy_value(map_, values + load32(rs + _CPU) * load64(map_ + _CPU_STRIDE), value)


@native
def percpu_hash_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """A program's update."""
    return percpu_hash_put(rs, map_, key, value, flags, 0)


@native
def percpu_hash_user_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """A user's update: `value` holds one value for each CPU, each rounded up to 8 bytes."""
    return percpu_hash_put(rs, map_, key, value, flags, 1)


def _problem(spec: MapSpec) -> Problem | None:
    problem = hash_problem(spec)
    if problem is None and slot_bytes(spec.value_size) > PER_CPU_VALUE_BYTES:
        return Problem("value_size", f"{PER_CPU_VALUE_BYTES} or less", E2BIG)
    return problem


def _build(memory: MapMemory) -> None:
    spec = memory.spec
    stride = slot_bytes(spec.value_size)
    nodes = build_nodes(memory, NODE_KEY + slot_bytes(spec.key_size) + 8)
    block = memory.block(nodes * stride * memory.cpus, "values")
    memory.place_values(block, count=nodes, stride=stride, copies=memory.cpus)


_SIZED: dict[int, NativeFunction] = {4: percpu_hash_lookup4, 8: percpu_hash_lookup8}


def _lookup(spec: MapSpec) -> NativeFunction:
    return _SIZED.get(spec.key_size, percpu_hash_lookup)


PERCPU_HASH = declare(
    MapKind(
        type=MAP_TYPES["PERCPU_HASH"],
        flags=HASH.flags & ~BPF_F_NUMA_NODE,
        check=_problem,
        build=_build,
        lookup=_lookup,
        update=percpu_hash_update,
        user_update=percpu_hash_user_update,
        delete=hash_delete,
        next_key=hash_next_key,
        length=lambda header: header.count,
        per_cpu=True,
    )
)
