"""What only a process of its own shows: pipes, signals, full disks, and that importing xdpsim loads little."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT

RUN = [sys.executable, "-m", "xdpsim", "run", "programs/firewall.o"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
READ_NUMBERS = ("0", "63")  # of x86-64 and of aarch64
MIXED = (ROOT / "pcaps/mixed.pcap").read_bytes()
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*RUN, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_standard_input_and_output() -> None:
    with start("-r", "-", "-w", "-") as process:
        out, err = process.communicate(MIXED)
    assert process.returncode == 0
    assert out.startswith(b"\x0a\x0d\x0d\x0a")
    assert b"xdp_firewall on standard input" in err


def test_a_reader_that_goes_away() -> None:
    with start("-r", "pcaps/mixed.pcap", "--per-packet") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["n"] == 1
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 141
    assert err == b""


@pytest.mark.skipif(not Path("/proc/self/syscall").exists(), reason="nothing tells when it waits for input")
def test_ctrl_c_reports_what_ran() -> None:
    with start("-r", "-", "--per-packet", "--json", "--drops", "5") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(MIXED[:20_000])
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not _is_waiting_for_input(process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        lines = [json.loads(line) for line in process.stdout.read().splitlines()]
        err = process.stderr.read()
    assert process.returncode == 130
    assert lines[-1]["interrupted"] is True
    assert lines[-1]["packets"] == len(lines) - 1 > 50
    assert err == b"xdpsim: interrupted\n"


def _is_waiting_for_input(pid: int) -> bool:
    """Whether the process waits in read(0, ..)."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return words[0] in READ_NUMBERS and words[1] == "0x0"


@needs_full
@pytest.mark.parametrize("arguments", [["--json"], [], ["--per-packet"]])
def test_a_full_disk_behind_standard_output(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [*RUN, "-r", "pcaps/mixed.pcap", *arguments],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ran.returncode == 3
    assert b"xdpsim: standard output: cannot be written: No space left on device\n" in ran.stderr
    assert b"Traceback" not in ran.stderr


@needs_full
def test_a_full_disk_behind_the_capture() -> None:
    with start("-r", "pcaps/mixed.pcap", "-w", "/dev/full") as process:
        _, err = process.communicate()
    assert process.returncode == 3
    assert b"xdpsim: /dev/full: cannot be written: No space left on device\n" in err


def test_importing_xdpsim_loads_no_parser_and_no_compiler() -> None:
    heavy = "{'typer', 'rich', 'click', 'numpy', 'llvmlite', 'scapy', 'dpkt', 'pydantic', 'yaml'}"
    program = f"import sys, xdpsim; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
