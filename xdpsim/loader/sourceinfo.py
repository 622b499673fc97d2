"""Source lines and function types of a linked program, out of .BTF.ext: offsets in sections become slots.

The kernel takes func_info and line_info only when they cover every function (kernel/bpf/verifier.c,
check_btf_func and check_btf_line): where they do not, they are left out and `lines` keeps what there is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from xdpsim.btf.ext import BtfExt, CoreRelo, LineInfo, Strings
from xdpsim.btf.types import Btf, Kind
from xdpsim.errors import InputError
from xdpsim.loader.functions import SLOT, Function
from xdpsim.loader.link import Linked
from xdpsim.loader.model import Line, Subprogram

T = TypeVar("T", LineInfo, CoreRelo)

MAX_ALL_LINES = 1 << 18
"""Of all programs together, functions that they share counted each time: beyond it, lines are no longer told."""
_FunctionLines = tuple[list[Line], list[tuple[int, int, int, int]]]


@dataclass(frozen=True)
class Positions:
    """What .BTF.ext says about one program."""

    subprograms: tuple[Subprogram, ...]
    lines: tuple[Line, ...]
    func_info: tuple[tuple[int, int], ...]
    line_info: tuple[tuple[int, int, int, int], ...]

    def line_at(self, slot: int) -> Line | None:
        """The source position that holds at `slot`."""
        index = bisect_left(self.lines, slot + 1, key=lambda line: line.slot)
        return self.lines[index - 1] if index else None


class SourceInfo:
    """The .BTF.ext of an object, sorted once; without one it knows nothing and says so by empty tuples."""

    def __init__(self, btf: Btf | None, ext: BtfExt | None) -> None:
        self.strings = Strings(btf) if btf is not None else None
        self.functions: dict[tuple[str, int], int] = {}
        self.lines: dict[str, list[LineInfo]] = {}
        self._of_function: dict[tuple[Function, int], _FunctionLines] = {}
        self.left = MAX_ALL_LINES
        self.core: dict[str, list[CoreRelo]] = {}
        if btf is None or ext is None:
            return
        for section, functions in ext.functions.items():
            for row in functions:
                if row.offset % SLOT or btf.get(row.type_id).kind is not Kind.FUNC:
                    raise InputError(
                        f"btf.ext func_info of section {section!r}: type {row.type_id} at offset {row.offset}, "
                        f"expected a FUNC at a multiple of {SLOT}"
                    )
                self.functions[section, row.offset] = row.type_id
        self.lines = {section: _sorted("line_info", section, rows) for section, rows in ext.lines.items()}
        self.core = {section: _sorted("core_relo", section, rows) for section, rows in ext.relocations.items()}

    def positions(self, program: Linked) -> Positions:
        """Everything about `program`, in its own slots."""
        subprograms = tuple(Subprogram(p.function.name, p.slot, self._type_of(p.function)) for p in program.functions)
        lines: list[Line] = []
        line_info: list[tuple[int, int, int, int]] = []
        whole, code = True, program.code
        for placed in program.functions:
            found, infos = self._lines_of(placed.function, placed.slot)
            whole = whole and bool(found) and found[0].slot == placed.slot
            lines += found
            line_info += infos
        func_info = tuple((s.slot, s.type_id) for s in subprograms)
        at_insns = whole and all(row[0] < len(code) and code[row[0]] is not None for row in line_info)
        return Positions(
            subprograms,
            tuple(lines),
            func_info if all(type_id for _, type_id in func_info) else (),
            tuple(line_info) if at_insns else (),
        )

    def relocations(self, function: Function) -> tuple[tuple[int, CoreRelo], ...]:
        """The CO-RE relocations of a function, in its own slots."""
        return tuple(_within(self.core, function, 0))

    def _type_of(self, function: Function) -> int:
        return self.functions.get((function.section.name, function.offset), 0)

    def _lines_of(self, function: Function, start: int) -> _FunctionLines:
        """The lines of a function that begins at slot `start`, with what the kernel takes of each."""
        found = self._of_function.get((function, start))
        if found is None:
            rows = list(_within(self.lines, function, start))
            self.left -= len(rows)
            rows = rows if self.left >= 0 else []
            lines = [self._line(slot, row) for slot, row in rows]
            infos = [(slot, row.file_off, row.line_off, row.line_col) for slot, row in rows]
            found = self._of_function[function, start] = lines, infos
        return found

    def _line(self, slot: int, row: LineInfo) -> Line:
        file, text = (self.strings.at(row.file_off), self.strings.at(row.line_off)) if self.strings else ("", "")
        return Line(slot, file, row.line, row.column, text.strip())


def _sorted(what: str, section: str, rows: tuple[T, ...]) -> list[T]:
    for row in rows:
        if row.offset % SLOT:
            raise InputError(
                f"btf.ext {what} of section {section!r}: offset {row.offset}, expected a multiple of {SLOT}"
            )
    by_offset = {row.offset: row for row in rows}
    return [by_offset[offset] for offset in sorted(by_offset)]


def _within(rows: dict[str, list[T]], function: Function, start: int) -> Iterator[tuple[int, T]]:
    """The rows about `function`, with their slot in a program where it starts at slot `start`."""
    of_section = rows.get(function.section.name, [])
    first = bisect_left(of_section, function.offset, key=lambda row: row.offset)
    last = bisect_left(of_section, function.offset + function.size, key=lambda row: row.offset)
    for row in of_section[first:last]:
        yield start + (row.offset - function.offset) // SLOT, row
