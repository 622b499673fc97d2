"""Worker processes of the fuzz runs, watched: one that dies or falls silent is reported, and ends nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

from tests.support.runtimes import surrounding


class Died(Exception):
    """A worker ended with a failure, or was ended because it said nothing for too long."""


class Worker:
    """A Python process whose output is read line by line; `silence` is how many seconds it may take for one."""

    def __init__(self, arguments: list[str], *, runtime: str = "native", silence: float = 20.0) -> None:
        self._silence = silence
        self._hung = False
        self._errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            **surrounding(XDPSIM_RUNTIME=runtime),
        )

    def _stop(self) -> None:
        self._hung = True
        self.process.kill()

    def lines(self) -> Iterator[str]:
        """What it says; Died when it did not end well."""
        assert self.process.stdout is not None
        try:
            timer = self._start_timer(4 * self._silence)  # it has to import everything first
            for line in self.process.stdout:
                timer.cancel()
                timer = self._start_timer(self._silence)
                yield line.rstrip("\n")
            timer.cancel()
            code = self.process.wait()
            if code:
                self._errors.seek(0)
                said = self._errors.read()
                raise Died(f"no answer in {self._silence:.0f} s" if self._hung else f"exit code {code}: {said[:600]}")
        finally:
            self.process.stdout.close()
            self._errors.close()

    def _start_timer(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._stop)
        timer.daemon = True
        timer.start()
        return timer
