"""PERF_EVENT_ARRAY: which perf event a program's samples go to, by index.

Follows kernel/bpf/arraymap.c. Linux takes the file descriptor of an event that is open on one CPU; here an event is the
number of its CPU, and every index below the number of CPUs starts with the event of that CPU, as all consumers set it
up. A slot is that number plus one, 0 without an event. What becomes of a sample is the machine's affair.
"""

from __future__ import annotations

from xdpsim.maps.array import array_next_key, array_problem
from xdpsim.maps.header import EINVAL, MAP, NEG_E2BIG, NEG_EBADF
from xdpsim.maps.kind import MapKind, MapMemory, Problem, declare
from xdpsim.maps.plain import no_lookup, refuse_lookup, refuse_update
from xdpsim.maps.references import reference_slot, slot_delete, slot_update_error
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_NUMA_NODE, BPF_F_PRESERVE_ELEMS, BPF_F_RDONLY, BPF_F_WRONLY, MAP_TYPES
from xdpsim.memory.native import native
from xdpsim.memory.raw import load32, load64, store64

_CPUS, _MAX, _VALUES = MAP.offset("cpus"), MAP.offset("max_entries"), MAP.offset("values")


@native
def perf_event_cpu(map_: int, index: int) -> int:
    """The CPU of the event in a slot plus one; 0 without an event there, -E2BIG past the last slot."""
    if index >= load32(map_ + _MAX):
        return NEG_E2BIG
    return load64(load64(map_ + _VALUES) + (index << 3))


@native
def perf_user_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a slot to the event of a CPU; -EBADF where there is no such CPU."""
    error = slot_update_error(rs, map_, key, value, flags)
    if error:
        return error
    if load32(value) >= load32(map_ + _CPUS):
        return NEG_EBADF
    store64(reference_slot(map_, key), load32(value) + 1)
    return 0


def _problem(spec: MapSpec) -> Problem | None:
    if spec.value_size != 4:
        return Problem("value_size", "4, for the value is an event", EINVAL)
    return array_problem(spec)


def _build(memory: MapMemory) -> None:
    slots = memory.spec.max_entries
    block = memory.block(slots * 8, "slots")
    memory.place_values(block, count=slots, stride=8)
    memory.regions.clear()
    words = block.view.cast("Q")
    for cpu in range(min(memory.cpus, slots)):
        words[cpu] = cpu + 1


PERF_EVENT_ARRAY = declare(
    MapKind(
        type=MAP_TYPES["PERF_EVENT_ARRAY"],
        flags=BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_PRESERVE_ELEMS,
        check=_problem,
        build=_build,
        lookup=no_lookup,
        user_lookup=refuse_lookup,
        update=refuse_update,
        user_update=perf_user_update,
        update_error=slot_update_error,
        delete=slot_delete,
        next_key=array_next_key,
        length=lambda header: 0,
    )
)
