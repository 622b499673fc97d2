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

_BYTES_OF_WORK = 8192
_ENTRY_WORK = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that appeared (`before` is None), went (`after` is None) or changed."""

    map: Map
    key: bytes
    before: bytes | None
    after: bytes | None


class MapWatch:
    """Looks at some maps again and again; `work` grows with what that took, in units of roughly a microsecond."""

    def __init__(self, maps: Iterable[Map]) -> None:
        live = [source for source in maps if not source.spec.read_only]
        self._watched = [_watched(source) for source in live if is_watchable(source)]
        self._too_large = [source for source in live if not is_watchable(source)]
        self.work = 0

    @property
    def skipped(self) -> list[Map]:
        """Maps that are, or grew, too large to be looked at."""
        return self._too_large + [watched.map for watched in self._watched if watched.outgrew]

    def look(self) -> list[Change]:
        """What changed since the last look (the first: since the watch began), in the order of maps and entries."""
        changes: list[Change] = []
        for watched in self._watched:
            changes += watched.look()
            self.work += watched.take_work()
        return changes


def memory_bytes(source: Map) -> int:
    """How much memory the values of a map take."""
    return sum(region.end - region.start for region in source.regions)


def element_count(source: Map) -> int:
    """How many elements a map has, without reading an array's."""
    return source.spec.max_entries if source.spec.type in ARRAY_TYPES else len(source)


def is_watchable(source: Map) -> bool:
    """Whether a map is small enough to be looked at."""
    return memory_bytes(source) <= MAX_MAP_BYTES and element_count(source) <= MAX_ENTRIES


class _Watched:
    """One map, read element by element whenever its memory differs, or at once where that is less to compare."""

    def __init__(self, source: Map) -> None:
        self.map = source
        self.outgrew = False
        self._work = 0
        self._bytes = memory_bytes(source)
        self._image = self._memory()
        self._items = dict(source.items_bytes())

    def _memory(self) -> tuple[bytes | int, ...]:
        """All value slots as they lie in memory, and how many elements there are."""
        parts = [bytes(r.block.view[r.start - r.block.address : r.end - r.block.address]) for r in self.map.regions]
        self._work += self._bytes // _BYTES_OF_WORK
        return element_count(self.map), *parts

    def take_work(self) -> int:
        work, self._work = self._work, 0
        return work + 1

    def look(self) -> list[Change]:
        count = element_count(self.map)
        self.outgrew = count > MAX_ENTRIES
        if self.outgrew:
            return []
        if count * _ENTRY_WORK * _BYTES_OF_WORK > self._bytes:
            image = self._memory()
            if image == self._image:
                return []
            self._image = image
        return self._read(count)

    def _read(self, count: int) -> list[Change]:
        before = self._items
        after = self._items = dict(self.map.items_bytes())
        self._work += count * _ENTRY_WORK
        if after == before:
            return []
        keys = [*after, *(key for key in before if key not in after)]
        return [
            Change(self.map, key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)
        ]


class _WatchedArray(_Watched):
    """An array: where its memory differs says which elements do."""

    def look(self) -> list[Change]:
        before, after = self._image, self._memory()
        if after == before:
            return []
        self._image = after
        indexes: set[int] = set()
        for region, old, new in zip(self.map.regions, before[1:], after[1:], strict=True):
            assert isinstance(old, bytes)
            assert isinstance(new, bytes)
            indexes.update(slot % self.map.spec.max_entries for slot in _differing(old, new, region.stride))
        changes = []
        for index in sorted(indexes):
            key = index.to_bytes(self.map.spec.key_size, "little")
            value = self.map.lookup_bytes(key)
            changes.append(Change(self.map, key, self._items.get(key), value))
            self._items[key] = value or b""
        self._work += len(changes) * _ENTRY_WORK
        return changes


def _watched(source: Map) -> _Watched:
    return _WatchedArray(source) if source.spec.type in ARRAY_TYPES else _Watched(source)


def _differing(old: bytes, new: bytes, stride: int) -> list[int]:
    """The slots of `stride` bytes in which two images of a region differ: by halves, as few do."""
    found, left = [], [(0, -(-len(old) // stride))]
    while left:
        first, end = left.pop()
        if old[first * stride : end * stride] == new[first * stride : end * stride]:
            continue
        if end - first == 1:
            found.append(first)
        else:
            middle = (first + end) // 2
            left += [(first, middle), (middle, end)]
    return found


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
        moved = {name: (before.get(name, 0), leaf) for name, leaf in after.items() if before.get(name) != leaf}
        counted = {name: pair for name, pair in moved.items() if _is_count(pair)}
        return f"{name} {', '.join(_moved(field, *pair) for field, pair in (counted or moved).items()) or 'changed'}"

    def sentences(self, changes: Iterable[Change]) -> list[str]:
        """Sentences for what one packet did; an entry that counted it (one more than before) comes first."""
        return [self.sentence(change) for change in sorted(changes, key=self._counts_nothing)]

    def _counts_nothing(self, change: Change) -> bool:
        if change.before is None or change.after is None:
            return True
        before, after = (self.reader(change.map).leaves(value) for value in (change.before, change.after))
        steps = [(before.get(name, 0), leaf) for name, leaf in after.items()]
        return not any(isinstance(a, int) and isinstance(b, int) and b == a + 1 for a, b in steps)


def _is_count(pair: tuple[Leaf, Leaf]) -> bool:
    return isinstance(pair[0], int) and isinstance(pair[1], int)


def _moved(field: str, before: Leaf, after: Leaf) -> str:
    first, second = (f"{leaf:,}" if isinstance(leaf, int) else leaf for leaf in (before, after))
    return f"{field} {first} -> {second}" if field else f"{first} -> {second}"
