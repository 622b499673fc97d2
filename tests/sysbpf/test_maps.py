"""Map commands, asked of the running kernel."""

from __future__ import annotations

import errno
import struct

import pytest

from xdpsim.maps.types import BPF_EXIST, BPF_NOEXIST, MAP_TYPES
from xdpsim.sysbpf.info import possible_cpus
from xdpsim.sysbpf.maps import KernelMap, MapDefinition, create_map, kernel_name
from xdpsim.sysbpf.syscall import BpfError


def made(kind: str, key: int, value: int, entries: int, flags: int = 0) -> KernelMap:
    per_cpu = "PERCPU" in kind
    definition = MapDefinition(MAP_TYPES[kind].id, key, value, entries, flags, name="test", per_cpu=per_cpu)
    return create_map(definition, possible_cpus())


def key(number: int) -> bytes:
    return struct.pack("=I", number)


@pytest.mark.live
def test_elements_come_and_go() -> None:
    table = made("HASH", 4, 8, 2)
    assert table.lookup(key(1)) is None
    assert table.update(key(1), b"12345678", BPF_EXIST) == -errno.ENOENT
    assert table.update(key(1), b"12345678") == 0
    assert table.update(key(1), b"12345678", BPF_NOEXIST) == -errno.EEXIST
    assert table.lookup(key(1)) == b"12345678"
    assert table.update(key(2), b"abcdefgh") == 0
    assert table.update(key(3), b"abcdefgh") == -errno.E2BIG
    assert sorted(table.keys()) == [key(1), key(2)]
    assert table.delete(key(1)) == 0
    assert table.delete(key(1)) == -errno.ENOENT
    assert dict(table.items()) == {key(2): b"abcdefgh"}


@pytest.mark.live
@pytest.mark.parametrize("kind", ["HASH", "LRU_HASH", "PERCPU_HASH", "ARRAY", "PERCPU_ARRAY"])
def test_a_walk_finds_every_entry(kind: str) -> None:
    table = made(kind, 4, 6, 3000)
    step = 8 if "PERCPU" in kind else 6
    size = table.bytes_per_value
    assert size == (8 * possible_cpus() if "PERCPU" in kind else 6)
    for n in range(2500):
        assert table.update(key(n), (key(n) + b"xy").ljust(step, b"\0") * (size // step)) == 0
    found = dict(table.items())
    assert len(found) == (3000 if "ARRAY" in kind else 2500)
    assert all(found[key(n)][:6] == key(n) + b"xy" for n in range(2500))


@pytest.mark.live
def test_a_trie_is_walked_in_one_way_or_the_other() -> None:
    table = made("LPM_TRIE", 8, 4, 10, 1)
    rows = {struct.pack("=I4B", 8, 10, 0, 0, 0): b"aaaa", struct.pack("=I4B", 24, 10, 1, 2, 0): b"bbbb"}
    for prefix, value in rows.items():
        assert table.update(prefix, value) == 0
    assert dict(table.items()) == rows


@pytest.mark.live
def test_a_queue_gives_what_was_put_first() -> None:
    queue = made("QUEUE", 0, 4, 3)
    assert queue.update(b"", b"1111") == 0
    assert queue.update(b"", b"2222") == 0
    assert queue.lookup(b"") == b"1111"
    assert [queue.pop(), queue.pop(), queue.pop()] == [b"1111", b"2222", None]


@pytest.mark.live
def test_a_frozen_map_is_read_only() -> None:
    table = made("ARRAY", 4, 8, 1)
    assert table.update(key(0), b"x" * 8) == 0
    table.freeze()
    assert table.update(key(0), b"y" * 8) == -errno.EPERM
    assert table.lookup(key(0)) == b"x" * 8


@pytest.mark.live
def test_a_map_that_linux_does_not_make_is_named() -> None:
    with pytest.raises(
        BpfError, match=r"map test \(type 2, key 3, value 8, 1 entries, flags 0x0\).*: EINVAL"
    ) as caught:
        made("ARRAY", 3, 8, 1)
    assert caught.value.errno == errno.EINVAL


def test_names_become_what_the_kernel_takes() -> None:
    assert kernel_name("a_map.with-a-long-name") == b"a_map.with_a_lo"
