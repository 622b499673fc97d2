"""The XDP hook: every record gives one result, in order, whatever the batch size, and all are counted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.corpus import OURS
from tests.support.oracle import ramp
from xdpsim import Sim
from xdpsim.frames.record import Record
from xdpsim.net.datapath import Redirect, refusal

LENGTH = "r2 = *(u32 *)(r1 +0); r0 = *(u32 *)(r1 +4); r0 -= r2; exit"
SIZES = (0, 1, 13, 14, 15, 64, 1514, 3520, 3521, 9000, 73_152, 73_153)


def records(sizes: list[int]) -> list[Record]:
    return [Record(number, None, ramp(size), size) for number, size in enumerate(sizes, start=1)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(SIZES), max_size=40), st.sampled_from([1, 2, 7, 1024]))
def test_one_result_a_record_in_order(sizes: list[int], batch_size: int) -> None:
    hook = Sim().load_insns(LENGTH, "XDP").hook(batch_size)
    results = list(hook.run(records(sizes)))
    assert [result.record.n for result in results] == list(range(1, len(sizes) + 1))
    for size, result in zip(sizes, results, strict=True):
        assert result.error == refusal(ramp(size))
        assert result.data == ramp(size)
        assert result.verdict == (0 if result.error else min(size, 3520))
    assert hook.totals.packets == len(sizes)
    assert hook.totals.bytes == sum(sizes)
    assert sum(hook.totals.verdicts.values()) + sum(hook.totals.errors.values()) == len(sizes)
    assert hook.machine.pool.free_frames == Sim().machine.pool.free_frames


@pytest.mark.parametrize("engine", OURS)
def test_the_pool_never_runs_dry(engine: str) -> None:
    """3,000 packets of 18 frames each, in batches of 1,024, in a pool of some 2,000 frames."""
    hook = Sim(engine=engine).load_insns(LENGTH, "XDP").hook()
    assert sum(1 for _ in hook.run(records([73_152] * 300))) == 300
    assert hook.totals.verdicts == {3520: 300}


def test_the_reasons_that_packets_do_not_run() -> None:
    hook = Sim().load_insns(LENGTH, "XDP").hook()
    list(hook.run(records(list(SIZES))))
    assert hook.totals.errors == {"shorter than 14 bytes": 3, "longer than 73152 bytes": 1}


@pytest.mark.parametrize("engine", OURS)
def test_where_a_redirect_goes(engine: str) -> None:
    one = {"type": "DEVMAP", "key_size": 4, "value_size": 4, "max_entries": 4, "name": "ports"}
    sim = Sim(engine=engine)
    direct = sim.load_insns("r1 = 7; r2 = 0; call 23; exit", "XDP")
    assert direct.run(bytes(64)).redirect == Redirect(ifindex=7)
    by_map = sim.load_insns("r1 = map[0]; r2 = 3; r3 = 0; call 51; exit", "XDP", maps=[one])
    sim.machine.programs[-1].maps[0].update_bytes(b"\3\0\0\0", b"\7\0\0\0", 0)
    redirect = by_map.run(bytes(64)).redirect
    assert redirect == Redirect(map="ports", key=3)
    assert str(redirect) == "ports[3]"
    assert direct.run(bytes(64)).redirect is not None
    changed_mind = sim.load_insns("r1 = 7; r2 = 0; call 23; r0 = 2; exit", "XDP")
    assert changed_mind.run(bytes(64)).redirect is None


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("batch_size", [1, 3, 1024])
def test_metadata_and_moved_ends_come_out(engine: str, batch_size: int) -> None:
    asm = """
    r6 = r1; r2 = -8; call 54
    r2 = *(u32 *)(r6 +8); r3 = *(u32 *)(r6 +0); r4 = r2; r4 += 8; if r4 > r3 goto end
    *(u32 *)(r2 +0) = 1; *(u32 *)(r2 +4) = 2
    r1 = r6; r2 = -4; call 65
    end: r0 = 2; exit"""
    hook = Sim(engine=engine).load_insns(asm, "XDP").hook(batch_size)
    for size, result in zip((64, 100, 64), hook.run(records([64, 100, 64])), strict=True):
        assert (result.meta, result.data) == (b"\1\0\0\0\2\0\0\0", ramp(size)[:-4])


def test_events_belong_to_their_packet() -> None:
    text = int.from_bytes(b"seen %d\0", "little")
    asm = (
        f"r2 = *(u32 *)(r1 +4); r3 = *(u32 *)(r1 +0); r2 -= r3; r3 = r2; r1 = {text} ll; "
        f"*(u64 *)(r10 -8) = r1; r1 = r10; r1 += -8; r2 = 8; call 6; r0 = 2; exit"
    )
    hook = Sim().load_insns(asm, "XDP").hook(4)
    results = list(hook.run(records([64, 10, 65, 66, 67, 68, 69])))
    assert [[event.data for event in result.events] for result in results] == [
        ["seen 64"], [], ["seen 65"], ["seen 66"], ["seen 67"], ["seen 68"], ["seen 69"]
    ]  # fmt: skip
