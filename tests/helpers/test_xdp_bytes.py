"""xdp_get_buff_len, xdp_load_bytes and xdp_store_bytes answer as Linux does, in one page and across frags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.corpus import OURS
from tests.support.helper_tables import Ask, ask_name, check, record
from tests.support.oracle import golden, ramp
from tests.support.record import recorder

THEME = "xdp_bytes"
LONGEST = 73_152
FIRST_FRAG, SECOND_FRAG = 3_520, 7_616
PATTERN = "".join(f"r2 = {n * 0x01010101 + 0x11223344}; *(u32 *)(r10 - {64 - 4 * n}) = r2;" for n in range(16))
PLACES = (
    # length of the packet, offset, bytes
    (64, 0, 8), (64, 0, 1), (64, 56, 8), (64, 57, 8), (64, 63, 1), (64, 64, 1), (64, 0, 64), (64, 1, 64),
    (64, 0xFFFF, 8), (64, 0x10000, 8), (64, 0x7FFFFFFF, 8), (64, -1, 8), (14, 0, 14), (14, 13, 2),
    (3_520, 3_512, 8), (3_520, 3_513, 8),
    (9_000, FIRST_FRAG - 4, 8), (9_000, FIRST_FRAG - 8, 8), (9_000, FIRST_FRAG, 8), (9_000, FIRST_FRAG - 1, 2),
    (9_000, SECOND_FRAG - 4, 8), (9_000, SECOND_FRAG, 64), (9_000, 8_992, 8), (9_000, 8_993, 8), (9_000, 9_000, 1),
    (LONGEST, 65_535, 8), (LONGEST, 65_536, 8), (LONGEST, 65_535 - 32, 64), (LONGEST, LONGEST - 8, 8),
)  # fmt: skip


def load(offset: int, size: int) -> str:
    return f"r1 = r6; r2 = {offset}; r3 = r7; r3 += 8; r4 = {size}; call 189"


def store(offset: int, size: int) -> str:
    return f"{PATTERN} r1 = r6; r2 = {offset}; r3 = r10; r3 += -64; r4 = {size}; call 190"


def asks() -> Iterator[Ask]:
    for length in (14, 64, 3_519, 3_520, 3_521, 7_617, 9_000, 65_536, LONGEST):
        yield Ask(f"buffer of {length}", "r1 = r6; call 188", ramp(length), frags=length > 3_520)
    for verb, body in (("load", load), ("store", store)):
        for length, offset, size in PLACES:
            name = f"{verb} {size} bytes at {offset} of {length}"
            yield Ask(name, body(offset, size), ramp(length), frags=length > 3_520)
        wide = body(0, 8).replace("r2 = 0;", "r2 = 0x100000001 ll;")
        yield Ask(f"{verb} with an offset of more than 32 bits", wide)
        yield Ask(f"{verb} without frags in a long packet", body(3_516, 8), ramp(9_000))
    yield Ask("load 256 bytes over two frags", load(SECOND_FRAG - 100, 256), ramp(LONGEST), frags=True)
    yield Ask("load after the head moved", "r1 = r6; r2 = 10; call 44;" + load(0, 8))
    yield Ask("load after the head moved back", "r1 = r6; r2 = -10; call 44;" + load(0, 16))
    yield Ask("load after the tail moved", "r1 = r6; r2 = -4; call 65;" + load(56, 8))
    yield Ask("length after frags are cut", "r1 = r6; r2 = -2000; call 65; r1 = r6; call 188", ramp(9_000), frags=True)
    cut = "r1 = r6; r2 = -6000; call 65; r1 = r6; call 188"
    yield Ask("length after all frags are cut", cut, ramp(9_000), frags=True)
    yield Ask("store from read-only memory", store(4, 4).replace("r3 = r10; r3 += -64", "r3 = map_value[given]+0"),
              given=b"abcd")  # fmt: skip
    yield Ask("load into read-only memory", load(4, 4).replace("r3 = r7; r3 += 8", "r3 = map_value[given]+0"),
              given=b"abcd")  # fmt: skip
    yield Ask("load of nothing", load(0, 0))
    yield Ask("store of nothing", store(0, 0))
    keeps = "r8 = *(u32 *)(r6 + 0); r2 = *(u32 *)(r6 + 4); r3 = r8; r3 += 14; r0 = 7; if r3 > r2 goto out;"
    yield Ask("packet pointers survive a store", f"{keeps}{store(4, 4)}; r0 = *(u8 *)(r8 + 4); out: r0 = r0")


ASKS = tuple(asks())


@recorder("helpers_xdp_bytes")
def record_answers() -> dict[str, Any]:
    return record(ASKS)


@pytest.mark.golden
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("ask", ASKS, ids=ask_name)
def test_the_answer_is_linuxs(ask: Ask, engine: str) -> None:
    check(ask, engine, THEME)


@pytest.mark.live
def test_linux_answers_as_recorded() -> None:
    assert record(ASKS) == golden(f"helpers_{THEME}")
