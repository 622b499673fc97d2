"""Helpers that call functions of the program: bpf_loop and bpf_for_each_map_elem.

Which map types can be walked, and in which order, follows their map_for_each_callback in kernel/bpf/arraymap.c and
kernel/bpf/hashtab.c; bpf_loop follows kernel/bpf/bpf_iter.c.
"""

from __future__ import annotations

from xdpsim.bits import M32
from xdpsim.helpers.leases import Rooms
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper
from xdpsim.maps.map import Map

_EINVAL, _E2BIG = 22, 7
MAX_LOOPS = 8 * 1024 * 1024
"""BPF_MAX_LOOPS."""
WALKED_TYPES = frozenset({"ARRAY", "PERCPU_ARRAY", "HASH", "PERCPU_HASH", "LRU_HASH", "LRU_PERCPU_HASH"})
"""Types whose elements bpf_for_each_map_elem visits; Linux does not load a program that asks it of another."""


@helper(181)
def bpf_loop(machine: Machine, count: int, callback: int, context: int, flags: int) -> int:
    """Call callback(index, context) `count` times or until it returns 1; how often it was called.

    -EINVAL unless `flags` is 0, -E2BIG above 8,388,608. Linux puts a loop in the place of the call when it knows that
    `flags` is 0; that loop looks at all 64 bits of `count` and leaves the errno in 32 bits.
    """
    if flags:
        return -_EINVAL
    if count > MAX_LOOPS:
        return -_E2BIG & M32
    for index in range(count):
        if machine.call_back(callback, index, context):
            return index + 1
    return count


@helper(164)
def bpf_for_each_map_elem(machine: Machine, map_: int, callback: int, context: int, flags: int) -> int:
    """Call callback(map, key, value, context) for each element or until it returns 1; how often it was called.

    Elements that the callback adds are not visited, nor those that it has deleted. -EINVAL unless `flags` is 0.
    """
    target = machine.map_at(map_)
    if target is None or target.spec.type not in WALKED_TYPES:
        raise BadArgument(1)
    if flags:
        return -_EINVAL
    calls = 0
    with machine.part(Rooms).open(f"key of map {target.name}", target.spec.key_size) as room:
        for key in list(target.keys_bytes()):
            room.block.view[: len(key)] = key
            value = element_address(machine, target, room.start)
            if not value:
                continue
            calls += 1
            if machine.call_back(callback, map_, room.start, value, context):
                break
    return calls


def element_address(machine: Machine, target: Map, key: int) -> int:
    """Address of the value under the key at `key` (of the running CPU), 0 without one; no LRU notices."""
    lookup = target.kind.user_lookup or target.kind.lookup_for(target.spec)
    return lookup(machine.run_state.address, target.header_address, key)
