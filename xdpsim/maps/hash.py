"""HASH: chained buckets over nodes that never move. PERCPU_HASH (percpu_hash.py) shares all but the values.

Follows kernel/bpf/hashtab.c in what can be seen. A replaced value gets a new node and the old one keeps its bytes
until it is used again: in a preallocated map by this CPU's next replacement, otherwise by the next new element. A
deleted node is the next one used. Unlike Linux, whose order is random for each map, iteration goes by bucket of our
own hash and by age inside a bucket, and an element that is replaced keeps its place.

A node's value follows its key. Nodes and buckets themselves are in hash_nodes.py.
"""

from __future__ import annotations

from xdpsim.maps.hash_nodes import (
    HASH_SEED,
    NODE_HASH,
    NODE_KEY,
    build_nodes,
    hash_bucket,
    hash_find_link,
    hash_give_node,
    hash_key,
    hash_link_new,
    hash_mix,
    hash_take_node,
    hash_take_replacement,
    hash_update_error,
)
from xdpsim.maps.header import E2BIG, EINVAL, MAP, NEG_EINVAL, NEG_ENOENT
from xdpsim.maps.kind import ACCESS_FLAGS, LARGEST_ALLOCATION, MapKind, MapMemory, Problem, declare, slot_bytes
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import map_copy_value, map_init_special
from xdpsim.maps.types import (
    BPF_EXIST,
    BPF_F_LOCK,
    BPF_F_NO_PREALLOC,
    BPF_F_NUMA_NODE,
    BPF_F_ZERO_SEED,
    MAP_TYPES,
)
from xdpsim.memory.native import NativeFunction, native
from xdpsim.memory.raw import copy, load32, load64, same, store32, store64

_KEY_SIZE = MAP.offset("key_size")
_COUNT = MAP.offset("count")
_HAS_LOCK = MAP.offset("has_lock")
_BUCKETS = MAP.offset("buckets")
_MASK = MAP.offset("bucket_mask")
_MAX_ENTRIES = 1 << 31
_HTAB_ELEM_BYTES = 48
"""sizeof(struct htab_elem): counts against the largest element."""


@native
def hash_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the value under a key of any size, or 0."""
    size = load32(map_ + _KEY_SIZE)
    hash_ = hash_key(key, size)
    node = load64(hash_bucket(map_, hash_))
    while node:
        if load64(node + NODE_HASH) == hash_ and same(node + NODE_KEY, key, size):
            return node + NODE_KEY + (size + 7 & ~7)
        node = load64(node)
    return 0


@native
def hash_lookup4(rs: int, map_: int, key: int) -> int:
    """As hash_lookup, for keys of 4 bytes."""
    word = load32(key)
    node = load64(hash_bucket(map_, hash_mix(HASH_SEED ^ word)))
    while node:
        if load32(node + NODE_KEY) == word:
            return node + NODE_KEY + 8
        node = load64(node)
    return 0


@native
def hash_lookup8(rs: int, map_: int, key: int) -> int:
    """As hash_lookup, for keys of 8 bytes."""
    word = load64(key)
    node = load64(hash_bucket(map_, hash_mix(HASH_SEED ^ word)))
    while node:
        if load64(node + NODE_KEY) == word:
            return node + NODE_KEY + 8
        node = load64(node)
    return 0


@native
def hash_lookup16(rs: int, map_: int, key: int) -> int:
    """As hash_lookup, for keys of 16 bytes."""
    low = load64(key)
    high = load64(key + 8)
    node = load64(hash_bucket(map_, hash_mix(hash_mix(HASH_SEED ^ low) ^ high)))
    while node:
        if load64(node + NODE_KEY) == low and load64(node + NODE_KEY + 8) == high:
            return node + NODE_KEY + 16
        node = load64(node)
    return 0


@native
def hash_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a key's value in a new node; with BPF_F_LOCK an existing element is written in place."""
    is_locked = flags & BPF_F_LOCK
    flags = flags & ~BPF_F_LOCK
    if flags > BPF_EXIST:
        return NEG_EINVAL
    if is_locked and load32(map_ + _HAS_LOCK) == 0:
        return NEG_EINVAL
    size = load32(map_ + _KEY_SIZE)
    value_at = NODE_KEY + (size + 7 & ~7)
    hash_ = hash_key(key, size)
    link = hash_find_link(map_, key, hash_)
    old = load64(link)
    error = hash_update_error(map_, old, flags)
    if error:
        return error
    if old == 0:
        node = hash_take_node(map_)
        map_init_special(map_, node + value_at)
        map_copy_value(map_, node + value_at, value)
        return hash_link_new(map_, link, node, key, hash_)
    if is_locked:
        return map_copy_value(map_, old + value_at, value)
    following = load64(old)
    node = hash_take_replacement(rs, map_, old)
    map_init_special(map_, node + value_at)
    map_copy_value(map_, node + value_at, value)
    store64(node + NODE_HASH, hash_)
    copy(node + NODE_KEY, key, size)
    store64(node, following)
    store64(link, node)
    return 0


@native
def hash_delete(rs: int, map_: int, key: int) -> int:
    """Unlink a key's node; -ENOENT without one. The value's bytes stay until the node is used again."""
    link = hash_find_link(map_, key, hash_key(key, load32(map_ + _KEY_SIZE)))
    node = load64(link)
    if node == 0:
        return NEG_ENOENT
    store64(link, load64(node))
    hash_give_node(map_, node)
    store32(map_ + _COUNT, load32(map_ + _COUNT) - 1)
    return 0


@native
def hash_next_key(rs: int, map_: int, key: int, following: int) -> int:
    """The key behind `key` in bucket order; the first one when `key` is 0 (none) or not in the map."""
    size = load32(map_ + _KEY_SIZE)
    bucket = load64(map_ + _BUCKETS)
    end = bucket + (load64(map_ + _MASK) + 1 << 3)
    node = 0
    if key:
        hash_ = hash_key(key, size)
        found = load64(hash_find_link(map_, key, hash_))
        if found:
            node = load64(found)
            bucket = hash_bucket(map_, hash_) + 8
    while node == 0:
        if bucket >= end:
            return NEG_ENOENT
        node = load64(bucket)
        bucket += 8
    copy(following, node + NODE_KEY, size)
    return 0


def hash_problem(spec: MapSpec) -> Problem | None:
    """The creation rules of every hash."""
    for field in ("max_entries", "key_size", "value_size"):
        if getattr(spec, field) == 0:
            return Problem(field, "1 or more", EINVAL)
    most = LARGEST_ALLOCATION - _HTAB_ELEM_BYTES
    if spec.key_size + spec.value_size >= most:
        return Problem("value_size", f"key and value together below {most}", E2BIG)
    if spec.max_entries > _MAX_ENTRIES:
        return Problem("max_entries", f"{_MAX_ENTRIES} or less", E2BIG)
    return None


def _build(memory: MapMemory) -> None:
    spec = memory.spec
    value_at = NODE_KEY + slot_bytes(spec.key_size)
    node_bytes = value_at + slot_bytes(spec.value_size)
    nodes = build_nodes(memory, node_bytes)
    assert memory.nodes is not None
    memory.place_values(memory.nodes, offset=value_at, count=nodes, stride=node_bytes)


_SIZED: dict[int, NativeFunction] = {4: hash_lookup4, 8: hash_lookup8, 16: hash_lookup16}


def _lookup(spec: MapSpec) -> NativeFunction:
    return _SIZED.get(spec.key_size, hash_lookup)


HASH = declare(
    MapKind(
        type=MAP_TYPES["HASH"],
        flags=BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | ACCESS_FLAGS,
        check=hash_problem,
        build=_build,
        lookup=_lookup,
        update=hash_update,
        delete=hash_delete,
        next_key=hash_next_key,
        length=lambda header: header.count,
    )
)
