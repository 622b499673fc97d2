"""`xdpsim bench` and `xdpsim prog run`: what they print, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Xdpsim
from tests.support.runtimes import ROOT

PROGRAMS = ROOT / "programs"
COUNTER, CHANGES = str(PROGRAMS / "counter.o"), str(PROGRAMS / "lb.o")
MIXED = str(ROOT / "pcaps" / "mixed.pcap")
QUICK = ("--seconds", "0.02")


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    path = tmp_path / "packet"
    path.write_bytes(bytes.fromhex("020000000001 020000000002 0800") + bytes(50))
    return path


def test_bench_says_nanoseconds_and_insns(xdpsim: Xdpsim) -> None:
    ran = xdpsim("bench", COUNTER, *QUICK, "--json")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["engine"] == "jit"
    assert found["ns_per_packet"] > 0
    assert found["insns_per_packet"] == 42
    assert list(found["percentiles"]) == ["p50", "p90", "p99"]
    assert "ns a packet" in xdpsim("bench", COUNTER, *QUICK).out


def test_bench_on_a_capture(xdpsim: Xdpsim) -> None:
    found = json.loads(xdpsim("bench", COUNTER, "-r", MIXED, *QUICK, "--engine", "interpreter", "--json").out)
    assert found["packets"] == 1024


def test_bench_refuses_a_program_that_changes_packets(xdpsim: Xdpsim) -> None:
    ran = xdpsim("bench", CHANGES, "-r", MIXED, "--maps", str(PROGRAMS / "presets" / "lb.json"), *QUICK)
    assert ran.code == 3
    assert "changes packet" in ran.err


@pytest.mark.live
def test_bench_against_the_kernel(xdpsim: Xdpsim) -> None:
    found = json.loads(xdpsim("bench", COUNTER, *QUICK, "--against", "kernel", "--json").out)
    assert found["against"]["engine"] == "kernel"
    assert found["ratio"] == pytest.approx(found["ns_per_packet"] / found["against"]["ns_per_packet"], rel=0.02)
    assert "6.18" in found["kernel"]
    assert isinstance(found["mitigations"], dict)


def test_prog_run_prints_as_bpftool_does(xdpsim: Xdpsim, packet: Path) -> None:
    ran = xdpsim("prog", "run", f"{COUNTER}:xdp_counter", "data_in", str(packet), "repeat", "100")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Return value: 2, duration (average): ")
    assert ran.out.endswith("ns\n")


def test_prog_run_writes_data_and_context(xdpsim: Xdpsim, packet: Path, tmp_path: Path) -> None:
    ctx = tmp_path / "ctx"
    ctx.write_bytes((0).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(16))
    words = ("data_in", str(packet), "data_out", str(tmp_path / "out"), "ctx_in", str(ctx), "ctx_out", "-")
    ran = xdpsim("prog", "run", COUNTER, *words)
    assert ran.code == 0
    assert (tmp_path / "out").read_bytes() == packet.read_bytes()
    assert ran.out.startswith("Context:\n0000000 00 00 00 00 40 00 00 00")
    found = json.loads(xdpsim("prog", "run", COUNTER, "-j", *words).out)
    assert found["retval"] == 2
    assert found["ctx_out"][4] == "0x40"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("repeat", "3"), 2, "data_in FILE is missing"),
        (("data_in", "PACKET", "repeat"), 2, "expected a value behind it"),
        (("data_in", "PACKET", "often", "3"), 2, "often: expected data_in"),
        (("data_in", "PACKET", "repeat", "x"), 2, "repeat x"),
        (("data_in", "/nowhere/packet"), 3, "No such file"),
        (("data_in", "PACKET", "ctx_out", "-"), 2, "ctx_out without ctx_in"),
    ],
)
def test_prog_run_refuses(xdpsim: Xdpsim, packet: Path, words: tuple[str, ...], code: int, text: str) -> None:
    ran = xdpsim("prog", "run", COUNTER, *(str(packet) if word == "PACKET" else word for word in words))
    assert ran.code == code
    assert text in ran.err
