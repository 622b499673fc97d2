"""-w writes blocks natively where only the verdict is to be said: the file is as if written packet by packet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Xdpsim
from tests.cli.test_run import WILD
from tests.net.test_sweep import FILES
from tests.support.runtimes import ROOT

PROGRAMS = ROOT / "programs"
CASES = [(name, "second") for name in ("counter", "lb", "vlan_rewrite", "parser_chain", "flow_export")]


def both(xdpsim: Xdpsim, folder: Path, *words: str) -> None:
    """Run twice, with blocks and without; the files are equal, and so is how it ended."""
    blocks, single = folder / "blocks.pcapng", folder / "single.pcapng"
    codes = [
        xdpsim("run", *words, "-w", str(blocks)).code,
        xdpsim("run", *words, "-w", str(single), "--per-packet").code,
    ]
    assert codes[0] == codes[1]
    assert blocks.read_bytes() == single.read_bytes()


@pytest.mark.parametrize("engine", ["interpreter", "jit"])
@pytest.mark.parametrize(("name", "capture"), CASES)
def test_programs(xdpsim: Xdpsim, tmp_path: Path, name: str, capture: str, engine: str) -> None:
    presets = PROGRAMS / "presets" / f"{name}.json"
    maps = ("--maps", str(presets)) if presets.exists() else ()
    words = (str(PROGRAMS / f"{name}.o"), "-p", f"xdp_{name}", "-r", str(ROOT / "pcaps" / f"{capture}.pcap"), *maps)
    both(xdpsim, tmp_path, *words, "--engine", engine)


@pytest.mark.parametrize("drops", ["0", "5"])
@pytest.mark.parametrize("name", ["plain", "big-endian", "kuznetzov", "snapped", "cut in a packet", "damaged"])
def test_captures(xdpsim: Xdpsim, tmp_path: Path, name: str, drops: str) -> None:
    capture = tmp_path / "in.pcap"
    capture.write_bytes(FILES[name]())
    both(xdpsim, tmp_path, str(PROGRAMS / "counter.o"), "-r", str(capture), "--engine", "jit", "--drops", drops)


def test_faults(xdpsim: Xdpsim, tmp_path: Path, obj: Callable[..., Path]) -> None:
    capture = str(ROOT / "pcaps" / "second.pcap")
    both(xdpsim, tmp_path, str(obj(xdp=WILD)), "-r", capture, "--no-verify", "--engine", "jit", "--drops", "0")
