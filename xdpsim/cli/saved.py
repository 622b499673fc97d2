"""Saved maps on disk, and the words that the command line has for keys and values.

A saved map is NAME.json of `run --save-maps` (a list of entries) or one name in a preset file ({name: entries}).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdpsim.btf.text import parse_int
from xdpsim.cli.errors import UsageError
from xdpsim.errors import InputError

FLAGS = {"any": 0, "noexist": 1, "exist": 2}


@dataclass
class SavedMap:
    """One map of a file; `entries` is what the file holds for it, `write` puts something else there."""

    path: Path
    name: str
    entries: Any
    _document: Any
    """The whole file when it holds several maps, else None."""

    @property
    def where(self) -> str:
        """How messages begin."""
        return f"{self.path}: map {self.name}"

    def write(self, entries: list[dict[str, Any]]) -> None:
        """Replace the map's entries in the file."""
        if self._document is None:
            rows = ",\n".join(json.dumps(entry) for entry in entries)
            text = f"[\n{rows}\n]\n" if rows else "[]\n"
        else:
            text = json.dumps(self._document | {self.name: entries}, indent=2) + "\n"
        try:
            self.path.write_text(text, encoding="utf-8")
        except OSError as err:
            raise InputError(f"{self.path}: {err.strerror}") from err


def open_saved(place: str, name: str) -> SavedMap:
    """The map `name` of a directory or a file; InputError names the maps there are."""
    path = Path(place)
    if path.is_dir():
        path = path / f"{name.replace('/', '_')}.json"
        if not path.is_file():
            raise _unknown(place, name, sorted(file.stem for file in Path(place).glob("*.json")))
    document = _read(path)
    if isinstance(document, list):
        return SavedMap(path, name, document, None)
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a list of entries, or an object from map names to entries")
    if name not in document:
        raise _unknown(str(path), name, list(document))
    return SavedMap(path, name, document[name], document)


def _unknown(place: str, name: str, known: Sequence[str]) -> InputError:
    return InputError(f"{place}: there is no map {name}", hint=f"maps are: {', '.join(known) or 'none'}")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise InputError(f"{path}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise InputError(f"{path}: byte {err.start} is no UTF-8, expected JSON") from err
    except json.JSONDecodeError as err:
        raise InputError(f"{path}:{err.lineno}:{err.colno}: {err.msg.lower()}, expected JSON") from err
    except RecursionError:
        raise InputError(f"{path}: nested too deeply, expected a saved map") from None


@dataclass(frozen=True)
class Words:
    """What stands behind the map's name: the words of the key, those of the value, the update's flag."""

    key: tuple[str, ...] = ()
    value: tuple[str, ...] = ()
    flags: int = 0


def parse_words(action: str, words: Sequence[str]) -> Words:
    """Take `key DATA [value DATA] [any|exist|noexist]` apart; UsageError where the action wants something else."""
    left = list(words)
    flag = "any"
    if action == "update" and left and left[-1] in FLAGS:
        flag = left.pop()
    key: list[str] = []
    value: list[str] = []
    if left and left[0] == "key":
        at = left.index("value", 1) if action == "update" and "value" in left[1:] else len(left)
        key, value, left = left[1:at], left[at + 1 :], []
    wants_key, wants_value = action in ("lookup", "update", "delete"), action == "update"
    if left or (wants_key and not key) or bool(value) != wants_value or (action == "dump" and key):
        expected = {"dump": "nothing", "update": "key DATA value DATA [any|exist|noexist]", "getnext": "[key DATA]"}
        raise UsageError(f"map {action}: expected behind the name: {expected.get(action, 'key DATA')}")
    return Words(tuple(key), tuple(value), FLAGS[flag])


def as_bytes(words: Sequence[str], size: int | None) -> bytes | None:
    """The bytes that words spell as bpftool reads them, None when they mean something else.

    `hex 0a 00` is always bytes; numbers are when there are `size` of them (None: two or more).
    """
    if words and words[0] == "hex":
        try:
            return bytes.fromhex(" ".join(words[1:]))
        except ValueError:
            raise UsageError(f"{' '.join(words)}: expected pairs of hex digits behind hex") from None
    numbers = [parse_int(word) for word in words]
    if len(numbers) != size and (size is not None or len(numbers) < 2):
        return None
    found = [number for number in numbers if number is not None and 0 <= number <= 255]
    return bytes(found) if len(found) == len(numbers) else None


def as_value(words: Sequence[str]) -> Any:
    """What words say that are no bytes: JSON, or text."""
    text = " ".join(words)
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text
