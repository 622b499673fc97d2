"""The nodes of an LPM trie: bit comparison, walks, the free list. lpm.py says what they mean.

A node is {child 0, child 1, prefixlen, is_fork, best, data rounded up to 8, value rounded up to 8}; a fork
("intermediate" in Linux) only joins two subtrees and holds no element; `best` is for lpm_index.py. A node that is taken
out is used again only after 64 others, so that a program may go on reading the value it looked up.
"""

from __future__ import annotations

from xdpsim.maps.header import MAP
from xdpsim.memory.native import native
from xdpsim.memory.raw import (
    bswap16,
    bswap32,
    bswap64,
    clz64,
    copy,
    load8,
    load16,
    load32,
    load64,
    store32,
    store64,
)

_DATA_SIZE = MAP.offset("data_size")
_NODES = MAP.offset("nodes")
_NODE_STRIDE = MAP.offset("node_stride")
_USED = MAP.offset("nodes_used")
_FREE = MAP.offset("free")
_FREE_LAST = MAP.offset("free_last")
_FREE_COUNT = MAP.offset("free_count")
_ROOT = MAP.offset("root")

NODE_LENGTH, NODE_IS_FORK, NODE_BEST, NODE_DATA = 16, 20, 24, 32
"""Offsets in a node; its two children come first."""
RESTING_NODES = 64
"""Free nodes that are not used again yet."""


@native
def lpm_bit(data: int, number: int) -> int:
    """Bit `number` of data in network order."""
    return load8(data + (number >> 3)) >> (7 - (number & 7)) & 1


@native
def lpm_match(node: int, key: int, size: int) -> int:
    """How many leading bits node and key share, at most the shorter one's prefix length."""
    limit = load32(node + NODE_LENGTH)
    if load32(key) < limit:
        limit = load32(key)
    mine = node + NODE_DATA
    theirs = key + 4
    end = theirs + size
    bits = 0
    while bits < limit:
        left = end - theirs
        if left >= 8:
            same = clz64(bswap64(load64(mine) ^ load64(theirs)))
            step = 8
        elif left >= 4:
            same = clz64(bswap32(load32(mine) ^ load32(theirs)) << 32)
            step = 4
        elif left >= 2:
            same = clz64(bswap16(load16(mine) ^ load16(theirs)) << 48)
            step = 2
        else:
            same = clz64((load8(mine) ^ load8(theirs)) << 56)
            step = 1
        if same < step << 3:
            bits += same
            return limit if bits > limit else bits
        bits += step << 3
        mine += step
        theirs += step
    return limit


@native
def lpm_value(map_: int, node: int) -> int:
    """Address of a node's value."""
    return node + NODE_DATA + (load32(map_ + _DATA_SIZE) + 7 & ~7)


@native
def lpm_take_node(map_: int) -> int:
    """The node that was freed longest ago if enough rest behind it, else one that was never used."""
    if load64(map_ + _FREE_COUNT) > RESTING_NODES:
        node = load64(map_ + _FREE)
        store64(map_ + _FREE, load64(node))
        store64(map_ + _FREE_COUNT, load64(map_ + _FREE_COUNT) - 1)
        return node
    used = load64(map_ + _USED)
    store64(map_ + _USED, used + 1)
    return load64(map_ + _NODES) + used * load64(map_ + _NODE_STRIDE)


@native
def lpm_give_node(map_: int, node: int) -> int:
    """Put a node at the end of the free list."""
    count = load64(map_ + _FREE_COUNT)
    if count:
        store64(load64(map_ + _FREE_LAST), node)
    else:
        store64(map_ + _FREE, node)
    store64(map_ + _FREE_LAST, node)
    store64(map_ + _FREE_COUNT, count + 1)
    return 0


@native
def lpm_find_link(map_: int, key: int) -> int:
    """Address of the link to the first node that is no proper prefix of the key; of a link that is 0 without one."""
    size = load32(map_ + _DATA_SIZE)
    link = map_ + _ROOT
    node = load64(link)
    while node:
        length = load32(node + NODE_LENGTH)
        if length == load32(key) or lpm_match(node, key, size) != length:
            return link
        link = node + (lpm_bit(key + 4, length) << 3)
        node = load64(link)
    return link


@native
def lpm_is_key(map_: int, node: int, key: int) -> int:
    """1 when a node has exactly the key's prefix; it may be a fork."""
    length = load32(node + NODE_LENGTH)
    if length != load32(key):
        return 0
    return 1 if lpm_match(node, key, load32(map_ + _DATA_SIZE)) == length else 0


@native
def lpm_new_node(map_: int, length: int, is_fork: int, data: int) -> int:
    """A node without children."""
    node = lpm_take_node(map_)
    store64(node, 0)
    store64(node + 8, 0)
    store32(node + NODE_LENGTH, length)
    store32(node + NODE_IS_FORK, is_fork)
    copy(node + NODE_DATA, data, load32(map_ + _DATA_SIZE))
    return node


@native
def lpm_parent_link(map_: int, key: int, child: int) -> int:
    """Address of the link to the parent of `child`, the key's own node; 0 when that is the root."""
    link = map_ + _ROOT
    node = load64(link)
    if node == child:
        return 0
    while 1:
        under = node + (lpm_bit(key + 4, load32(node + NODE_LENGTH)) << 3)
        if load64(under) == child:
            return link
        link = under
        node = load64(link)
    return 0


@native
def lpm_first(node: int) -> int:
    """The first element of a subtree in post-order."""
    found = node
    while node:
        if load32(node + NODE_IS_FORK):
            node = load64(node)
        else:
            found = node
            node = load64(found)
            if node == 0:
                node = load64(found + 8)
    return found


@native
def lpm_following(map_: int, key: int) -> int:
    """The element behind the key's in post-order, 0 behind the last; the first one when the key has none."""
    size = load32(map_ + _DATA_SIZE)
    node = load64(map_ + _ROOT)
    after = 0
    while node:
        length = load32(node + NODE_LENGTH)
        if length == load32(key) or lpm_match(node, key, size) != length:
            if load32(node + NODE_IS_FORK) == 0 and lpm_is_key(map_, node, key):
                return after
            node = 0
        else:
            side = lpm_bit(key + 4, length)
            if side == 0 and load64(node + 8):
                after = lpm_first(load64(node + 8))
            elif load32(node + NODE_IS_FORK) == 0:
                after = node
            node = load64(node + (side << 3))
    return lpm_first(load64(map_ + _ROOT))
