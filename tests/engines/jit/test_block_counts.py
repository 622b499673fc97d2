"""Compiled programs that count their blocks tell the same coverage as the interpreter that sees every insn."""

from __future__ import annotations

import pytest

from tests.support.corpus import OURS
from tests.support.runtimes import ROOT
from xdpsim import Sim
from xdpsim.analysis.coverage import Coverage
from xdpsim.frames.capture import open_capture
from xdpsim.loader.model import ProgramSpec
from xdpsim.maps.files import load_presets

PACKETS = 400


def covered(name: str, engine: str) -> tuple[Coverage, list[ProgramSpec]]:
    """What ran of the programs of an object."""
    sim, coverage = Sim(engine=engine), Coverage()
    if engine == "jit":
        sim.engine.counts_blocks = True  # type: ignore[attr-defined]
    else:
        sim.engine.observer = coverage.observe  # type: ignore[attr-defined]
    loaded = sim.load(ROOT / "programs" / f"{name}.o")
    load_presets(loaded.maps, ROOT / "programs" / "presets" / f"{name}.json")
    with open_capture(ROOT / "pcaps" / "second.pcap") as capture:
        records = [record for record, _ in zip(capture, range(PACKETS), strict=False)]
    for result in loaded[f"xdp_{name}"].replay(records):
        assert result.fault is None
    for program in loaded:
        if engine == "jit":
            coverage.add(loaded[program].spec, *loaded[program]._runner.executed())  # type: ignore[attr-defined]
    return coverage, [loaded[program].spec for program in loaded]


@pytest.mark.parametrize("name", ["counter", "firewall", "lb", "parser_chain", "option_walk", "ct_firewall", "nat64"])
def test_coverage_is_the_same(name: str) -> None:
    (interpreted, specs), (compiled, others) = (covered(name, engine) for engine in OURS)
    for spec, other in zip(specs, others, strict=True):
        assert interpreted.executed(spec) == compiled.executed(other)
        assert interpreted.branches(spec) == compiled.branches(other)
        assert interpreted.blocks(spec) == compiled.blocks(other)


def test_nothing_is_counted_unless_asked_for() -> None:
    sim = Sim(engine="jit")
    program = sim.load_insns("r0 = 2; exit", "XDP")
    program.run(bytes(64))
    assert program._runner.executed() == ({}, {})  # type: ignore[attr-defined]
