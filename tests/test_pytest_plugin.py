"""The plugin in a pytest of its own: the fixture, its options and marker, and what a wrong engine says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUITE = """
def test_pass(sim):
    assert sim.load_insns("r0 = 2; exit", "XDP").run(bytes(64)).action.name == "PASS"

def test_each_test_has_its_own(sim):
    assert len(sim.machine.programs) == 0

def test_engine(sim):
    assert sim.engine.name == "{engine}"
"""


WILD = """
import pytest
PAST_THE_END = "r2 = *(u32 *)(r1 +0); r0 = *(u8 *)(r2 +64); exit"

def test_verified(sim):
    sim.load_insns(PAST_THE_END, "XDP")

@pytest.mark.xdp_no_verify
def test_unverified(sim):
    assert "past its end" in str(sim.load_insns(PAST_THE_END, "XDP").run(bytes(64)).fault)
"""


def run(folder: Path, engine: str, *options: str, suite: str = SUITE) -> subprocess.CompletedProcess[str]:
    (folder / "test_suite.py").write_text(suite.format(engine=engine))
    # The plugin may be installed as well; then the name of its entry point is blocked, so that it loads once.
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdpsim", "-p", "xdpsim.pytest_plugin", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("engine", "options"), [("interpreter", ()), ("jit", ("--xdp-engine", "jit"))])
def test_the_fixture(tmp_path: Path, engine: str, options: tuple[str, ...]) -> None:
    done = run(tmp_path, engine, *options)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_what_linux_refuses_fails_its_test(tmp_path: Path) -> None:
    done = run(tmp_path, "interpreter", "--strict-markers", suite=WILD)
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "Rejected: insns: rejected (EACCES): invalid access to packet, off=64 size=1" in done.stdout


def test_nothing_is_verified_on_demand(tmp_path: Path) -> None:
    done = run(tmp_path, "interpreter", "--xdp-no-verify", suite=WILD)
    assert "2 passed" in done.stdout, done.stdout


def test_an_engine_that_does_not_exist(tmp_path: Path) -> None:
    done = run(tmp_path, "interpreter", "--xdp-engine", "warp")
    assert done.returncode == 4
    assert "argument --xdp-engine: invalid choice: 'warp'" in done.stderr
