"""Frames: what is put in comes out, laid out as a driver's page, and every frame comes back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.oracle import ramp
from xdpsim.errors import InputError
from xdpsim.memory.batch import COLUMNS, Batch
from xdpsim.memory.pool import MAX_PACKET_BYTES, FramePool
from xdpsim.memory.structs import FRAME_BYTES, HEADROOM_BYTES, LINEAR_BYTES, LINEAR_END, MAX_FRAGS

SIZES = (0, 1, 14, 64, 1514, 3519, 3520, 3521, 4096, 7616, 7617, 9000, 65535, 73151, 73152)


@pytest.mark.parametrize("size", SIZES)
def test_packets_come_out_as_they_went_in(size: int) -> None:
    pool = FramePool(MAX_FRAGS + 1)
    frame, start, length = pool.put(ramp(size))
    assert (start, length) == (HEADROOM_BYTES, min(size, LINEAR_BYTES))
    assert pool.get(frame, start, length) == ramp(size)
    frags = pool.frags(frame)
    assert sum(count for _, count in frags) == size - length
    assert all(count == FRAME_BYTES for _, count in frags[:-1])
    pool.release(frame)
    assert pool.free_frames == MAX_FRAGS + 1


def test_headroom_is_zeroed_again() -> None:
    pool = FramePool(1)
    frame, start, length = pool.put(b"\xff" * 100)
    pool.replace(frame, b"\xee" * 60, b"\xdd" * 200)
    pool.release(frame)
    again, start, length = pool.put(b"\x11" * 20)
    assert again == frame
    assert pool.read(again, 0, start) == bytes(start)
    assert pool.get(again, start, length) == b"\x11" * 20


def test_what_is_too_long_is_refused() -> None:
    pool = FramePool(MAX_FRAGS + 1)
    with pytest.raises(
        InputError, match=f"a packet of {MAX_PACKET_BYTES + 1} bytes: expected at most {MAX_PACKET_BYTES}"
    ):
        pool.put(bytes(MAX_PACKET_BYTES + 1))
    frame, *_ = pool.put(b"abc")
    with pytest.raises(InputError, match="of metadata: expected at most"):
        pool.replace(frame, bytes(MAX_PACKET_BYTES + 300), bytes(8))
    assert pool.free_frames == MAX_FRAGS


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SIZES), st.sampled_from((0, 4, 32, 216)))))
def test_replacing_keeps_the_books(changes: list[tuple[int, int]]) -> None:
    pool = FramePool(MAX_FRAGS + 2)
    frame, *_ = pool.put(b"first")
    for size, meta in changes:
        if size > LINEAR_END - HEADROOM_BYTES + MAX_FRAGS * FRAME_BYTES - meta:
            continue
        start, length = pool.replace(frame, ramp(size), b"\7" * meta)
        assert pool.get(frame, start, length) == ramp(size)
        assert pool.read(frame, start - meta, meta) == b"\7" * meta
    pool.release(frame)
    assert pool.free_frames == MAX_FRAGS + 2


def test_a_batch_starts_every_packet_at_zero() -> None:
    batch = Batch(3)
    for _ in range(2):
        for number in range(3):
            at = batch.append((number, 1, 2), ktime_ns=5, tai_ns=6)
            assert at == number
            left = {name: getattr(batch, name)[at] for name, _ in COLUMNS}
            assert {name: value for name, value in left.items() if value} == {
                **({"frame": number} if number else {}),
                "start": 1,
                "length": 2,
                "ktime_ns": 5,
                "tai_ns": 6,
            }
            for name, _ in COLUMNS:
                getattr(batch, name)[at] = 9
        batch.clear()
