"""What an accepted program's facts say is what its runs do: every insn observed, every map and packet compared.

The programs are those of programs/ on the captures of pcaps/, and the C suites of tests/helpers on one packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.helpers.test_c_suites import SUITES
from tests.support.csuite import FED, LINEAR, PAGED, suite_object, suite_rows
from tests.support.oracle import ramp
from tests.support.runtimes import ROOT
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.frames.capture import open_capture
from xdpsim.frames.record import Record
from xdpsim.isa.asm import assemble
from xdpsim.isa.rows import Family
from xdpsim.maps.files import load_presets
from xdpsim.maps.map import Map
from xdpsim.sim.program import LoadedObject, Program
from xdpsim.sim.sim import Sim

PACKETS, MOST_LOOKS = 150, 300
"""Of each capture, and of each insn: observing all is slow, and what differs between packets comes early in ours."""
LOADS = (Family.LOAD, Family.LOAD_SX, Family.LOAD_ACQUIRE)
OBJECTS = sorted(path.stem for path in (ROOT / "programs").glob("*.o"))
CAPTURES = sorted(path for path in (ROOT / "pcaps").iterdir() if path.suffix in (".pcap", ".pcapng", ".gz"))


@dataclass
class Watch:
    """Observes one Sim; `wrong` lists what contradicts a program's facts."""

    sim: Sim
    wrong: set[str] = field(default_factory=set)
    seen: dict[str, int] = field(default_factory=dict)
    _ran: set[int] = field(default_factory=set)
    _looks: dict[tuple[int, int], int] = field(default_factory=dict)

    def observe(self, program: LoadedProgram, slot: int) -> None:
        facts, insn = program.facts, program.spec.code[slot]
        assert isinstance(self.sim.engine, InterpreterEngine)
        assert insn is not None
        self._ran.add(program.number)
        regs = self.sim.engine.cpu.regs
        if slot in facts.dead:
            self._tell(program, slot, "runs, though it is dead")
        count = self._looks[program.number, slot] = self._looks.get((program.number, slot), 0) + 1
        if count > MOST_LOOKS:
            return
        if slot in facts.call_maps:
            found = self.sim.machine.map_at(regs[1])
            self._check(program, slot, "map of a call", found is program.maps[facts.call_maps[slot]])
        if slot in facts.accesses:
            address = regs[insn.src if insn.family in LOADS else insn.dst] + insn.off
            kind = self._kind(address)
            self._check(program, slot, facts.accesses[slot], _agrees(facts.accesses[slot], kind), kind)
        if slot in facts.context_offsets:
            start = self.sim.machine.run_state.context
            self._check(program, slot, "context offset", address - start == facts.context_offsets[slot])

    def _kind(self, address: int) -> str:
        region = self.sim.machine.space.describe(address)
        return region.partition(" ")[0].partition("+")[0]

    def _check(self, program: LoadedProgram, slot: int, what: str, holds: bool, found: str = "") -> None:
        self.seen[what] = self.seen.get(what, 0) + 1
        if not holds:
            self._tell(program, slot, f"{what} does not hold {found}")

    def _tell(self, program: LoadedProgram, slot: int, what: str) -> None:
        self.wrong.add(f"{program.spec.name} slot {slot}: {what}")

    def around(self, maps: list[Map], run: Callable[[], Iterator[tuple[bytes, bytes]]]) -> None:
        """Run, and compare maps and packets with what the programs that ran may have changed."""
        self._ran.clear()
        before = {made.spec.name: _content(made) for made in maps}
        pairs = list(run())
        programs = [self.sim.machine.programs[number - 1] for number in self._ran]
        may_write = {p.maps[index].spec.name for p in programs for index in p.facts.written_maps or ()}
        for made in maps:
            if _content(made) != before[made.spec.name]:
                self.seen["changed map"] = self.seen.get("changed map", 0) + 1
                if made.spec.name not in may_write:
                    self.wrong.add(f"{[p.spec.name for p in programs]}: map {made.spec.name} changed")
        if not any(p.facts.writes_packet for p in programs):
            self.seen["packet left alone"] = self.seen.get("packet left alone", 0) + len(pairs)
            if any(old != new for old, new in pairs):
                self.wrong.add(f"{[p.spec.name for p in programs]}: a packet changed")


def _agrees(fact: str, kind: str) -> bool:
    """Whether an address of that name is what the fact says; other memory is a map's, a ring's or an object's."""
    known = {"context": {"context"}, "stack": {"stack"}, "packet": {"packet", "meta"}, "map_value": {"map"}}
    return kind in known[fact] if fact in known else True


def _content(made: Map) -> object:
    return list(made.items_bytes())


def watching(sim: Sim) -> Watch:
    watch = Watch(sim)
    sim.engine.observer = watch.observe  # type: ignore[attr-defined]
    return watch


def xdp_programs(loaded: LoadedObject) -> Iterator[Program]:
    for name, spec in loaded.source.programs.items():
        if spec.type == "XDP" and not spec.unsupported:
            yield loaded[name]


@pytest.mark.parametrize("name", OBJECTS)
def test_facts_hold_on_captures(name: str) -> None:
    sim = Sim()
    watch, loaded = watching(sim), sim.load(ROOT / "programs" / f"{name}.o")
    preset = ROOT / "programs" / "presets" / f"{name}.json"
    if preset.exists():
        load_presets(loaded.maps, preset)
    for program in xdp_programs(loaded):
        for path in CAPTURES:
            with open_capture(path, l2="synth") as capture:
                records = [record for _, record in zip(range(PACKETS), capture, strict=False)]

            def run(program: Program = program, records: list[Record] = records) -> Iterator[tuple[bytes, bytes]]:
                for result in program.replay(records):
                    assert result.fault is None
                    yield result.record.data, result.data

            watch.around(list(loaded.maps.values()), run)
    assert watch.wrong == set()
    assert watch.seen


@pytest.mark.parametrize("suite", SUITES)
def test_facts_hold_in_the_suites(suite: str) -> None:
    for row in suite_rows(suite):
        sim = Sim()
        watch, loaded = watching(sim), sim.load(suite_object(suite))
        program = loaded[row["name"]]
        for ring in (made for made in loaded.maps.values() if made.spec.type == "USER_RINGBUF"):
            for record in FED:
                sim.feed(ring, record)
        packet = ramp(PAGED if program.spec.frags else LINEAR)

        def run(program: Program = program, packet: bytes = packet) -> Iterator[tuple[bytes, bytes]]:
            outcome = program.run(packet)
            yield packet, outcome.meta + outcome.packet

        watch.around([made for made in loaded.maps.values() if made.spec.type != "USER_RINGBUF"], run)
        assert watch.wrong == set(), row["name"]


MIXED = """
r6 = *(u32 *)(r1 +12); *(u64 *)(r10 -8) = 5; r2 = map_value[0]; if r6 == 0 goto on; r2 = r10; r2 += -8;
on: r0 = *(u64 *)(r2 +0); *(u64 *)(r2 +0) = 1; exit
"""


def test_an_insn_of_several_kinds_of_memory_is_only_inside() -> None:
    sim = Sim()
    code = assemble(MIXED)
    program = sim.load_insns(code, "XDP", maps=[{"type": "ARRAY", "key_size": 4, "value_size": 8, "max_entries": 1}])
    facts = sim.machine.programs[program.number - 1].facts
    last = len(code) - 1
    assert (facts.accesses[last - 2], facts.accesses[last - 1]) == ("memory", "memory")
    assert facts.written_maps == {0}
    assert not facts.writes_packet
