"""Every instruction case on every engine of ours, by both runtimes: r0, all 64 bits of it, is what the case states."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

from tests.support.corpus import OURS, Workbench, array
from tests.support.insn_cases import VALUE_SIZE, Case, case_name, load_cases, wrap_for_map
from tests.support.runtimes import python_runtime
from xdpsim.memory.batch import Stop

EVERY_NTH = 7


@functools.cache
def bench(engine: str) -> Workbench:
    return Workbench(engine, [array(VALUE_SIZE)])


def r0_of(case: Case, engine: str) -> int:
    on = bench(engine)
    on.set_value(bytes(VALUE_SIZE))
    ran = on.run(wrap_for_map(case))
    assert (ran.stop, ran.fault) == (Stop.END, None)
    return int.from_bytes(on.value(), "little")


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("case", load_cases(), ids=case_name)
def test_leaves_this_r0(case: Case, engine: str) -> None:
    assert r0_of(case, engine) == case.r0


@pytest.mark.parametrize("engine", OURS)
def test_the_case_alone_returns_the_low_half(engine: str) -> None:
    for case in load_cases()[::EVERY_NTH]:
        assert bench(engine).run(case.code).verdict == case.r0 & 0xFFFF_FFFF, case_name(case)


def wrong_in_this_process() -> list[str]:
    """Cases of a sample that the interpreter gets wrong here; run by the test below in a process of its own."""
    sample = load_cases()[::EVERY_NTH]
    return [case_name(case) for case in sample if r0_of(case, "interpreter") != case.r0]


def test_the_python_runtime_leaves_the_same() -> None:
    code = "from tests.engines.test_insn_cases import wrong_in_this_process as w; print(w())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **python_runtime())
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
