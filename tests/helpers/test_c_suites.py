"""Callbacks, timers, objects, lists, trees, dynptrs, events, iterators, exceptions: the programs of tests/helpers/c.

Each program runs once on Linux and on ours; verdict, packet, events and maps must agree.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clang import CLANG
from tests.support.corpus import OURS
from tests.support.csuite import compiled, record_suite, run_program, source_hash, suite_object, suite_rows
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.sim.sim import Sim

SUITES = ("callbacks", "timers", "objects", "graph", "dynptr", "events", "iter", "throw", "casts", "user_ring")
MOST_ASKED = 4
"""Linux sometimes has no memory at hand for a timer: allocations of programs must not wait."""
ROWS = [(suite, row) for suite in SUITES for row in suite_rows(suite)]


def name_of(case: tuple[str, dict[str, Any]]) -> str:
    return f"{case[0]}-{case[1]['name']}"


@pytest.mark.golden
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("case", ROWS, ids=name_of)
def test_our_engines_give_linuxs_answer(case: tuple[str, dict[str, Any]], engine: str) -> None:
    suite, row = case
    assert {"name": row["name"], **run_program(suite_object(suite), row["name"], engine)} == row


@pytest.mark.live
@pytest.mark.parametrize("suite", SUITES)
def test_linux_still_says_so(suite: str) -> None:
    for row in suite_rows(suite):
        answers = []
        while row not in answers:
            answers.append({"name": row["name"], **run_program(suite_object(suite), row["name"], "kernel")})
            assert row in answers or len(answers) < MOST_ASKED, answers[-1]


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_recorded_is_the_source(suite: str) -> None:
    assert golden(f"helpers_{suite}")["source"] == source_hash(suite), "record again"


@pytest.mark.skipif(CLANG is None, reason="clang-19 is not installed")
@pytest.mark.parametrize("suite", SUITES)
def test_the_compiler_makes_the_same_programs(suite: str) -> None:
    made, kept = Sim().load(compiled(suite)), Sim().load(suite_object(suite))
    assert {name: spec.code for name, spec in made.source.programs.items()} == {
        name: spec.code for name, spec in kept.source.programs.items()
    }


@recorder("helpers_callbacks")
def record_callbacks() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("callbacks")


@recorder("helpers_timers")
def record_timers() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("timers")


@recorder("helpers_objects")
def record_objects() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("objects")


@recorder("helpers_graph")
def record_graph() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("graph")


@recorder("helpers_dynptr")
def record_dynptr() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("dynptr")


@recorder("helpers_events")
def record_events() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("events")


@recorder("helpers_iter")
def record_iter() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("iter")


@recorder("helpers_throw")
def record_throw() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("throw")


@recorder("helpers_casts")
def record_casts() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("casts")


@recorder("helpers_metadata")
def record_metadata() -> dict[str, Any]:
    """The object alone: Linux runs no such program without its device."""
    return record_suite("metadata")


@recorder("helpers_user_ring")
def record_user_ring() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite("user_ring")
