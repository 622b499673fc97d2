"""The nodes and buckets that every hash map is made of: hashing, chains, the free list. hash.py says what they mean.

A node is {next, hash, key rounded up to 8, ...}; it never moves. Bit 0 of `next` is never set.
"""

from __future__ import annotations

from xdpsim.maps.header import MAP, NEG_E2BIG, NEG_EEXIST, NEG_ENOENT
from xdpsim.maps.kind import MapMemory
from xdpsim.maps.types import BPF_EXIST, BPF_F_NO_PREALLOC, BPF_NOEXIST
from xdpsim.memory.native import native
from xdpsim.memory.raw import copy, load8, load16, load32, load64, mulhi, same, store32, store64
from xdpsim.memory.structs import RUN_STATE

_KEY_SIZE = MAP.offset("key_size")
_MAX = MAP.offset("max_entries")
_FLAGS = MAP.offset("flags")
_COUNT = MAP.offset("count")
_BUCKETS = MAP.offset("buckets")
_MASK = MAP.offset("bucket_mask")
_NODES = MAP.offset("nodes")
_NODE_STRIDE = MAP.offset("node_stride")
_USED = MAP.offset("nodes_used")
_FREE = MAP.offset("free")
_SPARES = MAP.offset("spares")
_CPU = RUN_STATE.offset("cpu")

NODE_HASH, NODE_KEY = 8, 16
"""Offsets in a node; its `next` comes first."""
HASH_SEED = 0x243F_6A88_85A3_08D3
HASH_FACTOR = 0x9E37_79B9_7F4A_7C15


@native
def hash_mix(word: int) -> int:
    """Fold the 128-bit product with an odd constant: every bit of `word` reaches the low bits."""
    return word * HASH_FACTOR ^ mulhi(word, HASH_FACTOR)


@native
def hash_key(key: int, size: int) -> int:
    """Hash of a key: eight bytes at a time, then what is left as one word."""
    mixed = HASH_SEED
    end = key + (size & ~7)
    while key < end:
        mixed = hash_mix(mixed ^ load64(key))
        key += 8
    if size & 7:
        word = 0
        if size & 4:
            word = load32(key)
            key += 4
        if size & 2:
            word = word << 16 | load16(key)
            key += 2
        if size & 1:
            word = word << 8 | load8(key)
        mixed = hash_mix(mixed ^ word)
    return mixed


@native
def hash_bucket(map_: int, hash_: int) -> int:
    """Address of the head of the chain for a hash."""
    return load64(map_ + _BUCKETS) + ((hash_ & load64(map_ + _MASK)) << 3)


@native
def hash_find_link(map_: int, key: int, hash_: int) -> int:
    """Address of the link that leads to the key's node; of the chain's last link, which is 0, without one."""
    size = load32(map_ + _KEY_SIZE)
    link = hash_bucket(map_, hash_)
    node = load64(link)
    while node:
        if load64(node + NODE_HASH) == hash_ and same(node + NODE_KEY, key, size):
            return link
        link = node
        node = load64(link)
    return link


@native
def hash_find(map_: int, key: int) -> int:
    """The key's node or 0."""
    return load64(hash_find_link(map_, key, hash_key(key, load32(map_ + _KEY_SIZE))))


@native
def hash_take_node(map_: int) -> int:
    """A node off the free list, or one that was never used; the caller knows that there is one."""
    node = load64(map_ + _FREE)
    if node:
        store64(map_ + _FREE, load64(node))
        return node
    used = load64(map_ + _USED)
    store64(map_ + _USED, used + 1)
    return load64(map_ + _NODES) + used * load64(map_ + _NODE_STRIDE)


@native
def hash_give_node(map_: int, node: int) -> int:
    """Put a node at the head of the free list; key and value stay as they are."""
    store64(node, load64(map_ + _FREE))
    store64(map_ + _FREE, node)
    return 0


@native
def hash_take_replacement(rs: int, map_: int, old: int) -> int:
    """The node that takes the place of `old`, which becomes free."""
    if load32(map_ + _FLAGS) & BPF_F_NO_PREALLOC:
        node = hash_take_node(map_)
        hash_give_node(map_, old)
        return node
    spare = load64(map_ + _SPARES) + (load32(rs + _CPU) << 3)
    node = load64(spare)
    if node == 0:
        node = hash_take_node(map_)
    store64(spare, old)
    return node


@native
def hash_update_error(map_: int, old: int, flags: int) -> int:
    """What is wrong with an update of the element `old` (0: there is none yet), or 0."""
    if old:
        return NEG_EEXIST if flags == BPF_NOEXIST else 0
    if flags == BPF_EXIST:
        return NEG_ENOENT
    return NEG_E2BIG if load32(map_ + _COUNT) >= load32(map_ + _MAX) else 0


@native
def hash_link_new(map_: int, link: int, node: int, key: int, hash_: int) -> int:
    """Fill in a node's key and put it at the end of a chain."""
    store64(node + NODE_HASH, hash_)
    copy(node + NODE_KEY, key, load32(map_ + _KEY_SIZE))
    store64(node, 0)
    store64(link, node)
    store32(map_ + _COUNT, load32(map_ + _COUNT) + 1)
    return 0


def build_nodes(memory: MapMemory, node_bytes: int, *, entries: int = 0, before: int = 0) -> int:
    """Buckets and nodes of a hash; the number of nodes. Nothing is touched until it is used.

    There is a node for each entry and one spare for each CPU; with `entries` there are as many nodes and no spares.
    `before` bytes in front of every node are for the map's type.
    """
    spec, header = memory.spec, memory.header
    buckets = 1 << ((entries or spec.max_entries) - 1).bit_length()
    header.buckets = memory.block(buckets * 8, "buckets").address
    header.bucket_mask = buckets - 1
    header.spares = memory.block(memory.cpus * 8, "spare nodes").address
    nodes = entries or spec.max_entries + memory.cpus
    stride = before + node_bytes
    block = memory.block(nodes * stride, "nodes")
    header.nodes, header.node_stride = block.address + before, stride

    def key_of_slot(slot: int) -> bytes:
        at = slot % nodes * stride + before + NODE_KEY
        return bytes(block.view[at : at + spec.key_size])

    memory.key_of_slot = key_of_slot
    memory.nodes = block
    return nodes
