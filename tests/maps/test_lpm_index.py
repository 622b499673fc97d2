"""Lookups in LPM tries go by tables: under random updates and deletes they find what a plain search finds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from xdpsim.maps import lpm_index
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec

STEPS = 200
ENTRIES = 64


def made(data_size: int, entries: int = ENTRIES) -> Map:
    return create_map(MapSpec("m", "LPM_TRIE", data_size + 4, 8, entries, flags=1), cpus=1, number=1)


def key(length: int, data: bytes) -> bytes:
    return length.to_bytes(4, "little") + data


def cut(length: int, data: bytes) -> bytes:
    """The prefix alone, zeroes behind it."""
    bits = len(data) * 8
    return (int.from_bytes(data, "big") >> bits - length << bits - length).to_bytes(len(data), "big")


def longest(model: dict[tuple[int, bytes], bytes], data: bytes) -> bytes | None:
    """What a plain search finds."""
    for length in range(len(data) * 8, -1, -1):
        if (found := model.get((length, cut(length, data)))) is not None:
            return found
    return None


def addresses(rng: random.Random, size: int) -> Iterator[bytes]:
    """Data that share leading bytes, so that tables nest."""
    base = rng.randbytes(size)
    while True:
        kept = rng.randrange(size + 1)
        yield base[:kept] + bytes(rng.choice((0, 1, 128, 255, rng.randrange(256))) for _ in range(size - kept))


@pytest.mark.parametrize("data_size", [1, 2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("seed", range(4))
def test_random_changes(data_size: int, seed: int) -> None:
    rng = random.Random(f"{data_size}:{seed}")
    trie, model, source = made(data_size), dict[tuple[int, bytes], bytes](), addresses(rng, data_size)
    for step in range(STEPS):
        data, length = next(source), rng.randrange(data_size * 8 + 1)
        prefix = (length, cut(length, data))
        if model and rng.random() < 0.45:
            prefix = rng.choice(list(model))
            assert trie.delete_bytes(key(*prefix)) == 0
            del model[prefix]
        elif len(model) < ENTRIES or prefix in model:
            value = step.to_bytes(8, "little")
            assert trie.update_bytes(key(length, data), value, 0) == 0
            model[prefix] = value
        for probe in (data, next(source), *(entry[1] for entry in list(model)[:3])):
            assert trie.lookup_bytes(key(data_size * 8, probe)) == longest(model, probe)
    for prefix in list(model):
        assert trie.delete_bytes(key(*prefix)) == 0
    if data_size > 1:
        assert trie.header.index
        index = next(block for block in trie._memory._blocks if block.address == trie.header.index)
        assert bytes(8 << lpm_index.ROOT_BITS) == index.view[: 8 << lpm_index.ROOT_BITS]


def test_without_room_for_tables_lookups_walk_the_trie() -> None:
    trie = made(16, entries=8)
    trie.header.tables_end = trie.header.tables_used + 3 * lpm_index.TABLE_BYTES
    for number in range(8):
        data = bytes(15) + bytes([number << 5])
        assert trie.update_bytes(key(123 + number % 3, data), bytes([number] * 8), 0) == 0
    assert trie.header.index == 0
    for number in range(8):
        assert trie.lookup_bytes(key(128, bytes(15) + bytes([number << 5]))) == bytes([number] * 8)


def test_tables_are_used_again() -> None:
    trie = made(4)
    used = set()
    for number in range(200):
        for low in (1, 2):
            assert trie.update_bytes(key(32, bytes([10, number, 0, low])), bytes(8), 0) == 0
        for low in (1, 2):
            assert trie.delete_bytes(key(32, bytes([10, number, 0, low]))) == 0
        used.add(trie.header.tables_used)
    assert len(used) == 1
