"""Ring buffer records are the program's between reserve and submit only; events come with their packets."""

from __future__ import annotations

import pytest

from tests.support.csuite import suite_object
from tests.support.oracle import ramp
from xdpsim.frames.record import Record
from xdpsim.maps.spec import MapSpec
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim

RING = MapSpec("ring", "RINGBUF", 0, 0, 4096)
RESERVE = "r6 = 0\nr1 = map[0]\nr2 = 16\nr3 = 0\ncall 131\nr7 = r0\n"


def program(text: str, engine: str = "interpreter", *, verify: bool = False) -> Program:
    """Most programs here do what Linux would refuse, to see that it is a fault."""
    return Sim(engine=engine, verify=verify).load_insns(f"{text}\nr0 = 2\nexit", "XDP", maps=[RING])


@pytest.mark.parametrize("helper", [132, 133])
def test_a_record_cannot_be_touched_after_it_was_given_away(helper: int) -> None:
    # The same store runs before and after: what it found the first time must not help it the second time.
    body = f"*(u64 *)(r7 + 8) = 1\nif r6 != 0 goto end\nr6 = 1\nr1 = r7\nr2 = 0\ncall {helper}"
    text = f"{RESERVE}again:\n{body}\ngoto again\nend:"
    fault = program(text).run(ramp(64)).fault
    assert fault is not None
    assert fault.insn.startswith("*(u64 *)")


@pytest.mark.parametrize(("offset", "fits"), [(0, True), (8, True), (9, False), (16, False), (-8, False)])
def test_a_record_is_as_long_as_was_asked_for(offset: int, fits: bool) -> None:
    text = f"{RESERVE}*(u64 *)(r7 {offset:+}) = 1\nr1 = r7\nr2 = 0\ncall 132"
    assert (program(text).run(ramp(64)).fault is None) is fits


@pytest.mark.parametrize("engine", ["interpreter", "jit"])
@pytest.mark.parametrize("wild", ["r1 = r7\nr1 += 8", "r1 = r10\nr1 += -16", "r1 = 0", "r1 = map[0]"])
def test_only_a_record_can_be_submitted(wild: str, engine: str) -> None:
    text = f"{RESERVE}{wild}\nr2 = 0\ncall 132"
    assert "argument 1 of bpf_ringbuf_submit" in str(program(text, engine).run(ramp(64)).fault)


@pytest.mark.parametrize("batch_size", [1, 7, 1024])
@pytest.mark.parametrize("engine", ["interpreter", "jit"])
def test_records_come_with_their_packets(engine: str, batch_size: int) -> None:
    guard = "r6 = *(u32 *)(r1 + 0)\nr7 = *(u32 *)(r1 + 4)\nr0 = 1\nr2 = r6\nr2 += 2\nif r2 > r7 goto end"
    copied = "r3 = *(u16 *)(r6 + 0)\n*(u16 *)(r10 - 2) = r3\nr2 = r10\nr2 += -2"
    text = f"{guard}\n{copied}\nr1 = map[0]\nr3 = 2\nr4 = 0\ncall 130\nend:"
    made = program(text, engine, verify=True)
    records = [Record(number, None, bytes([number % 256] * 64), 64) for number in range(50)]
    results = list(made.hook(batch_size).run(records))
    assert [[event.data["data"] for event in result.events] for result in results] == [
        [bytes([number] * 2)] for number in range(50)
    ]


def test_a_sample_ends_with_the_packet() -> None:
    loaded = Sim().load(suite_object("events"))
    (event,) = loaded["perf_packet"].run(ramp(64)).events
    assert event.kind == "perf"
    assert event.data == {"map": "perf", "cpu": 0, "data": bytes.fromhex("010000000200000003000000") + ramp(16)}
