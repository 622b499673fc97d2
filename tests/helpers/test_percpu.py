"""map_lookup_percpu_elem answers as Linux does, for each type of map that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.corpus import OURS
from tests.support.helper_tables import Ask, ask_name, check, record
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.maps.spec import MapSpec

THEME = "percpu"
TYPES = ("PERCPU_ARRAY", "PERCPU_HASH", "LRU_PERCPU_HASH")
CPUS = (0, 1, 2, 3, -1, 1 << 32, (1 << 32) + 1)
VALUES = {n.to_bytes(4, "little"): bytes([16 * n + 1]) * 8 + bytes([16 * n + 2]) * 8 for n in (0, 1)}
"""Per CPU, one behind the other."""


def lookup(kind: str, key: int, cpu: int, then: str) -> Ask:
    body = f"*(u32 *)(r10 - 4) = {key}; r1 = map[m]; r2 = r10; r2 += -4; r3 = {cpu & (1 << 64) - 1:#x} ll; call 195;"
    body += f"if r0 == 0 goto none; {then} goto out; none: r0 = 77; out: r0 = r0"
    spec = MapSpec("m", kind, 4, 8, 2)
    verb = "write" if then.startswith("*") else "read"
    return Ask(f"{kind}: {verb} key {key} of CPU {cpu}", body, maps={"m": spec}, values={"m": VALUES})


def asks() -> Iterator[Ask]:
    for kind in TYPES:
        for key in (0, 1, 2):
            for cpu in CPUS:
                yield lookup(kind, key, cpu, "r0 = *(u64 *)(r0 + 0);")
        own = "r1 = map[m]; r2 = r10; r2 += -4; call 1; if r0 == 0 goto none; r0 = *(u64 *)(r0 + 0);"
        yield lookup(kind, 1, 0, f"*(u64 *)(r0 + 0) = 5; {own}")
        yield lookup(kind, 1, 1, f"*(u64 *)(r0 + 0) = 5; {own}")
    for kind in ("ARRAY", "HASH"):
        ask = lookup(kind, 1, 0, "r0 = *(u64 *)(r0 + 0);")
        yield Ask(ask.name, ask.body, maps=ask.maps)


ASKS = tuple(asks())


@recorder("helpers_percpu")
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
