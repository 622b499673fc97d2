"""Decisions kept on disk: said again without a walk, keyed by all they depend on, and never believed unchecked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.support.runtimes import ROOT, surrounding
from xdpsim import Sim
from xdpsim.cli.main import main
from xdpsim.loader.load import load_object
from xdpsim.maps.spec import MapSpec
from xdpsim.memory.cache import read_checked, write_checked
from xdpsim.verifier import decide as decide_module
from xdpsim.verifier import remembered
from xdpsim.verifier.decide import Decision, decide

LOOP = "r0 = 2; r1 = 200; again: r1 += -1; if r1 != 0 goto again; exit"
WRONG = LOOP.replace("; exit", "; r0 = *(u8 *)(r0 +0); exit")
MAP = MapSpec("m", "ARRAY", 4, 8, 1)
SPEC = Sim(verify=False).load_insns(LOOP, "XDP").spec
REFUSED = Sim(verify=False).load_insns(WRONG, "XDP").spec
needs_modes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and modes are Unix's")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own; where its decisions are kept."""
    monkeypatch.setattr(remembered, "cache_dir", lambda: tmp_path)
    return tmp_path / remembered.FOLDER


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were walked from here on."""
    names: list[str] = []
    inner = decide_module.verify

    def counted(spec, *args, **kwargs):  # type: ignore[no-untyped-def]
        names.append(spec.name)
        return inner(spec, *args, **kwargs)

    monkeypatch.setattr(decide_module, "verify", counted)
    return names


@pytest.mark.parametrize("spec", [SPEC, REFUSED], ids=["accepted", "refused"])
def test_a_decision_is_said_again_whole(spec: object, folder: Path, walks: list[str]) -> None:
    first = decide(spec, [MAP], None)  # type: ignore[arg-type]
    assert decide(spec, [MAP], None) == replace(first, remembered=True)  # type: ignore[arg-type]
    assert len(walks) == len(list(folder.iterdir())) == 1
    assert first.insns >= decide_module.WORTH_KEEPING


@pytest.mark.parametrize("name", ["dnsfilter", "firewall", "lb", "nat64"])
def test_facts_survive(name: str, folder: Path, walks: list[str]) -> None:
    source = load_object((ROOT / "programs" / f"{name}.o").read_bytes(), name)
    for spec in source.programs.values():
        fresh = decide(spec, source.maps, source.btf)
        again = decide(spec, source.maps, source.btf)
        assert (replace(again, remembered=False), repr(again.facts)) == (fresh, repr(fresh.facts))
    assert len(walks) == len(source.programs)


def test_the_second_run_walks_nothing(
    folder: Path, walks: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    reports = []
    for _ in range(2):
        assert main(["run", "programs/dnsfilter.o", "-r", "pcaps/mixed.pcap", "--limit", "50", "--json"]) == 0
        reports.append(json.loads(capsys.readouterr().out)["verdicts"])
    assert reports[0] == reports[1]
    assert walks == ["xdp_dnsfilter"]


def test_what_is_walked_fast_is_not_kept(folder: Path) -> None:
    decide(Sim(verify=False).load_insns("r0 = 2; exit", "XDP").spec, [], None)
    assert not folder.exists()


COUNTER = load_object((ROOT / "programs" / "counter.o").read_bytes(), "counter")
FROZEN = replace(MAP, read_only=True, initial=bytes(8))
KEYED: dict[str, Callable[[], Decision]] = {
    "program": lambda: decide(replace(SPEC, code=REFUSED.code), [MAP], None),
    "type": lambda: decide(replace(SPEC, type="SCHED_CLS"), [MAP], None),
    "attach type": lambda: decide(replace(SPEC, attach_type=34), [MAP], None),
    "licence": lambda: decide(replace(SPEC, licence="Proprietary"), [MAP], None),
    "frags": lambda: decide(replace(SPEC, frags=True), [MAP], None),
    "capabilities": lambda: decide(SPEC, [MAP], None, caps=frozenset({"bpf", "perfmon"})),
    "kernel's types": lambda: decide(SPEC, [MAP], None, kernel_btf=COUNTER.btf),
    "program's types": lambda: decide(SPEC, [MAP], COUNTER.btf),
    "map's size": lambda: decide(SPEC, [replace(MAP, value_size=16)], None),
    "map's type": lambda: decide(SPEC, [replace(MAP, type="HASH")], None),
    "map's flags": lambda: decide(SPEC, [replace(MAP, flags=1 << 7)], None),
    "inner map": lambda: decide(SPEC, [replace(MAP, type="ARRAY_OF_MAPS", inner=MAP)], None),
    "read-only": lambda: decide(SPEC, [FROZEN], None),
    "read-only content": lambda: decide(SPEC, [replace(FROZEN, initial=bytes([1] * 8))], None),
}


def test_each_thing_that_decides_is_in_the_key(folder: Path, walks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    decide(SPEC, [MAP], None)
    for number, (what, other) in enumerate(KEYED.items(), start=2):
        other()
        assert len(walks) == number, what
    monkeypatch.setattr(decide_module, "source_hash", lambda: "another verifier")
    decide(SPEC, [MAP], None)
    assert len(walks) == len(KEYED) + 2


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _foreign(path: Path) -> None:
    """The decision on another program under this one's name."""
    decide(replace(REFUSED, licence="MIT"), [MAP], None)
    (other,) = (found for found in path.parent.iterdir() if found != path)
    os.replace(other, path)


def _reshape(path: Path, **changes: object) -> None:
    kept = json.loads(read_checked(path) or b"")
    write_checked(path, json.dumps(kept | changes).encode())


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _strangers(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    path.chmod(0o000)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "cut": _cut,
    "flipped": _flip,
    "foreign": _foreign,
    "no JSON": lambda path: write_checked(path, b"\xff{"),
    "another shape": lambda path: write_checked(path, b"[1, 2]"),
    "without facts": lambda path: _reshape(path, facts=[]),
    "without counts": lambda path: _reshape(path, counts=None),
    "a refusal of another kind": lambda path: _reshape(path, refusal={"text": "no"}),
    "a directory": _directory,
    "a pipe": _pipe,
    "endless": _endless,
    "a stranger's": _strangers,
}


@needs_modes
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_costs_a_walk_and_nothing_else(damage: Callable[[Path], None], folder: Path, walks: list[str]) -> None:
    fresh = decide(SPEC, [MAP], None)
    (path,) = folder.iterdir()
    damage(path)
    walks.clear()
    assert decide(SPEC, [MAP], None) == fresh
    assert len(walks) == 1


@pytest.mark.parametrize("place", ["a file", "nowhere"])
def test_a_folder_that_cannot_be_costs_nothing_but_time(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walks: list[str]
) -> None:
    home = tmp_path / "home"
    if place == "a file":
        home.mkdir()
        (home / remembered.FOLDER).write_bytes(b"x")
    monkeypatch.setattr(remembered, "cache_dir", lambda: home)
    assert decide(SPEC, [MAP], None) == decide(SPEC, [MAP], None)
    assert len(walks) == 2


def test_the_folder_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_ENTRIES", 10)
    monkeypatch.setattr(remembered, "_written", count(1))
    for number in range(30):
        remembered.keep(f"verdict-{number}", {"number": number})
        os.utime(folder / f"verdict-{number}", (number, number))
    assert (remembered.recall("verdict-3") or {})["number"] == 3
    remembered.sweep(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"verdict-{number}" for number in (3, *range(21, 30))
    )
    monkeypatch.setattr(remembered, "MOST_BYTES", 200)
    remembered.sweep(folder)
    assert 0 < sum(path.stat().st_size for path in folder.iterdir()) <= 200


def test_a_process_sweeps_as_it_keeps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_ENTRIES", 10)
    for number in range(remembered.SWEEP_EVERY * 3):
        remembered.keep(f"verdict-{number}", {})
    assert len(list(folder.iterdir())) <= 10 + remembered.SWEEP_EVERY


USE = (
    "from xdpsim import Sim; print(sorted(Sim().load('programs/firewall.o')['xdp_firewall']"
    "._loaded.facts.accesses.items()))"
)


def start(**variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USE]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes, **surrounding(**variables))


def test_processes_at_once_agree(tmp_path: Path) -> None:
    running = [start(XDPSIM_CACHE_DIR=str(tmp_path / "cache")) for _ in range(3)]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert len({out for out, _ in said}) == 1
    (entry,) = (tmp_path / "cache" / remembered.FOLDER).iterdir()
    assert read_checked(entry) is not None


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is the home that nobody can write")
def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    # Not even root can make a directory there; the private one that serves instead goes with the process.
    process = start(HOME="/proc", XDG_CACHE_HOME="", XDPSIM_CACHE_DIR="", TMPDIR=str(tmp_path))
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.startswith("[(")
    assert list(tmp_path.iterdir()) == []
