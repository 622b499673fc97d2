"""CGROUP_ARRAY: cgroups by index, for bpf_current_task_under_cgroup.

Follows kernel/bpf/arraymap.c. Linux takes the file descriptor of a cgroup's directory; here a slot is the cgroup's id,
0 without a cgroup. Whether there is such a cgroup is asked when a program looks.
"""

from __future__ import annotations

from xdpsim.btf.values import Value
from xdpsim.maps.array import array_next_key, array_problem, index_key
from xdpsim.maps.header import EINVAL, ENOTSUPP
from xdpsim.maps.kind import MapKind, MapMemory, Problem, declare
from xdpsim.maps.plain import no_lookup, refuse_update
from xdpsim.maps.references import (
    encode_number,
    prog_array_update,
    reference_lookup,
    slot_delete,
    slot_update_error,
)
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_NUMA_NODE, BPF_F_RDONLY, BPF_F_WRONLY, MAP_TYPES

_SLOT_BYTES = 8


def _problem(spec: MapSpec) -> Problem | None:
    if spec.value_size != 4:
        return Problem("value_size", "4, for the value is a cgroup", EINVAL)
    return array_problem(spec)


def _build(memory: MapMemory) -> None:
    slots = memory.spec.max_entries
    block = memory.block(slots * _SLOT_BYTES, "slots")
    memory.place_values(block, count=slots, stride=_SLOT_BYTES)
    index_key(memory)
    memory.regions.clear()


def _encode_cgroup(spec: MapSpec, value: object, where: str) -> object:
    return encode_number(value, "id", where)


def _decode_cgroup(value: bytes) -> Value:
    return int.from_bytes(value, "little")


CGROUP_ARRAY = declare(
    MapKind(
        type=MAP_TYPES["CGROUP_ARRAY"],
        flags=BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
        check=_problem,
        build=_build,
        lookup=no_lookup,
        user_lookup=reference_lookup,
        lookup_error=ENOTSUPP,
        update=refuse_update,
        user_update=prog_array_update,
        update_error=slot_update_error,
        delete=slot_delete,
        next_key=array_next_key,
        encode_value=_encode_cgroup,
        decode_value=_decode_cgroup,
    )
)
