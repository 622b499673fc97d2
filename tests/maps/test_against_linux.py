"""Map operations and creation rules against Linux: its recorded answers, and the running kernel on other sequences."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tests.support import bpfmaps, map_creations, map_lru, map_programs, map_scripts
from tests.support.map_scripts import Script
from tests.support.oracle import golden
from xdpsim.maps.header import ERRNO_NAMES
from xdpsim.maps.map import create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import MAP_TYPES

CPUS = golden(map_scripts.GOLDEN)["cpus"][0]


def differences(script: Script, cpus: int) -> list[tuple[object, ...]]:
    """(operation number, operation, Linux's answer, ours) wherever they differ."""
    ours = map_scripts.ask_xdpsim(script, cpus)
    rows = zip(range(len(ours)), script.operations, script.answers, ours, strict=True)
    return [row for row in rows if row[2] != row[3]]


@pytest.mark.golden
@pytest.mark.parametrize("script", map_scripts.golden_scripts(), ids=lambda script: script.name)
def test_operations(script: Script) -> None:
    assert differences(script, CPUS) == []


@pytest.mark.golden
def test_creation() -> None:
    for row, errno in map_creations.golden_creations():
        problem = map_creations.create_on_xdpsim(row)
        assert bool(problem) == bool(errno), (row, errno, problem)
        if errno:
            assert problem.endswith(f"with {ERRNO_NAMES[errno]}"), (row, problem)


@pytest.mark.golden
@pytest.mark.parametrize("row", golden(map_programs.GOLDEN)["programs"], ids=lambda row: f"{row[0]}{row[1]} {row[2]}")
def test_what_programs_see(row: tuple[str, tuple[int, int, int, int], str, int]) -> None:
    kind, shape, script, expected = row
    made = create_map(MapSpec("m", kind, *shape), cpus=CPUS, number=1)
    assert map_programs.OwnProgram(made).run(script) == expected


@pytest.mark.golden
@pytest.mark.parametrize("row", golden(map_lru.GOLDEN)["rows"], ids=lambda row: f"{row[0]}{row[1]}")
def test_what_an_lru_evicts(row: tuple[str, tuple[int, int, int, int], int, int, str]) -> None:
    kind, shape, length, expected, digest = row
    made = create_map(MapSpec("m", kind, *shape), cpus=CPUS, number=1)
    script = map_lru.lru_script(shape[2], length, map_lru.SEED)
    found = map_programs.OwnProgram(made).run(script), map_lru.digest(made.items_bytes())
    assert found == (expected, digest)


@pytest.mark.live
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_what_an_lru_evicts_live(seed: int) -> None:
    rows = [(kind, shape, map_lru.lru_script(shape[2], length, seed)) for kind, shape, length in map_lru.LRUS]
    answers = map_programs.on_one_cpu(lambda: [map_programs.run_and_dump(*row) for row in rows])
    for (kind, shape, script), asked in zip(rows, answers, strict=True):
        made = create_map(MapSpec("m", kind, *shape), cpus=bpfmaps.possible_cpus(), number=1)
        assert (map_programs.OwnProgram(made).run(script), sorted(made.items_bytes())) == asked, (kind, shape)


@pytest.mark.parametrize(("entries", "left"), [(10_000, 9_888), (1_000, 976), (100, 100)])
def test_an_lru_that_is_filled_once_has_evicted_some(entries: int, left: int) -> None:
    made = create_map(MapSpec("m", "LRU_HASH", 4, 8, entries), cpus=2, number=1)
    for number in range(entries):
        assert made.update_bytes(number.to_bytes(4, "little"), bytes(8)) == 0
    assert (len(made), len(list(made.keys_bytes()))) == (left, left)


@pytest.mark.live
@pytest.mark.parametrize("seed", range(1000, 1800, 100))
def test_operations_live(seed: int) -> None:
    for script in map_scripts.make_scripts(seed):
        script.answers = map_scripts.ask_linux(script)
        assert differences(script, bpfmaps.possible_cpus()) == [], script.name


@pytest.mark.live
def test_many_prefixes_live() -> None:
    dice = random.Random(7)
    shape = (8, 4, 5000, 1)
    kernel = bpfmaps.KernelMap(MAP_TYPES["LPM_TRIE"].id, shape, 1)
    ours = create_map(MapSpec("m", "LPM_TRIE", *shape), cpus=2, number=1)
    keys = [dice.randrange(8, 33).to_bytes(4, "little") + b"\x0a" + dice.randbytes(3) for _ in range(3000)]
    for number, key in enumerate(keys):
        value = number.to_bytes(4, "little")
        assert kernel.update(key, value, 0) == ours.update_bytes(key, value)
        if number % 3 == 0:
            gone = dice.choice(keys)
            assert kernel.delete(gone) == ours.delete_bytes(gone)
    walked = []
    key = kernel.next_key(None)
    while isinstance(key, bytes):
        walked.append((key, kernel.lookup(key)))
        key = kernel.next_key(key)
    kernel.close()
    assert walked == ours.items_bytes()


@pytest.mark.live
@pytest.mark.parametrize(("kind", "errno"), [("ARRAY", -1), ("HASH", -1)])
def test_frozen_map_live(kind: str, errno: int) -> None:
    kernel = bpfmaps.KernelMap(MAP_TYPES[kind].id, (4, 4, 2, 0), 1)
    assert kernel.freeze() == 0
    asked = (kernel.update(bytes(4), bytes(4), 0), kernel.update(bytes(4), bytes(4), 4), kernel.delete(bytes(4)))
    kernel.close()
    ours = create_map(MapSpec("m", kind, 4, 4, 2, read_only=True), cpus=1, number=1)
    assert asked == (errno, errno, errno)
    found = (
        ours.update_bytes(bytes(4), bytes(4)),
        ours.update_bytes(bytes(4), bytes(4), 4),
        ours.delete_bytes(bytes(4)),
    )
    assert found == asked


@pytest.mark.golden
def test_python_runtime_does_the_same() -> None:
    code = (
        "from tests.support import map_scripts as m\n"
        "from tests.maps.test_against_linux import CPUS, differences\n"
        "bad = [(s.name, differences(s, CPUS)) for s in m.golden_scripts() if s.key_size < 100]\n"
        "assert not any(found for _, found in bad), bad\n"
        "from tests.maps.test_against_linux import test_what_an_lru_evicts, golden\n"
        "for row in golden('map_lru')['rows']: test_what_an_lru_evicts(row)\n"
        "from tests.maps.test_ringbuf import test_rounds\n"
        "test_rounds(4096)\n"
    )
    environment = {**os.environ, "XDPSIM_RUNTIME": "python"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
