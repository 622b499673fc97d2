"""Map definitions as old loaders read them: C structs of numbers in section `maps`, or `X/maps`, or in `maps/NAME`.

Three layouts begin alike, with type, key_size, value_size, max_entries and map_flags; what follows differs:
- libbpf before 1.0 stops there (20 bytes); the kernel's own samples went on with inner_map_idx, numa_node (28 bytes);
- iproute2's struct bpf_elf_map goes on with id, pinning, inner_id, inner_idx (36 bytes; 28 in its first years, as in
  aya's objects, where the last two are missing);
- gobpf's goes on with pinning and a name space of 256 bytes (280).
A record says nothing about its layout. So its length decides, which is the distance to the next symbol or to the end
of the section (or the symbol's own size, where that is smaller); at 28 bytes a map of maps, which iproute2's first
layout could not say, or the flag BPF_F_NUMA_NODE means the samples' layout, anything else iproute2's. Records that
are longer than any known one must be zero behind what is known.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from xdpsim.btf.types import Btf, Kind, Struct
from xdpsim.errors import InputError
from xdpsim.loader.elf import Elf, Section, Symbol
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_NUMA_NODE, MAP_TYPES

SECTION = "maps"
MAPS_OF_MAPS = frozenset({"ARRAY_OF_MAPS", "HASH_OF_MAPS"})
_TYPE_NAMES = {row.id: row.name for row in MAP_TYPES.values()}
_SHORTEST, _COMMON, _SAMPLES, _IPROUTE2, _GOBPF = 16, 20, 28, 36, 280
_NO_INDEX = 0xFFFF_FFFF
MAX_MAPS = 1 << 10


@dataclass(frozen=True, slots=True)
class LegacyMap:
    """One record: where it lies, and what it says. `id` 0 is none; `inner_map` is an index among the records or -1."""

    spec: MapSpec
    section: int
    offset: int
    id: int = 0
    inner_id: int = 0
    inner_index: int = _NO_INDEX
    inner_map: int = -1


def is_legacy(name: str) -> bool:
    """Whether a section of that name holds such definitions."""
    return name == SECTION or name.endswith("/maps") or (name.startswith("maps/") and len(name) > len("maps/"))


def read_legacy(elf: Elf, btf: Btf | None) -> list[LegacyMap]:
    """All legacy definitions of an object, in the order of the file. InputError names map and word."""
    found: list[LegacyMap] = []
    for section in elf.sections:
        if is_legacy(section.name) and section.has_data and section.size and not section.executable:
            found += [_record(section, *row, btf) for row in _places(elf, section)]
    if len(found) > MAX_MAPS:
        raise InputError(f"{len(found)} legacy maps, expected at most {MAX_MAPS}")
    return _with_inner_maps(found)


def _places(elf: Elf, section: Section) -> list[tuple[str, int, int]]:
    """Name, offset and length of each record."""
    symbols: dict[int, Symbol] = {}
    for symbol in elf.symbols:
        if symbol.section == section.index and symbol.type in ("OBJECT", "NOTYPE") and symbol.name:
            symbols.setdefault(symbol.value, symbol)
    if not symbols and section.name.startswith("maps/"):
        return [(section.name.partition("/")[2], 0, section.size)]
    if not symbols:
        raise InputError(f"section {section.name!r}: {section.size} bytes of map definitions without a symbol")
    starts, rows = sorted(symbols), []
    for start, end in zip(starts, [*starts[1:], section.size], strict=True):
        symbol = symbols[start]
        room = end - start
        length = min(symbol.size, room) if symbol.size else room
        if start >= section.size or length < _SHORTEST or length % 4:
            raise InputError(
                f"map {symbol.name}: {max(length, 0)} bytes at offset {start} of section {section.name!r}, expected at "
                f"least {_SHORTEST} and a multiple of 4"
            )
        rows.append((symbol.name, start, length))
    return rows


def _record(section: Section, name: str, at: int, length: int, btf: Btf | None) -> LegacyMap:
    raw = section.data[at : at + length].ljust(_IPROUTE2, b"\0")
    kind, key_size, value_size, entries, flags, *more = struct.unpack_from("<9I", raw)
    if kind not in _TYPE_NAMES:
        raise InputError(f"map {name}: type {kind}, expected 1 to {max(_TYPE_NAMES)}")
    type_name = _TYPE_NAMES[kind]
    known = _GOBPF if length >= _GOBPF else _IPROUTE2
    if any(raw[known:]):
        raise InputError(f"map {name}: a definition of {length} bytes with content behind byte {known}, expected zeros")
    extra = _extra(type_name, flags, more, length)
    key_type, value_type = _annotation(btf, name, key_size, value_size)
    spec = MapSpec(
        name,
        type_name,
        key_size,
        value_size,
        entries,
        flags=flags,
        key_type=key_type,
        value_type=value_type,
        btf=btf,
        pinning=extra.get("pinning", 0),
        numa_node=extra.get("numa_node", 0),
    )
    return LegacyMap(
        spec,
        section.index,
        at,
        extra.get("id", 0),
        extra.get("inner_id", 0),
        extra.get("inner_index", _NO_INDEX),
        extra.get("inner_map", -1),
    )


def _extra(type_name: str, flags: int, words: list[int], length: int) -> dict[str, int]:
    """The words behind the fifth, by the layout that the length stands for."""
    if length <= _COMMON:
        return {}
    if length >= _GOBPF:
        return {"pinning": words[0]}
    is_sample = type_name in MAPS_OF_MAPS or flags & BPF_F_NUMA_NODE
    if length <= _SAMPLES and is_sample:
        return {"inner_map": words[0], "numa_node": words[1]}
    index = words[3] if length >= _IPROUTE2 else _NO_INDEX
    return {"id": words[0], "pinning": words[1], "inner_id": words[2], "inner_index": index}


def _annotation(btf: Btf | None, name: str, key_size: int, value_size: int) -> tuple[int, int]:
    """BPF_ANNOTATE_KV_PAIR left `struct ____btf_map_NAME {key; value}`; ids of the two types, or zeroes."""
    row = btf.by_name(f"____btf_map_{name}", Kind.STRUCT) if btf is not None else None
    if btf is None or not isinstance(row, Struct) or [m.name for m in row.members] != ["key", "value"]:
        return 0, 0
    ids = row.members[0].type_id, row.members[1].type_id
    return ids if (btf.size_of(ids[0]), btf.size_of(ids[1])) == (key_size, value_size) else (0, 0)


def _with_inner_maps(found: list[LegacyMap]) -> list[LegacyMap]:
    """Maps of maps with the map that they hold, by id (iproute2) or by its place among the records (samples)."""
    by_id = {m.id: m for m in reversed(found) if m.id}
    done = []
    for m in found:
        inner: LegacyMap | None = None
        if m.spec.type in MAPS_OF_MAPS:
            inner = by_id.get(m.inner_id) if m.inner_id else None
            if m.inner_map >= 0:
                inner = found[m.inner_map] if m.inner_map < len(found) else None
        if inner is m or (inner is not None and inner.spec.type in MAPS_OF_MAPS):
            raise InputError(f"map {m.spec.name}: holds {inner.spec.name}, a map of maps, expected a plain map")
        done.append(m if inner is None else replace(m, spec=replace(m.spec, inner=inner.spec)))
    return done


def first_entries(found: list[LegacyMap]) -> dict[str, dict[int, str]]:
    """iproute2 puts a map with `inner_idx` into each map of maps whose inner_id is its id."""
    values: dict[str, dict[int, str]] = {}
    for outer in found:
        if outer.spec.type not in MAPS_OF_MAPS or not outer.inner_id:
            continue
        for m in found:
            if m.id == outer.inner_id and m.inner_index != _NO_INDEX and m.spec.type not in MAPS_OF_MAPS:
                values.setdefault(outer.spec.name, {})[m.inner_index] = m.spec.name
    return values
