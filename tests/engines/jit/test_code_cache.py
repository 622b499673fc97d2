"""Compiled code on disk: found again, built anew when it is damaged or foreign, named by all that decides it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.corpus import Workbench, array
from xdpsim.engines.jit import code as jit_code
from xdpsim.isa.asm import assemble
from xdpsim.memory import cache

COUNT = "r1 = map_value[0]; r0 = *(u64 *)(r1 +0); r0 += 3; *(u64 *)(r1 +0) = r0; exit"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own."""
    monkeypatch.setenv("XDPSIM_CACHE_DIR", str(tmp_path / "cache"))
    cache.cache_dir.cache_clear()
    yield cache.cache_dir()
    cache.cache_dir.cache_clear()


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("program-*"))


def verdict(value_size: int = 8, cpus: int = 2, asm: str = COUNT) -> int:
    return Workbench("jit", [array(value_size)], cpus=cpus).run(assemble(asm)).verdict


def test_code_is_found_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict() == 3
    assert len(entries(folder)) == 1
    monkeypatch.setattr(jit_code, "compile_ir", None)
    assert [verdict(), verdict()] == [3, 3]


def test_what_decides_the_code_names_it(folder: Path) -> None:
    for number, change in enumerate(({}, {"value_size": 16}, {"asm": COUNT.replace("3", "4")}), start=1):
        verdict(**change)  # type: ignore[arg-type]
        assert len(entries(folder)) == number


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_entry_is_built_anew(folder: Path, damage: str) -> None:
    assert verdict() == 3
    (path,) = entries(folder)
    good = path.read_bytes()
    middle = len(good) // 2
    bad = {
        "cut": good[:middle],
        "flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "emptied": b"",
    }
    path.write_bytes(bad[damage])
    assert verdict() == 3
    assert cache.read_checked(path) == cache.read_checked(path) is not None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_nobody_elses_entry_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict() == 3
    (path,) = entries(folder)
    os.chown(path, 12345, 12345)
    compiled = []
    original = jit_code.compile_ir
    monkeypatch.setattr(jit_code, "compile_ir", lambda text: compiled.append(1) or original(text))
    assert verdict() == 3
    assert compiled == [1]
    assert path.stat().st_uid == os.geteuid()


def _run(folder: str) -> list[int]:
    os.environ["XDPSIM_CACHE_DIR"] = folder
    cache.cache_dir.cache_clear()
    return [verdict(asm=COUNT.replace("3", str(number))) for number in range(1, 8)]


def test_two_writers_at_once(folder: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_run, [str(folder)] * 2) == [list(range(1, 8))] * 2
    assert len(entries(folder)) == 7
    assert all(cache.read_checked(path) for path in entries(folder))


def test_old_entries_go(folder: Path) -> None:
    for number in range(20):
        cache.write_checked(folder / f"program-{number}", b"x")
        os.utime(folder / f"program-{number}", ns=(number, number))
    cache.keep_newest("program-", 16)
    assert sorted(int(path.name.removeprefix("program-")) for path in entries(folder)) == list(range(8, 20))
