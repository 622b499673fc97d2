"""A fingerprint of all that decides what the verifier says: cached verdicts of other sources count for nothing."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = ("verifier", "helpers", "progtypes", "isa", "btf", "maps")
_FILES = ("bits.py", "versions.py", "memory/structs.py")
_SUFFIXES = (".py", ".types", ".names")


@cache
def source_hash() -> str:
    """The source files that the verifier rests on, by name and content, hashed."""
    made = hashlib.sha256()
    paths = [_PACKAGE / name for name in _FILES]
    for folder in _FOLDERS:
        paths += sorted(path for path in (_PACKAGE / folder).iterdir() if path.suffix in _SUFFIXES)
    for path in paths:
        content = path.read_bytes()
        made.update(f"{path.parent.name}/{path.name} {len(content)} ".encode() + content)
    return made.hexdigest()
