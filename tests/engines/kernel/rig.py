"""A machine with the kernel engine, for tests: programs from text, packets in, what they left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xdpsim.btf.types import Btf
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.engines.kernel.runner import KernelRunner
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.maps.map import Map
from xdpsim.maps.spec import MapSpec
from xdpsim.memory.batch import Batch
from xdpsim.net.machine import EmulatedMachine

KTIME_NS, TAI_NS = 1_000_123_456_789, 1_600_000_000_000_000_007


@dataclass(frozen=True)
class Left:
    """What a program left of one packet."""

    errno: int
    value: int
    packet: bytes


class Rig:
    """Maps and programs of one machine; `engine` runs them."""

    def __init__(self, *, cpus: int = 2, seed: int = 1) -> None:
        self.machine = EmulatedMachine(cpus=cpus, seed=seed)
        self.engine = KernelEngine(self.machine)
        self.runners: dict[int, KernelRunner] = {}
        self.machine.set_runner_source(self._runner)

    def map(self, kind: str, key: int, value: int, entries: int, **rest: Any) -> Map:
        """A map of the machine."""
        return self.machine.add_map(MapSpec(rest.pop("name", kind.lower()), kind, key, value, entries, **rest))

    def program(self, text: str, *maps: Map, kind: str = "XDP", btf: Btf | None = None, **rest: Any) -> KernelRunner:
        """Load a program in which `map[m0]`, `map[m1]` ... are the maps."""
        numbers = {f"m{n}": n for n in range(len(maps))}
        code = assemble(text, maps=numbers)
        spec = ProgramSpec("prog", kind.lower(), kind, 0, code, (Subprogram("prog", 0),), (), "GPL", **rest)
        return self._runner(self.machine.add_program(spec, maps, btf).number)

    def run(
        self, runner: KernelRunner, packets: Sequence[bytes] = (bytes(64),), *, ifindex: int = 0, queue: int = 0
    ) -> list[Left]:
        """Run a batch of packets, one microsecond after the other."""
        batch = Batch(max(len(packets), 1))
        for n, packet in enumerate(packets):
            at = batch.append(self.machine.pool.put(packet), ktime_ns=KTIME_NS + 1000 * n, tai_ns=TAI_NS + 1000 * n)
            batch.ifindex[at], batch.queue[at] = ifindex, queue
        assert runner.run_batch(batch, 0)[0] == len(packets)
        pool = self.machine.pool
        return [
            Left(runner.errnos.get(n, 0), batch.verdict[n], pool.get(batch.frame[n], batch.start[n], batch.length[n]))
            for n in range(len(packets))
        ]

    def value(self, runner: KernelRunner, **rest: Any) -> int:
        """The value for one packet of 64 zeroes."""
        return self.run(runner, **rest)[0].value

    def _runner(self, number: int) -> KernelRunner:
        if number not in self.runners:
            self.runners[number] = self.engine.load(self.machine.programs[number - 1])
        return self.runners[number]
