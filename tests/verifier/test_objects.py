"""Whole objects: our verdict and how far we walk, as the running Linux; our own, and those that distributions ship."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.verifier_linux import Asker
from tests.support.verifier_objects import ask_both, objects, questions, same_walk, verdict_of
from tests.support.verifier_sources import Question
from xdpsim.errors import InputError, Unsupported
from xdpsim.sim.verifying import TRACING_TYPES

PROGRAMS = Path(__file__).parents[2] / "programs"
INSTALLED = (Path("/usr/lib/x86_64-linux-gnu/bpf"), Path("/usr/lib64/bpf"), Path("/usr/lib/bpf"))
"""Where the packages libxdp1, xdp-tools and bpftool put their objects."""
SHIPPED = (
    *("xdp-dispatcher", "xdpdump_xdp", "xsk_def_xdp_prog", "xsk_def_xdp_prog_5.3"),
    *(f"xdpfilt_{way}_{what}" for way in ("alw", "dny") for what in ("all", "eth", "ip", "tcp", "udp")),
)
"""Names of the objects with network programs in xdp-tools 1.3."""
MOST_DIFFERENT = 0.1
MOST_WALKED = 90_000
"""Longer walks are compared by tests/programs/test_big.py."""
_asker = functools.cache(Asker)


def _installed(name: str) -> Path | None:
    return next((path for folder in INSTALLED if (path := folder / f"{name}.o").exists()), None)


def _asked(path: Path) -> Iterator[Question]:
    """The network programs of an object that both verifiers can be asked about."""
    for _, question, why in questions(_asker(), path):
        if question is not None and not why and question.spec.type not in TRACING_TYPES:
            yield question


def _compare(path: Path) -> tuple[int, int]:
    """How many programs Linux accepts, and how many of these walk alike; all verdicts are the same."""
    accepted = alike = 0
    for question in _asked(path):
        try:
            linux, ours = ask_both(_asker(), question, MOST_WALKED)
        except (InputError, Unsupported):
            continue  # a map that Linux does not make here
        if ours is None:
            continue
        assert verdict_of(linux) == verdict_of(ours), question.name
        accepted += linux.accepted
        alike += linux.accepted and same_walk(linux, ours)
    return accepted, alike


@pytest.mark.live
def test_our_programs_walk_as_on_linux() -> None:
    counts = [_compare(path) for path in objects([PROGRAMS])]
    accepted, alike = (sum(each) for each in zip(*counts, strict=True))
    assert accepted >= 15
    assert alike == accepted


@pytest.mark.live
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_programs_walk_as_on_linux(name: str) -> None:
    path = _installed(name)
    if path is None:
        pytest.skip(f"skipped live: {name}.o of xdp-tools is not installed")
    accepted, alike = _compare(path)
    assert accepted
    assert alike >= (1 - MOST_DIFFERENT) * accepted


@pytest.mark.live
def test_all_installed_objects_agree() -> None:
    """Also those that are not named above, whatever the packages' version."""
    found = [path for path in objects([folder for folder in INSTALLED if folder.exists()]) if path.stem not in SHIPPED]
    if not found:
        pytest.skip(f"skipped live: no other objects in {', '.join(map(str, INSTALLED))}")
    counts = [_compare(path) for path in found]
    accepted, alike = (sum(each) for each in zip(*counts, strict=True))
    assert alike >= (1 - MOST_DIFFERENT) * accepted
