"""Entries of a map in the shapes that `bpftool map dump` prints, and back: the same shapes serve as presets.

`bpftool -j` gives {"key": ["0x0a", ..], "value": [..], "formatted": {"key": .., "value": ..}}, the last with BTF only;
plain bpftool gives {"key": .., "value": ..} by BTF. A per-CPU map has "values": [{"cpu": 0, "value": ..}, ..] instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from xdpsim.errors import InputError

if TYPE_CHECKING:
    from xdpsim.maps.map import Map

Entry: TypeAlias = dict[str, object]
_FIELDS = {"key", "value", "values", "formatted"}


def hex_list(data: bytes) -> list[str]:
    """Bytes as bpftool prints them."""
    return [f"0x{byte:02x}" for byte in data]


def dump_entries(source: Map, *, plain: bool = False) -> list[Entry]:
    """Every entry in map order; `plain` gives typed keys and values alone where BTF knows them."""
    if source.elements_bytes is not None:
        return [_element(source, value, plain) for value in source.elements_bytes]
    entries: list[Entry] = []
    for key, value in source.items_bytes():
        formatted = _formatted(source, key, value)
        if formatted is not None and plain:
            entries.append(formatted)
            continue
        entry: Entry = {"key": hex_list(key), **_values(source, value, hex_list)}
        entries.append(entry if formatted is None else {**entry, "formatted": formatted})
    return entries


def _element(source: Map, value: bytes, plain: bool) -> Entry:
    """One element of a queue or stack; its typed form stands as in other entries."""
    typed: Entry | None = {"value": source.codec.typed_value(value)} if source.codec.is_typed else None
    if plain and typed is not None:
        return typed
    entry: Entry = {"value": hex_list(value)}
    return entry if typed is None else {**entry, "formatted": typed}


def _formatted(source: Map, key: bytes, value: bytes) -> Entry | None:
    typed_key = source.codec.typed_key(key)
    if typed_key is None or not source.codec.is_typed:
        return None
    return {"key": typed_key, **_values(source, value, source.codec.typed_value)}


def _values(source: Map, value: bytes, shown: object) -> Entry:
    assert callable(shown)
    if not source.kind.per_cpu:
        return {"value": shown(value)}
    return {"values": [{"cpu": cpu, "value": shown(part)} for cpu, part in enumerate(source.split(value))]}


def load_entries(target: Map, entries: object, where: str = "") -> None:
    """Set every entry, in order; InputError names the map, the entry's number (from 0) and the field.

    A mapping from key to value is taken as well.
    """
    where = where or f"map {target.name}"
    if isinstance(entries, Mapping):
        entries = [{"key": key, "value": value} for key, value in entries.items()]
    if not isinstance(entries, Sequence) or isinstance(entries, (str, bytes)):
        raise InputError(f"{where}: {type(entries).__name__}, expected a list of entries")
    for number, entry in enumerate(entries):
        _load_entry(target, entry, f"{where}: entry {number}")


def _load_entry(target: Map, entry: object, where: str) -> None:
    if not isinstance(entry, Mapping):
        raise InputError(f"{where}: {entry!r:.60}, expected an object with key and value")
    unknown = [str(field) for field in entry if field not in _FIELDS]
    if unknown:
        raise InputError(f"{where}: field {unknown[0]!r}, expected key, value, values or formatted")
    formatted = entry.get("formatted")
    if formatted is not None and not isinstance(formatted, Mapping):
        raise InputError(f"{where}: formatted: expected an object with key and value")
    if not target.spec.key_size:
        _load_element(target, entry, where)
        return
    shown = entry if "key" in entry else formatted or entry
    if "key" not in shown:
        raise InputError(f"{where}: no key", hint='an entry is {"key": .., "value": ..}')
    if _is_error(shown.get("value")):
        return
    key = _encode_key(target, shown["key"], f"{where}: key")
    value = _encode_entry(target, shown, key, where)
    if formatted is not None and shown is entry:
        _check_agrees(target, formatted, key, value, where)
    target.raise_error(target.update_bytes(key, value), f"{where}: key {target.codec.key_text(key)}")


def _load_element(target: Map, entry: Mapping[object, object], where: str) -> None:
    """Push one value to a map without keys."""
    formatted = entry.get("formatted")
    shown = formatted if "value" not in entry and isinstance(formatted, Mapping) else entry
    if "value" not in shown or shown.keys() & {"key", "values"}:
        raise InputError(f"{where}: expected one value and no key: a {target.spec.type} map has no keys")
    whole = hex_bytes(shown["value"], target.spec.value_size)
    value = target.encode(shown["value"] if whole is None else whole, f"{where}: value")
    target.raise_error(target.update_bytes(b"", value), where)


def _is_error(value: object) -> bool:
    """bpftool's word for a slot without a value."""
    return isinstance(value, Mapping) and value.keys() == {"error"}


def _encode_key(target: Map, key: object, where: str) -> bytes:
    return hex_bytes(key, target.spec.key_size) or target.codec.encode_key(key, where)


def hex_bytes(value: object, size: int) -> bytes | None:
    """The bytes of a list that bpftool printed, None for anything else."""
    if not isinstance(value, list) or len(value) != size or not value:
        return None
    if not all(isinstance(item, str) and len(item) == 4 and item.startswith("0x") for item in value):
        return None
    try:
        return bytes(int(item, 16) for item in value)
    except ValueError:
        return None


def _encode_entry(target: Map, shown: Mapping[str, object], key: bytes, where: str) -> bytes:
    if ("value" in shown) == ("values" in shown):
        expected = "values, one for each cpu, or one value" if target.kind.per_cpu else "one value"
        raise InputError(f"{where}: expected {expected}")
    if "value" in shown:
        whole = hex_bytes(shown["value"], target.spec.value_size)
        return target.encode(shown["value"] if whole is None else whole, f"{where}: value")
    if not target.kind.per_cpu:
        raise InputError(f"{where}: values, expected value: a {target.spec.type} map has one for all cpus")
    return _encode_cpus(target, shown["values"], key, f"{where}: values")


def _encode_cpus(target: Map, values: object, key: bytes, where: str) -> bytes:
    """Values for some CPUs; the others keep what they have."""
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        raise InputError(f"{where}: expected a list of values")
    now = target.lookup_bytes(key)
    parts = target.split(now) if now else [bytes(target.spec.value_size)] * target.cpus
    for at, item in enumerate(values):
        cpu, value = at, item
        if isinstance(item, Mapping) and item.keys() == {"cpu", "value"}:
            cpu, value = item["cpu"], item["value"]
        if not isinstance(cpu, int) or not 0 <= cpu < target.cpus:
            raise InputError(f"{where}[{at}]: cpu {cpu!r}, expected 0 to {target.cpus - 1}")
        known = hex_bytes(value, target.spec.value_size)
        parts[cpu] = target.codec.encode_value(value, f"{where}[{at}]") if known is None else known
    return target.join(parts)


def _check_agrees(target: Map, formatted: Mapping[str, object], key: bytes, value: bytes, where: str) -> None:
    """An entry edited in one place only would be read silently wrong."""
    expected = _formatted(target, key, value)
    if expected is not None and dict(formatted) != expected:
        raise InputError(
            f"{where}: formatted says something else than key and value",
            hint="leave out formatted, or leave out key and value",
        )
