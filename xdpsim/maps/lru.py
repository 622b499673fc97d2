"""LRU_HASH and LRU_PERCPU_HASH: hashes that evict what was not used of late when they are full.

Follows kernel/bpf/hashtab.c. Chains and nodes are those of hash.py and percpu_hash.py; which node is evicted is decided
by lru_links.py. A program's lookup marks an element as used, a user's does not. A new node is taken, and others may be
evicted for it, before the flags of an update are looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from xdpsim.bits import M32, round_up
from xdpsim.maps.hash import HASH, hash_lookup, hash_lookup4, hash_lookup8, hash_lookup16, hash_next_key, hash_problem
from xdpsim.maps.hash_nodes import (
    NODE_HASH,
    NODE_KEY,
    build_nodes,
    hash_find_link,
    hash_key,
    hash_link_new,
    hash_update_error,
)
from xdpsim.maps.header import E2BIG, EINVAL, ENOTSUPP, MAP, NEG_EINVAL, NEG_ENOENT, NEG_ENOMEM
from xdpsim.maps.kind import PER_CPU_VALUE_BYTES, MapKind, MapMemory, Problem, declare, slot_bytes
from xdpsim.maps.lru_links import LRU_BYTES
from xdpsim.maps.lru_lists import build_lru, lru_give_node, lru_take_node, lru_touch
from xdpsim.maps.percpu_hash import percpu_hash_copy_all, percpu_hash_own
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import map_copy_value, map_init_special
from xdpsim.maps.types import BPF_EXIST, BPF_F_NO_COMMON_LRU, BPF_F_NO_PREALLOC, BPF_F_NUMA_NODE, MAP_TYPES
from xdpsim.memory.native import NativeFunction, native
from xdpsim.memory.raw import copy, load32, load64, store32, store64
from xdpsim.memory.structs import RUN_STATE

_KEY_SIZE = MAP.offset("key_size")
_COUNT = MAP.offset("count")
_VALUES = MAP.offset("values")
_STRIDE = MAP.offset("value_stride")
_CPU_STRIDE = MAP.offset("cpu_stride")
_NODES = MAP.offset("nodes")
_NODE_STRIDE = MAP.offset("node_stride")
_CPU = RUN_STATE.offset("cpu")


@native
def lru_hash_lookup(rs: int, map_: int, key: int) -> int:
    """As hash_lookup; what is found is marked as used."""
    value = hash_lookup(rs, map_, key)
    if value:
        lru_touch(value - NODE_KEY - (load32(map_ + _KEY_SIZE) + 7 & ~7))
    return value


@native
def lru_hash_lookup4(rs: int, map_: int, key: int) -> int:
    """As lru_hash_lookup, for keys of 4 bytes."""
    value = hash_lookup4(rs, map_, key)
    if value:
        lru_touch(value - NODE_KEY - 8)
    return value


@native
def lru_hash_lookup8(rs: int, map_: int, key: int) -> int:
    """As lru_hash_lookup, for keys of 8 bytes."""
    value = hash_lookup8(rs, map_, key)
    if value:
        lru_touch(value - NODE_KEY - 8)
    return value


@native
def lru_hash_lookup16(rs: int, map_: int, key: int) -> int:
    """As lru_hash_lookup, for keys of 16 bytes."""
    value = hash_lookup16(rs, map_, key)
    if value:
        lru_touch(value - NODE_KEY - 16)
    return value


@native
def lru_hash_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a key's value in a new node, for which old elements may have to go."""
    if flags > BPF_EXIST:
        return NEG_EINVAL
    size = load32(map_ + _KEY_SIZE)
    hash_ = hash_key(key, size)
    node = lru_take_node(rs, map_)
    if node == 0:
        return NEG_ENOMEM
    value_at = node + NODE_KEY + (size + 7 & ~7)
    map_init_special(map_, value_at)
    map_copy_value(map_, value_at, value)
    link = hash_find_link(map_, key, hash_)
    old = load64(link)
    error = hash_update_error(map_, old, flags)
    if error:
        lru_give_node(map_, node)
        return error
    if old == 0:
        return hash_link_new(map_, link, node, key, hash_)
    store64(node + NODE_HASH, hash_)
    copy(node + NODE_KEY, key, size)
    store64(node, load64(old))
    store64(link, node)
    lru_touch(node)
    return lru_give_node(map_, old)


@native
def lru_hash_delete(rs: int, map_: int, key: int) -> int:
    """Unlink a key's node; -ENOENT without one."""
    link = hash_find_link(map_, key, hash_key(key, load32(map_ + _KEY_SIZE)))
    node = load64(link)
    if node == 0:
        return NEG_ENOENT
    store64(link, load64(node))
    store32(map_ + _COUNT, load32(map_ + _COUNT) - 1)
    return lru_give_node(map_, node)


@native
def lru_percpu_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the running CPU's value, or 0; what is found is marked as used."""
    return percpu_hash_own(rs, map_, lru_hash_lookup(rs, map_, key))


@native
def lru_percpu_lookup4(rs: int, map_: int, key: int) -> int:
    """As lru_percpu_lookup, for keys of 4 bytes."""
    return percpu_hash_own(rs, map_, lru_hash_lookup4(rs, map_, key))


@native
def lru_percpu_lookup8(rs: int, map_: int, key: int) -> int:
    """As lru_percpu_lookup, for keys of 8 bytes."""
    return percpu_hash_own(rs, map_, lru_hash_lookup8(rs, map_, key))


@native
def lru_percpu_user_lookup(rs: int, map_: int, key: int) -> int:
    """Address of CPU 0's value for a user, whose look is no use."""
    return percpu_hash_own(rs, map_, hash_lookup(rs, map_, key))


@native
def lru_percpu_values(map_: int, node: int) -> int:
    """Address of CPU 0's value of a node."""
    index = (node - load64(map_ + _NODES)) // load64(map_ + _NODE_STRIDE)
    return load64(map_ + _VALUES) + index * load64(map_ + _STRIDE)


@native
def lru_percpu_put(rs: int, map_: int, key: int, value: int, flags: int, by_user: int) -> int:
    """Set a key's value: by a program the running CPU's, by a user all. An element that exists is written in place."""
    if flags > BPF_EXIST:
        return NEG_EINVAL
    size = load32(map_ + _KEY_SIZE)
    hash_ = hash_key(key, size)
    node = 0
    if flags != BPF_EXIST:
        node = lru_take_node(rs, map_)
        if node == 0:
            return NEG_ENOMEM
    link = hash_find_link(map_, key, hash_)
    old = load64(link)
    error = hash_update_error(map_, old, flags)
    if error:
        if node:
            lru_give_node(map_, node)
        return error
    if old:
        lru_touch(old)
        values = lru_percpu_values(map_, old)
    else:
        hash_link_new(map_, link, node, key, hash_)
        values = lru_percpu_values(map_, node)
        store64(node + NODE_KEY + (size + 7 & ~7), values)
        percpu_hash_copy_all(map_, values, 0)
    if by_user:
        percpu_hash_copy_all(map_, values, value)
    else:
        map_copy_value(map_, values + load32(rs + _CPU) * load64(map_ + _CPU_STRIDE), value)
    if old and node:
        lru_give_node(map_, node)
    return 0


@native
def lru_percpu_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """A program's update."""
    return lru_percpu_put(rs, map_, key, value, flags, 0)


@native
def lru_percpu_user_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """A user's update: `value` holds one value for each CPU, each rounded up to 8 bytes."""
    return lru_percpu_put(rs, map_, key, value, flags, 1)


def _problem(spec: MapSpec) -> Problem | None:
    if spec.flags & BPF_F_NO_PREALLOC:
        return Problem("flags", "no BPF_F_NO_PREALLOC", ENOTSUPP)
    if spec.flags & BPF_F_NO_COMMON_LRU and spec.flags & BPF_F_NUMA_NODE:
        return Problem("flags", "BPF_F_NUMA_NODE or BPF_F_NO_COMMON_LRU, not both", EINVAL)
    return hash_problem(spec)


def _percpu_problem(spec: MapSpec) -> Problem | None:
    problem = _problem(spec)
    if problem is None and slot_bytes(spec.value_size) > PER_CPU_VALUE_BYTES:
        return Problem("value_size", f"{PER_CPU_VALUE_BYTES} or less", E2BIG)
    return problem


def _nodes(memory: MapMemory, node_bytes: int) -> int:
    """Nodes with their LRU parts; with lists for each CPU every CPU has as many."""
    spec, header, cpus = memory.spec, memory.header, memory.cpus
    entries = spec.max_entries
    if spec.flags & BPF_F_NO_COMMON_LRU:
        entries = round_up(entries, cpus) if round_up(entries, cpus) <= M32 else entries - entries % cpus
    header.max_entries = entries
    nodes = build_nodes(memory, node_bytes, entries=entries, before=LRU_BYTES)
    build_lru(memory, entries)
    return nodes


def _build(memory: MapMemory) -> None:
    spec = memory.spec
    value_at = NODE_KEY + slot_bytes(spec.key_size)
    nodes = _nodes(memory, value_at + slot_bytes(spec.value_size))
    assert memory.nodes is not None
    stride = memory.header.node_stride
    memory.place_values(memory.nodes, offset=LRU_BYTES + value_at, count=nodes, stride=stride)


def _build_percpu(memory: MapMemory) -> None:
    spec = memory.spec
    stride = slot_bytes(spec.value_size)
    nodes = _nodes(memory, NODE_KEY + slot_bytes(spec.key_size) + 8)
    block = memory.block(nodes * stride * memory.cpus, "values")
    memory.place_values(block, count=nodes, stride=stride, copies=memory.cpus)


def _by_size(general: NativeFunction, **sized: NativeFunction) -> Callable[[MapSpec], NativeFunction]:
    return lambda spec: sized.get(f"key{spec.key_size}", general)


LRU_HASH = declare(
    MapKind(
        type=MAP_TYPES["LRU_HASH"],
        flags=HASH.flags | BPF_F_NO_COMMON_LRU,
        check=_problem,
        build=_build,
        lookup=_by_size(lru_hash_lookup, key4=lru_hash_lookup4, key8=lru_hash_lookup8, key16=lru_hash_lookup16),
        user_lookup=hash_lookup,
        update=lru_hash_update,
        delete=lru_hash_delete,
        next_key=hash_next_key,
        length=lambda header: header.count,
    )
)
LRU_PERCPU_HASH = declare(
    MapKind(
        type=MAP_TYPES["LRU_PERCPU_HASH"],
        flags=(HASH.flags | BPF_F_NO_COMMON_LRU) & ~BPF_F_NUMA_NODE,
        check=_percpu_problem,
        build=_build_percpu,
        lookup=_by_size(lru_percpu_lookup, key4=lru_percpu_lookup4, key8=lru_percpu_lookup8),
        user_lookup=lru_percpu_user_lookup,
        update=lru_percpu_update,
        user_update=lru_percpu_user_update,
        delete=lru_hash_delete,
        next_key=hash_next_key,
        length=lambda header: header.count,
        per_cpu=True,
    )
)
