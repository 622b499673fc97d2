"""Programs and objects as users hold them: `obj["name"]`, `obj.maps`, `prog.run(packet)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from xdpsim.engines.protocol import LoadedProgram, Runner
from xdpsim.errors import InputError
from xdpsim.frames.build import to_bytes
from xdpsim.frames.record import Record
from xdpsim.helpers.kfuncs_xdp import Device, RxMetadata
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.maps.map import Map
from xdpsim.memory.batch import DEFAULT_BATCH
from xdpsim.net.datapath import MIN_PACKET_BYTES, Result, XdpHook, refusal
from xdpsim.net.sweep import Sink, Sweep
from xdpsim.sim.outcome import Outcome, outcome_of

if TYPE_CHECKING:
    from xdpsim.sim.sim import Sim


class Program:
    """One program, ready to run. `spec` is what the object file says of it."""

    def __init__(self, sim: Sim, loaded: LoadedProgram, runner: Runner) -> None:
        self._sim, self._loaded, self._runner = sim, loaded, runner

    @property
    def sim(self) -> Sim:
        """The machine that it runs on."""
        return self._sim

    @property
    def loaded(self) -> LoadedProgram:
        """The program as engines have it."""
        return self._loaded

    @property
    def runner(self) -> Runner:
        """What the engine has made of it."""
        return self._runner

    @property
    def spec(self) -> ProgramSpec:
        """Name, section, type, instructions, source lines."""
        return self._loaded.spec

    @property
    def name(self) -> str:
        """The program's name: that of its main function."""
        return self._loaded.spec.name

    @property
    def maps(self) -> dict[str, Map]:
        """The maps of the program's object by name; those of `load_insns` are map0, map1 ... unless they were named."""
        return {made.spec.name: made for made in self._loaded.maps}

    @property
    def reads_only(self) -> bool:
        """Whether the verifier has seen that packets leave as they came."""
        return self._loaded.facts.verified and not self._loaded.facts.writes_packet

    @property
    def number(self) -> int:
        """What a prog array holds for this program."""
        return self._loaded.number

    def __repr__(self) -> str:
        return f"<xdpsim program {self.name} ({self.spec.type})>"

    def run(
        self,
        packet: object,
        *,
        time_ns: int | None = None,
        rx_timestamp: int | None = None,
        rx_hash: tuple[int, int] | None = None,
        rx_vlan_tag: tuple[int, int] | None = None,
    ) -> Outcome:
        """Run once on `packet` (bytes or a scapy packet), as BPF_PROG_TEST_RUN does, and say what happened.

        `time_ns` is the packet's time in nanoseconds since 1970; without it virtual time goes on by a microsecond. A
        packet below 14 or above 73,152 bytes is an InputError, where BPF_PROG_TEST_RUN answers EINVAL and ENOMEM.
        `rx_timestamp` (nanoseconds), `rx_hash` (hash, XDP_RSS_TYPE_* bits) and `rx_vlan_tag` (protocol, TCI) are what
        the device says of the packet to those who ask; what is None it does not say.
        """
        data = to_bytes(packet)
        problem = refusal(data)
        if problem:
            answer = "EINVAL" if len(data) < MIN_PACKET_BYTES else "ENOMEM"
            raise InputError(f"a packet of {len(data)} bytes is {problem}", hint=f"BPF_PROG_TEST_RUN answers {answer}")
        device = self._sim.machine.part(Device)
        device.metadata = RxMetadata(rx_timestamp, rx_hash, rx_vlan_tag)
        hook = XdpHook(self._sim.machine, self._loaded, self._runner, 1)
        (result,) = hook.run([Record(1, time_ns, data, len(data))])
        device.metadata = RxMetadata()
        if result.error:
            raise InputError(f"a packet of {len(data)} bytes: {result.error}")
        return outcome_of(result)

    def hook(self, batch_size: int = DEFAULT_BATCH) -> XdpHook:
        """An XDP hook with this program, for many packets: iterate `hook.run(records)`, then read `hook.totals`."""
        return XdpHook(self._sim.machine, self._loaded, self._runner, batch_size)

    def sweep(self, *, batch_size: int = DEFAULT_BATCH, limit: int | None = None, sink: Sink | None = None) -> Sweep:
        """A run over a whole capture that counts at memory speed: iterate `sweep.run(capture)`, read `sweep.swept`.

        `limit` is how many records are read at most; `sink` gets every packet as it comes out.
        """
        return Sweep(self._sim.machine, self._loaded, self._runner, batch_size=batch_size, limit=limit, sink=sink)

    def replay(self, records: Iterable[Record], *, batch_size: int = DEFAULT_BATCH) -> Iterator[Result]:
        """Run on every record of a capture, in order."""
        return self.hook(batch_size).run(records)


class LoadedObject(Mapping[str, Program]):
    """A loaded object file: its programs by name, and its maps. Programs are made ready when they are first taken."""

    def __init__(self, sim: Sim, source: Object, maps: dict[str, Map], programs: dict[str, LoadedProgram]) -> None:
        self._sim, self.source, self.maps, self._programs = sim, source, maps, programs

    def __getitem__(self, name: str) -> Program:
        """The program of that name; Unsupported or Rejected when it cannot, or may not, run; KeyError without one."""
        if name not in self._programs:
            known = ", ".join(self._programs) or "none"
            raise KeyError(f"{self.source.name} has no program {name}: it has {known}")
        return self._sim.take(self._programs[name])

    def decode_records(self, map_name: str, type_name: str) -> None:
        """Say that the records of ring or perf buffer `map_name` are `type_name` ("struct flow", a typedef).

        Linux knows no type for them. Events then hold the decoded record as `value`; shorter ones stay bytes only.
        """
        if map_name not in self.maps:
            raise InputError(f"{self.source.name} has no map {map_name}: it has {', '.join(self.maps) or 'none'}")
        btf, name = self.source.btf, type_name.removeprefix("struct ").removeprefix("union ").strip()
        found = btf.by_name(name) if btf is not None else None
        if btf is None or found is None:
            raise InputError(f"{self.source.name} has no type {type_name}", hint="list the types: xdpsim inspect --btf")
        self._sim.machine.decode_records(map_name, btf, found.id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._programs)

    def __len__(self) -> int:
        return len(self._programs)

    def __contains__(self, name: object) -> bool:
        return name in self._programs

    def __repr__(self) -> str:
        return f"<xdpsim object {self.source.name}: {', '.join(self._programs)}>"
