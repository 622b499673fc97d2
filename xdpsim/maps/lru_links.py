"""The active and the inactive list of an LRU hash: moving entries, rotating the lists, evicting from their ends.

Follows kernel/bpf/bpf_lru_list.c step by step, for one CPU running at a time. A hash node carries its LRU part in the
bytes before it, {next, previous, kind, referenced, cpu}; a list head is {next, previous}. Where free nodes come from
is said in lru_lists.py.
"""

from __future__ import annotations

from xdpsim.maps.hash_nodes import NODE_HASH, hash_bucket
from xdpsim.maps.header import MAP
from xdpsim.memory.layout import U64, Struct
from xdpsim.memory.native import native
from xdpsim.memory.raw import load8, load32, load64, store8, store16, store32, store64

LRU_BYTES = 24
"""The LRU part of a node, before it."""
ENTRY_PREVIOUS, ENTRY_KIND, ENTRY_REFERENCED, ENTRY_CPU = 8, 16, 17, 18
HEAD_BYTES = 16
ACTIVE, INACTIVE, FREE, LOCAL_FREE, PENDING = 0, 1, 2, 3, 4

HEAD = Struct("lru_head", ("next", U64), ("previous", U64))
LISTS = Struct(
    "lru_lists",
    ("heads", HEAD, 3),  # active, inactive, free
    ("counts", U64, 2),  # of active and inactive
    ("rotation", U64),  # where the next rotation of the inactive list starts
    ("unused", U64),  # nodes from this number up to
    ("unused_end", U64),  # this one were never used
)
_COUNT = MAP.offset("count")
_COUNTS, _ROTATION = LISTS.offset("counts"), LISTS.offset("rotation")


# Linked lists: an entry is the address of its {next, previous}.


@native
def lru_unlink(entry: int) -> int:
    """Take an entry out of its list."""
    following = load64(entry)
    previous = load64(entry + ENTRY_PREVIOUS)
    store64(previous, following)
    store64(following + ENTRY_PREVIOUS, previous)
    return 0


@native
def lru_link(entry: int, head: int) -> int:
    """Put an entry at the front of a list."""
    following = load64(head)
    store64(entry, following)
    store64(entry + ENTRY_PREVIOUS, head)
    store64(following + ENTRY_PREVIOUS, entry)
    store64(head, entry)
    return 0


@native
def lru_count(lists: int, kind: int, change: int) -> int:
    """Count an entry in or out of the active or the inactive list."""
    if kind <= INACTIVE:
        at = lists + _COUNTS + (kind << 3)
        store64(at, load64(at) + change)
    return 0


@native
def lru_leave(lists: int, entry: int) -> int:
    """An entry is about to move: a rotation that would start at it starts at the one before."""
    if load64(lists + _ROTATION) == entry:
        store64(lists + _ROTATION, load64(entry + ENTRY_PREVIOUS))
    return lru_unlink(entry)


@native
def lru_move(lists: int, entry: int, kind: int) -> int:
    """__bpf_lru_node_move: to the front of another, or its own, list, no longer referenced."""
    lru_count(lists, load8(entry + ENTRY_KIND), -1)
    lru_count(lists, kind, 1)
    store16(entry + ENTRY_KIND, kind)
    lru_leave(lists, entry)
    return lru_link(entry, lists + kind * HEAD_BYTES)


@native
def lru_move_to_free(lists: int, entry: int, head: int, kind: int) -> int:
    """__bpf_lru_node_move_to_free: to the front of a free list, global or local."""
    lru_count(lists, load8(entry + ENTRY_KIND), -1)
    store8(entry + ENTRY_KIND, kind)
    lru_leave(lists, entry)
    return lru_link(entry, head)


@native
def lru_evict(map_: int, entry: int) -> int:
    """Take an entry's node out of the hash; 1 when it was there."""
    node = entry + LRU_BYTES
    link = hash_bucket(map_, load64(node + NODE_HASH))
    while load64(link) != node:
        link = load64(link)
        if link == 0:
            return 0
    store64(link, load64(node))
    store32(map_ + _COUNT, load32(map_ + _COUNT) - 1)
    return 1


# The rotation of the lists.


@native
def lru_rotate_active(lists: int, scans: int) -> int:
    """From the end of the active list: referenced ones to its front, the others to the inactive list."""
    first = load64(lists)
    entry = load64(lists + ENTRY_PREVIOUS)
    done = 0
    while entry != lists:
        before = load64(entry + ENTRY_PREVIOUS)
        lru_move(lists, entry, ACTIVE if load8(entry + ENTRY_REFERENCED) else INACTIVE)
        done += 1
        if done == scans or entry == first:
            return 0
        entry = before
    return 0


@native
def lru_rotate_inactive(lists: int, scans: int) -> int:
    """From where the last rotation stopped: referenced ones to the active list."""
    inactive = lists + HEAD_BYTES
    if load64(inactive) == inactive:
        return 0
    last = load64(load64(lists + _ROTATION))
    if last == inactive:
        last = load64(last)
    current = load64(lists + _ROTATION)
    following = inactive
    done = 0
    while done < scans:
        if current == inactive:
            current = load64(current + ENTRY_PREVIOUS)
            continue
        following = load64(current + ENTRY_PREVIOUS)
        if load8(current + ENTRY_REFERENCED):
            lru_move(lists, current, ACTIVE)
        if current == last:
            break
        current = following
        done += 1
    store64(lists + _ROTATION, following)
    return 0


@native
def lru_rotate(lists: int, scans: int) -> int:
    """__bpf_lru_list_rotate."""
    if load64(lists + _COUNTS + 8) < load64(lists + _COUNTS):
        lru_rotate_active(lists, scans)
    return lru_rotate_inactive(lists, scans)


@native
def lru_shrink_inactive(map_: int, lists: int, scans: int, wanted: int, head: int, kind: int) -> int:
    """Evict up to `wanted` unreferenced entries off the end of the inactive list; how many."""
    inactive = lists + HEAD_BYTES
    entry = load64(inactive + ENTRY_PREVIOUS)
    freed = 0
    done = 0
    while entry != inactive:
        before = load64(entry + ENTRY_PREVIOUS)
        if load8(entry + ENTRY_REFERENCED):
            lru_move(lists, entry, ACTIVE)
        elif lru_evict(map_, entry):
            lru_move_to_free(lists, entry, head, kind)
            freed += 1
            if freed == wanted:
                return freed
        done += 1
        if done == scans:
            return freed
        entry = before
    return freed


@native
def lru_shrink(map_: int, lists: int, scans: int, wanted: int, head: int, kind: int) -> int:
    """__bpf_lru_list_shrink: as above; when that frees nothing one entry is evicted although it is referenced."""
    freed = lru_shrink_inactive(map_, lists, scans, wanted, head, kind)
    if freed:
        return freed
    forced = lists + HEAD_BYTES
    if load64(forced) == forced:
        forced = lists
    entry = load64(forced + ENTRY_PREVIOUS)
    while entry != forced:
        before = load64(entry + ENTRY_PREVIOUS)
        if lru_evict(map_, entry):
            lru_move_to_free(lists, entry, head, kind)
            return 1
        entry = before
    return 0
