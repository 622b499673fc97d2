"""Events of programs that run in the kernel: what they wrote to ring buffers and perf events, as the machine's own.

A PERF_EVENT_ARRAY gets an event for each CPU, as its consumers set it up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.helpers.user_ring import UserRings
from xdpsim.sysbpf.buffers import PerfReader, RingReader, RingWriter
from xdpsim.sysbpf.info import possible_cpus

if TYPE_CHECKING:
    from xdpsim.engines.kernel.mirror import Mirror
    from xdpsim.helpers.machine import Machine
    from xdpsim.maps.map import Map


class EventReaders:
    """The readers of all maps of one engine."""

    def __init__(self) -> None:
        self._rings: list[tuple[str, RingReader]] = []
        self._perf: list[tuple[str, PerfReader]] = []
        self._fed: list[tuple[Map, RingWriter]] = []

    def watch(self, mirror: Mirror) -> None:
        """Read from a map, if it is of a kind that is read from."""
        spec = mirror.map.spec
        if spec.type == "RINGBUF":
            self._rings.append((spec.name, RingReader(mirror.kernel)))
        elif spec.type == "USER_RINGBUF":
            self._fed.append((mirror.map, RingWriter(mirror.kernel)))
        elif spec.type == "PERF_EVENT_ARRAY":
            for cpu in range(min(possible_cpus(), mirror.kernel.definition.max_entries)):
                reader = PerfReader(cpu)
                mirror.kernel.update(cpu.to_bytes(4, "little"), reader.fd.number.to_bytes(4, "little"))
                self._perf.append((spec.name, reader))

    def feed(self, machine: Machine) -> None:
        """Pass on what waits in the machine's user ring buffers."""
        for ring, writer in self._fed:
            waiting = machine.part(UserRings).of(ring)
            while waiting:
                writer.put(waiting.popleft())

    def emit(self, machine: Machine) -> None:
        """Hand over what has come since the last call."""
        for name, perf in self._perf:
            for data in perf.drain():
                machine.emit("perf", {"map": name, "cpu": perf.cpu, "data": data})
        for name, ring in self._rings:
            for data in ring.drain():
                machine.emit("ringbuf", {"map": name, "data": data})
