"""What the shell may complete: programs of the object on the line, maps of the saved state on it.

A file that cannot be read completes to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from xdpsim.errors import XdpsimError


class _Line(Protocol):
    """The parser's context: what was typed so far, by parameter; `args` holds it where the parser gave up."""

    @property
    def params(self) -> Mapping[str, object]: ...

    @property
    def args(self) -> Sequence[str]: ...


def program_names(ctx: _Line, incomplete: str) -> list[str]:
    """Programs of OBJ, or of all of several."""
    given = ctx.params.get("obj") or list(ctx.args)
    paths = given if isinstance(given, (list, tuple)) else [given]
    return list(dict.fromkeys(name for path in paths for name in _programs(path) if name.startswith(incomplete)))


def _programs(path: object) -> list[str]:
    try:
        data = Path(str(path)).read_bytes()
        return list(import_module("xdpsim.loader.load").load_object(data, str(path)).programs)
    except (OSError, XdpsimError):
        return []


def map_names(ctx: _Line, incomplete: str) -> list[str]:
    """Maps of a directory of saved maps."""
    place = ctx.params.get("place")
    if not place or not Path(str(place)).is_dir():
        return []
    return sorted(path.stem for path in Path(str(place)).glob("*.json") if path.stem.startswith(incomplete))
