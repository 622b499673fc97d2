"""The cache of compiled code: damage is noticed, strangers are refused, writers do not tear each other's entries."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.runtimes import surrounding
from xdpsim.memory.cache import read_checked, write_checked

needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="file modes are Unix's")
USE = (
    "from xdpsim.helpers.world import bpf_jiffies64; from xdpsim import Sim; print(Sim().load_insns('call 118; "
    "exit', 'XDP').run(bytes(64)).value)"
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    assert read_checked(path) is None
    write_checked(path, b"content")
    assert read_checked(path) == b"content"
    write_checked(path, b"")
    assert read_checked(path) == b""


@pytest.mark.parametrize("at", [0, 31, 32, 40, -1])
def test_a_changed_byte_is_noticed(tmp_path: Path, at: int) -> None:
    path = tmp_path / "entry"
    write_checked(path, b"content" * 9)
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    assert read_checked(path) is None


@pytest.mark.parametrize("length", [0, 5, 32, 60])
def test_a_cut_entry_is_noticed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "entry"
    write_checked(path, b"content" * 9)
    path.write_bytes(path.read_bytes()[:length])
    assert read_checked(path) is None


def test_writing_where_one_may_not_loses_the_entry_only(tmp_path: Path) -> None:
    write_checked(tmp_path / "no" / "such" / "directory", b"x")


def test_two_writers_leave_one_whole_entry(tmp_path: Path) -> None:
    path, contents = tmp_path / "entry", [bytes([n]) * 300_000 for n in (1, 2)]
    seen: list[bytes | None] = []

    def write(content: bytes) -> None:
        for _ in range(30):
            write_checked(path, content)
            seen.append(read_checked(path))

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert set(seen) <= set(contents)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["entry"]


def run(cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", USE]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, **surrounding(XDPSIM_CACHE_DIR=str(cache))
    )


def test_a_damaged_runtime_is_compiled_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = run(cache)
    (entry,) = cache.glob("runtime-*.o")
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-200] + bytes(200))
    second = run(cache)
    assert (first.stdout, first.stderr) == (second.stdout, second.stderr)
    assert first.returncode == 0, first.stderr
    assert entry.read_bytes() == whole


@needs_modes
def test_a_directory_that_others_may_write_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    done = run(cache)
    assert "may be written by others (mode 777)" in done.stderr
    assert "name a directory of your own with mode 0700" in done.stderr


@needs_modes
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a directory away")
def test_a_strangers_directory_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    os.chown(cache, 12345, 12345)
    assert "belongs to user 12345, not to you (0)" in run(cache).stderr


@needs_modes
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_strangers_entry_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    write_checked(path, b"content")
    os.chown(path, 12345, 12345)
    assert read_checked(path) is None


def test_a_cache_that_is_a_file_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("")
    assert "XDPSIM_CACHE_DIR" in run(cache).stderr
