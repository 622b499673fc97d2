"""The pytest plugin: programs under test get a fresh emulated machine, on the engine that the command line chooses.

Programs are verified when a test takes them, so that one that Linux would refuse fails its test with Linux's message.
Installed with the package (entry point `pytest11`); importing it loads nothing heavy before a test asks for `sim`.
"""

from __future__ import annotations

import pytest

import xdpsim

ENGINES = ("interpreter", "jit", "kernel")
UNVERIFIED = "xdp_no_verify"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --xdp-engine and --xdp-no-verify."""
    group = parser.getgroup("xdpsim")
    text = "what runs XDP programs in the fixture `sim` (default: interpreter)"
    group.addoption("--xdp-engine", choices=ENGINES, default=ENGINES[0], help=text)
    text = "let the fixture `sim` run programs that Linux's verifier would refuse"
    group.addoption("--xdp-no-verify", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    text = f"{UNVERIFIED}: in this test the fixture `sim` runs programs that Linux's verifier would refuse"
    config.addinivalue_line("markers", text)


@pytest.fixture
def sim(request: pytest.FixtureRequest) -> xdpsim.Sim:
    """A new `xdpsim.Sim` with seed 0, whose programs are verified unless option or marker say otherwise."""
    config = request.config
    is_unverified = config.getoption("--xdp-no-verify") or request.node.get_closest_marker(UNVERIFIED) is not None
    return xdpsim.Sim(engine=config.getoption("--xdp-engine"), verify=not is_unverified)
