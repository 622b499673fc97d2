"""USER_RINGBUF: records that a user feeds and a program drains with bpf_user_ringbuf_drain.

Follows kernel/bpf/ringbuf.c. Records wait as Python bytes; only what they would take in the ring counts against it.
"""

from __future__ import annotations

from xdpsim.maps.kind import MapKind, MapMemory, declare
from xdpsim.maps.plain import no_lookup, refuse_delete, refuse_lookup, refuse_next_key, refuse_update
from xdpsim.maps.ringbuf import ring_problem
from xdpsim.maps.types import BPF_F_NUMA_NODE, MAP_TYPES


def _build(memory: MapMemory) -> None:
    """There is nothing that a program could touch."""


USER_RINGBUF = declare(
    MapKind(
        type=MAP_TYPES["USER_RINGBUF"],
        flags=BPF_F_NUMA_NODE,
        check=ring_problem,
        build=_build,
        lookup=no_lookup,
        user_lookup=refuse_lookup,
        update=refuse_update,
        delete=refuse_delete,
        next_key=refuse_next_key,
        length=lambda header: 0,
    )
)
