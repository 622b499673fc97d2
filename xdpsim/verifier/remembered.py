"""Where decisions are kept on disk: a bounded folder of the user's cache, of which nothing is believed unchecked.

An entry is JSON that names its own key, behind a checksum. What is cut, foreign, of another key or of another shape is
no entry, and what cannot be written is lost: either way the program is verified again.
"""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path
from typing import Any

from xdpsim.memory.cache import cache_dir, read_checked, write_checked

FOLDER = "verdicts"
MOST_ENTRIES, MOST_BYTES = 2_000, 64 << 20
"""What the folder may hold; beyond that the entries that were not used for longest go."""
SWEEP_EVERY = 64
"""A process looks after the folder at its first entry and at every so many more: it may be that much over its limit."""

_written = count()


def recall(key: str) -> dict[str, Any] | None:
    """What was kept under `key`; None when nothing was, or nothing that can be trusted."""
    path = _folder() / key
    content = read_checked(path)
    if content is None:
        return None
    try:
        kept = json.loads(content)
    except ValueError:
        return None
    if not isinstance(kept, dict) or kept.get("key") != key:
        return None
    _mark_used(path)
    return kept


def keep(key: str, made: dict[str, Any]) -> None:
    """Remember what was decided; where that cannot be written it is forgotten."""
    folder = _folder()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return
    write_checked(folder / key, json.dumps({"key": key, **made}).encode())
    if next(_written) % SWEEP_EVERY == 0:
        sweep(folder)


def sweep(folder: Path) -> None:
    """Remove the entries that were not used for longest, until the rest is within the limits.

    Several processes may do so at once: what another has removed already is gone for both.
    """
    entries, total = [], 0
    try:
        for found in os.scandir(folder):
            about = found.stat(follow_symlinks=False)
            entries.append((about.st_mtime_ns, about.st_size, found.path))
            total += about.st_size
    except OSError:
        return
    left = len(entries)
    for _, size, path in sorted(entries):
        if left <= MOST_ENTRIES and total <= MOST_BYTES:
            return
        try:
            os.unlink(path)
        except OSError:
            continue
        left, total = left - 1, total - size


def _folder() -> Path:
    return cache_dir() / FOLDER


def _mark_used(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:
        return
