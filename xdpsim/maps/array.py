"""ARRAY and PERCPU_ARRAY: a fixed number of slots by index, all there and zeroed from the start.

Follows kernel/bpf/arraymap.c. Slots lie every value_size bytes rounded up to 8; a per-CPU array has one run of slots
for each CPU. Iteration is by index.
"""

from __future__ import annotations

from xdpsim.maps.header import E2BIG, EINVAL, MAP, NEG_E2BIG, NEG_EEXIST, NEG_EINVAL, NEG_ENOENT
from xdpsim.maps.kind import ACCESS_FLAGS, PER_CPU_VALUE_BYTES, MapKind, MapMemory, Problem, declare, slot_bytes
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import map_copy_padded, map_copy_value, map_init_special
from xdpsim.maps.types import (
    BPF_EXIST,
    BPF_F_INNER_MAP,
    BPF_F_LOCK,
    BPF_F_MMAPABLE,
    BPF_F_NUMA_NODE,
    BPF_NOEXIST,
    MAP_TYPES,
)
from xdpsim.memory.native import native
from xdpsim.memory.raw import load32, load64, store32
from xdpsim.memory.structs import RUN_STATE

_MAX = MAP.offset("max_entries")
_CPUS = MAP.offset("cpus")
_VALUES = MAP.offset("values")
_STRIDE = MAP.offset("value_stride")
_CPU_STRIDE = MAP.offset("cpu_stride")
_HAS_LOCK = MAP.offset("has_lock")
_CPU = RUN_STATE.offset("cpu")
_LARGEST_VALUE = (1 << 31) - 1


@native
def array_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the slot, 0 past the last one."""
    index = load32(key)
    if index >= load32(map_ + _MAX):
        return 0
    return load64(map_ + _VALUES) + index * load64(map_ + _STRIDE)


@native
def array_update_error(map_: int, slot: int, flags: int) -> int:
    """What is wrong with an update of `slot` (0: past the last one), or 0."""
    if flags & ~BPF_F_LOCK > BPF_EXIST:
        return NEG_EINVAL
    if slot == 0:
        return NEG_E2BIG
    if flags & BPF_NOEXIST:
        return NEG_EEXIST
    if flags & BPF_F_LOCK and load32(map_ + _HAS_LOCK) == 0:
        return NEG_EINVAL
    return 0


@native
def array_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Write a slot: -E2BIG past the last one, -EEXIST with BPF_NOEXIST, since every slot exists."""
    slot = array_lookup(rs, map_, key)
    error = array_update_error(map_, slot, flags)
    if error:
        return error
    map_copy_value(map_, slot, value)
    return map_init_special(map_, slot)  # bpf_obj_free_fields(): timers, pointers and lists of the old value go


@native
def array_delete(rs: int, map_: int, key: int) -> int:
    """Slots cannot be deleted."""
    return NEG_EINVAL


@native
def array_next_key(rs: int, map_: int, key: int, following: int) -> int:
    """The index behind `key`; the first one when `key` is 0 (none) or past the end."""
    index = 0
    if key:
        index = load32(key)
        last = load32(map_ + _MAX) - 1
        if index == last:
            return NEG_ENOENT
        index = 0 if index > last else index + 1
    store32(following, index)
    return 0


@native
def percpu_array_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the running CPU's slot, 0 past the last one."""
    slot = array_lookup(rs, map_, key)
    if slot == 0:
        return 0
    return slot + load32(rs + _CPU) * load64(map_ + _CPU_STRIDE)


@native
def percpu_array_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """A program's update writes the running CPU's slot alone."""
    slot = percpu_array_lookup(rs, map_, key)
    error = array_update_error(map_, slot, flags)
    if error:
        return error
    map_copy_value(map_, slot, value)
    return map_init_special(map_, slot)  # bpf_obj_free_fields(): timers, pointers and lists of the old value go


@native
def percpu_array_user_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """A user's update writes all CPUs' slots from values that follow one another, each rounded up to 8 bytes."""
    if flags > BPF_EXIST:
        return NEG_EINVAL
    slot = array_lookup(rs, map_, key)
    error = array_update_error(map_, slot, flags)
    if error:
        return error
    stride = load64(map_ + _STRIDE)
    cpu = 0
    while cpu < load32(map_ + _CPUS):
        map_copy_padded(map_, slot + cpu * load64(map_ + _CPU_STRIDE), value + cpu * stride)
        cpu += 1
    return 0


def array_problem(spec: MapSpec) -> Problem | None:
    """The creation rules of every map that is keyed by index."""
    if spec.max_entries == 0:
        return Problem("max_entries", "1 or more", EINVAL)
    if spec.key_size != 4:
        return Problem("key_size", "4, for the key is an index", EINVAL)
    if spec.value_size == 0:
        return Problem("value_size", "1 or more", EINVAL)
    if spec.value_size > _LARGEST_VALUE:
        return Problem("value_size", f"{_LARGEST_VALUE} or less", E2BIG)
    return None


def percpu_array_problem(spec: MapSpec) -> Problem | None:
    """What a per-CPU array wants besides."""
    problem = array_problem(spec)
    if problem is None and slot_bytes(spec.value_size) > PER_CPU_VALUE_BYTES:
        return Problem("value_size", f"{PER_CPU_VALUE_BYTES} or less", E2BIG)
    return problem


def index_key(memory: MapMemory) -> None:
    """Slots are named by their index."""
    slots = memory.spec.max_entries
    memory.key_of_slot = lambda slot: (slot % slots).to_bytes(4, "little")


def _build(memory: MapMemory) -> None:
    spec = memory.spec
    stride = slot_bytes(spec.value_size)
    copies = memory.cpus if spec.type == "PERCPU_ARRAY" else 0
    block = memory.block(spec.max_entries * stride * max(copies, 1), "values")
    memory.place_values(block, offset=0, count=spec.max_entries, stride=stride, copies=copies)
    index_key(memory)
    if spec.initial is not None:
        block.view[: len(spec.initial)] = spec.initial


ARRAY = declare(
    MapKind(
        type=MAP_TYPES["ARRAY"],
        flags=BPF_F_NUMA_NODE | BPF_F_MMAPABLE | BPF_F_INNER_MAP | ACCESS_FLAGS,
        check=array_problem,
        build=_build,
        lookup=array_lookup,
        update=array_update,
        delete=array_delete,
        next_key=array_next_key,
        length=lambda header: header.max_entries,
    )
)
PERCPU_ARRAY = declare(
    MapKind(
        type=MAP_TYPES["PERCPU_ARRAY"],
        flags=ACCESS_FLAGS,
        check=percpu_array_problem,
        build=_build,
        lookup=percpu_array_lookup,
        update=percpu_array_update,
        user_update=percpu_array_user_update,
        delete=array_delete,
        next_key=array_next_key,
        length=lambda header: header.max_entries,
        per_cpu=True,
    )
)
