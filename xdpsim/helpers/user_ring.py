"""bpf_user_ringbuf_drain: a program takes what a user fed. Follows bpf_user_ringbuf_drain() in kernel/bpf/ringbuf.c."""

from __future__ import annotations

from collections import deque

from xdpsim.bits import round_up
from xdpsim.errors import InputError
from xdpsim.helpers.dynptr import LOCAL, Dynptr, write_dynptr
from xdpsim.helpers.leases import Rooms
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper
from xdpsim.maps.map import Map
from xdpsim.maps.ringbuf import BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, HEADER_BYTES

_EINVAL, _EBUSY = 22, 16
_MOST_SAMPLES = 128 * 1024
"""BPF_MAX_USER_RINGBUF_SAMPLES: one call takes no more."""
_DYNPTR_BYTES = 16


class UserRings:
    """The records that wait in the user ring buffers of one machine."""

    def __init__(self, machine: Machine) -> None:
        self._waiting: dict[int, deque[bytes]] = {}
        self.busy: set[int] = set()

    def of(self, ring: Map) -> deque[bytes]:
        """What waits in a ring, oldest first."""
        return self._waiting.setdefault(ring.number, deque())

    def feed(self, ring: Map, data: bytes) -> None:
        """Put a record into a ring; InputError when the map is none or full."""
        if ring.spec.type != "USER_RINGBUF":
            raise InputError(f"map {ring.name} is a {ring.spec.type}: expected a USER_RINGBUF")
        waiting = self.of(ring)
        taken = sum(round_up(len(record) + HEADER_BYTES, 8) for record in (*waiting, data))
        if taken > ring.spec.max_entries:
            raise InputError(f"map {ring.name}: a record of {len(data)} bytes does not fit: {len(waiting)} others wait")
        waiting.append(data)


@helper(209)
def bpf_user_ringbuf_drain(machine: Machine, map_: int, callback: int, context: int, flags: int) -> int:
    """Call callback(dynptr, context) for each record or until it returns 1; how many were taken.

    -EINVAL for other flags than the wakeups, -EBUSY inside of such a callback on the same ring.
    """
    ring = machine.map_at(map_)
    if ring is None or ring.spec.type != "USER_RINGBUF":
        raise BadArgument(1)
    if flags & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP):
        return -_EINVAL
    rings = machine.part(UserRings)
    if ring.number in rings.busy:
        return -_EBUSY
    rings.busy.add(ring.number)
    try:
        return _drain(machine, rings.of(ring), ring.name, callback, context)
    finally:
        rings.busy.remove(ring.number)


def _drain(machine: Machine, waiting: deque[bytes], name: str, callback: int, context: int) -> int:
    taken = 0
    while waiting and taken < _MOST_SAMPLES:
        record = waiting.popleft()
        taken += 1
        with (
            machine.part(Rooms).open(f"record of map {name}", max(len(record), 1), writable=True) as room,
            machine.part(Rooms).open("dynptr of a record", _DYNPTR_BYTES, writable=True) as dynptr,
        ):
            room.block.view[: len(record)] = record
            write_dynptr(machine, dynptr.start, Dynptr(room.start, LOCAL, len(record), 0), 1)
            if machine.call_back(callback, dynptr.start, context):
                break
    return taken
