"""The command line in this process: exit code, standard output and standard error of one invocation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.elf_writer import ElfWriter
from xdpsim.cli.main import main
from xdpsim.frames.writer import PcapWriter

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of standard output."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def lines(self) -> list[Any]:
        """All lines of standard output, as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


Xdpsim = Callable[..., Ran]


@pytest.fixture
def xdpsim(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Xdpsim:
    """Run the command line from the repository's root."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture
def obj(tmp_path: Path) -> Callable[..., Path]:
    """Write an object with one program a section: obj(xdp=code, tc=code)."""

    def write(**programs: bytes) -> Path:
        elf = ElfWriter()
        for name, code in programs.items():
            elf.program(f"{name}_main", name.split("_")[0], code)
        path = tmp_path / "made.o"
        path.write_bytes(elf.build())
        return path

    return write


@pytest.fixture
def pcap(tmp_path: Path) -> Callable[..., Path]:
    """Write a capture of these frames, a millisecond apart."""

    def write(*frames: bytes, name: str = "made.pcap") -> Path:
        path = tmp_path / name
        with PcapWriter(path) as writer:
            for number, frame in enumerate(frames):
                writer.write(frame, time_ns=1_700_000_000_000_000_000 + number * 1_000_000)
        return path

    return write
