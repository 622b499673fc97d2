"""Maps to make, good and bad, and whether Linux and xdpsim make them."""

from __future__ import annotations

import os

from tests.support import bpfmaps, map_things
from tests.support.oracle import golden
from xdpsim.errors import InputError
from xdpsim.maps.map import create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import MAP_TYPES

Row = tuple[str, int, int, int, int, int]
"""Type, key size, value size, entries, flags, map_extra."""


def creations() -> list[Row]:
    """What to try."""
    good = {
        "ARRAY": (4, 8, 4, 0),
        "PERCPU_ARRAY": (4, 8, 4, 0),
        "HASH": (8, 8, 4, 0),
        "PERCPU_HASH": (8, 8, 4, 0),
        "LPM_TRIE": (8, 8, 4, 1),
        "PROG_ARRAY": (4, 4, 4, 0),
        "DEVMAP": (4, 4, 4, 0),
        "LRU_HASH": (8, 8, 4, 0),
        "LRU_PERCPU_HASH": (8, 8, 4, 0),
        "ARRAY_OF_MAPS": (4, 4, 4, 0),
        "HASH_OF_MAPS": (8, 4, 4, 0),
        "PERF_EVENT_ARRAY": (4, 4, 4, 0),
        "QUEUE": (0, 8, 4, 0),
        "STACK": (0, 8, 4, 0),
        "BLOOM_FILTER": (0, 8, 4, 0),
        "RINGBUF": (0, 0, 4096, 0),
        "DEVMAP_HASH": (4, 4, 4, 0),
        "CPUMAP": (4, 4, 4, 0),
        "XSKMAP": (4, 4, 4, 0),
    }
    large = 4 << 20
    rows: list[Row] = []
    for name, (key, value, entries, flags) in good.items():
        sizes = (0, 1, 2, 3, 4, 5, 8, 12, 20, 64, 256, 260, 261, 512, 513, 4096)
        rows += [(name, size, value, entries, flags, 0) for size in sizes]
        values = (0, 1, 3, 4, 5, 7, 8, 9, 4096, 32760, 32761, 32768, 32769, 1 << 31, (1 << 31) - 1, (1 << 32) - 1)
        rows += [(name, key, size, 1, flags, 0) for size in values if name != "ARRAY" or size != (1 << 31) - 1]
        near = [large - n for n in (8, 40, 48, 49, 56, 57, 64, 256, 264, 296, 297, 304, 320, 328, 329, 336, 400)]
        rows += [(name, key, size, 1, flags, 0) for size in near]
        counts = (0, 1, 1000, *((255, 256, 257, 4096, 8192, 12288) if name in ("CPUMAP", "RINGBUF") else ()))
        rows += [(name, key, value, count, flags, 0) for count in counts if (name, count) != ("PERF_EVENT_ARRAY", 0)]
        rows += [(name, key, value, entries, flags | 1 << bit, 0) for bit in range(20)]
        rows += [(name, key, value, entries, flags | both, 0) for both in (0x18, 0x180, 0x88, 0x110, 0x99 - 1)]
        rows += [(name, key, value, entries, 0, 0), (name, key, value, entries, flags, 1)]
        rows += [(name, key, value, entries, flags, extra) for extra in (15, 16, 1 << 32) if name == "BLOOM_FILTER"]
        rows += [(name, key, value, entries, flags | 6, 0) for _ in "x" if name.startswith("LRU")]
    rows += [("HASH", 8, 8, (1 << 31) + 1, 1, 0), ("HASH", large, large, 1, 0, 0), ("HASH", large - 64, 16, 1, 0, 0)]
    return list(dict.fromkeys(rows))


def create_on_linux(row: Row) -> int:
    """0 or the errno."""
    things = map_things.Things()
    inner = things.fd("template") if row[0].endswith("_OF_MAPS") else 0
    result = bpfmaps.create(MAP_TYPES[row[0]].id, *row[1:], inner=inner)
    things.close()
    if result < 0:
        return -result
    os.close(result)
    return 0


def create_on_xdpsim(row: Row) -> str:
    """Empty, or the hint of the InputError."""
    name, key, value, entries, flags, extra = row
    try:
        inner = map_things.template(name)
        create_map(MapSpec("m", name, key, value, entries, flags, map_extra=extra, inner=inner), cpus=2, number=0)
    except InputError as err:
        return f"{err.message}; {err.hint}"
    return ""


def ask() -> list[list[object]]:
    """Every row with Linux's errno or 0."""
    return [[*row, create_on_linux(row)] for row in creations()]


def golden_creations() -> list[tuple[Row, int]]:
    """Each recorded attempt to make a map, with Linux's errno or 0."""
    return [(tuple(row[:-1]), row[-1]) for row in golden("maps")["creations"]]
