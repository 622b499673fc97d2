"""A fingerprint of all that decides what the verifier says: cached verdicts of other sources count for nothing."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = ("verifier", "helpers", "progtypes", "isa", "btf", "maps")


@cache
def source_hash() -> str:
    """Names, sizes and times of the source files that the verifier rests on, hashed."""
    made = hashlib.sha256()
    for folder in _FOLDERS:
        for path in sorted((_PACKAGE / folder).iterdir()):
            if path.suffix in (".py", ".types", ".names"):
                about = path.stat()
                made.update(f"{folder}/{path.name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return made.hexdigest()
