"""The kernel as oracle: whether it may be asked here, what it said when it was, and which of both a test used.

A test marked `live` (or using the fixture `kernel_oracle`) asks the running kernel and is skipped elsewhere; a test
marked `golden` replays what Linux 6.18 answered when `python -m tests.support.record` ran. tests/conftest.py imports
the hooks and the fixture from here.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from xdpsim.sysbpf.info import Fingerprint, fingerprint
from xdpsim.sysbpf.syscall import available

ORACLE = "6.18"
GOLDEN = Path(__file__).parents[1] / "golden"
KERNEL_FILE = "kernel"
COMPARED = ("machine", "possible_cpus", "nr_cpus", "hz", "config")
"""What of the fingerprint must be as recorded; the patch level need not."""
_LONGEST_HEX = 128
_ORACLE_PROPERTY = "oracle"


def golden_path(name: str, version: str = ORACLE) -> Path:
    """Where the answers called `name` of a kernel version are kept."""
    return GOLDEN / f"linux-{version}" / f"{name}.json"


@functools.cache
def golden(name: str) -> Any:
    """The recorded answers called `name`; AssertionError says how to record them when there are none."""
    path = golden_path(name)
    assert path.exists(), f"{path.name} is not recorded: python -m tests.support.record {name}"
    return json.loads(path.read_text())


@functools.cache
def live_reason() -> str:
    """Empty when tests may ask the running kernel, else why not."""
    if reason := available():
        return reason
    running = fingerprint()
    if running.version != ORACLE:
        return f"kernel {running.version} is not {ORACLE}"
    path = golden_path(KERNEL_FILE)
    return other_kernel(running, json.loads(path.read_text())) if path.exists() else ""


def other_kernel(running: Fingerprint, recorded: dict[str, Any]) -> str:
    """Empty when `running` is built as the recorded kernel was, else the first difference."""
    found = asdict(running)
    for name in COMPARED:
        if found[name] != recorded[name]:
            return f"this kernel's {name} is {found[name]}, the recorded one's {recorded[name]}"
    return ""


def bytes_spec(data: bytes) -> str | dict[str, Any]:
    """How a golden file holds bytes: hex, or length and sha256 where that would be long."""
    if len(data) <= _LONGEST_HEX:
        return data.hex()
    return {"len": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def expand(spec: str | dict[str, Any]) -> bytes:
    """The packet that a golden file names: hex, or a length and a fill."""
    if isinstance(spec, str):
        return bytes.fromhex(spec)
    assert spec["fill"] == "ramp", spec
    return ramp(spec["len"])


def ramp(length: int) -> bytes:
    """Bytes of which each tells its place, also across pages."""
    return bytes((n ^ n >> 8) & 0xFF for n in range(length))


@dataclass(frozen=True)
class Row:
    """One TEST_RUN of Linux. `packet` goes in behind `meta_in` bytes of metadata (zeroes).

    `ctx` is None where TEST_RUN got none, so that its defaults hold. `value` and the rest are meaningless when `errno`
    is not 0. What comes out is `out_meta` bytes of metadata and the packet; `says` checks both at once.
    """

    name: str
    type: str
    insns: bytes
    packet: bytes
    frags: bool
    maps: tuple[dict[str, Any], ...]
    ctx: dict[str, int] | None
    errno: int
    value: int
    out: str | dict[str, Any]
    out_meta: int

    @property
    def meta_in(self) -> int:
        """Bytes of metadata before the packet."""
        return (self.ctx or {}).get("meta", 0)

    @property
    def ifindex(self) -> int:
        """The ingress interface asked for, 0 for none."""
        return (self.ctx or {}).get("ifindex", 0)

    @property
    def queue(self) -> int:
        """The receive queue asked for."""
        return (self.ctx or {}).get("queue", 0)

    def left(self, data: bytes) -> bool:
        """Whether metadata and packet, joined, are what Linux left."""
        return bytes_spec(data) == self.out


def load_rows(name: str) -> list[Row]:
    """The rows of golden file `name`, for tests to replay on any engine."""
    return [row_of(raw) for raw in golden(name)["rows"]]


def row_of(raw: dict[str, Any]) -> Row:
    """A row from its JSON."""
    return Row(
        name=raw["name"],
        type=raw["type"],
        insns=bytes.fromhex(raw["insns"]),
        packet=expand(raw["packet"]),
        frags=raw.get("frags", False),
        maps=tuple(raw.get("maps", ())),
        ctx=raw.get("ctx"),
        errno=raw.get("errno", 0),
        value=raw.get("value", 0),
        out=raw.get("out", ""),
        out_meta=raw.get("out_meta", 0),
    )


def row_name(row: Row) -> str:
    """For `pytest.mark.parametrize(ids=)`."""
    return row.name.replace(" ", "-")


@pytest.fixture
def kernel_oracle(request: pytest.FixtureRequest) -> Fingerprint:
    """The running kernel's fingerprint, where it may be asked; else the test is skipped and says why."""
    if reason := live_reason():
        pytest.skip(f"skipped live: {reason}")
    return fingerprint()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "live: asks the running Linux 6.18; skipped, with the reason, where it cannot")
    config.addinivalue_line("markers", "golden: replays recorded answers of Linux 6.18")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note on each test whether it asks the kernel or replays its answers; skip the former where it cannot be asked."""
    for item in items:
        is_live = item.get_closest_marker("live") or "kernel_oracle" in getattr(item, "fixturenames", ())
        if is_live:
            item.user_properties.append((_ORACLE_PROPERTY, "live"))
            if reason := live_reason():
                item.add_marker(pytest.mark.skip(reason=f"skipped live: {reason}"))
        elif item.get_closest_marker("golden"):
            item.user_properties.append((_ORACLE_PROPERTY, "golden"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests asked the kernel, how many replayed, and why the others of the first kind did not run."""
    counts = {"live": 0, "golden": 0, "skipped": 0}
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            kind = dict(report.user_properties).get(_ORACLE_PROPERTY)
            if kind == "live" and outcome == "skipped":
                counts["skipped"] += 1
            elif kind and outcome != "skipped":
                counts[kind] += 1
    if any(counts.values()):
        line = f"Linux {ORACLE}: {counts['live']} tests ran live, {counts['golden']} replayed from goldens"
        reason = f", {counts['skipped']} skipped live: {live_reason()}" if counts["skipped"] else ""
        terminalreporter.write_line(line + reason)
