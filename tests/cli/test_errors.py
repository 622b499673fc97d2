"""Every exit code, and that its message says where, what and what would have been right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Xdpsim
from tests.support.elf_writer import EXIT, insn
from xdpsim.cli.errors import Guard
from xdpsim.errors import InputError, Rejected, Unsupported, XdpsimBug

Write = Callable[..., Path]
FRAME = bytes(64)
MIXED = ("-r", "pcaps/mixed.pcap")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "missing"),
        (["run", "programs/firewall.o"], "missing"),
        (["walk"], "walk"),
        (["run", "programs/firewall.o", *MIXED, "--engine", "steam"], "'steam' is not one of"),
        (["run", "programs/firewall.o", *MIXED, "--limit", "0"], "--limit"),
        (
            ["run", "programs/firewall.o", *MIXED, "-p", "nope"],
            "-p nope: firewall.o has no such program\n  it has xdp_f",
        ),
        (["run", "programs/firewall.o", *MIXED, "-w", "pcaps/mixed.pcap"], "is the capture that -r reads"),
        (["run", "programs/firewall.o", *MIXED, "-w", "-", "--json"], "both want standard output"),
    ],
)
def test_usage(xdpsim: Xdpsim, arguments: list[str], message: str) -> None:
    ran = xdpsim(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("xdpsim: ")
    assert message in ran.err


def test_no_command_prints_the_help(xdpsim: Xdpsim) -> None:
    ran = xdpsim()
    assert ran.code == 2
    assert "run" in ran.out + ran.err


def test_several_programs_need_a_choice(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    ran = xdpsim("run", obj(xdp=EXIT, xdp_other=EXIT), "-r", pcap(FRAME))
    assert ran.code == 2
    assert "2 XDP programs: choose one with -p" in ran.err
    assert "xdp_main (XDP, section xdp), xdp_other_main (XDP, section xdp)" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing.o", *MIXED], "missing.o: No such file or directory"),
        (["run", "README.md", *MIXED], "README.md"),
        (["run", "programs/firewall.o", "-r", "missing.pcap"], "missing.pcap: cannot be read"),
        (["run", "programs/firewall.o", "-r", "programs/firewall.o"], "begins with 7f454c46"),
        (["run", "programs/firewall.o", *MIXED, "--maps", "missing.json"], "missing.json: No such file"),
        (["run", "programs/lb.o", *MIXED, "--maps", "programs/presets/firewall.json"], "there is no such map"),
        (["run", "programs/firewall.o", *MIXED, "-w", "missing/out.pcapng"], "missing/out.pcapng: cannot be written"),
        (["run", "programs/firewall.o", *MIXED, "--save-maps", "/proc/maps"], "/proc/maps: maps cannot be saved"),
    ],
)
def test_input(xdpsim: Xdpsim, arguments: list[str], message: str) -> None:
    ran = xdpsim(*arguments)
    assert ran.code == 3
    assert ran.err.startswith("xdpsim: ")
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_a_damaged_capture_is_run_up_to_the_damage(xdpsim: Xdpsim, tmp_path: Path, obj: Write, pcap: Write) -> None:
    whole = pcap(FRAME, FRAME, FRAME).read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-10])
    written = tmp_path / "out.pcap"
    ran = xdpsim("run", obj(xdp=EXIT), "-r", cut, "--json", "-w", written)
    assert ran.code == 3
    assert ran.json["packets"] == 2
    assert "record 3" in ran.json["capture_error"]
    assert ran.err.startswith(f"xdpsim: {cut}: record 3 at byte ")
    assert "  the 2 records before it are whole" in ran.err
    assert written.read_bytes() == whole[: len(written.read_bytes())]


def test_nothing_ran(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    ran = xdpsim("run", obj(xdp=EXIT), "-r", pcap(b"short"), "--json")
    assert (ran.code, ran.json["packets"]) == (5, 1)
    assert ran.err == "xdpsim: no packet reached the program\n  1 packets: shorter than 14 bytes\n"
    ran = xdpsim("run", obj(xdp=EXIT), "-r", pcap())
    assert ran.code == 5
    assert "the capture holds no packets" in ran.err


def test_unsupported(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    only_tc = obj(tc=EXIT)
    for extra in ((), ("-p", "tc_main")):
        ran = xdpsim("run", only_tc, "-r", pcap(FRAME), *extra)
        assert ran.code == 6
        assert "tc_main" in ran.err
        assert "SCHED_CLS" in ran.err


@pytest.mark.usefixtures("kernel_oracle")
def test_rejected_by_linux(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    wild = obj(xdp=insn(0x79, 0, 1, 64) + insn(0x95))
    ran = xdpsim("run", wild, "-r", pcap(FRAME), "--engine", "kernel")
    assert ran.code == 4
    assert "invalid bpf_context access off=64 size=8" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (InputError("a.pcap: cut", hint="copy it again"), 3, "xdpsim: a.pcap: cut\n  copy it again\n"),
        (Rejected("no", log="one\ntwo\n"), 4, "xdpsim: no\n  | one\n  | two\n"),
        (Unsupported("no tc"), 6, "xdpsim: no tc\n"),
        (KeyboardInterrupt(), 130, "xdpsim: interrupted\n"),
    ],
)
def test_guard_tells_without_a_traceback(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Guard() as guard:
        raise error
    assert (guard.code, capsys.readouterr().err) == (code, told)


@pytest.mark.parametrize("error", [XdpsimBug("the pool lost a frame"), ZeroDivisionError("division by zero")])
def test_bugs_are_told_with_a_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with Guard() as guard:
        raise error
    told = capsys.readouterr().err
    assert guard.code == 70
    assert told.startswith("Traceback")
    assert "xdpsim: this is a bug in xdpsim\n  please report it" in told


def test_a_long_log_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    with Guard():
        raise Rejected("no", log="\n".join(str(n) for n in range(100)))
    told = capsys.readouterr().err.splitlines()
    assert told[1] == "  the last 12 of 100 lines of the verifier's log:"
    assert told[-1] == "  | 99"
