"""Ring buffers: records and positions as on Linux, and what of a ring a program may touch."""

from __future__ import annotations

import pytest

import xdpsim
from tests.support import map_rings
from tests.support.oracle import golden
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.ringbuf import ringbuf_commit, ringbuf_is_sample, ringbuf_reserve
from xdpsim.maps.spec import MapSpec
from xdpsim.memory.space import AddressSpace
from xdpsim.net.machine import EmulatedMachine


def made(size: int = 4096) -> tuple[EmulatedMachine, Map, int]:
    machine = EmulatedMachine(cpus=2, seed=0)
    return machine, machine.add_map(MapSpec("ring", "RINGBUF", 0, 0, size)), machine.run_state.address


@pytest.mark.golden
@pytest.mark.parametrize("size", map_rings.SIZES)
def test_rounds(size: int) -> None:
    expected = [tuple(row) for row in golden(map_rings.GOLDEN)[f"{size}"]]
    assert map_rings.ask_xdpsim(size, map_rings.rounds(size, map_rings.SEED)) == expected


@pytest.mark.live
@pytest.mark.parametrize("seed", range(100, 105))
def test_rounds_live(seed: int) -> None:
    for size in map_rings.SIZES:
        texts = map_rings.rounds(size, seed)
        assert map_rings.ask_xdpsim(size, texts) == map_rings.ask_linux(size, texts)


def test_a_record_is_touchable_until_it_is_committed() -> None:
    machine, ring, state = made()
    space: AddressSpace = machine.space
    first = ringbuf_reserve(state, ring.header_address, 20, 0)
    second = ringbuf_reserve(state, ring.header_address, 8, 0)
    assert space.writable(first, 20)
    assert not space.readable(first, 21)
    assert not space.readable(first - 1, 1)
    assert not space.readable(second + 8, 1)
    ringbuf_commit(state, first, 0, 0)
    assert not space.readable(first, 1)
    assert space.readable(second, 8)
    assert space.describe(first) == "map ring.data+8"


def test_only_the_start_of_a_reserved_record_is_a_sample() -> None:
    machine, ring, state = made()
    other = machine.add_map(MapSpec("table", "ARRAY", 4, 64, 4))
    sample = ringbuf_reserve(state, ring.header_address, 16, 0)
    empty = ringbuf_reserve(state, ring.header_address, 0, 0)
    good = {address for address in range(sample - 64, sample + 64) if ringbuf_is_sample(state, address)}
    assert good == {sample, empty}
    assert not any(ringbuf_is_sample(state, a) for a in (0, 8, other.value_address, ring.header_address, state))
    ringbuf_commit(state, sample, 0, 1)
    assert not ringbuf_is_sample(state, sample)


def test_records_come_in_the_order_of_their_reservation() -> None:
    _, ring, state = made()
    samples = [ringbuf_reserve(state, ring.header_address, 8, 0) for _ in range(4)]
    for sample in reversed(samples[1:]):
        ringbuf_commit(state, sample, 0, 0)
    assert ring.drain() == []
    ringbuf_commit(state, samples[0], 0, 1)
    assert ring.drain() == [bytes(8)] * 3
    assert ring.drain() == []


def test_a_wakeup_is_for_the_record_that_the_consumer_waits_for() -> None:
    _, ring, state = made()
    samples = [ringbuf_reserve(state, ring.header_address, 8, 0) for _ in range(4)]
    assert [ringbuf_commit(state, sample, flags, 0) for sample, flags in zip(samples, (0, 0, 2, 1), strict=True)] == [
        *(1, 0, 1, 0)
    ]
    ring.drain()
    assert ringbuf_commit(state, ringbuf_reserve(state, ring.header_address, 8, 0), 1, 0) == 0


def test_a_ring_takes_all_but_its_last_bytes() -> None:
    _, ring, state = made()
    assert ringbuf_reserve(state, ring.header_address, 4088, 0) == 0
    assert ringbuf_reserve(state, ring.header_address, 4080, 0) != 0
    assert ringbuf_reserve(state, ring.header_address, 0, 0) == 0


def test_huge_rings_cost_nothing_until_used() -> None:
    ring = create_map(MapSpec("ring", "RINGBUF", 0, 0, 1 << 31), cpus=1, number=1)
    assert ring.drain() == []


def test_a_program_that_writes_a_submitted_record_faults() -> None:
    text = (
        "r1 = map[0]; r2 = 8; r3 = 0; call 131; if r0 == 0 goto out; r6 = r0; *(u64 *)(r6 +0) = 5; r1 = r6; r2 = 0;"
        "call 132; *(u64 *)(r6 +0) = 6; out: r0 = 2; exit"
    )
    sim = xdpsim.Sim(verify=False)  # Linux would refuse it
    out = sim.load_insns(text, "XDP", maps=[{"type": "RINGBUF", "max_entries": 4096, "name": "ring"}]).run(bytes(60))
    assert out.fault is not None
    assert "map ring.data+8" in str(out.fault)
