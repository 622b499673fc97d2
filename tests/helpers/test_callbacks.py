"""bpf_loop and bpf_for_each_map_elem give Linux's answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.csuite import record_suite, run_program, source_hash, suite_object, suite_rows
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.sim.sim import Sim

NAME = "callbacks"


@recorder("helpers_callbacks")
def record() -> dict[str, Any]:
    """Linux's answers."""
    return record_suite(NAME)
