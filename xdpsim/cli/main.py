"""The entry point: parse, run, and turn whatever happened into an exit code.

The part that runs packets is loaded after parsing, so that --help and mistakes in the command line answer at once.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from types import ModuleType

from xdpsim.cli.app import build_app
from xdpsim.cli.errors import Guard
from xdpsim.cli.options import RunOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: sys.argv); the exit code. Raises nothing."""
    guard = Guard()
    with guard:
        guard.code = _invoke(list(sys.argv[1:]), _load_frozen) if arguments is None else _invoke(list(arguments), _load)
    return guard.code


def _invoke(arguments: list[str], load: Callable[[], ModuleType]) -> int:
    import typer

    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a file name is no reason to fail in the C locale
    command = typer.main.get_command(build_app())
    asked = command.main(arguments, prog_name="xdpsim", standalone_mode=False)
    if isinstance(asked, RunOptions):
        code: int = load().run(replace(asked, words=tuple(arguments)))
        return code
    return asked if isinstance(asked, int) else 0


def _load() -> ModuleType:
    return import_module("xdpsim.cli.session")


def _load_frozen() -> ModuleType:
    """Load with the collector off, and keep what was loaded out of its way: all of it lives as long as the process."""
    gc.disable()
    session = _load()
    gc.freeze()
    gc.enable()
    return session
