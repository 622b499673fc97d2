"""The Python twins of the native helpers give the recorded answers as well."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.runtimes import python_runtime

NATIVE = ("strings", "syncookie", "xdp_bytes", "percpu")


@pytest.mark.parametrize("theme", NATIVE)
def test_the_twins_give_the_recorded_answers(theme: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_the_answer and not jit"]
    done = subprocess.run(
        [*command, f"tests/helpers/test_{theme}.py"], capture_output=True, text=True, check=False, **python_runtime()
    )
    assert done.returncode == 0, done.stdout[-3000:]
