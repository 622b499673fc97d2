"""The entry point: parse, run, and turn whatever happened into an exit code.

The part that runs packets is loaded after parsing, so that --help and mistakes in the command line answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module

from xdpsim.cli.app import build_app
from xdpsim.cli.errors import Guard
from xdpsim.cli.options import RunOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: sys.argv); the exit code. Raises nothing."""
    guard = Guard()
    with guard:
        guard.code = _invoke(list(sys.argv[1:] if arguments is None else arguments))
    return guard.code


def _invoke(arguments: list[str]) -> int:
    import typer

    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a file name is no reason to fail in the C locale
    command = typer.main.get_command(build_app())
    asked = command.main(arguments, prog_name="xdpsim", standalone_mode=False)
    if isinstance(asked, RunOptions):
        code: int = import_module("xdpsim.cli.session").run(replace(asked, words=tuple(arguments)))
        return code
    return asked if isinstance(asked, int) else 0
