"""xdpsim run: what is counted, printed and written, on bundled and on made programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Xdpsim
from tests.support.elf_writer import EXIT, insn
from xdpsim.cli.options import EngineName
from xdpsim.frames.capture import open_capture
from xdpsim.sim.sim import ENGINES

FIREWALL = ("run", "programs/firewall.o", "-r", "pcaps/mixed.pcap")
PRESETS = ("--maps", "programs/presets/firewall.json")
Write = Callable[..., Path]

FRAME = bytes(12) + b"\x08\x00" + bytes(46)
END = insn(0x95)
DROP = insn(0xB7, 0, imm=1) + END
UNKNOWN = insn(0xB7, 0, imm=77) + END
REDIRECT = insn(0xB7, 1, imm=5) + insn(0xB7, 2) + insn(0x85, imm=23) + END
WILD = insn(0xB7, 1) + insn(0x79, 0, 1) + END
FIELDS = [
    "object", "program", "engine", "verified", "capture", "packets", "bytes", "verdicts", "faults", "fault_samples",
    "errors", "drops", "maps", "insns", "elapsed_s", "packets_per_s", "capture_error", "interrupted",
]  # fmt: skip


def test_every_engine_can_be_chosen() -> None:
    assert {engine.value for engine in EngineName} == set(ENGINES)


def test_json_summary(xdpsim: Xdpsim) -> None:
    ran = xdpsim(*FIREWALL, *PRESETS, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    found = ran.json
    assert list(found) == FIELDS
    assert found["object"] == "programs/firewall.o"
    assert (found["program"], found["engine"], found["capture"]) == ("xdp_firewall", "jit", "pcaps/mixed.pcap")
    assert found["packets"] == sum(1 for _ in open_capture(ROOT / "pcaps/mixed.pcap"))
    assert found["packets"] == sum(found["verdicts"].values()) + found["faults"] + sum(found["errors"].values())
    assert list(found["verdicts"]) == ["XDP_DROP", "XDP_PASS"]
    assert list(found["errors"]) == ["shorter than 14 bytes"]
    assert ".rodata" not in found["maps"]
    hits = found["maps"]["rule_hits"]
    assert hits[0]["key"] == ["0x00"] * 4
    assert sum(entry["formatted"]["value"]["packets"] for entry in hits) == sum(found["verdicts"].values())


def test_each_drop_names_the_counter_that_moved(xdpsim: Xdpsim) -> None:
    drops = xdpsim(*FIREWALL, *PRESETS, "--json").json["drops"]
    assert len(drops) == 5
    assert len({tuple(change.split(" ")[0] for change in drop["changes"]) for drop in drops}) == 5
    assert all(any(change.startswith("rule_hits[RULE_") for change in drop["changes"]) for drop in drops)
    assert drops[0]["packet"].endswith(")")


@pytest.mark.parametrize("engine", ["interpreter", "jit"])
def test_explaining_drops_changes_no_result(xdpsim: Xdpsim, engine: str) -> None:
    runs = [xdpsim(*FIREWALL, *PRESETS, "--json", "--engine", engine, "--drops", n).json for n in (0, 5, 1000)]
    for run in runs:
        for field in ("drops", "elapsed_s", "packets_per_s"):
            del run[field]
    assert runs[0] == runs[1] == runs[2]


def test_report_for_people(xdpsim: Xdpsim) -> None:
    ran = xdpsim(*FIREWALL, *PRESETS)
    assert (ran.code, ran.err) == (0, "")
    for part in (
        "programs/firewall.o: xdp_firewall on pcaps/mixed.pcap, engine jit\n",
        "\nverdict ",
        "\nXDP_DROP ",
        "\nrule_hits ",
        "  RULE_BLOCKED_PORT ",
        "  10.66.0.0/16 ",
        "  proto=17 port=137 ",
        "6 packets never reached the program: shorter than 14 bytes; the first is #",
        "rule_hits[RULE_BLOCKED_SRC_V4] packets 0 -> 1, bytes 0 -> ",
        f"\nnext: xdpsim {' '.join((*FIREWALL, *PRESETS))} -w out.pcapng\n",
    ):
        assert part in ran.out
    assert "\x1b" not in ran.out
    assert all(line == line.rstrip() for line in ran.out.splitlines())


@pytest.mark.parametrize("columns", ["80", "120"])
def test_report_fits_its_width(xdpsim: Xdpsim, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = xdpsim(*FIREWALL, *PRESETS).out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("next:")) <= int(columns)


def test_per_packet_lines(xdpsim: Xdpsim) -> None:
    ran = xdpsim(*FIREWALL, "--per-packet", "--limit", 3)
    assert ran.code == 0
    assert [line["n"] for line in ran.lines] == [1, 2, 3]
    assert list(ran.lines[0]) == ["n", "verdict", "value", "len", "caplen", "redirect", "fault"]
    assert (ran.lines[0]["verdict"], ran.lines[0]["value"]) == ("XDP_PASS", 2)
    assert "XDP_PASS" in ran.err


def test_per_packet_with_json_ends_with_the_summary(xdpsim: Xdpsim) -> None:
    ran = xdpsim(*FIREWALL, "--per-packet", "--json", "--limit", 3)
    assert ran.err == ""
    assert len(ran.lines) == 4
    assert ran.json["packets"] == 3


def test_faults_are_told(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    capture = pcap(FRAME, FRAME)
    unverified = "run", obj(xdp=WILD), "-r", capture, "--no-verify"
    found = xdpsim(*unverified, "--json")
    assert found.code == 0
    assert (found.json["faults"], found.json["verdicts"]) == (2, {})
    sample = found.json["fault_samples"][0]
    assert (sample["n"], sample["program"], sample["slot"], sample["kind"]) == (1, "xdp_main", 1, "ACCESS")
    assert sample["text"].startswith("xdp_main: insn 1 (")
    ran = xdpsim(*unverified)
    assert "on 2 packets:" in ran.out
    assert sample["text"] in ran.out
    line = xdpsim(*unverified, "--per-packet").lines[0]
    assert (line["verdict"], line["value"], line["fault"]) == (None, None, sample["text"])


def test_redirects_and_unknown_values(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    line = xdpsim("run", obj(xdp=REDIRECT), "-r", pcap(FRAME), "--per-packet").lines[0]
    assert (line["verdict"], line["redirect"]) == ("XDP_REDIRECT", {"ifindex": 5, "flags": 0})
    ran = xdpsim("run", obj(xdp=UNKNOWN), "-r", pcap(FRAME), "--json")
    assert ran.json["verdicts"] == {"XDP_UNKNOWN(77)": 1}
    assert ran.json["drops"][0]["verdict"] == "XDP_UNKNOWN(77)"


def test_packets_that_never_ran(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    ran = xdpsim("run", obj(xdp=DROP), "-r", pcap(b"short", FRAME), "--per-packet", "--json")
    assert ran.code == 0
    assert ran.lines[0]["error"] == "shorter than 14 bytes"
    assert ran.lines[1]["verdict"] == "XDP_DROP"
    assert ran.json["errors"] == {"shorter than 14 bytes": 1}


def test_maps_are_saved_and_read_back(xdpsim: Xdpsim, tmp_path: Path) -> None:
    saved = tmp_path / "maps"
    once = xdpsim(*FIREWALL, *PRESETS, "--json", "--save-maps", saved).json
    assert json.loads((saved / "rule_hits.json").read_text()) == once["maps"]["rule_hits"]
    twice = xdpsim(*FIREWALL, "--json", "--maps", saved).json
    first, second = (run["maps"]["rule_hits"][0]["formatted"]["value"]["packets"] for run in (once, twice))
    assert second == 2 * first


def test_later_presets_win(xdpsim: Xdpsim, tmp_path: Path) -> None:
    preset = tmp_path / "config.json"
    preset.write_text('{"config": [{"key": 0, "value": {"monitor": 1}}]}')
    found = xdpsim(*FIREWALL, *PRESETS, "--maps", preset, "--json").json
    assert list(found["verdicts"]) == ["XDP_PASS"]


def test_programs_are_chosen(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    both = obj(xdp=DROP, tc=EXIT)
    assert xdpsim("run", both, "-r", pcap(FRAME), "--json").json["program"] == "xdp_main"
    several = obj(xdp=DROP, xdp_other=EXIT)
    assert xdpsim("run", several, "-r", pcap(FRAME), "--json", "-p", "xdp_main").json["verdicts"] == {"XDP_DROP": 1}


def test_seed_is_passed_on(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    random = obj(xdp=insn(0x85, imm=7) + END)
    runs = [xdpsim("run", random, "-r", pcap(FRAME), "--json", "--seed", n).json["verdicts"] for n in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_help_and_version(xdpsim: Xdpsim) -> None:
    assert xdpsim("--version").out.startswith("xdpsim 0.")
    assert xdpsim("--help").code == 0
    ran = xdpsim("run", "--help")
    assert ran.code == 0
    assert all(word in ran.out for word in ("--per-packet", "--save-maps", "Exit codes"))
