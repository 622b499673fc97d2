"""The maps of an object: definitions in `.maps` as BTF types, and one map for each section of global data.

Follows parse_btf_map_def(), bpf_object__init_global_data_maps() and bpf_object__collect_map_relos() of libbpf.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace

from xdpsim.bits import round_up
from xdpsim.btf.types import Array, Btf, DataSec, Enum, Kind, Linkage, Member, Ref, Struct, Var
from xdpsim.errors import InputError
from xdpsim.loader.elf import Elf, Relocation, Section
from xdpsim.loader.functions import DataPlaces
from xdpsim.loader.legacy import first_entries, read_legacy
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_MMAPABLE, BPF_F_RDONLY_PROG, MAP_TYPES

MAPS_SECTION = ".maps"
POINTER = 8
PERF_VALUE = 4
PAGE = 4096

TYPE_NAMES = {row.id: row.name for row in MAP_TYPES.values()}
MAPS_OF_MAPS = frozenset({"ARRAY_OF_MAPS", "HASH_OF_MAPS"})
# libbpf creates these without key and value types: the kernel would refuse them.
_WITHOUT_BTF = frozenset(
    {
        *("CGROUP_ARRAY", "STACK_TRACE", "ARRAY_OF_MAPS", "HASH_OF_MAPS", "DEVMAP", "DEVMAP_HASH"),
        *("CPUMAP", "XSKMAP", "SOCKMAP", "SOCKHASH", "QUEUE", "STACK", "ARENA"),
    }
)
_DATA = ("data", "rodata", "bss")
_RINGS = frozenset({"RINGBUF", "USER_RINGBUF"})
_MOST_FIELDS = 32
_NUMBERS = ("type", "max_entries", "map_flags", "numa_node", "key_size", "value_size", "pinning")


@dataclass
class Maps:
    """All maps of an object, in libbpf's order, where they lie, and their first entries."""

    specs: list[MapSpec] = field(default_factory=list)
    places: DataPlaces = field(default_factory=lambda: DataPlaces({}, {}, {}))
    values: dict[str, dict[int, str]] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)
    """iproute2's map ids -> index in `specs`."""


@dataclass
class _Definition:
    """The fields of one definition as they are met."""

    name: str
    numbers: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    inner: MapSpec | None = None
    holds_programs: bool = False
    values_at: int = -1


def read_maps(elf: Elf, btf: Btf | None, cpus: int = 1) -> Maps:
    """The maps that the object defines, for a machine of `cpus`. InputError names the map and the field."""
    maps = Maps()
    legacy = read_legacy(elf, btf)
    for m in legacy:
        maps.places.maps[m.section, m.offset] = len(maps.specs)
        if m.id:
            maps.ids.setdefault(m.id, len(maps.specs))
        maps.specs.append(m.spec)
    maps.values |= first_entries(legacy)
    section = elf.named(MAPS_SECTION)
    if section is not None and section.size:
        if btf is None:
            raise InputError(f"section {MAPS_SECTION!r}: needs BTF, which is missing", hint="build with clang -g")
        _read_section(elf, btf, section, maps)
    for data in elf.sections:
        name = data.name
        if data.size and not data.executable and name.startswith(".") and name.split(".")[1] in _DATA:
            if elf.named(name) is not data:
                raise InputError(f"section {data.index} ({name!r}): a second one of that name")
            maps.places.data[data.index] = len(maps.specs)
            maps.specs.append(_data_map(data, btf))
        elif name.startswith(".addr_space."):
            maps.places.unsupported[data.index] = "variables in an arena are not supported"
    maps.specs[:] = [_fitted(spec, cpus) for spec in maps.specs]
    _check_names(maps)
    return maps


def _fitted(spec: MapSpec, cpus: int) -> MapSpec:
    """Sizes that loaders fill in. The value type of a perf or ring buffer tells of its events, not of its values."""
    if spec.type == "PERF_EVENT_ARRAY":
        typed = spec.value_type and spec.btf is not None and spec.btf.size_of(spec.value_type) != PERF_VALUE
        kept = spec.value_type if typed else 0
        entries = spec.max_entries or cpus
        return replace(spec, max_entries=entries, key_size=4, value_size=PERF_VALUE, key_type=0, value_type=kept)
    if spec.type in _RINGS:
        return replace(spec, key_size=0, value_size=0, key_type=0, max_entries=_ring_size(spec.max_entries))
    return spec


def _check_names(maps: Maps) -> None:
    seen: set[str] = set()
    for spec in maps.specs:
        if spec.name in seen:
            raise InputError(f"map {spec.name}: defined twice")
        seen.add(spec.name)


def _data_map(section: Section, btf: Btf | None) -> MapSpec:
    """An array of one entry that holds a section of global variables."""
    row = btf.by_name(section.name, Kind.DATASEC) if btf is not None else None
    read_only = section.name.startswith(".rodata")
    flags = BPF_F_RDONLY_PROG if read_only else 0
    if btf is not None and isinstance(row, DataSec):
        variables = [btf.get(v.type_id) for v in row.variables]
        if any(isinstance(v, Var) and v.linkage != Linkage.STATIC for v in variables):
            flags |= BPF_F_MMAPABLE
    return MapSpec(
        name=section.name,
        type="ARRAY",
        key_size=4,
        value_size=section.size,
        max_entries=1,
        flags=flags,
        value_type=row.id if row is not None else 0,
        btf=btf,
        initial=section.data if section.has_data else bytes(section.size),
        read_only=read_only,
    )


def _read_section(elf: Elf, btf: Btf, section: Section, maps: Maps) -> None:
    row = btf.by_name(MAPS_SECTION, Kind.DATASEC)
    if not isinstance(row, DataSec):
        raise InputError(f"section {MAPS_SECTION!r}: BTF does not describe it", hint="build with clang -g")
    spans: list[tuple[int, int, _Definition]] = []
    for v in sorted(row.variables, key=lambda v: v.offset):
        variable = btf.get(v.type_id)
        if not isinstance(variable, Var):
            raise InputError(f"section {MAPS_SECTION!r}: holds type {v.type_id} ({variable.kind.name}), expected maps")
        if variable.linkage == Linkage.EXTERN or v.offset + v.size > section.size:
            raise InputError(
                f"map {variable.name}: at bytes {v.offset} to {v.offset + v.size}, expected a definition inside the "
                f"{section.size} bytes of section {MAPS_SECTION!r}"
            )
        definition = _definition(btf, variable.name, btf.resolve(variable.type_id).id, inner=False)
        maps.places.maps[section.index, v.offset] = len(maps.specs)
        maps.specs.append(_spec(btf, definition))
        spans.append((v.offset, v.offset + v.size, definition))
    _read_values(elf, section, spans, maps)


def _definition(btf: Btf, name: str, type_id: int, *, inner: bool) -> _Definition:
    row = btf.get(type_id)
    if not isinstance(row, Struct) or row.kind is not Kind.STRUCT:
        raise InputError(f"map {name}: defined by {btf.type_name(type_id)}, expected a struct")
    found = _Definition(name)
    if len({m.name for m in row.members[:_MOST_FIELDS]}) < len(row.members):
        raise InputError(f"map {name}: {len(row.members)} fields, expected each field once")
    for member in row.members:
        where = f"map {name}: field {member.name!r}"
        if member.name in _NUMBERS:
            _set(found.numbers, member.name, _number(btf, member, where), where)
        elif member.name in ("key", "value"):
            target = btf.resolve(member.type_id)
            if not isinstance(target, Ref) or target.kind is not Kind.PTR:
                raise InputError(f"{where}: {btf.type_name(member.type_id)}, expected a pointer to the type")
            found.types[member.name] = target.type_id
            _set(found.numbers, f"{member.name}_size", btf.size_of(target.type_id), where)
        elif member.name == "map_extra":
            found.numbers["map_extra"] = _long(btf, member, where)
        elif member.name == "values" and not inner and member is row.members[-1]:
            _read_inner(btf, found, member, where)
        else:
            known = ", ".join((*_NUMBERS, "key", "value", "map_extra", "values"))
            raise InputError(
                f"{where}: is not known here", hint=f"known are {known} (values last, not in an inner map)"
            )
    if inner and "pinning" in found.numbers:
        raise InputError(f"map {name}: an inner map cannot be pinned")
    return found


def _set(numbers: dict[str, int], name: str, value: int, where: str) -> None:
    if numbers.setdefault(name, value) != value:
        raise InputError(f"{where}: gives {name} {value}, but it is {numbers[name]} already")


def _number(btf: Btf, member: Member, where: str) -> int:
    """__uint(name, N) is `int (*name)[N]`; newer headers may write an enum of one value instead."""
    target = btf.resolve(member.type_id)
    array = btf.resolve(target.type_id) if isinstance(target, Ref) and target.kind is Kind.PTR else target
    if isinstance(target, Enum):
        return _long(btf, member, where)
    if target.kind is not Kind.PTR or not isinstance(array, Array):
        raise InputError(f"{where}: {btf.type_name(member.type_id)}, expected a pointer to an array (__uint)")
    return array.nelems


def _long(btf: Btf, member: Member, where: str) -> int:
    """__ulong(name, N) is an enum with the value N."""
    target = btf.resolve(member.type_id)
    if isinstance(target, Enum) and len(target.values) == 1:
        return target.values[0][1]
    return _number(btf, member, where) if target.kind is Kind.PTR else _no_number(btf, member, where)


def _no_number(btf: Btf, member: Member, where: str) -> int:
    raise InputError(f"{where}: {btf.type_name(member.type_id)}, expected an enum of one value (__ulong)")


def _read_inner(btf: Btf, found: _Definition, member: Member, where: str) -> None:
    """__array(values, X): pointers to inner maps, or to the programs of a program array."""
    array = btf.resolve(member.type_id)
    pointer = btf.resolve(array.type_id) if isinstance(array, Array) else array
    if not isinstance(array, Array) or array.nelems or not isinstance(pointer, Ref) or pointer.kind is not Kind.PTR:
        raise InputError(f"{where}: {btf.type_name(member.type_id)}, expected an array of pointers (__array)")
    found.values_at = member.bit_offset // 8
    _set(found.numbers, "value_size", 4, where)
    target = btf.resolve(pointer.type_id)
    if target.kind is Kind.FUNC_PROTO:
        found.holds_programs = True
    else:
        found.inner = _spec(btf, _definition(btf, f"{found.name}.inner", target.id, inner=True))


def _spec(btf: Btf, found: _Definition) -> MapSpec:
    numbers = found.numbers
    number = numbers.get("type", 0)
    where = f"map {found.name}"
    if number not in TYPE_NAMES:
        raise InputError(f"{where}: type {number}, expected 1 to {max(TYPE_NAMES)}")
    kind = TYPE_NAMES[number]
    if found.inner is not None and kind not in MAPS_OF_MAPS:
        raise InputError(f"{where}: holds maps, expected type ARRAY_OF_MAPS or HASH_OF_MAPS, not {kind}")
    if found.holds_programs and kind != "PROG_ARRAY":
        raise InputError(f"{where}: holds programs, expected type PROG_ARRAY, not {kind}")
    typed = kind not in _WITHOUT_BTF
    entries = numbers.get("max_entries", 0)
    return MapSpec(
        name=found.name,
        type=kind,
        key_size=numbers.get("key_size", 0),
        value_size=numbers.get("value_size", 0),
        max_entries=entries,
        flags=numbers.get("map_flags", 0),
        key_type=found.types.get("key", 0) if typed else 0,
        value_type=found.types.get("value", 0) if typed else 0,
        btf=btf,
        pinning=numbers.get("pinning", 0),
        inner=found.inner,
        numa_node=numbers.get("numa_node", 0),
        map_extra=numbers.get("map_extra", 0),
    )


def _ring_size(entries: int) -> int:
    """libbpf rounds a ring up to a power of two of whole pages (adjust_ringbuf_sz)."""
    if entries and entries % PAGE == 0 and entries & (entries - 1) == 0:
        return entries
    pages = max(1, round_up(entries, PAGE) // PAGE)
    rounded = PAGE << (pages - 1).bit_length()
    return rounded if rounded <= 0xFFFF_FFFF else entries


def _read_values(elf: Elf, section: Section, spans: list[tuple[int, int, _Definition]], maps: Maps) -> None:
    """Relocations in .maps are the initial entries: `.values = { [3] = &inner }`."""
    for relocation in elf.relocations.get(section.index, ()):
        at = relocation.offset
        before = bisect_right(spans, at, key=lambda span: span[0])
        span = spans[before - 1] if before and at + POINTER <= spans[before - 1][1] else None
        where = f"section {MAPS_SECTION!r}: relocation at offset {at}"
        if span is None or span[2].values_at < 0 or at < span[0] + span[2].values_at:
            raise InputError(f"{where}: is not in the values of a map")
        index, rest = divmod(at - span[0] - span[2].values_at, POINTER)
        if rest:
            raise InputError(f"{where}: expected a multiple of {POINTER} from the first value of map {span[2].name}")
        maps.values.setdefault(span[2].name, {})[index] = _value_name(elf, section, span[2], relocation, maps, where)


def _value_name(elf: Elf, section: Section, into: _Definition, at: Relocation, maps: Maps, where: str) -> str:
    symbol = at.symbol
    if into.holds_programs:
        if symbol.type == "SECTION":  # a static function: its place in the section stands in the data
            place = symbol.section, int.from_bytes(section.data[at.offset : at.offset + POINTER], "little")
            symbol = elf.functions.get(place, symbol)
        if symbol.type != "FUNC":
            raise InputError(f"{where}: names {symbol.name!r}, expected a program for map {into.name}")
        return symbol.name
    index = maps.places.maps.get((symbol.section, symbol.value)) if symbol.section == section.index else None
    if index is None:
        raise InputError(f"{where}: names {symbol.name!r}, expected a map for map {into.name}")
    return maps.specs[index].name
