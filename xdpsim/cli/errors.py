"""How the command line ends: one place that turns what went wrong into a message on stderr and an exit code.

0 ok, 1 an expectation failed, 2 usage, 3 input, 4 rejected, 5 nothing ran, 6 unsupported, 70 a bug of ours; as shells
count signals, 130 after Ctrl-C and 141 when the reader of our output went away.
"""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from xdpsim.errors import InputError, Rejected, XdpsimBug, XdpsimError

OK, USAGE, NOTHING_RAN, BUG, INTERRUPTED, BROKEN_PIPE = 0, 2, 5, 70, 130, 141
LOG_LINES = 12


class UsageError(Exception):
    """The command line asks for something that cannot be: exit code 2."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@runtime_checkable
class _ParserError(Protocol):
    """What the argument parser raises; typer carries its own copy of click, so no class of either is named here."""

    def format_message(self) -> str: ...


class Guard:
    """Wraps a whole invocation; `code` is the exit code afterwards. Nothing that is raised inside gets out."""

    def __init__(self) -> None:
        self.code = OK

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if error is not None:
            self.code = _told(error)
        try:
            sys.stdout.flush()
        except OSError as err:
            self.code = self.code or _told(output_error(err))
            _silence(sys.stdout.fileno())
        return True


def output_error(error: OSError) -> BaseException:
    """What a failed write to standard output means."""
    if isinstance(error, BrokenPipeError):
        return error
    return InputError(f"standard output: cannot be written: {error.strerror or error}")


def _told(error: BaseException) -> int:
    """Say what went wrong; the exit code."""
    if isinstance(error, BrokenPipeError):
        _silence(sys.stdout.fileno())
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        tell("interrupted")
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else OK
    if isinstance(error, UsageError):
        tell(error.message, error.hint)
        return USAGE
    if isinstance(error, XdpsimError) and not isinstance(error, XdpsimBug):
        tell(error.message, error.hint)
        if isinstance(error, Rejected) and error.log:
            _tell_log(error.log)
        return error.exit_code
    if isinstance(error, _ParserError):
        message = _lower(error.format_message())
        if message:  # empty where the parser has printed the help instead
            tell(message, f"{_command_of(error)} --help lists the options")
        return USAGE
    traceback.print_exception(error)
    tell("this is a bug in xdpsim", "please report it with the lines above, the object and the capture")
    return BUG


def _command_of(error: BaseException) -> str:
    """The command that the parser was at: `xdpsim run`."""
    path = str(getattr(getattr(error, "ctx", None), "command_path", ""))
    return path if " " in path else "xdpsim"


def tell(message: str, hint: str = "") -> None:
    """One message on stderr, its further lines and its hint indented below."""
    lines = ["xdpsim: " + message.replace("\n", "\n  ")] + ([f"  {hint}"] if hint else [])
    print("\n".join(lines), file=sys.stderr)


def _tell_log(log: str) -> None:
    lines = log.rstrip().splitlines()
    if len(lines) > LOG_LINES:
        print(f"  the last {LOG_LINES} of {len(lines)} lines of the verifier's log:", file=sys.stderr)
    print("\n".join(f"  | {line}" for line in lines[-LOG_LINES:]), file=sys.stderr)


def _lower(text: str) -> str:
    text = text.strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _silence(descriptor: int) -> None:
    """Let what is still buffered go nowhere, so that Python's own flush at exit has nothing to complain about."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
