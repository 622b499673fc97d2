"""The lists by which LRU hashes choose what to evict: active, inactive and free ones, and each CPU's share of nodes.

Follows kernel/bpf/bpf_lru_list.c step by step, for one CPU running at a time. A hash node carries its LRU part in the
bytes before it, {next, previous, kind, referenced, cpu}; a list head is {next, previous}. Nodes that were never used
are the end of the free list without being linked, so that a large map costs nothing until it is used.
"""

from __future__ import annotations

from xdpsim.maps.hash_nodes import NODE_HASH, hash_bucket
from xdpsim.maps.header import MAP
from xdpsim.maps.kind import MapMemory
from xdpsim.maps.types import BPF_F_NO_COMMON_LRU
from xdpsim.memory.layout import U16, U64, Struct
from xdpsim.memory.native import native
from xdpsim.memory.raw import load8, load16, load32, load64, store8, store16, store32, store64
from xdpsim.memory.structs import RUN_STATE

LRU_BYTES = 24
"""The LRU part of a node, before it."""
_NEXT, _PREVIOUS, _KIND, _REFERENCED, _NODE_CPU = 0, 8, 16, 17, 18
_HEAD_BYTES = 16
ACTIVE, INACTIVE, FREE, LOCAL_FREE, PENDING = 0, 1, 2, 3, 4
LOCAL_FREE_TARGET, PERCPU_FREE_TARGET = 128, 4
"""How many nodes a CPU takes at a time, and how many one call scans."""

HEAD = Struct("lru_head", ("next", U64), ("previous", U64))
LISTS = Struct(
    "lru_lists",
    ("heads", HEAD, 3),  # active, inactive, free
    ("counts", U64, 2),  # of active and inactive
    ("rotation", U64),  # where the next rotation of the inactive list starts
    ("unused", U64),  # nodes from this number up to
    ("unused_end", U64),  # this one were never used
)
LOCAL = Struct("lru_local", ("free", HEAD), ("pending", HEAD), ("next_steal", U64))
LRU = Struct(
    "lru",
    ("is_common", U16),
    ("target_free", U64),
    ("lists", U64),  # one, or with BPF_F_NO_COMMON_LRU one for each CPU
    ("locals", U64),  # one for each CPU
)
_LRU, _CPUS, _COUNT = MAP.offset("lru"), MAP.offset("cpus"), MAP.offset("count")
_NODES, _NODE_STRIDE = MAP.offset("nodes"), MAP.offset("node_stride")
_COMMON, _TARGET = LRU.offset("is_common"), LRU.offset("target_free")
_LISTS, _LOCALS = LRU.offset("lists"), LRU.offset("locals")
_COUNTS, _ROTATION = LISTS.offset("counts"), LISTS.offset("rotation")
_UNUSED, _UNUSED_END = LISTS.offset("unused"), LISTS.offset("unused_end")
_LISTS_BYTES, _LOCAL_BYTES = LISTS.size, LOCAL.size
_LOCAL_PENDING, _NEXT_STEAL = LOCAL.offset("pending"), LOCAL.offset("next_steal")
_CPU = RUN_STATE.offset("cpu")


# Linked lists: an entry is the address of its {next, previous}.


@native
def lru_unlink(entry: int) -> int:
    """Take an entry out of its list."""
    following = load64(entry)
    previous = load64(entry + _PREVIOUS)
    store64(previous, following)
    store64(following + _PREVIOUS, previous)
    return 0


@native
def lru_link(entry: int, head: int) -> int:
    """Put an entry at the front of a list."""
    following = load64(head)
    store64(entry, following)
    store64(entry + _PREVIOUS, head)
    store64(following + _PREVIOUS, entry)
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
        store64(lists + _ROTATION, load64(entry + _PREVIOUS))
    return lru_unlink(entry)


@native
def lru_move(lists: int, entry: int, kind: int) -> int:
    """__bpf_lru_node_move: to the front of another, or its own, list, no longer referenced."""
    lru_count(lists, load8(entry + _KIND), -1)
    lru_count(lists, kind, 1)
    store16(entry + _KIND, kind)
    lru_leave(lists, entry)
    return lru_link(entry, lists + kind * _HEAD_BYTES)


@native
def lru_move_to_free(lists: int, entry: int, head: int, kind: int) -> int:
    """__bpf_lru_node_move_to_free: to the front of a free list, global or local."""
    lru_count(lists, load8(entry + _KIND), -1)
    store8(entry + _KIND, kind)
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
    entry = load64(lists + _PREVIOUS)
    done = 0
    while entry != lists:
        before = load64(entry + _PREVIOUS)
        lru_move(lists, entry, ACTIVE if load8(entry + _REFERENCED) else INACTIVE)
        done += 1
        if done == scans or entry == first:
            return 0
        entry = before
    return 0


@native
def lru_rotate_inactive(lists: int, scans: int) -> int:
    """From where the last rotation stopped: referenced ones to the active list."""
    inactive = lists + _HEAD_BYTES
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
            current = load64(current + _PREVIOUS)
            continue
        following = load64(current + _PREVIOUS)
        if load8(current + _REFERENCED):
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
    inactive = lists + _HEAD_BYTES
    entry = load64(inactive + _PREVIOUS)
    freed = 0
    done = 0
    while entry != inactive:
        before = load64(entry + _PREVIOUS)
        if load8(entry + _REFERENCED):
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
    forced = lists + _HEAD_BYTES
    if load64(forced) == forced:
        forced = lists
    entry = load64(forced + _PREVIOUS)
    while entry != forced:
        before = load64(entry + _PREVIOUS)
        if lru_evict(map_, entry):
            lru_move_to_free(lists, entry, head, kind)
            return 1
        entry = before
    return 0


# Free nodes.


@native
def lru_new_entry(map_: int, lists: int) -> int:
    """An entry that was never used, unlinked; 0 when there is none left."""
    number = load64(lists + _UNUSED)
    if number == load64(lists + _UNUSED_END):
        return 0
    store64(lists + _UNUSED, number + 1)
    return load64(map_ + _NODES) + number * load64(map_ + _NODE_STRIDE) - LRU_BYTES


@native
def lru_flush_pending(lists: int, local: int) -> int:
    """__local_list_flush: a CPU's own new entries enter the lists that all share."""
    pending = local + _LOCAL_PENDING
    entry = load64(pending + _PREVIOUS)
    while entry != pending:
        before = load64(entry + _PREVIOUS)
        kind = ACTIVE if load8(entry + _REFERENCED) else INACTIVE
        lru_count(lists, kind, 1)
        store16(entry + _KIND, kind)
        lru_unlink(entry)
        lru_link(entry, lists + kind * _HEAD_BYTES)
        entry = before
    return 0


@native
def lru_fill_local(map_: int, lists: int, local: int, target: int) -> int:
    """bpf_lru_list_pop_free_to_local: get `target` free nodes for a CPU, by eviction where there are too few."""
    lru_flush_pending(lists, local)
    lru_rotate(lists, LOCAL_FREE_TARGET)
    free = lists + 2 * _HEAD_BYTES
    found = 0
    while found < target:
        entry = load64(free)
        if entry != free:
            lru_move_to_free(lists, entry, local, LOCAL_FREE)
        else:
            entry = lru_new_entry(map_, lists)
            if entry == 0:
                break
            store16(entry + _KIND, LOCAL_FREE)
            lru_link(entry, local)
        found += 1
    if found < target:
        lru_shrink(map_, lists, LOCAL_FREE_TARGET, target - found, local, LOCAL_FREE)
    return 0


@native
def lru_pop_local(local: int) -> int:
    """A CPU's first free entry, unlinked, or 0."""
    entry = load64(local)
    if entry == local:
        return 0
    lru_unlink(entry)
    return entry


@native
def lru_steal_pending(map_: int, local: int, force: int) -> int:
    """The oldest pending entry of a CPU that is not referenced (with `force`: at all), evicted and unlinked, or 0."""
    pending = local + _LOCAL_PENDING
    entry = load64(pending + _PREVIOUS)
    while entry != pending:
        if (force or load8(entry + _REFERENCED) == 0) and lru_evict(map_, entry):
            lru_unlink(entry)
            return entry
        entry = load64(entry + _PREVIOUS)
    return 0


@native
def lru_steal(map_: int, locals_: int, local: int) -> int:
    """An entry from whichever CPU has one, starting where the last theft ended."""
    cpus = load32(map_ + _CPUS)
    first = load64(local + _NEXT_STEAL)
    cpu = first
    while 1:
        victim = locals_ + cpu * _LOCAL_BYTES
        entry = lru_pop_local(victim)
        if entry == 0:
            entry = lru_steal_pending(map_, victim, 0)
        if entry == 0:
            entry = lru_steal_pending(map_, victim, 1)
        cpu = cpu + 1 if cpu + 1 < cpus else 0
        if entry or cpu == first:
            break
    store64(local + _NEXT_STEAL, cpu)
    return entry


@native
def lru_take_common(map_: int, lru: int, cpu: int) -> int:
    """bpf_common_lru_pop_free."""
    local = load64(lru + _LOCALS) + cpu * _LOCAL_BYTES
    entry = lru_pop_local(local)
    if entry == 0:
        lru_fill_local(map_, load64(lru + _LISTS), local, load64(lru + _TARGET))
        entry = lru_pop_local(local)
    if entry == 0:
        entry = lru_steal(map_, load64(lru + _LOCALS), local)
    if entry == 0:
        return 0
    store16(entry + _KIND, PENDING)
    store16(entry + _NODE_CPU, cpu)
    lru_link(entry, local + _LOCAL_PENDING)
    return entry


@native
def lru_take_own(map_: int, lru: int, cpu: int) -> int:
    """bpf_percpu_lru_pop_free."""
    lists = load64(lru + _LISTS) + cpu * _LISTS_BYTES
    lru_rotate(lists, PERCPU_FREE_TARGET)
    free = lists + 2 * _HEAD_BYTES
    entry = load64(free)
    if entry == free:
        entry = lru_new_entry(map_, lists)
        if entry:
            store16(entry + _KIND, INACTIVE)
            store16(entry + _NODE_CPU, cpu)
            lru_count(lists, INACTIVE, 1)
            lru_link(entry, lists + _HEAD_BYTES)
            return entry
        lru_shrink(map_, lists, PERCPU_FREE_TARGET, PERCPU_FREE_TARGET, free, FREE)
        entry = load64(free)
    if entry == free:
        return 0
    lru_move(lists, entry, INACTIVE)
    return entry


# What the hashes call.


@native
def lru_take_node(rs: int, map_: int) -> int:
    """A node for a new element, by evicting others where none is free; 0 when there is none even so."""
    lru = load64(map_ + _LRU)
    cpu = load32(rs + _CPU)
    entry = lru_take_common(map_, lru, cpu) if load16(lru + _COMMON) else lru_take_own(map_, lru, cpu)
    return entry + LRU_BYTES if entry else 0


@native
def lru_give_node(map_: int, node: int) -> int:
    """bpf_lru_push_free: a node that is no longer in the hash becomes free."""
    lru = load64(map_ + _LRU)
    entry = node - LRU_BYTES
    cpu = load16(entry + _NODE_CPU)
    if load16(lru + _COMMON) == 0:
        return lru_move(load64(lru + _LISTS) + cpu * _LISTS_BYTES, entry, FREE)
    if load8(entry + _KIND) == PENDING:
        store16(entry + _KIND, LOCAL_FREE)
        lru_unlink(entry)
        return lru_link(entry, load64(lru + _LOCALS) + cpu * _LOCAL_BYTES)
    return lru_move(load64(lru + _LISTS), entry, FREE)


@native
def lru_touch(node: int) -> int:
    """Mark a node as referenced: the next rotation keeps it."""
    store8(node - LRU_BYTES + _REFERENCED, 1)
    return 0


def build_lru(memory: MapMemory, nodes: int) -> None:
    """The lists of a map of so many nodes, all of them free."""
    header, cpus = memory.header, memory.cpus
    is_common = not memory.spec.flags & BPF_F_NO_COMMON_LRU
    runs = 1 if is_common else cpus
    block = memory.block(LRU.size + runs * LISTS.size + cpus * LOCAL.size, "lru lists")
    words = block.view.cast("Q")
    header.lru = block.address
    lists_at, locals_at = LRU.size, LRU.size + runs * LISTS.size
    block.view[0] = int(is_common)
    words[LRU.offset("target_free") // 8] = min(max(nodes // cpus // 2, 1), LOCAL_FREE_TARGET)
    words[LRU.offset("lists") // 8] = block.address + lists_at
    words[LRU.offset("locals") // 8] = block.address + locals_at

    def make_empty(at: int) -> None:
        words[at // 8] = words[at // 8 + 1] = block.address + at

    for run in range(runs):
        at = lists_at + run * LISTS.size
        for head in range(3):
            make_empty(at + head * HEAD.size)
        words[(at + LISTS.offset("rotation")) // 8] = block.address + at + HEAD.size
        words[(at + LISTS.offset("unused")) // 8] = run * (nodes // runs)
        words[(at + LISTS.offset("unused_end")) // 8] = (run + 1) * (nodes // runs)
    for cpu in range(cpus):
        at = locals_at + cpu * LOCAL.size
        make_empty(at)
        make_empty(at + LOCAL.offset("pending"))
        words[(at + LOCAL.offset("next_steal")) // 8] = cpu
