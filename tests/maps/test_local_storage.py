"""TASK_STORAGE, CGRP_STORAGE and CGROUP_ARRAY as users see them, next to the running kernel's."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import bpfmaps
from tests.support.elf_writer import BtfWriter
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf
from xdpsim.errors import InputError
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import MAP_TYPES
from xdpsim.sysbpf.btf import load_btf

STORAGES = ("TASK_STORAGE", "CGRP_STORAGE")
LARGEST = 65407


def types() -> tuple[Btf, dict[str, int]]:
    """Types of keys and values, by what they are called below."""
    made = BtfWriter()
    ids = {"int": made.int("int", 4, 1), "unsigned": made.int("unsigned int", 4), "bool": made.int("bool32", 4, 4)}
    ids |= {"long": made.int("long", 8, 1), "char": made.int("char", 1, 1), "short": made.int("short", 2, 1)}
    ids["typedef"] = made.add(8, "number", ids["int"])
    ids["const"] = made.add(10, "", ids["int"])
    ids["struct"] = made.struct("inside", 4, ("a", ids["int"], 0))
    ids["enum"] = made.add(6, "choice", 4, "Ii", made.string("ONE"), 1, vlen=1)
    for size in (LARGEST, LARGEST + 1, 65535, 65536, 1 << 20):
        ids[str(size)] = made.array(ids["char"], size)
    return parse(made.build()), {**ids, "none": 0}


BTF, IDS = types()
Row = tuple[int, int, int, int, str, str]
"""Key size, value size, entries, flags, type of the key, type of the value."""
CREATIONS: list[Row] = [
    (4, 8, 0, 1, "int", "long"),
    (4, 8, 0, 0, "int", "long"),
    (4, 8, 1, 1, "int", "long"),
    (8, 8, 0, 1, "long", "long"),
    (2, 8, 0, 1, "short", "long"),
    (0, 8, 0, 1, "int", "long"),
    (4, 0, 0, 1, "int", "long"),
    (4, 2, 0, 1, "int", "short"),
    (4, 4, 0, 1, "int", "long"),
    (4, 1 << 20, 0, 1, "none", "none"),
    *((4, 8, 0, 1, key, "long") for key in ("none", "long", "unsigned", "bool", "typedef", "const", "struct", "enum")),
    (4, 8, 0, 1, "int", "none"),
    *((4, size, 0, 1, "int", str(size)) for size in (LARGEST, LARGEST + 1, 65535, 65536, 1 << 20)),
    *((4, 8, 0, 1 | 1 << bit, "int", "long") for bit in range(1, 20)),
]


def spec_of(kind: str, row: Row) -> MapSpec:
    key_size, value_size, entries, flags, key, value = row
    return MapSpec("m", kind, key_size, value_size, entries, flags, IDS[key], IDS[value], BTF)


def errno_here(spec: MapSpec) -> str:
    try:
        create_map(spec, cpus=2, number=1)
    except InputError as err:
        return (err.hint or "").rpartition(" ")[2]
    return ""


@pytest.mark.live
@pytest.mark.parametrize("kind", STORAGES)
def test_creation_as_in_linux(kind: str) -> None:
    held = load_btf(BTF.raw)
    for row in CREATIONS:
        ids = held.number, IDS[row[4]], IDS[row[5]]
        found = bpfmaps.create(MAP_TYPES[kind].id, *row[:4], btf=ids)
        if found >= 0:
            os.close(found)
        expected = {-22: "EINVAL", -7: "E2BIG"}[found] if found < 0 else ""
        assert errno_here(spec_of(kind, row)) == expected, row


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (CREATIONS[1], "flags 0x0, expected BPF_F_NO_PREALLOC"),
        (CREATIONS[2], "max_entries 1, expected 0"),
        (CREATIONS[3], "key_size 8, expected 4"),
        ((4, 8, 0, 1, "none", "long"), "key_type 0, expected types of key and value, for Linux demands BTF"),
        ((4, 8, 0, 1, "struct", "long"), "key_type struct inside, expected an integer of 32 bits"),
        ((4, 4, 0, 1, "int", "long"), "value_size 4, expected 8, the size of its type"),
    ],
)
def test_what_is_wrong_is_said(row: Row, message: str) -> None:
    with pytest.raises(InputError) as caught:
        create_map(spec_of("TASK_STORAGE", row), cpus=2, number=1)
    assert message in caught.value.message


def storage(kind: str = "TASK_STORAGE") -> Map:
    return create_map(spec_of(kind, CREATIONS[0]), cpus=2, number=1)


SCRIPT: list[tuple[str, bytes, int]] = [
    ("lookup", b"", 0),
    ("delete", b"", 0),
    ("update", b"AAAAAAAA", 2),
    ("update", b"AAAAAAAA", 3),
    ("update", b"AAAAAAAA", 4),
    ("update", b"AAAAAAAA", 5),
    ("update", b"AAAAAAAA", 8),
    ("update", b"AAAAAAAA", 1),
    ("update", b"BBBBBBBB", 1),
    ("lookup", b"", 0),
    ("update", b"CCCCCCCC", 2),
    ("lookup", b"", 0),
    ("update", b"DDDDDDDD", 0),
    ("lookup", b"", 0),
    ("next", b"", 0),
    ("delete", b"", 0),
    ("delete", b"", 0),
    ("lookup", b"", 0),
    ("update", b"EEEEEEEE", 0),
    ("lookup", b"", 0),
]


def answers(target: bpfmaps.KernelMap | Map, key: bytes, script: list[tuple[str, bytes, int]]) -> list[int | str]:
    """What each operation says: 0 or a negative errno, or the value."""
    found: list[int | str] = []
    is_ours = isinstance(target, Map)
    for what, value, flags in script:
        answer: int | bytes
        if what == "update":
            answer = target.update_bytes(key, value, flags) if is_ours else target.update(key, value, flags)
        elif what == "delete":
            answer = target.delete_bytes(key) if is_ours else target.delete(key)
        elif what == "next":
            answer = target.find_next_key(key) if is_ours else target.next_key(key)
        else:
            answer = target.find_bytes(key) if is_ours else target.lookup(key)
        found.append(answer.hex() if isinstance(answer, bytes) else answer)
    return found


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> Iterator[bytes]:
    """Key for Linux: an open descriptor of this process, or of the cgroup at the root of the unified hierarchy."""
    if request.param == "TASK_STORAGE":
        number = os.pidfd_open(os.getpid())
    else:
        mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
        root = next((words[1] for words in mounts if words[2] == "cgroup2"), "")
        if not root:
            pytest.skip("skipped live: no unified cgroup hierarchy is mounted")
        number = os.open(root, os.O_RDONLY)
    yield number.to_bytes(4, "little")
    os.close(number)


@pytest.mark.live
@pytest.mark.parametrize(("kind", "owner"), [(kind, kind) for kind in STORAGES], indirect=["owner"])
def test_operations_as_in_linux(kind: str, owner: bytes) -> None:
    held = load_btf(BTF.raw)
    linux = bpfmaps.KernelMap(MAP_TYPES[kind].id, (4, 8, 0, 1), 1, btf=(held.number, IDS["int"], IDS["long"]))
    assert answers(storage(kind), b"\7\0\0\0", SCRIPT) == answers(linux, owner, SCRIPT)
    linux.close()


@pytest.mark.live
@pytest.mark.parametrize("owner", ["CGRP_STORAGE"], indirect=True)
def test_a_cgroup_array_as_in_linux(owner: bytes) -> None:
    script = [
        *(("lookup", b"", 0), ("delete", b"", 0), ("update", b"", 1), ("update", b"", 2), ("update", b"", 0)),
        *(("lookup", b"", 0), ("next", b"", 0), ("delete", b"", 0), ("delete", b"", 0)),
    ]
    for index in (0, 1, 2, 9):
        linux = bpfmaps.KernelMap(MAP_TYPES["CGROUP_ARRAY"].id, (4, 4, 2, 0), 1)
        ours = create_map(MapSpec("m", "CGROUP_ARRAY", 4, 4, 2), cpus=2, number=1)
        key = index.to_bytes(4, "little")
        here = answers(ours, key, [(what, (1).to_bytes(4, "little"), flags) for what, _, flags in script])
        assert here == answers(linux, key, [(what, owner, flags) for what, _, flags in script])
        linux.close()


CGROUP_ARRAYS = [
    *((4, 4, 1, 0), (4, 8, 1, 0), (4, 2, 1, 0), (4, 4, 0, 0), (8, 4, 1, 0)),
    *((4, 4, 1, 1 << bit) for bit in range(20)),
]


@pytest.mark.live
@pytest.mark.parametrize("row", CGROUP_ARRAYS)
def test_creation_of_a_cgroup_array_as_in_linux(row: tuple[int, int, int, int]) -> None:
    found = bpfmaps.create(MAP_TYPES["CGROUP_ARRAY"].id, *row)
    if found >= 0:
        os.close(found)
    assert errno_here(MapSpec("m", "CGROUP_ARRAY", *row)) == ({-22: "EINVAL", -7: "E2BIG"}[found] if found < 0 else "")


def test_values_stay_where_they_are() -> None:
    target = storage()
    for pid in range(1, 200):
        target[pid] = pid
    region = target.regions[0]
    assert [target[pid] for pid in range(1, 200)] == list(range(1, 200))
    for pid in range(1, 200, 2):
        del target[pid]
    target[2] = -1
    assert ctypes.c_int64.from_address(region.start + region.stride).value == -1
    assert (len(target), 1 in target, 2 in target) == (99, False, True)
    assert list(target) == []


def test_a_new_value_starts_with_zeroes() -> None:
    target = storage()
    target[5] = b"\xff" * 8
    del target[5]
    target[5] = b"\1" + bytes(7)
    assert target[5] == 1


def test_a_cgroup_array_holds_ids() -> None:
    target = create_map(MapSpec("m", "CGROUP_ARRAY", 4, 4, 2), cpus=2, number=1)
    target[1] = 77
    assert {int.from_bytes(key, "little"): held for key, held in target.items()} == {1: 77}
    with pytest.raises(InputError, match="EBADF"):
        target[0] = 0
