"""Virtual time: it follows the packets, starts at 1,000 s, and never goes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xdpsim.net.clock import START_NS, STEP_NS, VirtualClock

BASE = 1_717_243_200_000_000_000


def test_the_first_packet_comes_at_a_thousand_seconds() -> None:
    clock = VirtualClock()
    clock.arrive(BASE)
    assert (clock.ktime_ns, clock.tai_ns) == (START_NS, BASE)


def test_packets_without_time_come_a_microsecond_apart() -> None:
    clock = VirtualClock()
    for number in range(1, 4):
        clock.arrive(None)
        assert (clock.ktime_ns, clock.tai_ns) == (START_NS + number * STEP_NS,) * 2


def test_time_in_a_capture_may_begin_after_packets_without() -> None:
    clock = VirtualClock()
    clock.arrive(None)
    clock.arrive(BASE)
    clock.arrive(BASE + 500)
    assert (clock.ktime_ns, clock.tai_ns) == (START_NS + STEP_NS + 500, BASE + 500)


def test_advance_moves_both() -> None:
    clock = VirtualClock()
    clock.arrive(BASE)
    clock.advance(7)
    assert (clock.ktime_ns, clock.tai_ns) == (START_NS + 7, BASE + 7)


@given(st.lists(st.integers(0, 10**12)))
def test_ktime_is_the_largest_time_so_far(times: list[int]) -> None:
    clock = VirtualClock()
    for number, time in enumerate(times):
        clock.arrive(BASE + time)
        assert clock.ktime_ns == START_NS + max(times[: number + 1]) - times[0]
        assert clock.tai_ns == BASE + time
