"""Writes the golden files: asks the running kernel and stores what it says.

    python -m tests.support.record [NAME...]      all recorders, or those named
    python -m tests.support.record --check        write nothing; list what Linux answers differently today

A recorder is a function `@recorder("xdp_test_run")` in any module under tests/ that returns JSON-able data; it is found
by that line. The files go to tests/golden/linux-VERSION of the kernel that runs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.support.oracle import KERNEL_FILE, golden_path
from xdpsim.sysbpf.info import fingerprint
from xdpsim.sysbpf.syscall import available

TESTS = Path(__file__).parents[1]
_MARK = "\n@recorder("
_Recorder = Callable[[], Any]
RECORDERS: dict[str, _Recorder] = {}


def recorder(name: str) -> Callable[[_Recorder], _Recorder]:
    """Register the function that asks the kernel for golden file `name`."""

    def register(function: _Recorder) -> _Recorder:
        assert name not in RECORDERS, f"two recorders for {name}"
        RECORDERS[name] = function
        return function

    return register


@recorder(KERNEL_FILE)
def record_kernel() -> dict[str, Any]:
    """Which kernel answered: other goldens hold for kernels of this fingerprint, whatever their builder called them."""
    running = fingerprint()
    return asdict(running) | {"release": running.release.partition("-")[0]}


def import_recorders() -> None:
    """Import every module under tests/ that registers a recorder."""
    for path in sorted(TESTS.rglob("*.py")):
        if path != Path(__file__) and _MARK in path.read_text():
            importlib.import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))


def as_text(data: Any) -> str:
    """JSON with one row a line, so that a change of one answer is a change of one line."""
    if not isinstance(data, Mapping):
        return _rows("", data) + "\n" if isinstance(data, list) else json.dumps(data) + "\n"
    parts = [_rows(f"{json.dumps(key)}: ", value) for key, value in data.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _rows(key: str, value: Any) -> str:
    if isinstance(value, list) and value and not isinstance(value[0], (int, str)):
        return f"{key}[\n" + ",\n".join(" " + json.dumps(row) for row in value) + "\n]"
    return key + json.dumps(value)


def main(arguments: list[str]) -> int:
    """Record, or with --check compare; 1 when something differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.record", description="record the kernel's answers")
    parser.add_argument("names", nargs="*", help="recorders to run (default: all)")
    parser.add_argument("--check", action="store_true", help="only compare with what is recorded")
    options = parser.parse_args(arguments)
    if reason := available():
        parser.error(reason)
    import_recorders()
    if unknown := set(options.names) - RECORDERS.keys():
        parser.error(f"no recorder {', '.join(sorted(unknown))}: expected {', '.join(sorted(RECORDERS))}")
    differing = 0
    for name in options.names or sorted(RECORDERS):
        text, path = as_text(RECORDERS[name]()), golden_path(name, fingerprint().version)
        if path.exists() and path.read_text() == text:
            print(f"{name}: as recorded")
            continue
        differing += 1
        print(f"{name}: {'differs' if path.exists() else 'new'}")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    # Recorders import this file under its own name, which is another module than the one that runs.
    sys.exit(importlib.import_module("tests.support.record").main(sys.argv[1:]))
