"""Helpers return and change what they do in Linux, at and past the bounds of their arguments (golden `helpers`)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.corpus import OURS, PACKET, Workbench, array
from tests.support.helper_cases import GROUPS, VALUE_SIZE, Case, cases
from tests.support.oracle import bytes_spec, golden
from tests.support.record import recorder
from xdpsim.errors import Rejected
from xdpsim.isa.asm import assemble

TARGETS = ("DEVMAP", "CPUMAP", "XSKMAP")


def answer(case: Case, engine: str) -> dict[str, Any]:
    """What one run of a case leaves."""
    bench = Workbench(engine, [array(VALUE_SIZE), *case.maps])
    for number, key, value in case.filled:
        assert bench.maps[number].update_bytes(key, value, 0) == 0
    packet = (PACKET * (case.length // 64 + 1))[: case.length]
    ran = bench.run(assemble(case.asm))
    assert ran.fault is None, ran.fault
    left: dict[str, Any] = {"verdict": ran.verdict, "value": bench.value().rstrip(b"\0").hex()}
    if ran.data != packet:
        left["packet"] = bytes_spec(ran.data)
    for number, made in enumerate(bench.maps[1:], start=1):
        if made.spec.type not in TARGETS:
            left[f"map{number}"] = sorted([key.hex(), value.hex()] for key, value in made.items_bytes())
    return left


@recorder("helpers")
def record() -> dict[str, Any]:
    """Linux's answers."""
    return {group: [[case.name, _in_linux(case)] for case in cases(group)] for group in GROUPS}


def _in_linux(case: Case) -> dict[str, Any] | None:
    try:
        return answer(case, "kernel")
    except Rejected as refused:
        raise AssertionError(f"{case.name}: {refused.log[-500:]}") from refused


def expected(group: str) -> dict[str, Any]:
    return dict(golden("helpers")[group])


@pytest.mark.golden
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("group", GROUPS)
def test_helpers_do_what_linux_does(group: str, engine: str) -> None:
    known = expected(group)
    assert [case.name for case in cases(group)] == list(known)
    found = {case.name: answer(case, engine) for case in cases(group)}
    assert {name: left for name, left in found.items() if left != known[name]} == {}


@pytest.mark.live
@pytest.mark.parametrize("group", GROUPS)
def test_linux_still_says_so(group: str) -> None:
    known = expected(group)
    for case in cases(group)[::3]:
        assert _in_linux(case) == known[case.name], case.name
