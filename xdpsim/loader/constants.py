"""Global variables, and sizes of maps, that a user sets before an object is loaded.

What libbpf's skeletons and bpf_map__set_max_entries() do: the bytes change before any program is verified, so that
`const volatile` switches decide which code is reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from xdpsim.btf.text import encode_plain, parse_int
from xdpsim.btf.types import DataSec, Var
from xdpsim.btf.values import encode_value
from xdpsim.errors import InputError
from xdpsim.loader.elf import Elf
from xdpsim.maps.spec import MapSpec

CILIUM_PREFIX = "__config_"  # how cilium's DECLARE_CONFIG names a constant in .rodata.config
MAX_ENTRIES = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class _Variable:
    """A global variable: `map_index` of its section; `type_id` is 0 where only its size is known."""

    name: str
    map_index: int
    offset: int
    size: int
    type_id: int


def set_constants(elf: Elf, specs: list[MapSpec], given: Mapping[str, object]) -> None:
    """Change `specs` by `given`: name -> value. InputError for a name that is not there and a value that does not fit.

    A name is that of a variable (`NAME`, `.rodata:NAME` where two sections have one, `NAME.field` for a part of a
    struct), or of a map: then the value is its max_entries.
    """
    if not given:
        return
    variables = list(_variables(elf, specs))
    for name, value in given.items():
        where = f"constant {name}"
        found = [v for v in variables if name in (v.name, f"{specs[v.map_index].name}:{v.name}")]
        found = found or [v for v in variables if v.name == CILIUM_PREFIX + name]
        field = ""
        if not found and "." in name.lstrip("."):
            head, _, field = name.partition(".")
            found = [v for v in variables if head in (v.name, v.name.removeprefix(CILIUM_PREFIX))]
            where = f"constant {head}"
        if len(found) > 1:
            places = ", ".join(f"{specs[v.map_index].name}:{v.name}" for v in found)
            raise InputError(f"{where}: {len(found)} variables have that name", hint=f"say which: {places}")
        if found:
            specs[found[0].map_index] = _with_value(specs[found[0].map_index], found[0], field, value, where)
        else:
            _set_entries(specs, name, value, [v.name for v in variables])


def _variables(elf: Elf, specs: list[MapSpec]) -> Iterator[_Variable]:
    """By BTF, and by symbol where BTF says nothing."""
    places: dict[str, int] = {spec.name: i for i, spec in enumerate(specs) if spec.initial is not None}
    for name, index in places.items():
        spec, known = specs[index], set[int]()
        section = spec.btf.get(spec.value_type) if spec.btf is not None and spec.value_type else None
        for v in section.variables if isinstance(section, DataSec) else ():
            row = spec.btf.get(v.type_id) if spec.btf is not None else None
            if isinstance(row, Var):
                known.add(v.offset)
                yield _Variable(row.name, index, v.offset, v.size, row.type_id)
        found = elf.named(name)
        for symbol in elf.symbols:
            if found is None or symbol.section != found.index or symbol.type != "OBJECT" or symbol.value in known:
                continue
            if symbol.value + symbol.size <= spec.value_size:
                yield _Variable(symbol.name, index, symbol.value, symbol.size, 0)


def _with_value(spec: MapSpec, variable: _Variable, field: str, value: object, where: str) -> MapSpec:
    assert spec.initial is not None
    end = variable.offset + variable.size
    old = spec.initial[variable.offset : end]
    for part in reversed(field.split(".")) if field else ():
        value = {part: value}
    if variable.type_id and spec.btf is not None:
        new = encode_value(spec.btf, variable.type_id, value, where=where, base=old)
    elif field:
        raise InputError(f"{where}: the object has no types, expected a whole variable")
    else:
        new = encode_plain(variable.size, value, where)
    return replace(spec, initial=spec.initial[: variable.offset] + new + spec.initial[end:])


def _set_entries(specs: list[MapSpec], name: str, value: object, known: list[str]) -> None:
    index = next((i for i, spec in enumerate(specs) if spec.name == name and spec.initial is None), -1)
    if index < 0:
        maps = ", ".join(s.name for s in specs if s.initial is None)
        shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise InputError(
            f"constant {name}: no variable and no map is called that",
            hint=f"variables: {shown or 'none'}; maps: {maps}",
        )
    number = parse_int(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= MAX_ENTRIES:
        raise InputError(f"map {name}: {value!r} entries, expected 1 to {MAX_ENTRIES}")
    specs[index] = replace(specs[index], max_entries=number)
