"""A progress bar on stderr for runs of more than a second, on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from xdpsim.net.datapath import Result

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

SILENT_S = 1.0
_STEP = 512
_RECORD_HEADER_BYTES = 16


class Progress:
    """Counts packets; shows a bar once a run has taken SILENT_S."""

    def __init__(self, path: str, *, wanted: bool) -> None:
        self._wanted = wanted and sys.stderr.isatty()
        self._path = path
        self._start = time.monotonic()
        self._packets = self._bytes = 0
        self._bar: Bar | None = None
        self._update: Callable[..., None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add(self, result: Result) -> None:
        """Count one packet."""
        self._packets += 1
        self._bytes += len(result.record.data) + _RECORD_HEADER_BYTES
        if self._wanted and self._packets % _STEP == 0:
            self._show()

    def stands_at(self, packets: int, size: int) -> None:
        """So many packets have run, and so many bytes of the capture were read."""
        self._packets, self._bytes = packets, size
        if self._wanted:
            self._show()

    def _show(self) -> None:
        if self._update is None:
            if time.monotonic() - self._start < SILENT_S:
                return
            self._update = self._open()
        self._update(completed=self._bytes, packets=f"{self._packets:,}")

    def _open(self) -> Callable[..., None]:
        from rich import progress
        from rich.console import Console

        columns = (progress.TextColumn("{task.fields[packets]} packets"), progress.BarColumn(),
                   progress.TaskProgressColumn(), progress.TimeRemainingColumn())  # fmt: skip
        self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
        task = self._bar.add_task("", total=self._size(), packets="")
        self._bar.start()
        return partial(self._bar.update, task)

    def _size(self) -> int | None:
        """Bytes to come, nearly; None for pipes and packed captures."""
        if self._path.endswith(".gz") or not os.path.isfile(self._path):
            return None
        return os.path.getsize(self._path)
