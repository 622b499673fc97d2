"""Programs that Linux would refuse: run and trace verify first, tell the whole refusal, and --no-verify runs them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Xdpsim
from tests.cli.test_run import FRAME
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all

Write = Callable[..., Path]
UNCHECKED = encode_all(
    assemble(
        "r2 = *(u32 *)(r1 +0); r0 = 2; r3 = *(u32 *)(r1 +16); if r3 == 9 goto out; r0 = *(u8 *)(r2 +14); out: exit"
    )
)
MESSAGE = "invalid access to packet, off=14 size=1, R2(id=0,off=14,r=0)"
COMMANDS = (("run",), ("trace", "-n", "1"))


def refused(xdpsim: Xdpsim, obj: Write, pcap: Write, command: tuple[str, ...], *more: str):  # type: ignore[no-untyped-def]
    return xdpsim(command[0], obj(xdp=UNCHECKED), "-r", pcap(FRAME), *command[1:], *more)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_whole_refusal_is_told(xdpsim: Xdpsim, obj: Write, pcap: Write, command: tuple[str, ...]) -> None:
    ran = refused(xdpsim, obj, pcap, command)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith(f"xdpsim: xdp_main: rejected (EACCES): {MESSAGE}\n")
    assert "  at       insn 4: r0 = *(u8 *)(r2 +14)\n" in ran.err
    assert "  after    insn 3 (if r3 == 0x9 goto pc+1) not taken\n" in ran.err
    assert re.search(r"^ +(with +)?R2=pkt\(r=0\)", ran.err, re.MULTILINE)
    assert "data_end" in ran.err
    assert ran.err.endswith("--no-verify\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_refusal_as_json(xdpsim: Xdpsim, obj: Write, pcap: Write, command: tuple[str, ...]) -> None:
    ran = refused(xdpsim, obj, pcap, command, "--json")
    assert ran.code == 4
    (line,) = ran.lines
    told = line["rejected"]
    assert (told["program"], told["errno"], told["slot"], told["insn"]) == (
        *("xdp_main", "EACCES", 4),
        "r0 = *(u8 *)(r2 +14)",
    )
    assert told["message"].startswith(MESSAGE)
    assert [(step["slot"], step["what"]) for step in told["path"]] == [(3, "not taken")]
    assert told["log"] is None
    assert told["remedy"]


@pytest.mark.parametrize("command", COMMANDS)
def test_it_runs_on_demand_with_a_warning(xdpsim: Xdpsim, obj: Write, pcap: Write, command: tuple[str, ...]) -> None:
    ran = refused(xdpsim, obj, pcap, command, "--no-verify")
    assert ran.code == 0
    assert ran.err == "xdpsim: warning: --no-verify: nothing is verified; Linux may refuse what runs here\n"


@pytest.mark.parametrize(("more", "verified"), [((), True), (("--no-verify",), False)])
def test_the_report_says_whether_it_was_verified(
    xdpsim: Xdpsim, pcap: Write, more: tuple[str, ...], verified: bool
) -> None:
    ran = xdpsim("run", "programs/counter.o", "-r", pcap(FRAME), "--json", *more)
    assert ran.json["verified"] is verified


def test_linuxs_own_verifier_cannot_be_switched_off(xdpsim: Xdpsim, pcap: Write) -> None:
    ran = xdpsim("run", "programs/counter.o", "-r", pcap(FRAME), "--engine", "kernel", "--no-verify")
    assert ran.code == 2
    assert "--no-verify" in ran.err


@pytest.mark.live
def test_linuxs_refusal_as_json(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    ran = refused(xdpsim, obj, pcap, ("run",), "--engine", "kernel", "--json")
    assert ran.code == 4
    told = ran.json["rejected"]
    assert (told["errno"], told["program"], told["remedy"]) == ("EACCES", None, None)
    assert MESSAGE in told["log"]
    assert "--no-verify" not in ran.err
