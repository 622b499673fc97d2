"""Worker processes of the fuzz runs, watched: one that dies or falls silent is reported, and ends nothing else."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.runtimes import surrounding

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") >> 10


class Died(Exception):
    """A worker ended with a failure, or was ended because it said nothing for too long."""


class Worker:
    """A Python process whose output is read line by line; `silence` is how many seconds it may take for one."""

    def __init__(self, arguments: list[str], *, runtime: str = "native", silence: float = 20.0) -> None:
        self._silence = silence
        self._why = ""
        self.limit_kb = 0
        """A worker that takes more memory is ended; 0 for no limit."""
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed when the lines end
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            **surrounding(XDPSIM_RUNTIME=runtime),
        )

    def _stop(self, why: str) -> None:
        self._why = why
        self.process.kill()

    def _watch_memory(self) -> None:
        while self.process.poll() is None:
            with contextlib.suppress(OSError):
                pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
                if pages * _PAGE_KB > self.limit_kb:
                    self._stop(f"took more than {self.limit_kb >> 10} MB")
            time.sleep(0.1)

    def lines(self) -> Iterator[str]:
        """What it says; Died when it did not end well."""
        assert self.process.stdout is not None
        if self.limit_kb:
            threading.Thread(target=self._watch_memory, daemon=True).start()
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
                raise Died(self._why or f"exit code {code}: {said[:600]}")
        finally:
            self.process.stdout.close()
            self._errors.close()

    def _start_timer(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._stop, [f"no answer in {seconds:.0f} s"])
        timer.daemon = True
        timer.start()
        return timer
