"""What README.md and docs/ show is what happens: examples run, the sample report is real, each JSON field is listed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Xdpsim
from tests.cli.test_run import FIELDS, FIREWALL, FRAME, PRESETS, WILD
from xdpsim.engines.fault import FaultKind

Write = Callable[..., Path]
COMMANDS = (*((), ("run",), ("inspect",), ("trace",), ("verify",), ("map", "update"), ("bench",), ("prog", "run")),)
COMPLETION = {"--install-completion", "--show-completion"}
PAGES = ("README.md", "docs/getting-started.md", "docs/cli.md")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def timeless(report: str) -> str:
    return re.sub(r"in [\d.]+ s, [\d,]+ packets a second", "in TIME", report)


EXAMPLES = [(page, number, code) for page in PAGES for number, code in enumerate(blocks(page, "python"))]


@pytest.mark.parametrize("code", [pytest.param(code, id=f"{page}-{number}") for page, number, code in EXAMPLES])
def test_python_examples_run(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(code, "example", "exec"), {})


def test_the_report_in_the_readme_is_real(xdpsim: Xdpsim, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, _ = blocks("README.md", "text")
    monkeypatch.setenv("COLUMNS", "100")
    assert timeless(xdpsim(*FIREWALL, *PRESETS).out) == timeless(shown)


def test_the_refusal_in_the_readme_is_real(xdpsim: Xdpsim) -> None:
    _, shown = blocks("README.md", "text")
    assert xdpsim("verify", "programs/mistakes/mistakes.o", "-p", "stale_pointer").out == shown


def test_the_preset_example_loads(xdpsim: Xdpsim, tmp_path: Path) -> None:
    (text,) = blocks("docs/getting-started.md", "json")
    preset = tmp_path / "preset.json"
    preset.write_text(text)
    assert list(xdpsim(*FIREWALL, "--maps", preset, "--json").json["verdicts"]) == ["XDP_PASS"]
    assert set(json.loads(text)) == {"blocked_v4", "blocked_ports", "config"}


def test_every_json_field_is_documented(xdpsim: Xdpsim, obj: Write, pcap: Write) -> None:
    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs/cli.md").read_text(encoding="utf-8")))
    wild = "run", obj(xdp=WILD), "-r", pcap(FRAME, b"short"), "--json"
    shown_rejected = xdpsim(*wild).json
    ran = xdpsim(*wild, "--per-packet", "--no-verify")
    shown = {*FIELDS, *ran.lines[0], *ran.lines[1], *ran.json["fault_samples"][0]}
    shown |= {*shown_rejected, *shown_rejected["rejected"]}
    shown |= set(xdpsim(*FIREWALL, *PRESETS, "--json").json["drops"][0])
    inspected = xdpsim("inspect", "programs/lb.o", "--btf", "--source", "--json").json
    shown |= {*inspected, *inspected["programs"][0], *inspected["maps"][0], *inspected["sections"][0]}
    judged = xdpsim("verify", "programs/mistakes/mistakes.o", "-p", "leaked_record", "--linux", "5.4", "--json").json
    (program,) = judged["objects"][0]["programs"]
    refusal = program["refusal"]
    shown |= {*judged, *judged["objects"][0], *program, *refusal, *refusal["path"][0], *program["lacks"][0]}
    shown |= set(refusal["origins"][0]) if refusal["origins"] else set()
    traced = xdpsim("trace", "programs/lb.o", "-r", "pcaps/mixed.pcap", "--json").lines
    shown |= {name for line in traced for name in (*line, *(line.get("access") or {}))}
    assert shown <= documented


def test_every_kind_of_fault_is_documented() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert [kind.name for kind in FaultKind if kind and f"`{kind.name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_option_is_documented_and_known(xdpsim: Xdpsim, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    helps = [xdpsim(*command, "--help").out for command in COMMANDS]
    known = set(re.findall(r"--[a-z0-9-]+", "".join(helps))) | {
        "--elf",
        "--xdp-engine",
        "--xdp-no-verify",
    }  # of conformance and pytest
    named = set(re.findall(r"`(--[a-z0-9-]+)", (ROOT / page).read_text(encoding="utf-8")))
    assert named <= known
    if page == "docs/cli.md":
        assert (
            known - named
            <= {"--xdp-engine", "--xdp-no-verify", "--read", "--program", "--number", "--write", "--help", "--version"}
            | COMPLETION
        )


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    targets = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []
