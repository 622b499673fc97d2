"""Types of map that came after the first: templates of maps of maps, maps without keys, perf events, sockets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import map_templates
from tests.support.oracle import golden
from xdpsim.errors import InputError
from xdpsim.maps.files import load_presets, save_maps
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec


def made(kind: str, key: int, value: int, entries: int, **more: object) -> Map:
    return create_map(replace(MapSpec("m", kind, key, value, entries), **more), cpus=2, number=1)  # type: ignore[arg-type]


@pytest.mark.golden
@pytest.mark.parametrize("row", golden(map_templates.GOLDEN)["types"], ids=lambda row: row[0])
def test_templates(row: tuple[str, list[list[int]]]) -> None:
    kind, expected = row
    assert map_templates.ask_xdpsim(kind) == expected


@pytest.mark.parametrize("kind", ["ARRAY_OF_MAPS", "HASH_OF_MAPS"])
def test_a_map_of_maps_wants_a_template(kind: str) -> None:
    with pytest.raises(InputError, match="inner None, expected a template for the inner maps"):
        made(kind, 4, 4, 1)
    nested = MapSpec("in", "ARRAY_OF_MAPS", 4, 4, 1)
    with pytest.raises(InputError, match="inner ARRAY_OF_MAPS, expected a template that is no map of maps itself"):
        made(kind, 4, 4, 1, inner=nested)
    with pytest.raises(InputError, match="map in: key_size 3, expected 4"):
        made(kind, 4, 4, 1, inner=MapSpec("in", "ARRAY", 3, 4, 1))


def test_queues_and_stacks_for_users() -> None:
    queue, stack = made("QUEUE", 0, 4, 3), made("STACK", 0, 4, 3)
    assert (queue.peek(), queue.take()) == (None, None)
    for number in (1, 2, 3):
        queue.push(number)
        stack.push(number)
    assert (len(queue), queue.peek(), queue.take(), stack.take()) == (3, b"\1\0\0\0", b"\1\0\0\0", b"\3\0\0\0")
    assert 3 in queue
    assert 3 not in stack
    queue.push(4)
    with pytest.raises(InputError, match="map m: E2BIG: the map is full"):
        queue.push(5)
    queue.push(5, 2)
    assert queue.elements_bytes == [bytes([n, 0, 0, 0]) for n in (3, 4, 5)]


@pytest.mark.parametrize("kind", ["QUEUE", "STACK"])
def test_saved_and_loaded_again(kind: str, tmp_path: Path) -> None:
    source, target = made(kind, 0, 4, 5), made(kind, 0, 4, 5)
    for number in (7, 8, 9):
        source.push(number)
    source.take()
    save_maps({"m": source}, tmp_path)
    load_presets({"m": target}, tmp_path)
    assert target.dump() == source.dump()
    assert target.take() == source.take()
    with pytest.raises(InputError, match="entry 0: expected one value and no key: a"):
        target.load([{"key": 1, "value": 2}])


def test_bloom_filters_for_users() -> None:
    bloom = made("BLOOM_FILTER", 0, 4, 100, map_extra=3)
    bloom.push(5)
    assert 5 in bloom
    assert sum(number in bloom for number in range(1000)) < 20
    with pytest.raises(InputError, match="map_extra 16, expected at most 15 for BLOOM_FILTER"):
        made("BLOOM_FILTER", 0, 4, 100, map_extra=16)


def test_every_cpu_has_a_perf_event_at_first() -> None:
    events = made("PERF_EVENT_ARRAY", 4, 4, 0)
    assert events.spec.max_entries == 2
    delete = [events.delete_bytes(index.to_bytes(4, "little")) for index in (0, 0, 1, 2)]
    assert delete == [0, -2, 0, -7]
    events[0] = 1
    with pytest.raises(InputError, match="EBADF"):
        events[0] = 2
    assert events.find_bytes(bytes(4)) == -524


def test_sockets_are_seen_by_users_of_ours_alone() -> None:
    sockets = made("XSKMAP", 4, 4, 2)
    sockets[1] = 7
    assert (sockets[1], sockets.find_bytes(b"\1\0\0\0"), len(sockets)) == (7, -95, 1)


def test_targets_have_bpftool_s_shape() -> None:
    cpus, ports = made("CPUMAP", 4, 8, 2), made("DEVMAP_HASH", 4, 8, 2)
    cpus[1] = {"qsize": 192, "bpf_prog": {"id": 3}}
    cpus[0] = 64
    ports[77] = {"ifindex": 5}
    assert dict(cpus) == {0: {"qsize": 64, "bpf_prog": {"id": 0}}, 1: {"qsize": 192, "bpf_prog": {"id": 3}}}
    assert ports[77] == {"ifindex": 5, "bpf_prog": {"id": 0}}
    with pytest.raises(InputError, match=r"EOVERFLOW: the queue size is above 16384"):
        cpus[0] = 16385
    with pytest.raises(InputError, match=r"E2BIG"):
        cpus[2] = 1


def test_content_longer_than_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="map m: initial content of 5 bytes, expected at most its value_size, 4"):
        made("ARRAY", 4, 4, 1, initial=b"12345")


def test_one_cpu_has_per_cpu_values_too() -> None:
    table = create_map(MapSpec("m", "LRU_PERCPU_HASH", 4, 8, 4), cpus=1, number=1)
    table[1] = [5]
    assert table[b"\1\0\0\0"] == [b"\5" + bytes(7)]
    assert table.header.cpu_stride == 32


def test_an_lru_for_each_cpu_has_as_many_entries_as_cpus_share() -> None:
    table = create_map(MapSpec("m", "LRU_HASH", 4, 8, 10, 2), cpus=4, number=1)
    assert table.header.max_entries == 12
    for number in range(100):
        table[number] = number
    assert len(table) <= 3
