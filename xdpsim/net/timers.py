"""Lets timers of programs fire on the virtual clock: those that are due before a packet, and while time just passes."""

from __future__ import annotations

from xdpsim.engines.fault import read_fault
from xdpsim.engines.resolve import function_of
from xdpsim.helpers.leases import Rooms
from xdpsim.helpers.timers import Timer, Timers
from xdpsim.memory.batch import Stop
from xdpsim.net.machine import EmulatedMachine

MOST_IN_A_ROW = 10_000
"""So many callbacks between two packets, and a timer is taken for one that starts itself for ever."""
_USUAL_NS = 10_000
"""Timers may fire once more for each such piece of the time that passes."""


def fire_due(machine: EmulatedMachine, now: int, packet: int = 0) -> None:
    """Run the callbacks of all timers that are due at `now`, in order; what they report belongs to `packet`.

    A callback sees the time that its timer was set to. One that faults is reported as an event "fault".
    """
    timers = machine.part(Timers)
    state = machine.run_state
    state.packet = packet
    most = MOST_IN_A_ROW + max(now - state.ktime_ns, 0) // _USUAL_NS
    for _ in range(most):
        due = timers.take_due(now)
        if due is None:
            return
        timer, expires = due
        later = max(expires - state.ktime_ns, 0)
        state.ktime_ns += later
        state.tai_ns += later
        _run(machine, timers, timer)
    machine.emit("fault", f"timers fired {most} times in a row: those still due wait for the next packet")


def _run(machine: EmulatedMachine, timers: Timers, timer: Timer) -> None:
    timers.running = timer
    try:
        with machine.part(Rooms).open(f"key of map {timer.map.name}", len(timer.key)) as room:
            room.block.view[: len(timer.key)] = timer.key
            stop = machine.run_callback(timer.callback, timer.map.header_address, room.start, timer.value)
    finally:
        timers.running = None
    if stop is Stop.FAULT:
        place = function_of(timer.callback)
        number = place[0] if place and 0 < place[0] <= len(machine.programs) else 1
        machine.emit("fault", str(read_fault(machine, machine.programs[number - 1])))


def advance(machine: EmulatedMachine, nanoseconds: int) -> None:
    """Let time pass without packets; timers fire as their times come."""
    machine.clock.advance(nanoseconds)
    fire_due(machine, machine.clock.ktime_ns)
