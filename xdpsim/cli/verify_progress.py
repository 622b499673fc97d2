"""What is being verified, and how many insns were walked: on stderr, on a terminal only, once it takes long."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from xdpsim.cli.progress import SILENT_S
from xdpsim.loader.model import ProgramSpec
from xdpsim.verifier.env import Env

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class VerifyProgress:
    """A line that a thread of its own keeps up to date, since a verification itself is one long call."""

    def __init__(self, programs: int) -> None:
        self._programs, self._number = programs, 0
        self._name = ""
        self._env: Env | None = None
        self._bar: Bar | None = None
        self._timer = threading.Timer(SILENT_S, self._open)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._is_over = False

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            self._is_over = True
            if self._bar is not None:
                self._bar.stop()

    def watch(self, spec: ProgramSpec, env: Env) -> None:
        """A verification begins."""
        self._name, self._env = spec.name, env

    def done(self) -> None:
        """A program is judged."""
        self._number += 1
        self._env = None

    @property
    def text(self) -> str:
        """What the line says now."""
        env = self._env
        walked = f": {env.insn_processed:,} insns walked" if env is not None else ""
        return f"{min(self._number + 1, self._programs)} of {self._programs}, {self._name}{walked}"

    def _open(self) -> None:
        from rich import progress
        from rich.console import Console
        from rich.text import Text

        owner = self

        class Line(progress.ProgressColumn):
            def render(self, task: progress.Task) -> Text:
                return Text(owner.text)

        columns = progress.SpinnerColumn(), Line(), progress.TimeElapsedColumn()
        with self._lock:
            if self._is_over:
                return
            self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task("", total=None)
            self._bar.start()
