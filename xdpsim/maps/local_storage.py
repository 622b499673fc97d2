"""TASK_STORAGE and CGRP_STORAGE: one value for each task or cgroup that has been given one.

Follows kernel/bpf/bpf_local_storage.c, bpf_task_storage.c and bpf_cgrp_storage.c. Programs name the owner by a pointer,
users by a file descriptor on Linux and here by its number: a task's pid, a cgroup's id. A value that a user sets before
a program met an owner of that number belongs to the first that comes; one of an owner that is gone, its number taken by
another, goes when the other is met. A value never moves: a user's update writes it in place.

Nodes are those of hash_nodes.py, with the owner's number as key and its address in front of the value. Linux has no
limit to how many there are; here it is OWNERS.
"""

from __future__ import annotations

from xdpsim.btf.types import Int
from xdpsim.maps.hash_nodes import (
    HASH_SEED,
    NODE_HASH,
    NODE_KEY,
    build_nodes,
    hash_bucket,
    hash_give_node,
    hash_mix,
    hash_take_node,
)
from xdpsim.maps.header import E2BIG, EINVAL, MAP, NEG_EEXIST, NEG_EINVAL, NEG_ENOENT, NEG_ENOMEM
from xdpsim.maps.kind import MapKind, MapMemory, Problem, declare, slot_bytes
from xdpsim.maps.plain import no_lookup, refuse_delete, refuse_next_key, refuse_update
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import map_copy_value
from xdpsim.maps.types import (
    BPF_EXIST,
    BPF_F_CLONE,
    BPF_F_LOCK,
    BPF_F_NO_PREALLOC,
    BPF_NOEXIST,
    MAP_TYPES,
)
from xdpsim.memory.native import native
from xdpsim.memory.raw import fill, load32, load64, store32, store64

OWNERS = 1024
"""How many owners have a value in one map at most."""
_VALUE_SIZE = MAP.offset("value_size")
_COUNT = MAP.offset("count")
_HAS_LOCK = MAP.offset("has_lock")
_OWNER = NODE_KEY + 8
_VALUE = NODE_KEY + 16
_LARGEST_VALUE = 0xFFFF - 128
"""BPF_LOCAL_STORAGE_MAX_VALUE_SIZE: sizes are kept in 16 bits, and sizeof(struct bpf_local_storage_elem) counts."""


@native
def storage_link(map_: int, number: int) -> int:
    """Address of the link that leads to the node of an owner's number; of the chain's last link without one."""
    link = hash_bucket(map_, hash_mix(HASH_SEED ^ number))
    node = load64(link)
    while node:
        if load64(node + NODE_KEY) == number:
            return link
        link = node
        node = load64(link)
    return link


@native
def storage_remove(map_: int, number: int) -> int:
    """Free the value of an owner's number; -ENOENT without one."""
    link = storage_link(map_, number)
    node = load64(link)
    if node == 0:
        return NEG_ENOENT
    store64(link, load64(node))
    hash_give_node(map_, node)
    store32(map_ + _COUNT, load32(map_ + _COUNT) - 1)
    return 0


@native
def storage_find(map_: int, number: int, owner: int) -> int:
    """Address of an owner's value or 0, the owner given by its number and its address."""
    node = load64(storage_link(map_, number))
    if node == 0:
        return 0
    if load64(node + _OWNER) == 0:
        store64(node + _OWNER, owner)
    if load64(node + _OWNER) != owner:
        storage_remove(map_, number)
        return 0
    return node + _VALUE


@native
def storage_make(map_: int, number: int, owner: int, value: int) -> int:
    """Address of the new value of an owner that has none: a copy of `value`, zeroes when that is 0; 0 without room."""
    if load32(map_ + _COUNT) >= OWNERS:
        return 0
    link = storage_link(map_, number)
    node = hash_take_node(map_)
    store64(node, 0)
    store64(node + NODE_HASH, 0)
    store64(node + NODE_KEY, number)
    store64(node + _OWNER, owner)
    fill(node + _VALUE, 0, load32(map_ + _VALUE_SIZE))
    if value:
        map_copy_value(map_, node + _VALUE, value)
    store64(link, node)
    store32(map_ + _COUNT, load32(map_ + _COUNT) + 1)
    return node + _VALUE


@native
def storage_user_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the value of the owner with that number, or 0."""
    node = load64(storage_link(map_, load32(key)))
    return node + _VALUE if node else 0


@native
def storage_user_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set the value of the owner with that number."""
    is_locked = flags & BPF_F_LOCK
    flags = flags & ~BPF_F_LOCK
    if flags > BPF_EXIST:
        return NEG_EINVAL
    if is_locked and load32(map_ + _HAS_LOCK) == 0:
        return NEG_EINVAL
    number = load32(key)
    node = load64(storage_link(map_, number))
    if node == 0:
        if flags == BPF_EXIST:
            return NEG_ENOENT
        return 0 if storage_make(map_, number, 0, value) else NEG_ENOMEM
    if flags == BPF_NOEXIST:
        return NEG_EEXIST
    if is_locked == 0:
        fill(node + _VALUE, 0, load32(map_ + _VALUE_SIZE))
    map_copy_value(map_, node + _VALUE, value)
    return 0


@native
def storage_user_delete(rs: int, map_: int, key: int) -> int:
    """Remove the value of the owner with that number; -ENOENT without one."""
    return storage_remove(map_, load32(key))


def _problem(spec: MapSpec) -> Problem | None:
    if not spec.flags & BPF_F_NO_PREALLOC:
        return Problem("flags", "BPF_F_NO_PREALLOC (1), for values come with their owners", EINVAL)
    if spec.max_entries:
        return Problem("max_entries", "0, for the owners are not counted", EINVAL)
    if spec.key_size != 4:
        return Problem("key_size", "4, for the key stands for a file descriptor", EINVAL)
    if spec.value_size == 0:
        return Problem("value_size", "1 or more", EINVAL)
    btf = spec.btf
    if btf is None or not spec.key_type or not spec.value_type:
        return Problem("key_type", "types of key and value, for Linux demands BTF", EINVAL, "0")
    if spec.value_size > _LARGEST_VALUE:
        return Problem("value_size", f"{_LARGEST_VALUE} or less", E2BIG)
    key = btf.resolve(spec.key_type)
    if not isinstance(key, Int) or btf.size_of(spec.key_type) != spec.key_size:
        return Problem("key_type", "an integer of 32 bits", EINVAL, btf.type_name(spec.key_type))
    if btf.size_of(spec.value_type) != spec.value_size:
        return Problem("value_size", f"{btf.size_of(spec.value_type)}, the size of its type", EINVAL)
    return None


def _build(memory: MapMemory) -> None:
    node_bytes = _VALUE + slot_bytes(memory.spec.value_size)
    nodes = build_nodes(memory, node_bytes, entries=OWNERS)
    assert memory.nodes is not None
    memory.place_values(memory.nodes, offset=_VALUE, count=nodes, stride=node_bytes)


def _declare(name: str) -> MapKind:
    return declare(
        MapKind(
            type=MAP_TYPES[name],
            flags=BPF_F_NO_PREALLOC | BPF_F_CLONE,
            check=_problem,
            build=_build,
            lookup=no_lookup,
            user_lookup=storage_user_lookup,
            update=refuse_update,
            user_update=storage_user_update,
            delete=refuse_delete,
            user_delete=storage_user_delete,
            next_key=refuse_next_key,
            length=lambda header: header.count,
        )
    )


TASK_STORAGE = _declare("TASK_STORAGE")
CGRP_STORAGE = _declare("CGRP_STORAGE")
