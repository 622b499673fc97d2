"""probe_read and its relatives, send_signal and get_branch_snapshot answer as Linux does in TEST_RUN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.helper_tables import Ask, ask_name, check, record, run
from tests.support.oracle import golden
from tests.support.record import recorder

THEME = "probe"
READ = {"probe_read_user": 112, "probe_read_kernel": 113, "probe_read_user_str": 114, "probe_read_kernel_str": 115}
ADDRESSES = (0, 1, 0x1000, 0x7FFFFFFFEFFF, 0x7FFFFFFFF000, 0x800000000000, 0x1234567800000000, 0xFFFF7FFFFFFFF000,
             0xFFFFC000DEADB000, 0xFFFFFFFFFF600000, 0xFFFFFFFFFFFFFFFF)  # fmt: skip
TEXT = b"abc\0defghijklmnop\0"
ON_STACK = "r2 = 0x2122232425262728 ll; *(u64 *)(r10 - 8) = r2; *(u64 *)(r10 - 16) = r2; r3 = r10; r3 += -16"
UNUSUAL_SIGNALS = (0, 17, 23, 28, 65, 66, -1, 1 << 32, (1 << 32) + 65)
"""Those of them that exist are ignored unless asked for: CHLD, URG, WINCH."""


def read(number: int, source: str, size: int) -> str:
    ones = "r1 = -1; *(u64 *)(r7 + 8) = r1; *(u64 *)(r7 + 16) = r1"
    return f"{ones}; {source}; r1 = r7; r1 += 8; r2 = {size}; call {number}"


def asks() -> Iterator[Ask]:
    for name, number in READ.items():
        for addr in ADDRESSES:
            for size in (10, 1, 0):
                if size == 0 and addr not in (0, ADDRESSES[-3]):
                    continue
                yield Ask(f"{name} {size} bytes at {addr:#x}", read(number, f"r3 = {addr:#x} ll", size), given=TEXT)
        for size in (0, 1, 3, 4, 5, 10, 16):
            yield Ask(f"{name} {size} bytes of a map", read(number, "r3 = map_value[given]+0", size), given=TEXT)
            yield Ask(f"{name} {size} bytes of the stack", read(number, ON_STACK, size), given=TEXT)
        yield Ask(f"{name} of the packet", read(number, "r3 = *(u32 *)(r6 + 0); r3 += 1", 10))
        yield Ask(
            f"{name} of a string from its middle", read(number, "r3 = map_value[given]+0; r3 += 4", 14), given=TEXT
        )
        yield Ask(
            f"{name} into read-only memory", f"r1 = map_value[given]+0; r2 = 4; r3 = 0; call {number}", given=TEXT
        )
    for name, number in (("send_signal", 109), ("send_signal_thread", 117)):
        for signal in UNUSUAL_SIGNALS:
            yield Ask(f"{name} {signal}", f"r1 = {signal & (1 << 64) - 1:#x} ll; call {number}")
    for flags in (0, 1, 1 << 32):
        for size in (0, 23, 24, 48):
            body = f"r1 = r7; r1 += 8; r2 = {size}; r3 = {flags:#x} ll; call 176"
            yield Ask(f"get_branch_snapshot of {size} bytes with flags {flags}", body)


ASKS = tuple(asks())


@recorder("helpers_probe")
def record_answers() -> dict[str, Any]:
    return record(ASKS)


@pytest.mark.golden
@pytest.mark.parametrize("ask", ASKS, ids=ask_name)
def test_the_answer_is_linuxs(ask: Ask) -> None:
    check(ask, "interpreter", THEME)


def test_the_jit_calls_the_same_body() -> None:
    for question in ASKS[:40]:
        check(question, "jit", THEME)


@pytest.mark.live
def test_linux_answers_as_recorded() -> None:
    assert record(ASKS) == golden(f"helpers_{THEME}")


def test_what_is_no_programs_memory_is_not_read() -> None:
    """Linux reads what lies there; here it is -EFAULT, and zeroes."""
    for source in ("r3 = map[given]", "r3 = r6", "r3 = map_value[given]+0; r3 += 12"):
        answer = run(Ask("elsewhere", read(113, source, 16), given=TEXT), "interpreter")
        assert answer == {"name": "elsewhere", "r0": (1 << 64) - 14}
