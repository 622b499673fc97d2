"""Which map entries changed between two looks: what a run, or a single packet, did to the maps.

A look costs little: the memory of each map is compared as a whole, and only a map that differs is read entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdpsim.analysis.readable import ARRAY_TYPES, Leaf, Reader
from xdpsim.maps.map import Map

MAX_ENTRIES = 4096
"""A map with more elements is not read entry by entry."""
MAX_MAP_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that appeared (`before` is None), went (`after` is None) or changed."""

    map: Map
    key: bytes
    before: bytes | None
    after: bytes | None


class MapWatch:
    """Looks at some maps again and again; `bytes` says how much memory a look compares."""

    def __init__(self, maps: Iterable[Map]) -> None:
        live = [source for source in maps if not source.spec.read_only]
        self._watched = [_Watched(source) for source in live if is_watchable(source)]
        self._too_large = [source for source in live if not is_watchable(source)]
        self.bytes = sum(watched.bytes for watched in self._watched)

    @property
    def skipped(self) -> list[Map]:
        """Maps that are, or grew, too large to be looked at."""
        return self._too_large + [watched.map for watched in self._watched if watched.outgrew]

    def look(self) -> list[Change]:
        """What changed since the last look (the first: since the watch began), in the order of maps and entries."""
        return [change for watched in self._watched for change in watched.look()]


def memory_bytes(source: Map) -> int:
    """How much memory the values of a map take."""
    return sum(region.end - region.start for region in source.regions)


def is_watchable(source: Map) -> bool:
    """Whether a map is small enough to be looked at."""
    return memory_bytes(source) <= MAX_MAP_BYTES and element_count(source) <= MAX_ENTRIES


def element_count(source: Map) -> int:
    """How many elements a map has, without reading an array's."""
    return source.spec.max_entries if source.spec.type in ARRAY_TYPES else len(source)


class _Watched:
    def __init__(self, source: Map) -> None:
        self.map = source
        self.bytes = memory_bytes(source)
        self.outgrew = False
        self._image = self._memory()
        self._items = dict(source.items_bytes())

    def _memory(self) -> tuple[bytes | int, ...]:
        """All value slots as they lie in memory, and how many elements there are."""
        parts = [bytes(r.block.view[r.start - r.block.address : r.end - r.block.address]) for r in self.map.regions]
        return element_count(self.map), *parts

    def look(self) -> list[Change]:
        image = self._memory()
        if image == self._image:
            return []
        before, self._image = self._items, image
        self.outgrew = element_count(self.map) > MAX_ENTRIES
        if self.outgrew:
            return []
        after = self._items = dict(self.map.items_bytes())
        keys = [*after, *(key for key in before if key not in after)]
        return [
            Change(self.map, key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)
        ]


class Describer:
    """Words for changes; one for a whole run, so that each map's types are looked up once."""

    def __init__(self) -> None:
        self._readers: dict[int, Reader] = {}

    def reader(self, source: Map) -> Reader:
        """What shows the keys and values of a map."""
        if id(source) not in self._readers:
            self._readers[id(source)] = Reader(source)
        return self._readers[id(source)]

    def sentence(self, change: Change) -> str:
        """`rule_hits[RULE_BLOCKED_PORT] packets 12 -> 13, bytes 840 -> 914`."""
        reader = self.reader(change.map)
        name = f"{change.map.name}[{reader.key(change.key)}]"
        if change.after is None:
            return f"{name} deleted"
        if change.before is None:
            return f"{name} created: {reader.value(change.after)}"
        before, after = reader.leaves(change.before), reader.leaves(change.after)
        moved = [_moved(field, before.get(field, 0), leaf) for field, leaf in after.items() if before.get(field) != leaf]
        return f"{name} {', '.join(moved)}" if moved else f"{name} changed"


def _moved(field: str, before: Leaf, after: Leaf) -> str:
    first, second = (f"{leaf:,}" if isinstance(leaf, int) else leaf for leaf in (before, after))
    return f"{field} {first} -> {second}" if field else f"{first} -> {second}"
