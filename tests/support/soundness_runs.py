"""Accepted programs on random packets and maps: compared insn by insn with the walk, then from engine to engine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.soundness import Walked, Watch, record
from tests.support.verifier_sources import Question
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.errors import InputError, Unsupported
from xdpsim.frames.capture import open_capture
from xdpsim.maps.map import Map
from xdpsim.net.datapath import refusal
from xdpsim.sim.outcome import Outcome
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim
from xdpsim.verifier.facts import Facts
from xdpsim.verifier.main import verify
from xdpsim.verifier.proven import facts_of

BUDGET = 20_000
"""Insns after which a run is given up: loops of a million rounds tell no more than shorter ones."""
MOST_WALKED = 60_000
"""Of longer walks not all states are kept."""
MOST_COMPARED = 100_000
"""Comparisons of an insn's values with one state: in long loops through many states each takes many."""
_PCAPS = Path(__file__).parents[2] / "pcaps"
_LENGTHS = (14, 15, 18, 20, 33, 34, 35, 42, 54, 60, 64, 65, 128, 300, 1500)
_EDGES = (0, 1, 2, 3, 7, 8, 31, 63, 64, 127, 128, 255)


@dataclass
class Ran:
    """What the runs of one program gave. `skipped` says why it did not run."""

    walked: Walked | None = None
    skipped: str = ""
    insns: int = 0
    given_up: int = 0
    tells_addresses: bool = False
    """What it leaves depends on where memory lies, so engines cannot be compared."""
    problems: list[str] = field(default_factory=list)
    """Values outside of what was walked."""
    faults: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


@cache
def captured() -> list[bytes]:
    """Packets of the bundled captures."""
    found = []
    for path in sorted(_PCAPS.glob("*.pcap")):
        with open_capture(path) as capture:
            found += [record.data for record in capture if not refusal(record.data)]
    return found


def random_packet(rng: random.Random) -> bytes:
    """A packet of the captures, or random bytes, often small numbers and edges."""
    if rng.random() < 0.4:
        return rng.choice(captured())
    length = rng.choice(_LENGTHS) if rng.random() < 0.7 else rng.randrange(14, 200)
    return random_bytes(rng, length)


def random_bytes(rng: random.Random, length: int) -> bytes:
    """Bytes of one of several tastes."""
    taste = rng.randrange(3)
    if taste == 0:
        return rng.randbytes(length)
    values = _EDGES if taste == 1 else (0, 0, 0, 0, 1, 255)
    return bytes(rng.choice(values) for _ in range(length))


def fill(made: Map, rng: random.Random, number: int) -> None:
    """Give a map some entries; where Linux lets no user write, or not this value, it stays as it is."""
    spec = made.spec
    if spec.read_only or made.kind.drain is not None:
        return
    for index in range(min(spec.max_entries, 8)):
        key = index.to_bytes(8, "little")[: spec.key_size].ljust(spec.key_size, b"\0")
        if spec.type == "PROG_ARRAY":
            value = number.to_bytes(4, "little") if index % 2 else b""
        else:
            value = random_bytes(rng, spec.value_size)
        if made.kind.per_cpu:
            value = made.join([value] * made.cpus)
        if value and rng.random() < 0.8:
            made.update_bytes(key, value)


class Bench:
    """A machine with one program and its maps, in the same state for the same seed."""

    def __init__(self, engine: str, question: Question, seed: int) -> None:
        self.sim = Sim(engine=engine, verify=False)
        self.sim.engine.budget = BUDGET  # type: ignore[attr-defined]
        machine, q = self.sim.machine, question
        self.maps = tuple(machine.add_map(spec) for spec in q.maps)
        self.loaded: LoadedProgram = machine.add_program(q.spec, self.maps, q.btf)
        rng = random.Random(seed)
        for made in self.maps:
            fill(made, rng, self.loaded.number)

    def ready(self, facts: Facts) -> Program:
        """The program with the facts of its verification."""
        self.loaded.facts = facts
        return self.sim.take(self.loaded)

    def state(self) -> list[object]:
        """What is in the maps that tell it."""
        return [made.items_bytes() if made.spec.key_size else made.elements_bytes for made in self.maps]


def run_accepted(question: Question, seed: int, packets: int = 3, limit: int = 5_000) -> Ran:
    """Verify a program; if it is accepted run it on random packets, watched, then on the jit with the same."""
    q, ran = question, Ran()
    verdict = verify(q.spec, q.maps, q.btf, caps=q.caps)
    if not verdict.accepted:
        return Ran(skipped="rejected")
    if verdict.insns_processed > MOST_WALKED:
        return Ran(skipped=f"walked for more than {MOST_WALKED} insns")
    ran.walked = record(q.spec, q.maps, q.btf, limit=limit, caps=q.caps)
    assert verdict.env is not None
    facts = facts_of(verdict.env)
    rng = random.Random(seed)
    given = [random_packet(rng) for _ in range(packets)]
    try:
        bench = Bench("interpreter", q, seed)
        program = bench.ready(facts)
        watch = Watch(bench.sim, lambda _: ran.walked, MOST_COMPARED)
        bench.sim.engine.observer = watch  # type: ignore[attr-defined]
        told = [_run(program, packet, ran) for packet in given]
    except (Unsupported, InputError) as error:
        return Ran(skipped=f"not run: {error.message}")
    ran.insns, ran.problems = watch.insns, watch.problems
    if not (ran.given_up or ran.faults or ran.problems):
        _compare_jit(q, seed, facts, given, told, bench.state(), ran)
    return ran


def _run(program: Program, packet: bytes, ran: Ran) -> tuple[object, ...]:
    out = program.run(packet)
    if out.fault is not None and out.fault.kind is FaultKind.BUDGET:
        ran.given_up += 1
    elif out.fault is not None:
        ran.faults.append(f"{program.spec.name}: {out.fault}")
    return _told(out)


def _told(out: Outcome) -> tuple[object, ...]:
    events = [(event.kind, event.data) for event in out.events]
    return out.value, out.packet, out.meta, out.redirect, events


def _compare_jit(
    q: Question, seed: int, facts: Facts, given: Sequence[bytes], told: list[object], state: list[object], ran: Ran
) -> None:
    """The same on the jit. Programs may tell addresses; then another machine's interpreter differs, too."""
    other, other_state = _again("jit", q, seed, facts, given, ran)
    if (other, other_state) == (told, state):
        return
    if _again("interpreter", q, seed, facts, given, Ran()) != (told, state):
        ran.tells_addresses = True
        return
    for at, (first, second) in enumerate(zip(told, other, strict=True)):
        if first != second:
            ran.differing.append(f"packet {at} ({given[at].hex()}): interpreter {first}, jit {second}")
    if other_state != state:
        ran.differing.append(f"maps: interpreter {state}, jit {other_state}")


def _again(
    engine: str, q: Question, seed: int, facts: Facts, given: Sequence[bytes], ran: Ran
) -> tuple[list[object], list[object]]:
    bench = Bench(engine, q, seed)
    program = bench.ready(facts)
    return [_run(program, packet, ran) for packet in given], bench.state()
