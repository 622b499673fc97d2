"""What tests of engines share: a workbench that runs many small programs on one engine, with the same maps throughout.

A workbench goes round `Sim` where that would make maps and programs anew for each of thousands of programs; it uses
the same machine, engine protocol and batch as Sim does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdpsim.engines.fault import Fault, read_fault
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.isa.insn import Code
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.memory.batch import Batch, Stop
from xdpsim.sim.sim import ENGINES, Sim
from xdpsim.verifier.decide import decide

OURS = ("interpreter", "jit")
"""The engines that run anywhere."""
PACKET = bytes(range(64))


@dataclass(frozen=True)
class Ran:
    """What one run left: the verdict, the packet and its metadata, how it stopped, and the fault if there was one."""

    verdict: int
    data: bytes
    meta: bytes
    stop: Stop
    fault: Fault | None
    insns: int

    @property
    def what(self) -> tuple[object, ...]:
        """The part that every engine must agree on."""
        fault = (self.fault.kind, self.fault.slot, self.fault.problem) if self.fault else None
        return self.verdict, self.data, self.meta, self.stop, fault


class Workbench:
    """One engine with `maps`; `run` runs one program after the other on them."""

    def __init__(self, engine: str, maps: Sequence[Mapping[str, Any]] = (), *, budget: int = 0, cpus: int = 2) -> None:
        self.sim = Sim(engine=engine, cpus=cpus, verify=False)  # its programs may be wrong on purpose
        self.machine = self.sim.machine
        self.engine = self.sim.engine
        self._set_budget(budget)
        self.maps = tuple(self.machine.add_map(MapSpec(name=f"map{n}", **given)) for n, given in enumerate(maps))
        self._batch = Batch(1)
        self.verify = False
        """Give engines the verifier's facts; programs that it refuses run without any."""

    def _set_budget(self, budget: int) -> None:
        if budget:
            self.engine.budget = budget  # type: ignore[attr-defined]

    def beside(self, engine: str, *, budget: int = 0) -> Workbench:
        """Another engine on the same machine with the same maps: even addresses are alike."""
        other = copy.copy(self)
        other.engine = ENGINES[engine](self.machine)
        other._set_budget(budget)
        return other

    def load(self, code: Code, *, type: str = "XDP", frags: bool = False, licence: str = "GPL") -> LoadedProgram:
        """The program with this workbench's maps. It gets no number of its own, so prog arrays cannot hold it."""
        spec = ProgramSpec(
            *("program", type.lower(), type, 0, code, (Subprogram("program", 0),), (), licence), frags=frags
        )
        program = LoadedProgram(spec, self.maps, None, 1)
        if self.verify:
            program.facts = decide(spec, [made.spec for made in self.maps], None, remember=False).facts
        return program

    def run(self, code: Code, packet: bytes = PACKET, **options: Any) -> Ran:
        """Load `code` and run it once on `packet`."""
        program = self.load(code, **options)
        runner, batch, pool = self.engine.load(program), self._batch, self.machine.pool
        self.machine.programs[:1] = [program]
        batch.clear()
        self.machine.clock.arrive(None)
        frame, start, length = pool.put(packet)
        batch.append((frame, start, length), ktime_ns=self.machine.clock.ktime_ns, tai_ns=self.machine.clock.tai_ns)
        batch.has_frags[0], batch.ifindex[0] = int(length < len(packet)), 1
        _, stop = runner.run_batch(batch, 0)
        fault = read_fault(self.machine, program) if stop is Stop.FAULT else None
        start, meta = batch.start[0], batch.meta[0]
        data, metadata = pool.get(frame, start, batch.length[0]), pool.read(frame, start - meta, meta)
        pool.release(frame)
        return Ran(batch.verdict[0], data, metadata, stop, fault, batch.insns[0])

    def value(self, index: int = 0) -> bytes:
        """The first value of an array map."""
        value = self.maps[index].lookup_bytes(bytes(4))
        assert value is not None
        return value

    def set_value(self, value: bytes, index: int = 0) -> None:
        """Set the first value of an array map."""
        assert self.maps[index].update_bytes(bytes(4), value, 0) == 0


def array(value_size: int, entries: int = 1) -> dict[str, Any]:
    """An ARRAY map for a workbench."""
    return {"type": "ARRAY", "key_size": 4, "value_size": value_size, "max_entries": entries}
