"""Lines on standard output."""

from __future__ import annotations

import sys

from xdpsim.cli.errors import output_error


def emit(line: str) -> None:
    """One line; an output that cannot be written is an input error."""
    try:
        sys.stdout.write(line + "\n")
    except OSError as err:
        raise output_error(err) from err
