"""`xdpsim trace`: every instruction of one packet, told right, after the packets before it have run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Xdpsim
from tests.cli.test_run import FRAME
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all

FIREWALL = ("programs/firewall.o", "-r", "pcaps/mixed.pcap", "--maps", "programs/presets/firewall.json")
Write = Callable[..., Path]


def xdp(text: str) -> bytes:
    return encode_all(assemble(text))


def test_says_what_each_instruction_does(xdpsim: Xdpsim) -> None:
    ran = xdpsim("trace", *FIREWALL, "-n", "17")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("packet 17: IPv4 10.3.0.219:39708 > 198.51.100.53:53 UDP DNS?")
    assert lines[1] == "program xdp_firewall"
    text = re.sub(r" +", " ", ran.out)
    for expected in (
        "r2 = *(u16 *)(r8 +12) r2 = 8; reads packet+12: 08 00\n",
        "r6 = *(u32 *)(r2 +4) r6 = packet+88; reads ctx+4 (xdp_md.data_end), 4 bytes\n",
        "bpf_map_lookup_elem(map blocked_v4, key 10.3.0.219/32) = null\n",
        "bpf_map_lookup_elem(map blocked_ports, key proto=17 port=53) = null\n",
        "bpf_map_lookup_elem(map rule_hits, key RULE_DEFAULT_PASS) = map rule_hits[0].value\n",
        "r2 += -24 r2 = fp-24\n",
        "if r2 > r6 goto pc+123 not taken\n",
    ):
        assert expected in text
    assert re.search(r"^ +132: back: r0 = 2$", ran.out, re.MULTILINE)
    assert re.search(r"^XDP_PASS after \d+ insns$", lines[-1])


def test_as_many_steps_as_insns_and_the_verdict_of_run(xdpsim: Xdpsim) -> None:
    for number in (1, 40, 300):
        lines = xdpsim("trace", *FIREWALL, "-n", number, "--json").lines
        head, steps, end = lines[0], [line for line in lines[1:-1] if "returned" not in line], lines[-1]
        assert (head["packet"], end["n"]) == (number, number)
        assert [step["step"] for step in steps] == list(range(1, end["insns"] + 1))
        ran = xdpsim("run", *FIREWALL, "--limit", number, "--per-packet").lines[-1]
        assert {name: end[name] for name in ran} == ran


def test_the_state_is_that_of_a_replay(xdpsim: Xdpsim, tmp_path: Path) -> None:
    """The counters that packet 301 finds are those that a run over 300 packets leaves."""
    assert xdpsim("run", *FIREWALL, "--limit", 300, "--save-maps", tmp_path).code == 0
    steps = xdpsim("trace", *FIREWALL, "-n", 301, "--json").lines
    (change,) = [
        line["access"]
        for line in steps
        if line.get("access")
        and line["access"]["kind"] == "changes"
        and re.search(r"\.value$", line["access"]["place"])
    ]
    slot = int(re.search(r"rule_hits\[(\d+)\]", change["place"])[1])  # type: ignore[index]
    saved = xdpsim("map", "lookup", tmp_path, "rule_hits", "key", "hex", f"{slot:02x}000000", "-j").json
    before = bytes(int(byte, 16) for byte in saved["value"][:8])
    assert bytes.fromhex(change["before"]) == before
    assert int.from_bytes(bytes.fromhex(change["after"]), "little") == int.from_bytes(before, "little") + 1


def test_no_address_is_ever_shown(xdpsim: Xdpsim) -> None:
    one, two = (
        xdpsim(
            "trace", "programs/lb.o", "-r", "pcaps/mixed.pcap", "--maps", "programs/presets/lb.json", "-n", 40, "--json"
        ).out
        for _ in range(2)
    )
    assert one == two
    assert not re.search(r"0x[5-7][0-9a-f]{11}\b", one)
    assert "packet+0" in one


def test_a_spilled_pointer_is_told_by_name(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    code = xdp("r2 = *(u32 *)(r1 +0); *(u64 *)(r10 -8) = r2; r3 = *(u64 *)(r10 -8); r4 = r2; r4 -= 3; r0 = 2; exit")
    out = re.sub(r" +", " ", xdpsim("trace", obj(xdp=code), "-r", pcap(FRAME), "-n", 1).out)
    assert "writes fp-8: packet+0\n" in out
    assert "r3 = packet+0; reads fp-8: packet+0\n" in out
    assert "r4 = 3 bytes before packet\n" in out


def test_numbers_jumps_and_branches(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    code = xdp("r0 = -2; r1 = 0x1234; if r0 s< 0 goto end; r1 = 7; end: w0 = 2; exit")
    out = re.sub(r" +", " ", xdpsim("trace", obj(xdp=code), "-r", pcap(FRAME), "-n", 1).out)
    assert "r0 = -2\n" in out
    assert "r1 = 0x1234 (4660)\n" in out
    assert "goto pc+1 taken\n" in out
    assert "r1 = 7" not in out


def test_a_fault_ends_it(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    code = xdp("r2 = *(u32 *)(r1 +4); r0 = *(u8 *)(r2 +0); exit")
    ran = xdpsim("trace", obj(xdp=code), "-r", pcap(FRAME), "-n", 1, "--no-verify")
    assert ran.code == 0
    assert ran.out.splitlines()[-2].lstrip().startswith("1: r0 = *(u8 *)(r2 +0)")
    assert ran.out.splitlines()[-1].startswith("fault: xdp_main: insn 1 (r0 = *(u8 *)(r2 +0)): reads 1 byte at packet+")


def test_errno_of_a_helper(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    code = xdp("r2 = -1000; call 44; r0 = 2; exit")
    assert "bpf_xdp_adjust_head(ctx, -0x3e8" not in (
        out := xdpsim("trace", obj(xdp=code), "-r", pcap(FRAME), "-n", 1).out
    )
    assert re.search(r"bpf_xdp_adjust_head\(ctx, 0xfffffffffffffc18 \(-1000\)\) = -22 \(EINVAL\)", out)


def test_mistakes(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    ran = xdpsim("trace", *FIREWALL[:3], "-n", "1000000")
    assert (ran.code, ran.out) == (2, "")
    assert re.search(r"-n 1000000: the capture holds [\d]+ packets", ran.err)
    short = xdpsim("trace", obj(xdp=xdp("r0 = 2; exit")), "-r", pcap(FRAME, bytes(5)), "-n", 2)
    assert short.code == 5
    assert "packet 2 never reached the program\n  shorter than 14 bytes" in short.err


def test_program_names_complete(xdpsim: Xdpsim, monkeypatch: pytest.MonkeyPatch) -> None:
    for line, word, names in (
        ("xdpsim inspect programs/firewall.o --dot ", 4, "xdp_firewall\n"),
        ("xdpsim trace programs/lb.o -p x", 4, "xdp_lb\n"),
        ("xdpsim run programs/lb.o -p nobody", 4, ""),
        ("xdpsim inspect nowhere.o --dot ", 4, ""),
    ):
        monkeypatch.setenv("_XDPSIM_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(word))
        assert xdpsim().out.strip() == names.strip()
