"""The programs of programs/*.o: functions, loops, live registers and disassembly as Linux prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.first_passes import agrees, masked, our_log
from xdpsim.engines.kernel.instrument import bind_maps, maps_used
from xdpsim.engines.kernel.kfuncs import bind_kfuncs
from xdpsim.loader.load import load_object
from xdpsim.sim.sim import Sim
from xdpsim.sysbpf.programs import log_head
from xdpsim.verifier.env import LOG_LEVEL2

_WALK_BYTES = 4096
OBJECTS = sorted((Path(__file__).parents[2] / "programs").glob("*.o"))


@pytest.mark.live
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.stem)
def test_the_log_before_the_walk(path: Path) -> None:
    engine, loaded = (sim := Sim(engine="kernel")).engine, load_object(path.read_bytes(), path.name)
    maps = [sim.machine.add_map(spec) for spec in loaded.maps]
    for spec in loaded.programs.values():
        used = maps_used(spec.code)
        fds = [engine.mirror(map_).kernel.fd.number if at in used else -1 for at, map_ in enumerate(maps)]  # type: ignore[attr-defined]
        types = engine._types_of(loaded.btf) if spec.func_info else None  # type: ignore[attr-defined]
        code = bind_maps(bind_kfuncs(spec.code, spec.kfuncs), fds)
        definition = engine._definition(spec, code, types)  # type: ignore[attr-defined]
        ours = our_log(spec, loaded.btf)
        error, log = log_head(definition, LOG_LEVEL2, 2 * len(ours[1]) + _WALK_BYTES)
        assert agrees(ours, (error, masked(log))), spec.name
