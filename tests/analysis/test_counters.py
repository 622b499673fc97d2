"""MapWatch sees every change of an entry, and only changes; Describer words them by BTF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xdpsim.analysis import counters
from xdpsim.analysis.counters import Describer, MapWatch
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.sim.sim import Sim

PROGRAMS = Path(__file__).parents[2] / "programs"
Make = Callable[..., Map]


@pytest.fixture
def make() -> Make:
    return lambda kind, **more: create_map(
        MapSpec("m", kind, **{"key_size": 4, "value_size": 8, "max_entries": 64, **more}), cpus=2, number=1
    )


def key(number: int) -> bytes:
    return number.to_bytes(4, "little")


def word(number: int) -> bytes:
    return number.to_bytes(8, "little")


@pytest.mark.parametrize("kind", ["ARRAY", "HASH"])
def test_a_changed_value(make: Make, kind: str) -> None:
    source = make(kind)
    source.update_bytes(key(3), word(5))
    watch = MapWatch([source])
    assert watch.look() == []
    source.update_bytes(key(3), word(6))
    (change,) = watch.look()
    assert (change.key, change.before, change.after) == (key(3), word(5), word(6))
    assert watch.look() == []
    assert Describer().sentence(change) == f"m[{3 if kind == 'ARRAY' else '0x00000003'}] 5 -> 6"


def test_entries_come_and_go(make: Make) -> None:
    source = make("HASH")
    watch = MapWatch([source])
    source.update_bytes(key(1), word(0))
    assert [(c.before, c.after) for c in watch.look()] == [(None, word(0))]
    source.delete_bytes(key(1))
    (gone,) = watch.look()
    assert (gone.before, gone.after) == (word(0), None)
    assert Describer().sentence(gone) == "m[0x00000001] deleted"


def test_any_number_of_array_elements(make: Make) -> None:
    source = make("ARRAY", max_entries=63)
    watch = MapWatch([source])
    for number in (0, 1, 31, 62):
        source.update_bytes(key(number), word(number + 1))
    assert [int.from_bytes(change.key, "little") for change in watch.look()] == [0, 1, 31, 62]


def test_each_cpu_of_a_per_cpu_array(make: Make) -> None:
    source = make("PERCPU_ARRAY")
    watch = MapWatch([source])
    source.update_bytes(key(7), word(0) + word(3))
    (change,) = watch.look()
    assert change.key == key(7)
    assert Describer().sentence(change) == "m[7] 0 -> 3"


def test_read_only_and_large_maps_are_not_watched(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MAX_ENTRIES", 2)
    large, growing = make("ARRAY"), make("HASH")
    watch = MapWatch([large, growing, make("ARRAY", read_only=True, initial=bytes(8), max_entries=1)])
    assert watch.skipped == [large]
    for number in range(3):
        growing.update_bytes(key(number), word(1))
    assert watch.look() == []
    assert watch.skipped == [large, growing]


def test_looking_is_counted(make: Make) -> None:
    watch = MapWatch([make("ARRAY")])
    watch.look()
    first = watch.work
    watch.look()
    assert 0 < first < watch.work


def test_words_by_btf() -> None:
    obj = Sim().load(PROGRAMS / "firewall.o")
    obj.maps["blocked_ports"][{"proto": 6, "port": 23}] = {"hits": 0}
    watch, describer = MapWatch(obj.maps.values()), Describer()
    obj.maps["blocked_ports"][{"proto": 6, "port": 23}] = {"hits": 1}
    obj.maps["rule_hits"][7] = {"packets": 1, "bytes": 60}
    obj.maps["icmp_window"][0] = {"start": 12, "count": 2}
    obj.maps["blocked_v4"]["10.0.0.0/8"] = {"hits": 0}
    assert describer.sentences(watch.look()) == [
        "blocked_ports[proto=6 port=23] hits 0 -> 1",
        "rule_hits[RULE_BLOCKED_PORT] packets 0 -> 1, bytes 0 -> 60",
        "blocked_v4[10.0.0.0/8] created: hits 0",
        "icmp_window[0] start 0 -> 12, count 0 -> 2",
    ]
