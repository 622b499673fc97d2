"""The pytest plugin: programs under test get a fresh emulated machine, on the engine that the command line chooses.

Installed with the package (entry point `pytest11`); importing it loads nothing heavy before a test asks for `sim`.
"""

from __future__ import annotations

import pytest

import xdpsim

ENGINES = ("interpreter", "jit", "kernel")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --xdp-engine."""
    text = "what runs XDP programs in the fixture `sim` (default: interpreter)"
    parser.getgroup("xdpsim").addoption("--xdp-engine", choices=ENGINES, default=ENGINES[0], help=text)


@pytest.fixture
def sim(request: pytest.FixtureRequest) -> xdpsim.Sim:
    """A new `xdpsim.Sim` with seed 0."""
    return xdpsim.Sim(engine=request.config.getoption("--xdp-engine"))
