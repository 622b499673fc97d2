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
from xdpsim.cli.asked import Asked
from xdpsim.cli.errors import Guard
from xdpsim.cli.options import RunOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: sys.argv); the exit code. Raises nothing."""
    guard = Guard()
    with guard:
        guard.code = _invoke(list(sys.argv[1:]), _load_frozen) if arguments is None else _invoke(list(arguments), _load)
    return guard.code


def _invoke(arguments: list[str], load: Callable[[str], ModuleType]) -> int:
    import typer

    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a file name is no reason to fail in the C locale
    command = typer.main.get_command(build_app())
    asked = command.main(arguments, prog_name="xdpsim", standalone_mode=False)
    if isinstance(asked, RunOptions):
        asked = load("xdpsim.cli.session").run(replace(asked, words=tuple(arguments)))
    elif isinstance(asked, Asked):
        asked = load(asked.module).run(asked)
    return asked if isinstance(asked, int) else 0


def _load(name: str) -> ModuleType:
    return import_module(name)


def _load_frozen(name: str) -> ModuleType:
    """Load with the collector off, and keep what was loaded out of its way: all of it lives as long as the process."""
    gc.disable()
    session = _load(name)
    gc.freeze()
    gc.enable()
    return session
