"""Timers fire on the virtual clock: in order, at their times, however packets are batched."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.support.csuite import suite_object
from xdpsim.frames.record import Record
from xdpsim.maps.spec import MapSpec
from xdpsim.net import timers
from xdpsim.sim.program import LoadedObject
from xdpsim.sim.sim import Sim

START = 1_000_000_000_000
"""The virtual clock's first packet."""
PACKET = bytes(64)


def ticking(**constants: int) -> tuple[Sim, LoadedObject]:
    """The suite's timer that starts itself again, every `period` ns until it has run `rounds` times."""
    sim = Sim()
    loaded = sim.load(suite_object("timers"))
    data = loaded.maps[".data"]
    words = {"period": 10_000, "rounds": 3} | constants
    data.update_bytes(bytes(4), struct.pack("<QQ", words["period"], words["rounds"]))
    return sim, loaded


def element(loaded: LoadedObject) -> tuple[int, int]:
    """How often the timer ran, and what it made of the times."""
    value = loaded.maps["array"].lookup_bytes((1).to_bytes(4, "little"))
    assert value is not None
    before, _, _, after = struct.unpack("<4Q", value)
    return before, after


def records(times: list[int]) -> list[Record]:
    return [Record(number, time, PACKET, len(PACKET)) for number, time in enumerate(times, 1)]


def ticks(events: list[Any]) -> list[str]:
    return [event.data for event in events if event.kind == "trace"]


def test_it_fires_before_the_packet_that_comes_after_its_time() -> None:
    _, loaded = ticking()
    times = [0, 9_999, 10_000, 15_000, 40_000, 50_000]
    results = list(loaded["own_ticking"].hook().run(records(times)))
    assert [ticks(result.events) for result in results] == [
        [],
        [],
        [f"tick 1 at {START + 10_000}"],
        [],
        [f"tick 2 at {START + 20_000}", f"tick 3 at {START + 30_000}"],
        [],
    ]
    assert element(loaded)[0] == 3


@pytest.mark.parametrize("batch_size", [1, 7, 1024])
def test_the_batch_size_does_not_matter(batch_size: int) -> None:
    _, loaded = ticking(period=7_001, rounds=400)
    times = [number * 1_000 + number * number for number in range(300)]
    results = list(loaded["own_ticking"].hook(batch_size).run(records(times)))
    now, expected, due = 0, [], 7_001
    for time in times:
        fired = []
        while due <= time and now < 400:
            now += 1
            fired.append(f"tick {now} at {START + due}")
            due += 7_001
        expected.append(fired)
    assert [ticks(result.events) for result in results] == expected


def test_time_may_pass_without_packets() -> None:
    sim, loaded = ticking(period=1_000_000)
    loaded["own_ticking"].run(PACKET, time_ns=0)
    assert ticks(sim.advance(999_999)) == []
    assert ticks(sim.advance(1)) == [f"tick 1 at {START + 1_000_000}"]
    assert len(ticks(sim.advance(10_000_000))) == 2
    assert sim.advance(10_000_000) == []


def test_cancelling_itself_is_refused() -> None:
    sim, loaded = ticking()
    loaded["own_ticking"].run(PACKET)
    sim.advance(10_000)
    assert loaded.maps[".bss"].lookup_bytes(bytes(4))[24:32] == struct.pack("<q", -35)  # type: ignore[index]


def test_an_update_of_the_element_takes_the_timer_away() -> None:
    sim, loaded = ticking()
    loaded["own_ticking"].run(PACKET)
    loaded.maps["array"].update_bytes((1).to_bytes(4, "little"), bytes(32))
    assert sim.advance(1_000_000) == []


def test_a_timer_that_never_stops_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "MOST_IN_A_ROW", 1_000)
    sim, loaded = ticking(period=0, rounds=1 << 60)
    loaded["own_ticking"].run(PACKET)
    events = sim.advance(1)
    assert events[-1].kind == "fault"
    assert "1000 times in a row" in events[-1].data


def hand_made(body: str) -> tuple[Sim, Any]:
    """A program on the value of a hash map {1: 32 bytes with a timer}, in assembler; Linux would refuse it."""
    sim = Sim(verify=False)
    object_ = sim.load(suite_object("timers"))
    spec = object_.maps["hash"].spec
    assert isinstance(spec, MapSpec)
    return sim, sim.load_insns(body, "XDP", maps=[spec])


LOOKUP = """
*(u64 *)(r10 - 8) = 1
r1 = map[0]
r2 = r10
r2 += -8
call 1
if r0 == 0 goto end
r6 = r0
"""


@pytest.mark.parametrize("offset", [0, 7, 9, 24])
def test_a_pointer_to_no_timer_is_a_fault(offset: int) -> None:
    _, program = hand_made(f"{LOOKUP}\nr1 = r6\nr1 += {offset}\nr2 = map[0]\nr3 = 1\ncall 169\nend:\nr0 = 0\nexit")
    made = program._loaded.maps[0]
    made.update_bytes((1).to_bytes(8, "little"), bytes(32))
    assert "argument 1 of bpf_timer_init" in str(program.run(PACKET).fault)


def test_the_stack_holds_no_timer() -> None:
    _, program = hand_made("r1 = r10\nr1 += -16\nr2 = map[0]\nr3 = 1\ncall 169\nr0 = 0\nexit")
    assert "argument 1 of bpf_timer_init" in str(program.run(PACKET).fault)


def test_a_fault_in_a_timer_is_an_event() -> None:
    text = f"""{LOOKUP}
    r1 = r6
    r1 += 8
    r2 = map[0]
    r3 = 1
    call 169
    r1 = r6
    r1 += 8
    r2 = func[fire]
    call 170
    r1 = r6
    r1 += 8
    r2 = 100
    r3 = 0
    call 171
    end:
    r0 = 2
    exit
    fire:
    r1 = 0
    r0 = *(u64 *)(r1 + 0)
    exit
    """
    sim, program = hand_made(text)
    program._loaded.maps[0].update_bytes((1).to_bytes(8, "little"), bytes(32))
    assert program.run(PACKET).fault is None
    (event,) = sim.advance(1_000)
    assert event.kind == "fault"
    assert "a null pointer" in str(event.data)
    program._loaded.maps[0].delete_bytes((1).to_bytes(8, "little"))
    assert program.run(PACKET).fault is None
