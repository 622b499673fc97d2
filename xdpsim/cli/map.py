"""`xdpsim map`: look into saved maps and change them.

With --object the map is made as the object defines it and behaves as on Linux, keys and values typed by BTF; without,
entries are what the file shows: bytes, or the same text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from xdpsim.analysis.naming import single_leaves
from xdpsim.analysis.readable import Reader, printable
from xdpsim.cli.asked import MapOptions
from xdpsim.cli.errors import OK
from xdpsim.cli.output import emit
from xdpsim.cli.saved import SavedMap, Words, as_bytes, as_value, open_saved, parse_words
from xdpsim.errors import InputError
from xdpsim.maps.dump import hex_bytes, hex_list
from xdpsim.maps.map import Map
from xdpsim.sim.sim import Sim

Entry = dict[str, Any]
NOEXIST, EXIST = 1, 2
DEFAULT_CPUS = 2


class Store(Protocol):
    """A map that can be asked and changed; entries are as `bpftool map dump -j` prints them."""

    def dump(self) -> list[Entry]: ...
    def lookup(self, key: Sequence[str]) -> Entry: ...
    def update(self, key: Sequence[str], value: Sequence[str], flags: int) -> None: ...
    def delete(self, key: Sequence[str]) -> None: ...
    def next_key(self, key: Sequence[str]) -> Entry: ...
    def show(self, entry: Entry) -> str:
        """An entry on one line (more for a per-CPU map), for people."""


def run(options: MapOptions) -> int:
    """Do the action; the exit code."""
    words = parse_words(options.action, options.words)
    saved = open_saved(options.place, options.name)
    store: Store = _Defined(saved, options.object) if options.object else _Plain(saved)
    _ACTIONS[options.action](store, words, options.json)
    return OK


def _dump(store: Store, words: Words, as_json: bool) -> None:
    entries = store.dump()
    if as_json:
        emit(json.dumps(entries))
        return
    for entry in entries:
        emit(store.show(entry))
    emit(f"Found {len(entries)} element{'s' * (len(entries) != 1)}")


def _lookup(store: Store, words: Words, as_json: bool) -> None:
    entry = store.lookup(words.key)
    emit(json.dumps(entry) if as_json else store.show(entry))


def _update(store: Store, words: Words, as_json: bool) -> None:
    store.update(words.key, words.value, words.flags)
    if as_json:
        emit("null")  # bpftool's word for done


def _delete(store: Store, words: Words, as_json: bool) -> None:
    store.delete(words.key)
    if as_json:
        emit("null")


def _getnext(store: Store, words: Words, as_json: bool) -> None:
    entry = store.next_key(words.key)
    emit(json.dumps(entry) if as_json else store.show(entry))


_ACTIONS = {"dump": _dump, "lookup": _lookup, "update": _update, "delete": _delete, "getnext": _getnext}


class _Defined:
    """A map as its object defines it."""

    def __init__(self, saved: SavedMap, path: str) -> None:
        self._saved = saved
        maps = Sim(cpus=_cpus(saved.entries)).load(path).maps
        if saved.name not in maps:
            raise InputError(f"{path}: there is no map {saved.name}", hint=f"maps are: {', '.join(maps) or 'none'}")
        self._map: Map = maps[saved.name]
        self._map.load(saved.entries, saved.where)
        self._reader = Reader(self._map)

    def dump(self) -> list[Entry]:
        return self._map.dump()

    def lookup(self, key: Sequence[str]) -> Entry:
        encoded = self._key(key)
        if self._map.lookup_bytes(encoded) is None:
            raise self._missing(encoded)
        return self._entry(encoded)

    def update(self, key: Sequence[str], value: Sequence[str], flags: int) -> None:
        where = f"{self._saved.where}: value"
        plain = as_bytes(value, self._map.spec.value_size)
        encoded = self._map.encode(as_value(value) if plain is None else plain, where)
        key_bytes = self._key(key)
        self._map.raise_error(self._map.update_bytes(key_bytes, encoded, flags), self._at(key_bytes))
        self._save()

    def delete(self, key: Sequence[str]) -> None:
        encoded = self._key(key)
        self._map.raise_error(self._map.delete_bytes(encoded), self._at(encoded))
        self._save()

    def next_key(self, key: Sequence[str]) -> Entry:
        following = self._map.next_key_bytes(self._key(key) if key else None)
        if following is None:
            raise InputError(f"{self._saved.where}: there is no next key")
        entry = self._entry(following)
        return {"key": entry["key"]} | (
            {"formatted": {"key": entry["formatted"]["key"]}} if "formatted" in entry else {}
        )

    def show(self, entry: Entry) -> str:
        key = hex_bytes(entry["key"], self._map.spec.key_size) or b""
        shown = f"key: {self._reader.key(key)}"
        if "value" in entry:
            value = hex_bytes(entry["value"], self._map.spec.value_size) or b""
            return f"{shown}  value: {self._reader.value(value)}"
        lines = [f"  value (CPU {part['cpu']}): {self._one_value(part['value'])}" for part in entry.get("values", [])]
        return "\n".join([shown, *lines])

    def _one_value(self, value: object) -> str:
        data = hex_bytes(value, self._map.spec.value_size) or b""
        return ", ".join(f"{name} {leaf}".strip() for name, leaf in single_leaves(self._reader, data).items())

    def _key(self, words: Sequence[str]) -> bytes:
        plain = as_bytes(words, self._map.spec.key_size)
        return self._map.codec.encode_key(as_value(words) if plain is None else plain, f"{self._saved.where}: key")

    def _entry(self, key: bytes) -> Entry:
        """The entry as dump has it; a key that is only covered by an LPM entry keeps its own text."""
        wanted = hex_list(key)
        for entry in self._map.dump():
            if entry["key"] == wanted:
                return entry
        value = self._map.lookup_bytes(key)
        return {"key": wanted, "value": hex_list(value or b"")}

    def _at(self, key: bytes) -> str:
        return f"{self._saved.where}: key {self._map.codec.key_text(key)}"

    def _missing(self, key: bytes) -> InputError:
        return InputError(f"{self._at(key)}: not found")

    def _save(self) -> None:
        self._saved.write(self._map.dump())


def _cpus(entries: Any) -> int:
    """How many CPUs a saved per-CPU map was saved with."""
    if not isinstance(entries, list):
        return DEFAULT_CPUS
    counts = (len(entry["values"]) for entry in entries if isinstance(entry, dict) and "values" in entry)
    return max(counts, default=DEFAULT_CPUS)


class _Plain:
    """A map of which only the file is known."""

    def __init__(self, saved: SavedMap) -> None:
        self._saved = saved
        entries = saved.entries
        if isinstance(entries, dict):
            entries = [{"key": key, "value": value} for key, value in entries.items()]
        if not isinstance(entries, list):
            raise InputError(f"{saved.where}: expected a list of entries")
        for number, entry in enumerate(entries):
            if not _is_entry(entry) or not _is_entry(entry.get("formatted", entry)):
                raise InputError(f"{saved.where}: entry {number}: expected an object with key and value, or values")
        self._entries: list[Entry] = entries

    def dump(self) -> list[Entry]:
        return self._entries

    def lookup(self, key: Sequence[str]) -> Entry:
        return self._entries[self._find(key)]

    def update(self, key: Sequence[str], value: Sequence[str], flags: int) -> None:
        at = self._place(key)
        if at is None and flags == EXIST:
            raise InputError(f"{self._where(key)}: ENOENT: there is no such entry")
        if at is not None and flags == NOEXIST:
            raise InputError(f"{self._where(key)}: EEXIST: there is such an entry already")
        key_shown = self._entries[at]["key"] if at is not None else self._bytes(key, "key")
        entry = {"key": key_shown, "value": self._bytes(value, "value")}
        if at is None:
            self._entries.append(entry)
        else:
            self._entries[at] = entry
        self._saved.write(self._entries)

    def delete(self, key: Sequence[str]) -> None:
        del self._entries[self._find(key)]
        self._saved.write(self._entries)

    def next_key(self, key: Sequence[str]) -> Entry:
        at = self._place(key) if key else None
        following = 0 if at is None else at + 1
        if following >= len(self._entries):
            raise InputError(f"{self._saved.where}: there is no next key")
        return {"key": self._entries[following]["key"]}

    def show(self, entry: Entry) -> str:
        typed = entry.get("formatted", entry)
        key = f"key: {_shown(typed.get('key', entry['key']))}"
        if "value" in typed:
            return f"{key}  value: {_shown(typed['value'])}"
        lines = [f"  value (CPU {part['cpu']}): {_shown(part['value'])}" for part in typed.get("values", [])]
        return "\n".join([key, *lines])

    def _find(self, key: Sequence[str]) -> int:
        at = self._place(key)
        if at is None:
            raise InputError(f"{self._where(key)}: not found")
        return at

    def _place(self, key: Sequence[str]) -> int | None:
        """The entry whose bytes, or whose text, the words give."""
        plain, typed = as_bytes(key, self._size("key")), as_value(key)
        for at, entry in enumerate(self._entries):
            if plain is not None and entry["key"] == hex_list(plain):
                return at
            if typed in (entry["key"], entry.get("formatted", {}).get("key")):
                return at
        return None

    def _bytes(self, words: Sequence[str], field: str) -> list[str]:
        """Words as the file shows bytes; a value of another length than the others is a mistake."""
        size = self._size(field)
        found = as_bytes(words, size)
        if found is None or (size is not None and len(found) != size):
            count = f"{size} bytes" if size is not None else "bytes"
            raise InputError(
                f"{self._saved.where}: {field} {' '.join(words)}: expected {count}, such as hex 0a 00",
                hint="with --object OBJ keys and values can be written by their types",
            )
        return hex_list(found)

    def _size(self, field: str) -> int | None:
        """How many bytes the entries of the file have."""
        for entry in self._entries:
            if isinstance(entry.get(field), list):
                return len(entry[field])
        return None

    def _where(self, key: Sequence[str]) -> str:
        return f"{self._saved.where}: key {' '.join(key)}"


def _is_entry(entry: Any) -> bool:
    """Whether it has the shape of a saved entry."""
    if not isinstance(entry, dict) or "key" not in entry or not ("value" in entry or "values" in entry):
        return False
    values = entry.get("values", [])
    return isinstance(values, list) and all(isinstance(v, dict) and v.keys() == {"cpu", "value"} for v in values)


def _shown(value: Any) -> str:
    """Bytes as pairs of digits, anything else as JSON; text as it is."""
    if isinstance(value, list) and value and all(isinstance(item, str) and item.startswith("0x") for item in value):
        return " ".join(item[2:] for item in value)
    return printable(value if isinstance(value, str) else json.dumps(value))
