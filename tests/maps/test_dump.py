"""Entries in bpftool's shapes, and files of them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.maps.test_face import made, typed
from xdpsim.errors import InputError
from xdpsim.maps.files import load_presets, save_maps
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec


def test_dump_without_types() -> None:
    table = made("HASH", 4, 2)
    table[0x0100000A] = 0x0102
    assert table.dump() == [{"key": ["0x0a", "0x00", "0x00", "0x01"], "value": ["0x02", "0x01"]}]


def test_dump_with_types() -> None:
    table = typed("HASH", "u32", "stats")
    table[1] = {"packets": 2, "bytes": 3}
    formatted = {"key": 1, "value": {"packets": 2, "bytes": 3}}
    (entry,) = table.dump()
    assert entry["formatted"] == formatted
    assert entry["key"] == ["0x01", "0x00", "0x00", "0x00"]
    assert table.dump(plain=True) == [formatted]


def test_dump_per_cpu() -> None:
    table = typed("PERCPU_HASH", "u32", "u64")
    table[1] = [2, 3]
    values = [{"cpu": 0, "value": 2}, {"cpu": 1, "value": 3}]
    assert table.dump(plain=True) == [{"key": 1, "values": values}]
    (entry,) = table.dump()
    assert entry["formatted"] == {"key": 1, "values": values}


def filled() -> dict[str, Map]:
    maps = {
        "plain": made("HASH", 6, 3),
        "typed": typed("HASH", "flow", "stats"),
        "counters": typed("PERCPU_ARRAY", "u32", "u64"),
        "routes": made("LPM_TRIE", 8, 4, 8, 1),
        "devices": made("DEVMAP", 4, 8),
        "progs": made("PROG_ARRAY", 4, 4),
    }
    maps["plain"]["02:00:00:00:00:01"] = [1, 2, 3]
    maps["typed"][{"addr": 1, "port": 2}] = {"packets": 1 << 40}
    maps["counters"][2] = [1, 2]
    maps["routes"]["10.0.0.0/8"], maps["routes"]["0.0.0.0/0"] = 1, 2
    maps["devices"][3] = {"ifindex": 4, "bpf_prog": 1}
    maps["progs"][1] = 2
    return maps


def empty() -> dict[str, Map]:
    return {name: create_map(full.spec, cpus=2, number=1) for name, full in filled().items()}


@pytest.mark.parametrize("plain", [False, True])
def test_every_dump_loads_again(plain: bool) -> None:
    for full, again in zip(filled().values(), empty().values(), strict=True):
        again.load(json.loads(json.dumps(full.dump(plain=plain))))
        assert again.items_bytes() == full.items_bytes()


def test_saved_directory_loads_again(tmp_path: Path) -> None:
    full, again = filled(), empty()
    frozen = create_map(MapSpec(".rodata", "ARRAY", 4, 4, 1, initial=b"abcd", read_only=True), cpus=2, number=9)
    full[".rodata"] = again[".rodata"] = frozen
    written = save_maps(full, tmp_path / "saved")
    assert sorted(path.name for path in written) == sorted(f"{name}.json" for name in full)
    assert sorted(load_presets(again, tmp_path / "saved")) == sorted(set(full) - {".rodata"})
    assert all(again[name].items_bytes() == full[name].items_bytes() for name in full)


PRESET_JSON = """
{"routes": [{"key": "10.0.0.0/8", "value": 7}], "counters": {"1": [3, 4]},
 "typed": [{"key": {"addr": "10.0.0.1"}, "value": {"packets": 5}}]}
"""
PRESET_YAML = """
routes: {10.0.0.0/8: 7}
counters:
- {key: 1, values: [{cpu: 1, value: 4}, {cpu: 0, value: 3}]}
typed:
- key: {addr: 10.0.0.1}
  value: {packets: 5}
"""


@pytest.mark.parametrize(("name", "text"), [("p.json", PRESET_JSON), ("p.yaml", PRESET_YAML)])
def test_presets_by_hand(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    maps = empty()
    assert load_presets(maps, path) == ["routes", "counters", "typed"]
    assert maps["routes"]["10.9.9.9"] == b"\7\0\0\0"
    assert maps["counters"][1] == [3, 4]
    assert maps["typed"][{"addr": "10.0.0.1"}] == {"packets": 5, "bytes": 0}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (5, "map acl: int, expected a list of entries"),
        ([5], "map acl: entry 0: 5, expected an object with key and value"),
        ([{"key": {"addr": 1}, "value": {}}, {"value": 1}], "map acl: entry 1: no key"),
        ([{"key": {"addr": 1}}], "map acl: entry 0: expected one value"),
        ([{"key": {"adr": 1}, "value": {}}], "map acl: entry 0: key"),
        ([{"key": {"addr": 1}, "value": {"packets": -9e9}}], "map acl: entry 0: value.packets"),
        ([{"key": {"addr": 1}, "values": []}], "map acl: entry 0: values, expected value"),
        ([{"key": {"addr": 1}, "value": {}, "valeu": 1}], "map acl: entry 0: field 'valeu', expected key"),
    ],
)
def test_broken_entries(entries: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        empty()["typed"].load(entries)
    assert str(caught.value).startswith(message)


def test_an_entry_that_contradicts_itself() -> None:
    table = filled()["typed"]
    (entry,) = table.dump()
    entry["formatted"] = {"key": {"addr": 1, "port": 2, "proto": 0}, "value": {"packets": 1, "bytes": 0}}
    with pytest.raises(InputError, match="entry 0: formatted says something else"):
        table.load([entry])


def test_a_reference_that_cannot_be() -> None:
    with pytest.raises(InputError, match="map acl: entry 0: value: ifindex -1, expected 0 to"):
        empty()["devices"].load([{"key": 1, "value": -1}])


def test_a_cpu_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"entry 0: values\[0\]: cpu 2, expected 0 to 1"):
        empty()["counters"].load([{"key": 1, "values": [{"cpu": 2, "value": 1}]}])


def test_a_full_map_names_the_entry() -> None:
    table = made("HASH", 4, 4, 1)
    with pytest.raises(InputError, match="map acl: entry 1: key 0x00000002: E2BIG: the map is full"):
        table.load({1: 1, 2: 2})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.json", "{", "p.json:1:2: expecting property name enclosed in double quotes, expected JSON"),
        ("p.json", "[]", "p.json: a list, expected an object from map names"),
        ("p.json", '{"nothere": []}', "p.json: map nothere: there is no such map\n  maps are: counters"),
        ("p.json", "[" * 100_000, "p.json: nested too deeply"),
        ("p.yaml", "a: [", "p.yaml:1:5: "),
        ("p.yaml", "a: !!python/object:os.system {}", "p.yaml:1:4: "),
        (
            "p.json",
            '{"routes": [{"key": "10.0.0.0/99", "value": 1}]}',
            "p.json: map routes: entry 0: key: prefix length",
        ),
    ],
)
def test_broken_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_presets(empty(), path)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_missing_file_and_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_presets({}, tmp_path / "none.json")
    with pytest.raises(InputError, match=r"no NAME\.json in it"):
        load_presets({}, tmp_path)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0x01", "10.0.0.0/8"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["key", "value", "values", "formatted", "cpu", "addr", "packets"]), inner)
    ),
    max_leaves=12,
)


@given(name=st.sampled_from(["plain", "typed", "counters", "routes", "devices", "progs"]), entries=_JSON)
def test_any_json_loads_or_is_an_input_error(name: str, entries: object) -> None:
    target = empty()[name]
    with suppress(InputError):
        target.load(entries)
