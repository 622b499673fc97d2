"""The emulated machine: memory, maps, programs, clock and events in one place, as engines and helpers see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from xdpsim.btf.types import Btf
from xdpsim.btf.values import decode_value
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.loader.model import ProgramSpec
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.memory.arena import Block
from xdpsim.memory.batch import DEFAULT_BATCH, Stop
from xdpsim.memory.layout import View
from xdpsim.memory.pool import FramePool
from xdpsim.memory.space import AddressSpace
from xdpsim.memory.structs import MAX_FRAGS, RUN_STATE
from xdpsim.net.clock import VirtualClock
from xdpsim.net.mapvalues import value_check

if TYPE_CHECKING:
    from xdpsim.helpers.machine import Caller, Machine

T = TypeVar("T")
SEED_MIX = 0x9E3779B97F4A7C15
"""Spreads small seeds over the generator's 64 bits; its state must never be 0."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a program told user space while it ran.

    Kind "trace" and "fault" hold text; "ringbuf" and "perf" a dict with `map`, `data` (bytes), for perf `cpu`, and the
    decoded `value` where the type of the records is known.
    """

    kind: str
    data: object
    packet: int = 0
    """Index of the packet in its batch."""


class EmulatedMachine:
    """One emulated machine; implements helpers/machine.Machine."""

    def __init__(self, *, cpus: int, seed: int) -> None:
        self._block = Block(RUN_STATE.size, "run state")
        self.run_state = View(RUN_STATE, self._block.view, 0, self._block.address)
        self.run_state.cpus = cpus
        self.run_state.random = ((seed + 1) * SEED_MIX) % (1 << 64) or SEED_MIX
        self.run_state.context = self._block.address + RUN_STATE.offset("xdp")
        self.cpus = cpus
        self.space = AddressSpace(self.run_state)
        self.pool = FramePool(DEFAULT_BATCH * 2 + MAX_FRAGS + 1)
        self.clock = VirtualClock()
        self.events: list[Event] = []
        self.programs: list[LoadedProgram] = []
        self._maps: dict[int, Map] = {}
        self._record_types: dict[str, tuple[Btf, int]] = {}
        self._load_runner: Callable[[int], Any] = lambda number: None
        self.caller: Caller | None = None
        self._owners: dict[int, Map] = {}
        self.rings: list[Map] = []
        self._parts: dict[Any, Any] = {}

    def add_map(self, spec: MapSpec) -> Map:
        """Create a map and let programs reach it."""
        made = create_map(spec, cpus=self.cpus, number=len(self._maps) + 1)
        made.check_value = value_check(self, made)
        made.find_map = self._map_numbered
        for region in (made.header_region, *made.regions):
            self.space.add(region)
        self._maps[made.header_address] = made
        if spec.type in ("RINGBUF", "PERF_EVENT_ARRAY") and spec.btf is not None and spec.value_type:
            self.decode_records(spec.name, spec.btf, spec.value_type)
        if made.kind.drain is not None:
            self.rings.append(made)
        self._owners |= {region.start: made for region in made.regions}
        return made

    def _map_numbered(self, number: int) -> Map | None:
        return next((made for made in self._maps.values() if made.number == number), None)

    def add_program(self, spec: ProgramSpec, maps: tuple[Map, ...], btf: Btf | None) -> LoadedProgram:
        """Give a program its number; numbers start at 1, so that 0 is an empty slot of a prog array."""
        program = LoadedProgram(spec, maps, btf, len(self.programs) + 1)
        self.programs.append(program)
        return program

    def map_at(self, address: int) -> Map | None:
        """The map whose native header lies at `address`."""
        return self._maps.get(address)

    def owner_of(self, address: int) -> Map | None:
        """The map one of whose values holds `address`."""
        region = self.space.region_at(address)
        return self._owners.get(region.start) if region else None

    def part(self, kind: Callable[[Machine], T]) -> T:
        """The machine's one part of that class, made at first use."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        made: T = self._parts[kind]
        return made

    def set_runner_source(self, load: Callable[[int], Any]) -> None:
        """Say who turns a program's number into what the running engine runs."""
        self._load_runner = load

    def runner(self, number: int) -> Any:
        """The running engine's form of program `number`; None when there is no such program."""
        return self._load_runner(number) if 0 < number <= len(self.programs) else None

    def set_caller(self, caller: Caller) -> None:
        """Say who runs callbacks: the engine."""
        self.caller = caller

    @property
    def running(self) -> Any:
        """The program whose insn calls the helper."""
        assert self.caller is not None
        return self.caller.running

    def call_back(self, function: int, *args: int) -> int:
        """Run a function of the running program, given by its handle; its r0."""
        assert self.caller is not None
        return self.caller.call_back(function, *args)

    def run_callback(self, function: int, *args: int) -> Stop:
        """Run a function by itself, as a timer does; how it ended."""
        assert self.caller is not None
        return Stop(self.caller.run_callback(function, *args))

    def emit(self, kind: str, data: object) -> None:
        """Record an event of the packet that is running; records whose type is known get their `value` by BTF."""
        if isinstance(data, dict):
            btf, type_id = self._record_types.get(data["map"], (None, 0))
            if btf is not None and btf.size_of(type_id) <= len(data["data"]):
                data = {**data, "value": decode_value(btf, type_id, data["data"][: btf.size_of(type_id)])}
        self.events.append(Event(kind, data, self.run_state.packet))

    def decode_records(self, map_name: str, btf: Btf, type_id: int) -> None:
        """Say what the records of a ring or perf buffer are; those too short for it stay bytes."""
        self._record_types[map_name] = btf, type_id

    def drain_rings(self) -> None:
        """Make what programs have submitted to ring buffers events of the packet that is running."""
        for ring in self.rings:
            for data in ring.drain():
                self.emit("ringbuf", {"map": ring.name, "data": data})

    def take_events(self) -> list[Event]:
        """The events since the last call."""
        taken, self.events = self.events, []
        return taken


if TYPE_CHECKING:

    def _is_a_machine(machine: EmulatedMachine) -> Machine:
        return machine
