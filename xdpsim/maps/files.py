"""Maps to and from files: one NAME.json for each map in a directory, and preset files {map name: entries}."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from xdpsim.errors import InputError
from xdpsim.maps.map import Map


def save_maps(maps: Mapping[str, Map], directory: str | Path) -> list[Path]:
    """Write every map as DIRECTORY/NAME.json, in the shape of `bpftool map dump -j`; the files written."""
    folder = Path(directory)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, saved in maps.items():
            path = folder / f"{_file_name(name)}.json"
            path.write_text(_entry_lines(saved), encoding="utf-8")
            written.append(path)
    except OSError as err:
        raise InputError(f"{directory}: maps cannot be saved: {err.strerror}") from err
    return written


def _file_name(name: str) -> str:
    return name.replace("/", "_")


def _entry_lines(saved: Map) -> str:
    """One entry a line, so that two saved states can be compared with diff."""
    lines = [json.dumps(entry) for entry in saved.dump()]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def load_presets(maps: Mapping[str, Map], path: str | Path) -> list[str]:
    """Fill maps from a preset file (JSON or YAML, {map name: entries}) or a directory that save_maps wrote.

    The names of the maps that were filled. Read-only maps in a saved directory are passed over, as their content comes
    with the object. InputError names the file, the map, the entry and the field.
    """
    place = Path(path)
    if place.is_dir():
        return _load_directory(maps, place)
    presets = _read(place)
    if not isinstance(presets, dict):
        raise InputError(f"{place}: {_kind(presets)}, expected an object from map names to lists of entries")
    for name, entries in presets.items():
        _target(maps, str(name), place).load(entries, f"{place}: map {name}")
    return [str(name) for name in presets]


def _load_directory(maps: Mapping[str, Map], folder: Path) -> list[str]:
    by_file = {_file_name(name): name for name in maps}
    files = sorted(folder.glob("*.json"))
    if not files:
        raise InputError(f"{folder}: no NAME.json in it, expected a directory of saved maps")
    loaded = []
    for file in files:
        name = by_file.get(file.stem, file.stem)
        target = _target(maps, name, file)
        if target.is_frozen:
            continue
        target.load(_read(file), f"{file}: map {name}")
        loaded.append(name)
    return loaded


def _target(maps: Mapping[str, Map], name: str, place: Path) -> Map:
    if name not in maps:
        known = ", ".join(sorted(maps)) or "none"
        raise InputError(f"{place}: map {name}: there is no such map", hint=f"maps are: {known}")
    return maps[name]


def _read(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as err:
        raise InputError(f"{path}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise InputError(f"{path}: byte {err.start} is no UTF-8, expected JSON or YAML") from err
    if path.suffix in (".yaml", ".yml"):
        return _read_yaml(path, text)
    try:
        return json.loads(text)
    except json.JSONDecodeError as err:
        raise InputError(f"{path}:{err.lineno}:{err.colno}: {err.msg.lower()}, expected JSON") from err
    except RecursionError:
        raise InputError(f"{path}: nested too deeply, expected a preset file") from None


def _read_yaml(path: Path, text: str) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise InputError(f"{path}{place}: {err.problem or err.context}, expected YAML") from err
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise InputError(f"{path}: {str(err).splitlines()[0]}, expected YAML") from err


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else f"{value!r:.40}"
