"""What the package says of itself: versions, names, and the Python that it needs."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

import xdpsim

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def test_requires_python_is_what_the_classifiers_and_this_run_say() -> None:
    assert PROJECT["requires-python"] == ">=3.11"
    assert sys.version_info >= (3, 11)
    named = [text.rsplit(" ", 1)[1] for text in PROJECT["classifiers"] if "Python :: 3." in text]
    assert named == ["3.11", "3.12", "3.13"]


def test_numba_is_needed_to_build_and_not_to_run() -> None:
    assert not any(name.startswith("numba") for name in PROJECT["dependencies"])
    assert any(name.startswith("numba") for name in PROJECT["optional-dependencies"]["dev"])


@pytest.mark.parametrize("name", ["Sim", "XDP", "TC", "Outcome", "InputError", "Unsupported", "Rejected", "XdpsimBug"])
def test_public_names(name: str) -> None:
    assert getattr(xdpsim, name).__name__ == name
    assert name in dir(xdpsim)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'xdpsim' has no attribute 'simulator'"):
        xdpsim.simulator  # noqa: B018  reading it is the test
