"""The four error families, and the exit code that the command line gives each.

A message says where, what was found and what would have been right, in lower case and without a full stop; `hint`
is the indented second line. What a *program* does wrong at run time is never one of these: it is a negative errno
or `Outcome.fault`.
"""

from __future__ import annotations

from typing import Any


class XdpsimError(Exception):
    """Base of the four families; never raised itself."""

    exit_code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class InputError(XdpsimError):
    """A file, a flag or a value from the user is not usable."""

    exit_code = 3


class Unsupported(XdpsimError):
    """Linux has it; xdpsim, or the chosen kernel version, has not."""

    exit_code = 6


class Rejected(XdpsimError):
    """The verifier (ours, or with the kernel engine Linux's) refuses the program, with a positive `errno`.

    `log` is the full text of Linux's verifier. `details` are what ours found: `program`, `message` in Linux's words,
    `slot` and `insn`, `place` (source line), `path` (branches taken), `registers`, `remedy`.
    """

    exit_code = 4

    def __init__(
        self, message: str, *, hint: str = "", errno: int = 0, log: str = "", details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.errno = errno
        self.log = log
        self.details = details or {}


class XdpsimBug(XdpsimError):
    """An invariant of xdpsim itself broke: please report it."""

    exit_code = 70
