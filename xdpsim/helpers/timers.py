"""bpf_timer: helpers that set timers in map values, and the queue of those that wait for their time.

A timer lives in a map's element and dies with it. Its field holds a token that finds the timer here; who makes time
pass and runs what is due is net/timers.py. Follows bpf_timer_init() and its neighbours in kernel/bpf/helpers.c.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count

from xdpsim.bits import M64, signed
from xdpsim.helpers.callbacks import element_address
from xdpsim.helpers.leases import Rooms
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper
from xdpsim.maps.map import Map

_EINVAL, _EBUSY, _EDEADLK = 22, 16, 35
_CLOCK_REALTIME, _CLOCK_MONOTONIC, _CLOCK_BOOTTIME = 0, 1, 7
_CLOCKS = frozenset({_CLOCK_REALTIME, _CLOCK_MONOTONIC, _CLOCK_BOOTTIME})
_F_ABS, _F_CPU_PIN = 1, 2
NEVER = 1 << 64
"""No time reaches it."""


@dataclass(eq=False, slots=True)
class Timer:
    """One timer or work item: the field at `address` of an element of `map` holds `token`."""

    token: int
    address: int
    map: Map
    value: int
    key: bytes
    clock: int = _CLOCK_MONOTONIC
    callback: int = 0
    expires: int | None = None
    turn: int = 0
    """Which of its starts holds; older entries of the queue mean nothing."""


class Timers:
    """The timers of one machine, in the order of their times and then of their starts."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._by_token: dict[int, Timer] = {}
        self._queue: list[tuple[int, int, Timer]] = []
        self._numbers = count(1)
        self.running: Timer | None = None
        self.next_ns = NEVER
        """When the first one is due, at the earliest."""

    def find(self, address: int) -> Timer | None:
        """The timer in the field at `address`; None where none was made since the element is there."""
        token = int.from_bytes(self._machine.space.read(address, 8), "little")
        timer = self._by_token.get(token)
        return timer if timer is not None and timer.address == address else None

    def make(self, address: int, map_: Map, value: int, key: bytes) -> Timer:
        """A new timer in the field at `address`."""
        timer = Timer(next(self._numbers), address, map_, value, key)
        self._by_token[timer.token] = timer
        self._machine.space.write(address, timer.token.to_bytes(8, "little"))
        return timer

    def start(self, timer: Timer, expires: int) -> None:
        """Let it fire at `expires`, and no longer when it was to before."""
        timer.expires, timer.turn = expires, next(self._numbers)
        heapq.heappush(self._queue, (expires, timer.turn, timer))
        self.next_ns = self._queue[0][0]

    def stop(self, timer: Timer) -> bool:
        """Do not let it fire; whether it was to."""
        was_active, timer.expires = timer.expires is not None, None
        return was_active

    def take_due(self, now: int) -> tuple[Timer, int] | None:
        """The first timer due at `now`, off the queue, and its time; timers whose elements are gone are forgotten."""
        while self._queue and self._queue[0][0] <= now:
            expires, turn, timer = heapq.heappop(self._queue)
            if timer.expires is None or timer.turn != turn:
                continue
            timer.expires = None
            if self._is_alive(timer):
                self.next_ns = self._queue[0][0] if self._queue else NEVER
                return timer, expires
            self._by_token.pop(timer.token, None)
        self.next_ns = self._queue[0][0] if self._queue else NEVER
        return None

    def _is_alive(self, timer: Timer) -> bool:
        """Whether the element that held it when it was made still does."""
        if self.find(timer.address) is not timer:
            return False
        with self._machine.part(Rooms).open("key of a timer", len(timer.key)) as room:
            room.block.view[: len(timer.key)] = timer.key
            return element_address(self._machine, timer.map, room.start) == timer.value


def field_place(machine: Machine, address: int, kind: str, map_: Map | None = None) -> tuple[Map, int, bytes]:
    """Map, value and key of the element whose field of that kind lies at `address`; BadArgument for any other place."""
    owner = machine.owner_of(address)
    key = owner.key_at(address) if owner else None
    if owner is None or key is None or (map_ is not None and owner is not map_):
        raise BadArgument(1)
    region = next(r for r in owner.regions if r.start <= address < r.end)
    inner = (address - region.start) % region.stride
    if not any(field.kind == kind and field.offset == inner for field in owner.special):
        raise BadArgument(1)
    return owner, address - inner, key


@helper(169)
def bpf_timer_init(machine: Machine, timer: int, map_: int, flags: int) -> int:
    """Make the timer in a map's value; `flags` is its clock. -EINVAL for others, -EBUSY when it is made already."""
    target = machine.map_at(map_)
    if target is None:
        raise BadArgument(2)
    if flags not in _CLOCKS:
        return -_EINVAL
    place = field_place(machine, timer, "bpf_timer", target)
    timers = machine.part(Timers)
    if timers.find(timer):
        return -_EBUSY
    timers.make(timer, *place).clock = flags
    return 0


@helper(170)
def bpf_timer_set_callback(machine: Machine, timer: int, callback: int) -> int:
    """Say what the timer calls: callback(map, key, value). -EINVAL before bpf_timer_init."""
    found = machine.part(Timers).find(timer)
    if found is None:
        return -_EINVAL
    found.callback = callback
    return 0


@helper(171)
def bpf_timer_start(machine: Machine, timer: int, nanoseconds: int, flags: int) -> int:
    """Let it fire in so many nanoseconds, or at that time of its clock (flag 1). -EINVAL before it has a callback."""
    timers = machine.part(Timers)
    found = timers.find(timer)
    if flags & ~(_F_ABS | _F_CPU_PIN) or found is None or not found.callback:
        return -_EINVAL
    state = machine.run_state
    if not flags & _F_ABS:
        expires = state.ktime_ns + nanoseconds
    elif found.clock == _CLOCK_REALTIME:
        expires = state.ktime_ns + signed(nanoseconds - state.tai_ns & M64, 64)
    else:
        expires = nanoseconds
    timers.start(found, max(expires, 0))
    return 0


@helper(172)
def bpf_timer_cancel(machine: Machine, timer: int) -> int:
    """Stop it and take its callback away: 1 if it was to fire, else 0. -EINVAL before bpf_timer_init, -EDEADLK inside
    of its own callback."""
    timers = machine.part(Timers)
    found = timers.find(timer)
    if found is None:
        return -_EINVAL
    if found is timers.running:
        return -_EDEADLK
    found.callback = 0
    return int(timers.stop(found))
