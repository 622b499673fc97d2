"""Processes with another runtime or another surrounding: how tests start them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def surrounding(cwd: Path = ROOT, **variables: str) -> dict[str, Any]:
    """`env=` and `cwd=` for subprocess.run: this tree importable, these variables set."""
    return {"env": {**os.environ, "PYTHONPATH": str(ROOT), **variables}, "cwd": cwd}


def python_runtime() -> dict[str, Any]:
    """As `surrounding`, with the native runtime as Python."""
    return surrounding(XDPSIM_RUNTIME="python")
