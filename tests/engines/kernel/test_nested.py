"""Maps of maps on the kernel engine: inner maps go in and come back, and both engines find the same."""

from __future__ import annotations

import pytest

from tests.support.oracle import live_reason
from xdpsim import Sim
from xdpsim.maps.spec import MapSpec

pytestmark = pytest.mark.live

INNER = MapSpec("inner", "ARRAY", 4, 8, 2)
COUNT = """
*(u32 *)(r10 -4) = 1; r2 = r10; r2 += -4; r1 = map[0]; call 1; if r0 == 0 goto none
*(u32 *)(r10 -4) = 0; r2 = r10; r2 += -4; r1 = r0; call 1; if r0 == 0 goto none
r1 = *(u64 *)(r0 +0); r1 += 5; *(u64 *)(r0 +0) = r1; r0 = 2; exit
none: r0 = 1; exit
"""


@pytest.mark.parametrize("engine", ["interpreter", "kernel"])
@pytest.mark.parametrize("kind", ["ARRAY_OF_MAPS", "HASH_OF_MAPS"])
def test_a_program_counts_in_an_inner_map(kind: str, engine: str) -> None:
    assert not live_reason()
    sim = Sim(engine=engine)
    program = sim.load_insns(COUNT, "XDP", maps=[MapSpec("outer", kind, 4, 4, 4, inner=INNER), INNER])
    outer, inner = program.maps["outer"], program.maps["inner"]
    assert program.run(bytes(64)).value == 1
    outer[1] = inner
    inner[0] = (7).to_bytes(8, "little")
    assert program.run(bytes(64)).value == 2
    assert program.run(bytes(64)).value == 2
    assert inner.lookup_bytes(bytes(4)) == (17).to_bytes(8, "little")
    del outer[1]
    assert program.run(bytes(64)).value == 1
