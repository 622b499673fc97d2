"""The plugin in a pytest of its own: the fixture, the option, and what a wrong engine says."""

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


def run(folder: Path, engine: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_suite.py").write_text(SUITE.format(engine=engine))
    # The plugin may be installed as well; then the name of its entry point is blocked, so that it loads once.
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdpsim", "-p", "xdpsim.pytest_plugin", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("engine", "options"), [("interpreter", ()), ("jit", ("--xdp-engine", "jit"))])
def test_the_fixture(tmp_path: Path, engine: str, options: tuple[str, ...]) -> None:
    done = run(tmp_path, engine, *options)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_an_engine_that_does_not_exist(tmp_path: Path) -> None:
    done = run(tmp_path, "interpreter", "--xdp-engine", "warp")
    assert done.returncode == 4
    assert "argument --xdp-engine: invalid choice: 'warp'" in done.stderr
