"""The bundled programs over the bundled capture: every verdict, every byte and the maps at the end, on every engine.

What Linux answers is recorded in golden file `programs`; where it may be asked it is asked again. A recorded packet is
four hex digits of a hash over its verdict and bytes, which tells the first packet that differs.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.corpus import OURS
from tests.support.oracle import golden
from tests.support.record import recorder
from tests.support.runtimes import ROOT, surrounding
from xdpsim import Sim
from xdpsim.analysis.coverage import Coverage
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.frames.capture import open_capture
from xdpsim.frames.record import Record
from xdpsim.isa.rows import Family
from xdpsim.maps.files import load_presets
from xdpsim.memory.structs import XDP_BUFF
from xdpsim.net.datapath import Result
from xdpsim.sim.program import LoadedObject, Program

NAMES = ("counter", "dnsfilter", "firewall", "lb", "ratelimit")
CAPTURE = ROOT / "pcaps" / "mixed.pcap"
LONGEST_DUMP = 40
"""Maps of more entries are recorded as their number and a hash."""
MOST_OF_THE_BLOCKS = 0.9


def opened(name: str, engine: str) -> tuple[Sim, LoadedObject, Program]:
    """A fresh simulation with a program and its preset."""
    sim = Sim(engine=engine)
    loaded = sim.load(ROOT / "programs" / f"{name}.o")
    load_presets(loaded.maps, ROOT / "programs" / "presets" / f"{name}.json")
    return sim, loaded, loaded[f"xdp_{name}"]


def records() -> list[Record]:
    with open_capture(CAPTURE) as capture:
        return list(capture)


def run_all(name: str, engine: str, batch_size: int = 1024) -> dict[str, Any]:
    """What a program does to the whole capture, as the golden file holds it."""
    _, loaded, program = opened(name, engine)
    results = list(program.replay(records(), batch_size=batch_size))
    verdicts = [-1 if result.error else result.verdict for result in results]
    assert not [str(result.fault) for result in results if result.fault]
    return {
        "verdicts": [[verdict, len(list(group))] for verdict, group in itertools.groupby(verdicts)],
        "packets": "".join(digest(result) for result in results),
        "maps": {map_name: dump(made.items_bytes()) for map_name, made in loaded.maps.items()},
    }


def digest(result: Result) -> str:
    """Four hex digits over the verdict, the metadata and the packet."""
    head = f"{bool(result.error)} {result.verdict} {len(result.meta)} ".encode()
    return hashlib.sha256(head + result.meta + result.data).hexdigest()[:4]


def dump(items: Iterator[tuple[bytes, bytes]]) -> Any:
    """A map's content: key and value in hex, or number and hash."""
    entries = sorted([key.hex(), value.hex()] for key, value in items)
    if len(entries) <= LONGEST_DUMP:
        return entries
    return {"entries": len(entries), "sha256": hashlib.sha256(json.dumps(entries).encode()).hexdigest()}


@recorder("programs")
def record() -> dict[str, Any]:
    """Linux's answers."""
    capture = hashlib.sha256(CAPTURE.read_bytes()).hexdigest()
    return {"capture": capture, "programs": [{"name": name, **run_all(name, "kernel")} for name in NAMES]}


def recorded(name: str) -> dict[str, Any]:
    answers = golden("programs")
    assert answers["capture"] == hashlib.sha256(CAPTURE.read_bytes()).hexdigest(), "recorded for another mixed.pcap"
    (found,) = (row for row in answers["programs"] if row["name"] == name)
    return {key: found[key] for key in ("verdicts", "packets", "maps")}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal, or the first packet and the maps that differ."""
    pairs = enumerate(zip(*(textwrap(side["packets"]) for side in (found, expected)), strict=True), start=1)
    assert [number for number, (left, right) in pairs if left != right][:5] == [], "packets differ"
    assert found["verdicts"] == expected["verdicts"]
    assert [key for key in expected["maps"] if found["maps"][key] != expected["maps"][key]] == [], "maps differ"
    assert found == expected


def textwrap(digits: str) -> list[str]:
    """The digits of each packet."""
    return [digits[at : at + 4] for at in range(0, len(digits), 4)]


@pytest.mark.golden
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("name", NAMES)
def test_every_packet_and_every_map_is_as_in_linux(name: str, engine: str) -> None:
    assert_same(run_all(name, engine), recorded(name))


@pytest.mark.live
@pytest.mark.parametrize("name", NAMES)
def test_linux_still_says_so(name: str) -> None:
    assert_same(run_all(name, "kernel"), recorded(name))


@pytest.mark.golden
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("name", ["ratelimit", "lb"])
def test_the_batch_size_does_not_matter(name: str, engine: str, batch_size: int) -> None:
    assert_same(run_all(name, engine, batch_size), recorded(name))


@pytest.mark.golden
def test_hash_seed_and_directory_do_not_matter(tmp_path: Path) -> None:
    script = (
        "import json; from tests.engines.test_programs import run_all as r; print(json.dumps(r('ratelimit', 'jit')))"
    )
    for seed, cwd in (("1", tmp_path), ("77", ROOT)):
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, check=True, **surrounding(cwd, PYTHONHASHSEED=seed))
        assert_same(json.loads(done.stdout), recorded("ratelimit"))


class BoundsChecks:
    """Sees the branches that compare a register holding data_end, and which of their sides ran."""

    def __init__(self, sim: Sim, coverage: Coverage) -> None:
        self._cpu, self._coverage = sim.engine.cpu, coverage  # type: ignore[attr-defined]
        self._xdp = sim.machine.run_state.context
        self._state, self._at = sim.machine.run_state, self._xdp - sim.machine.run_state.address
        self.slots: set[int] = set()

    def observe(self, program: LoadedProgram, slot: int) -> None:
        self._coverage.observe(program, slot)
        insn = program.spec.code[slot]
        if insn is not None and insn.family is Family.BRANCH and insn.uses_reg:
            at = self._at + XDP_BUFF.offset("data_end")
            end = int.from_bytes(self._state.buffer[at : at + 8], "little")
            if end in (self._cpu.regs[insn.dst], self._cpu.regs[insn.src]):
                self.slots.add(slot)


@pytest.mark.parametrize("name", NAMES)
def test_the_capture_reaches_the_program(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    sim, _, program = opened(name, "interpreter")
    coverage = Coverage()
    checks = BoundsChecks(sim, coverage)
    sim.engine.observer = checks.observe  # type: ignore[attr-defined]
    for _ in program.replay(records()):
        pass
    reached, total, missing = coverage.blocks(program.spec)
    branches = {branch.slot: branch for branch in coverage.branches(program.spec)}
    both = [slot for slot in checks.slots if branches[slot].taken and branches[slot].not_taken]
    with capsys.disabled():
        share = 100 * reached / total
        print(f"\n{program.name}: {reached} of {total} blocks ({share:.1f} %), ", end="")
        print(f"both sides of {len(both)} of {len(checks.slots)} bounds checks", end="")
    assert reached >= total * MOST_OF_THE_BLOCKS, missing
    assert checks.slots
    assert sorted(both) == sorted(checks.slots)
