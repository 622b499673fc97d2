"""Free nodes for LRU hashes: each CPU's share, the common free list, and eviction where there are none.

Follows kernel/bpf/bpf_lru_list.c; the lists that decide who is evicted are lru_links.py's. Nodes that were never used
are the end of the free list without being linked, so that a large map costs nothing until it is used.
"""

from __future__ import annotations

from xdpsim.maps.header import MAP
from xdpsim.maps.kind import MapMemory
from xdpsim.maps.lru_links import (
    ACTIVE,
    ENTRY_CPU,
    ENTRY_KIND,
    ENTRY_PREVIOUS,
    ENTRY_REFERENCED,
    FREE,
    HEAD,
    HEAD_BYTES,
    INACTIVE,
    LISTS,
    LOCAL_FREE,
    LRU_BYTES,
    PENDING,
    lru_count,
    lru_evict,
    lru_link,
    lru_move,
    lru_move_to_free,
    lru_rotate,
    lru_shrink,
    lru_unlink,
)
from xdpsim.maps.types import BPF_F_NO_COMMON_LRU
from xdpsim.memory.layout import U16, U64, Struct
from xdpsim.memory.native import native
from xdpsim.memory.raw import load8, load16, load32, load64, store8, store16, store64
from xdpsim.memory.structs import RUN_STATE

LOCAL_FREE_TARGET, PERCPU_FREE_TARGET = 128, 4
"""How many nodes a CPU takes at a time, and how many one call scans."""

LOCAL = Struct("lru_local", ("free", HEAD), ("pending", HEAD), ("next_steal", U64))
LRU = Struct(
    "lru",
    ("is_common", U16),
    ("target_free", U64),
    ("lists", U64),  # one, or with BPF_F_NO_COMMON_LRU one for each CPU
    ("locals", U64),  # one for each CPU
)
_LRU, _CPUS = MAP.offset("lru"), MAP.offset("cpus")
_NODES, _NODE_STRIDE = MAP.offset("nodes"), MAP.offset("node_stride")
_COMMON, _TARGET = LRU.offset("is_common"), LRU.offset("target_free")
_LISTS, _LOCALS = LRU.offset("lists"), LRU.offset("locals")
_UNUSED, _UNUSED_END = LISTS.offset("unused"), LISTS.offset("unused_end")
_LISTS_BYTES, _LOCAL_BYTES = LISTS.size, LOCAL.size
_LOCAL_PENDING, _NEXT_STEAL = LOCAL.offset("pending"), LOCAL.offset("next_steal")
_CPU = RUN_STATE.offset("cpu")


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
    entry = load64(pending + ENTRY_PREVIOUS)
    while entry != pending:
        before = load64(entry + ENTRY_PREVIOUS)
        kind = ACTIVE if load8(entry + ENTRY_REFERENCED) else INACTIVE
        lru_count(lists, kind, 1)
        store16(entry + ENTRY_KIND, kind)
        lru_unlink(entry)
        lru_link(entry, lists + kind * HEAD_BYTES)
        entry = before
    return 0


@native
def lru_fill_local(map_: int, lists: int, local: int, target: int) -> int:
    """bpf_lru_list_pop_free_to_local: get `target` free nodes for a CPU, by eviction where there are too few."""
    lru_flush_pending(lists, local)
    lru_rotate(lists, LOCAL_FREE_TARGET)
    free = lists + 2 * HEAD_BYTES
    found = 0
    while found < target:
        entry = load64(free)
        if entry != free:
            lru_move_to_free(lists, entry, local, LOCAL_FREE)
        else:
            entry = lru_new_entry(map_, lists)
            if entry == 0:
                break
            store16(entry + ENTRY_KIND, LOCAL_FREE)
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
    entry = load64(pending + ENTRY_PREVIOUS)
    while entry != pending:
        if (force or load8(entry + ENTRY_REFERENCED) == 0) and lru_evict(map_, entry):
            lru_unlink(entry)
            return entry
        entry = load64(entry + ENTRY_PREVIOUS)
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
    store16(entry + ENTRY_KIND, PENDING)
    store16(entry + ENTRY_CPU, cpu)
    lru_link(entry, local + _LOCAL_PENDING)
    return entry


@native
def lru_take_own(map_: int, lru: int, cpu: int) -> int:
    """bpf_percpu_lru_pop_free."""
    lists = load64(lru + _LISTS) + cpu * _LISTS_BYTES
    lru_rotate(lists, PERCPU_FREE_TARGET)
    free = lists + 2 * HEAD_BYTES
    entry = load64(free)
    if entry == free:
        entry = lru_new_entry(map_, lists)
        if entry:
            store16(entry + ENTRY_KIND, INACTIVE)
            store16(entry + ENTRY_CPU, cpu)
            lru_count(lists, INACTIVE, 1)
            lru_link(entry, lists + HEAD_BYTES)
            return entry
        lru_shrink(map_, lists, PERCPU_FREE_TARGET, PERCPU_FREE_TARGET, free, FREE)
        entry = load64(free)
    if entry == free:
        return 0
    lru_move(lists, entry, INACTIVE)
    return entry


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
    cpu = load16(entry + ENTRY_CPU)
    if load16(lru + _COMMON) == 0:
        return lru_move(load64(lru + _LISTS) + cpu * _LISTS_BYTES, entry, FREE)
    if load8(entry + ENTRY_KIND) == PENDING:
        store16(entry + ENTRY_KIND, LOCAL_FREE)
        lru_unlink(entry)
        return lru_link(entry, load64(lru + _LOCALS) + cpu * _LOCAL_BYTES)
    return lru_move(load64(lru + _LISTS), entry, FREE)


@native
def lru_touch(node: int) -> int:
    """Mark a node as referenced: the next rotation keeps it."""
    store8(node - LRU_BYTES + ENTRY_REFERENCED, 1)
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
