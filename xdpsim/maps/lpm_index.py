"""What makes lookups in an LPM trie quick: tables over its elements, 16 bits at the root, 8 bits at each further level.

A slot of a table stands for all keys that begin with its bits. Its entry is
- 0 or the address of an element: the longest prefix of this level that holds all of the slot (its `best`);
- a table for the next 8 bits, bit 0 set, with the slot's best in its first word;
- a lone element, bit 1 set: the only one among the slot's longer prefixes, compared when it is met, with the slot's
  best in its node.
So a lookup reads a slot for each level that two prefixes share, and one node. The trie itself (lpm_nodes.py) stays what
updates, deletions and iteration work on. When the room for tables is used up there is no index any more, and lookups
walk the trie.
"""

from __future__ import annotations

from xdpsim.maps.header import MAP
from xdpsim.maps.kind import MapMemory
from xdpsim.maps.lpm_nodes import NODE_BEST, NODE_DATA, NODE_IS_FORK, NODE_LENGTH, lpm_bit, lpm_match
from xdpsim.memory.native import native
from xdpsim.memory.raw import bswap16, bswap32, fill, load8, load16, load32, load64, store64

_DATA_SIZE = MAP.offset("data_size")
_TRIE = MAP.offset("root")
_INDEX = MAP.offset("index")
_USED = MAP.offset("tables_used")
_FREE = MAP.offset("tables_free")
_END = MAP.offset("tables_end")

ROOT_BITS, STRIDE_BITS = 16, 8
_ROOT_BYTES = 8 << ROOT_BITS
_SLOTS = 8
_COUNT = _SLOTS + (8 << STRIDE_BITS)
"""Offsets in a table: its slot's best comes first, the number of elements in and below it last."""
TABLE_BYTES = 2112
"""Not a power of two: slots of the same number would fight for one set of the cache."""
_MOST_TABLES = 1 << 18
_TABLE, _LONE, _TAGS = 1, 2, 3


@native
def lpm_slot_best(entry: int) -> int:
    """The best of a slot, 0 without one."""
    if entry & _TABLE:
        return load64(entry - _TABLE)
    if entry & _LONE:
        return load64(entry - _LONE + NODE_BEST)
    return entry


@native
def lpm_set_best(slot: int, node: int) -> int:
    """Make `node` the best of a slot."""
    entry = load64(slot)
    if entry & _TABLE:
        store64(entry - _TABLE, node)
    elif entry & _LONE:
        store64(entry - _LONE + NODE_BEST, node)
    else:
        store64(slot, node)
    return 0


@native
def lpm_slot(table: int, level: int, data: int, bits: int) -> int:
    """Address of the first slot for `bits` bits of data in the table of a level that ends at bit `level`.

    What an element keeps behind its prefix is not looked at.
    """
    free = level - bits if bits < level else 0
    if level == ROOT_BITS:
        return table + (bswap16(load16(data)) >> free << free + 3)
    return table + _SLOTS + (load8(data + (level >> 3) - 1) >> free << free + 3)


@native
def lpm_fill_slots(slot: int, count: int, node: int, length: int) -> int:
    """Make `node` the best of `count` slots, but where a longer prefix is."""
    end = slot + (count << 3)
    while slot < end:
        best = lpm_slot_best(load64(slot))
        if best == 0 or load32(best + NODE_LENGTH) <= length:
            lpm_set_best(slot, node)
        slot += 8
    return 0


@native
def lpm_clear_slots(slot: int, count: int, node: int, cover: int) -> int:
    """Put `cover` in the place of `node` in `count` slots."""
    end = slot + (count << 3)
    while slot < end:
        if lpm_slot_best(load64(slot)) == node:
            lpm_set_best(slot, cover)
        slot += 8
    return 0


@native
def lpm_take_table(map_: int) -> int:
    """An empty table; 0 when there is no more room."""
    table = load64(map_ + _FREE)
    if table:
        store64(map_ + _FREE, load64(table))
    else:
        table = load64(map_ + _USED)
        if table + TABLE_BYTES > load64(map_ + _END):
            return 0
        store64(map_ + _USED, table + TABLE_BYTES)
    fill(table, 0, TABLE_BYTES)
    return table


@native
def lpm_split(map_: int, slot: int, level: int) -> int:
    """Put a table between a slot and its lone element; the table, or 0 when there is no more room."""
    lone = load64(slot) - _LONE
    table = lpm_take_table(map_)
    if table == 0:
        return 0
    store64(table, load64(lone + NODE_BEST))
    store64(table + _COUNT, 1)
    store64(slot, table | _TABLE)
    length = load32(lone + NODE_LENGTH)
    inner = lpm_slot(table, level + STRIDE_BITS, lone + NODE_DATA, length)
    if length > level + STRIDE_BITS:
        store64(lone + NODE_BEST, 0)
        store64(inner, lone | _LONE)
    else:
        lpm_fill_slots(inner, 1 << (level + STRIDE_BITS - length), lone, length)
    return table


@native
def lpm_index_add(map_: int, node: int, is_new: int) -> int:
    """Note a new element, or one that takes the place of another with the same prefix."""
    table = load64(map_ + _INDEX)
    length = load32(node + NODE_LENGTH)
    data = node + NODE_DATA
    level = ROOT_BITS
    while table:
        slot = lpm_slot(table, level, data, length)
        if length <= level:
            return lpm_fill_slots(slot, 1 << (level - length), node, length)
        entry = load64(slot)
        if entry & _TAGS == 0:
            store64(node + NODE_BEST, entry)
            store64(slot, node | _LONE)
            return 0
        if entry & _LONE:
            lone = entry - _LONE
            if is_new == 0:
                store64(node + NODE_BEST, load64(lone + NODE_BEST))
                store64(slot, node | _LONE)
                return 0
            table = lpm_split(map_, slot, level)
        else:
            table = entry - _TABLE
        if table:
            store64(table + _COUNT, load64(table + _COUNT) + is_new)
        level += STRIDE_BITS
    store64(map_ + _INDEX, 0)
    return 0


@native
def lpm_index_remove(map_: int, node: int) -> int:
    """Forget an element that is about to go; a table that nothing is left in goes too."""
    table = load64(map_ + _INDEX)
    length = load32(node + NODE_LENGTH)
    data = node + NODE_DATA
    level = ROOT_BITS
    while table:
        slot = lpm_slot(table, level, data, length)
        if length <= level:
            start = level - STRIDE_BITS if level > ROOT_BITS else 0
            cover = lpm_cover(map_, node, start, 1 if level > ROOT_BITS else 0)
            return lpm_clear_slots(slot, 1 << (level - length), node, cover)
        entry = load64(slot)
        if entry & _TABLE == 0:
            store64(slot, load64(node + NODE_BEST))
            return 0
        table = entry - _TABLE
        left = load64(table + _COUNT) - 1
        store64(table + _COUNT, left)
        level += STRIDE_BITS
        if left == 0:
            store64(slot, load64(table))
            return lpm_give_tables(map_, table, level, data, length)
    return 0


@native
def lpm_give_tables(map_: int, table: int, level: int, data: int, length: int) -> int:
    """Free a table that nothing is left in, and those below it."""
    while table:
        entry = load64(lpm_slot(table, level, data, length))
        store64(table, load64(map_ + _FREE))
        store64(map_ + _FREE, table)
        table = entry - _TABLE if entry & _TABLE else 0
        level += STRIDE_BITS
    return 0


@native
def lpm_cover(map_: int, node: int, start: int, is_above: int) -> int:
    """The longest element whose prefix holds that of `node`, if it is longer than `start` bits (or `is_above` is 0)."""
    found = 0
    length = load32(node + NODE_LENGTH)
    walk = load64(map_ + _TRIE)
    while walk:
        bits = load32(walk + NODE_LENGTH)
        if bits >= length:
            return found
        if load32(walk + NODE_IS_FORK) == 0 and (bits > start or is_above == 0):
            found = walk
        walk = load64(walk + (lpm_bit(node + NODE_DATA, bits) << 3))
    return found


@native
def lpm_index_find(map_: int, key: int) -> int:
    """The element for a key of full length, 0 without one; the map has an index."""
    size = load32(map_ + _DATA_SIZE)
    data = key + 4
    entry = load64(load64(map_ + _INDEX) + (bswap16(load16(data)) << 3))
    found = 0
    at = data + 2
    while entry & _TABLE:
        best = load64(entry - _TABLE)
        if best:
            found = best
        entry = load64(entry - _TABLE + _SLOTS + (load8(at) << 3))
        at += 1
    if entry & _LONE:
        lone = entry - _LONE
        if lpm_match(lone, key, size) >= load32(lone + NODE_LENGTH):
            return lone
        entry = load64(lone + NODE_BEST)
    return entry if entry else found


@native
def lpm_index_find4(index: int, word: int) -> int:
    """As lpm_index_find, for 4 bytes of data, given as a number."""
    entry = load64(index + (word >> ROOT_BITS << 3))
    found = 0
    if entry & _TABLE:
        found = load64(entry - _TABLE)
        entry = load64(entry - _TABLE + _SLOTS + ((word >> 8 & 255) << 3))
        if entry & _TABLE:
            best = load64(entry - _TABLE)
            found = best if best else found
            entry = load64(entry - _TABLE + _SLOTS + ((word & 255) << 3))
    if entry & _LONE:
        lone = entry - _LONE
        if (bswap32(load32(lone + NODE_DATA)) ^ word) >> (32 - load32(lone + NODE_LENGTH)) == 0:
            return lone
        entry = load64(lone + NODE_BEST)
    return entry if entry else found


def build_index(memory: MapMemory) -> None:
    """Room for the tables; nothing is touched until it is used. Data of one byte needs no index."""
    levels = memory.header.data_size - ROOT_BITS // 8
    if levels < 0:
        return
    tables = min(memory.spec.max_entries * levels, _MOST_TABLES)
    block = memory.block(_ROOT_BYTES + tables * TABLE_BYTES, "index")
    memory.header.index = block.address
    memory.header.tables_used = block.address + _ROOT_BYTES
    memory.header.tables_end = block.address + block.size
