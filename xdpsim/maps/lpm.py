"""LPM_TRIE: longest-prefix match over a binary trie in which runs of single children are compressed.

Follows kernel/bpf/lpm_trie.c in all that can be seen: which prefix matches, what data a key keeps behind its prefix
(all of it), the errno of each misuse, and the order of iteration, which is post-order: more specific prefixes first,
the 0 side before the 1 side. A key is {u32 prefixlen, data}, data in network order. Its nodes
are in lpm_nodes.py; lookups with keys of full length go by the tables of lpm_index.py.
"""

from __future__ import annotations

from xdpsim.maps.header import EINVAL, MAP, NEG_EEXIST, NEG_EINVAL, NEG_ENOENT, NEG_ENOSPC
from xdpsim.maps.kind import ACCESS_FLAGS, LARGEST_ALLOCATION, MapKind, MapMemory, Problem, declare, slot_bytes
from xdpsim.maps.lpm_index import build_index, lpm_index_add, lpm_index_find, lpm_index_find4, lpm_index_remove
from xdpsim.maps.lpm_nodes import (
    NODE_DATA,
    NODE_IS_FORK,
    NODE_LENGTH,
    RESTING_NODES,
    lpm_bit,
    lpm_find_link,
    lpm_first,
    lpm_following,
    lpm_give_node,
    lpm_is_key,
    lpm_match,
    lpm_new_node,
    lpm_parent_link,
    lpm_value,
)
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import map_copy_value, map_init_special
from xdpsim.maps.types import BPF_EXIST, BPF_F_NO_PREALLOC, BPF_F_NUMA_NODE, BPF_NOEXIST, MAP_TYPES
from xdpsim.memory.native import NativeFunction, native
from xdpsim.memory.raw import bswap32, clz64, copy, load32, load64, store32, store64

_MAX = MAP.offset("max_entries")
_COUNT = MAP.offset("count")
_DATA_SIZE = MAP.offset("data_size")
_ROOT = MAP.offset("root")
_INDEX = MAP.offset("index")
_MAX_DATA_BYTES = 256
_TRIE_NODE_BYTES = 40
"""sizeof(struct lpm_trie_node): counts against the largest value."""


@native
def lpm_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the value of the longest prefix that holds the key, 0 when none does or the key is too long."""
    size = load32(map_ + _DATA_SIZE)
    bits = size << 3
    if load32(key) > bits:
        return 0
    found = 0
    if load32(key) == bits and load64(map_ + _INDEX):
        found = lpm_index_find(map_, key)
        return lpm_value(map_, found) if found else 0
    node = load64(map_ + _ROOT)
    while node:
        length = load32(node + NODE_LENGTH)
        if lpm_match(node, key, size) < length:
            node = 0
        else:
            if load32(node + NODE_IS_FORK) == 0:
                found = node
            node = load64(node + (lpm_bit(key + 4, length) << 3)) if length < bits else 0
    return lpm_value(map_, found) if found else 0


@native
def lpm_lookup4(rs: int, map_: int, key: int) -> int:
    """As lpm_lookup, for 4 bytes of data: each node's prefix is compared in one step."""
    limit = load32(key)
    if limit > 32:
        return 0
    word = bswap32(load32(key + 4))
    found = 0
    if limit == 32 and load64(map_ + _INDEX):
        found = lpm_index_find4(load64(map_ + _INDEX), word)
        return found + NODE_DATA + 8 if found else 0
    node = load64(map_ + _ROOT)
    while node:
        length = load32(node + NODE_LENGTH)
        shared = clz64((bswap32(load32(node + NODE_DATA)) ^ word) << 32)
        if length > limit or length > shared:
            node = 0
        else:
            if load32(node + NODE_IS_FORK) == 0:
                found = node
            node = load64(node + (word >> (31 - length) << 3 & 8)) if length < 32 else 0
    return found + NODE_DATA + 8 if found else 0


@native
def lpm_place(map_: int, link: int, node: int, key: int) -> int:
    """Put a new node where `link` leads: in place of its equal, above what it holds, or beside it under a fork."""
    old = load64(link)
    if old == 0:
        store64(link, node)
        return 0
    if lpm_is_key(map_, old, key):
        store64(node, load64(old))
        store64(node + 8, load64(old + 8))
        store64(link, node)
        return lpm_give_node(map_, old)
    shared = lpm_match(old, key, load32(map_ + _DATA_SIZE))
    side = lpm_bit(old + NODE_DATA, shared)
    if shared == load32(key):
        store64(node + (side << 3), old)
        store64(link, node)
        return 0
    fork = lpm_new_node(map_, shared, 1, old + NODE_DATA)
    store64(fork + (side << 3), old)
    store64(fork + (1 - side << 3), node)
    store64(link, fork)
    return 0


@native
def lpm_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a prefix's value in a new node; -ENOSPC when a new prefix finds the map full."""
    if flags > BPF_EXIST or load32(key) > load32(map_ + _DATA_SIZE) << 3:
        return NEG_EINVAL
    link = lpm_find_link(map_, key)
    old = load64(link)
    is_new = 0
    if old and lpm_is_key(map_, old, key) and load32(old + NODE_IS_FORK) == 0:
        if flags == BPF_NOEXIST:
            return NEG_EEXIST
    else:
        if flags == BPF_EXIST:
            return NEG_ENOENT
        if load32(map_ + _COUNT) >= load32(map_ + _MAX):
            return NEG_ENOSPC
        store32(map_ + _COUNT, load32(map_ + _COUNT) + 1)
        is_new = 1
    node = lpm_new_node(map_, load32(key), 0, key + 4)
    map_init_special(map_, lpm_value(map_, node))
    map_copy_value(map_, lpm_value(map_, node), value)
    lpm_index_add(map_, node, is_new)
    return lpm_place(map_, link, node, key)


@native
def lpm_delete(rs: int, map_: int, key: int) -> int:
    """Take a prefix out, and the fork above it when that is left with one side; -ENOENT without one."""
    if load32(key) > load32(map_ + _DATA_SIZE) << 3:
        return NEG_EINVAL
    link = lpm_find_link(map_, key)
    node = load64(link)
    if node == 0:
        return NEG_ENOENT
    if load32(node + NODE_IS_FORK) or lpm_is_key(map_, node, key) == 0:
        return NEG_ENOENT
    store32(map_ + _COUNT, load32(map_ + _COUNT) - 1)
    lpm_index_remove(map_, node)
    zero = load64(node)
    one = load64(node + 8)
    if zero and one:
        store32(node + NODE_IS_FORK, 1)
        return 0
    above = lpm_parent_link(map_, key, node)
    if above and zero == 0 and one == 0:
        parent = load64(above)
        if load32(parent + NODE_IS_FORK):
            store64(above, load64(parent + 8) if load64(parent) == node else load64(parent))
            lpm_give_node(map_, parent)
            return lpm_give_node(map_, node)
    store64(link, zero if zero else one)
    return lpm_give_node(map_, node)


@native
def lpm_next_key(rs: int, map_: int, key: int, following: int) -> int:
    """The key behind `key` in post-order; the first one when `key` is 0 (none), too long or not in the map."""
    node = load64(map_ + _ROOT)
    if node == 0:
        return NEG_ENOENT
    size = load32(map_ + _DATA_SIZE)
    node = lpm_first(node) if key == 0 or load32(key) > size << 3 else lpm_following(map_, key)
    if node == 0:
        return NEG_ENOENT
    store32(following, load32(node + NODE_LENGTH))
    copy(following + 4, node + NODE_DATA, size)
    return 0


def _problem(spec: MapSpec) -> Problem | None:
    largest = LARGEST_ALLOCATION - _MAX_DATA_BYTES - _TRIE_NODE_BYTES
    if spec.max_entries == 0:
        return Problem("max_entries", "1 or more", EINVAL)
    if not spec.flags & BPF_F_NO_PREALLOC:
        return Problem("flags", "BPF_F_NO_PREALLOC among them", EINVAL)
    if not 5 <= spec.key_size <= 4 + _MAX_DATA_BYTES:
        return Problem("key_size", f"5 to {4 + _MAX_DATA_BYTES}: a prefix length and 1 to 256 bytes", EINVAL)
    if not 1 <= spec.value_size <= largest:
        return Problem("value_size", f"1 to {largest}", EINVAL)
    return None


def _build(memory: MapMemory) -> None:
    spec, header = memory.spec, memory.header
    header.data_size = data_size = spec.key_size - 4
    value_at = NODE_DATA + slot_bytes(data_size)
    stride = value_at + slot_bytes(spec.value_size)
    nodes = 2 * spec.max_entries + RESTING_NODES + 2  # each element may need a fork, and an update has two nodes
    block = memory.block(nodes * stride, "nodes")
    header.nodes, header.node_stride = block.address, stride
    memory.place_values(block, offset=value_at, count=nodes, stride=stride)

    def key_of_slot(slot: int) -> bytes:
        at = slot * stride
        data_at = at + NODE_DATA
        return bytes(block.view[at + NODE_LENGTH : at + NODE_LENGTH + 4]) + bytes(
            block.view[data_at : data_at + data_size]
        )

    memory.key_of_slot = key_of_slot
    build_index(memory)


def _lookup(spec: MapSpec) -> NativeFunction:
    return lpm_lookup4 if spec.key_size == 8 else lpm_lookup


LPM_TRIE = declare(
    MapKind(
        type=MAP_TYPES["LPM_TRIE"],
        flags=BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | ACCESS_FLAGS,
        check=_problem,
        build=_build,
        lookup=_lookup,
        update=lpm_update,
        delete=lpm_delete,
        next_key=lpm_next_key,
        length=lambda header: header.count,
    )
)
