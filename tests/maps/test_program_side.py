"""What a program's operations do that a user's do not: one CPU's values, pointers that stay good, named regions."""

from __future__ import annotations

import pytest

from tests.support.map_programs import OwnProgram
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_RDONLY_PROG


def made(kind: str, key: int, value: int, entries: int, flags: int = 0, cpus: int = 3) -> Map:
    return create_map(MapSpec("table", kind, key, value, entries, flags), cpus=cpus, number=1)


def words(target: Map, key: bytes) -> list[int]:
    found = target.lookup_bytes(key)
    assert found is not None
    return [int.from_bytes(part, "little") for part in target.split(found)]


@pytest.mark.parametrize(
    ("kind", "key_size"), [("PERCPU_ARRAY", 4), ("PERCPU_HASH", 4), ("PERCPU_HASH", 8), ("PERCPU_HASH", 12)]
)
def test_each_cpu_has_its_value(kind: str, key_size: int) -> None:
    target, key = made(kind, key_size, 8, 4), bytes([2, *bytes(key_size - 1)])
    OwnProgram(target, cpu=1).update(key, 11)
    assert words(target, key) == [0, 11, 0]
    OwnProgram(target, cpu=2).update(key, 22)
    assert words(target, key) == [0, 11, 22]
    first, second = OwnProgram(target, cpu=1), OwnProgram(target, cpu=2)
    assert first.read32(first.lookup(key)) == 11
    assert second.lookup(key) - first.lookup(key) == target.header.cpu_stride
    target[key] = [7, 8, 9]
    assert second.read32(second.lookup(key)) == 9


def test_new_per_cpu_element_starts_zeroed_where_an_old_one_was() -> None:
    target = made("PERCPU_HASH", 4, 8, 1)
    target[1] = [7, 8, 9]
    del target[1]
    OwnProgram(target, cpu=1).update(b"\2\0\0\0", 5)
    assert words(target, b"\2\0\0\0") == [0, 5, 0]


@pytest.mark.parametrize("key_size", [1, 4, 7, 8, 16, 33])
def test_hash_values_never_move(key_size: int) -> None:
    target = made("HASH", key_size, 8, 200)
    program = OwnProgram(target)
    keys = [bytes([n]) + bytes(key_size - 1) for n in range(200)]
    places = {}
    for n, key in enumerate(keys):
        assert program.update(key, n) == 0
        places[key] = program.lookup(key)
    assert len(set(places.values())) == 200
    assert all(program.lookup(key) == places[key] and program.read32(places[key]) == n for n, key in enumerate(keys))


def test_hash_replacement_has_another_node_and_keeps_its_place_in_iteration() -> None:
    target = made("HASH", 4, 8, 50)
    for n in range(50):
        target[n] = n
    before = list(target.keys_bytes())
    program = OwnProgram(target)
    old = program.lookup(before[20])
    kept = program.read32(old)
    program.update(before[20], 999)
    assert program.lookup(before[20]) != old
    assert program.read32(old) == kept
    assert list(target.keys_bytes()) == before


def test_full_churn_keeps_within_the_nodes_there_are() -> None:
    for kind, key_size, flags in (("HASH", 4, 0), ("HASH", 4, 1), ("LPM_TRIE", 8, 1), ("PERCPU_HASH", 4, 0)):
        target = made(kind, key_size, 8, 16, flags)
        program = OwnProgram(target)
        for n in range(2000):
            key = (n * 7 % 40 % 33).to_bytes(4, "little") + bytes([n * 29 % 251] * (key_size - 4))
            program.update(key, n)
            if n % 3:
                program.delete((n * 11 % 40 % 33).to_bytes(4, "little") + bytes([n * 13 % 251] * (key_size - 4)))
        region = target.regions[0]
        last = region.block.address + region.block.size
        for key in target.keys_bytes():
            assert region.start <= program.lookup(key) < region.end <= last


def test_lpm_lookup_honours_the_keys_own_length() -> None:
    target = made("LPM_TRIE", 8, 4, 8, 1)
    target["10.0.0.0/8"], target["10.1.0.0/16"] = 1, 2
    program = OwnProgram(target)
    lengths = {length: program.lookup(bytes([length, 0, 0, 0, 10, 1, 2, 3])) for length in (0, 7, 8, 15, 16, 32, 33)}
    found = {length: program.read32(address) if address else None for length, address in lengths.items()}
    assert found == {0: None, 7: None, 8: 1, 15: 1, 16: 2, 32: 2, 33: None}


def test_regions_are_named_by_their_keys() -> None:
    table = made("LPM_TRIE", 8, 4, 8, 1)
    table["10.0.0.0/8"] = 1
    place = OwnProgram(table).lookup(bytes([32, 0, 0, 0, 10, 9, 9, 9]))
    region = table.regions[0]
    assert region.slot_name((place - region.start) // region.stride) == "map table[10.0.0.0/8].value"
    array = made("PERCPU_ARRAY", 4, 8, 5)
    assert array.regions[0].slot_name(5 + 3) == "map table[3].value (cpu 1)"
    table = made("HASH", 4, 8, 5)
    table[0x0A000001] = 1
    assert table.regions[0].slot_name(0) == "map table[0x0a000001].value"


def test_what_programs_may_write() -> None:
    assert made("HASH", 4, 4, 1).regions[0].writable
    assert not made("HASH", 4, 4, 1, BPF_F_RDONLY_PROG).regions[0].writable
    assert not made("DEVMAP", 4, 4, 1).regions[0].writable
    assert made("PROG_ARRAY", 4, 4, 1).regions == []
    frozen = create_map(MapSpec(".rodata", "ARRAY", 4, 12, 1, initial=b"hello", read_only=True), cpus=1, number=1)
    assert not frozen.regions[0].writable
    assert frozen.lookup_bytes(bytes(4)) == b"hello".ljust(12, b"\0")


def test_prog_array_slots_hold_numbers() -> None:
    progs = made("PROG_ARRAY", 4, 4, 4)
    progs[2] = 7
    at = progs.value_address + 2 * progs.header.value_stride
    assert OwnProgram(progs).lookup(b"\2\0\0\0") == 0
    block = progs._memory.values
    assert block is not None
    assert block.view[at - block.address] == 7


def test_a_million_entries_cost_nothing_until_used() -> None:
    target = made("HASH", 16, 64, 1_000_000)
    target[bytes(16)] = bytes(64)
    assert len(target) == 1
