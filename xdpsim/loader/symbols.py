"""Which functions an object has, by its symbols, and which of them are programs.

Compilers before LLVM 6 or so, and many assembler sources, give functions no type and no size: then a function ends
where the next one begins. Follows bpf_object__add_programs() of libbpf; a static function that nothing calls is a
program here, as it was to libbpf before 1.0 and is to iproute2.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import pairwise

from xdpsim.errors import InputError
from xdpsim.loader.elf import UNDEFINED, Elf, Section, Symbol
from xdpsim.loader.functions import SLOT, Function

_LABEL = re.compile(r"\.?L(BB|tmp|func|Ltmp)?[0-9_]*|\$.*|\.L.*")


def find_functions(elf: Elf) -> tuple[Function, ...]:
    """All functions, by section and offset. InputError for one that is not inside its section."""
    found: list[Function] = []
    starts = sorted((s.section, s.value) for s in elf.symbols if s.type == "FUNC")
    for symbol in elf.symbols:
        if symbol.type != "FUNC" or symbol.section <= UNDEFINED:
            continue
        section = elf.sections[symbol.section]
        where = f"symbol {symbol.index} ({symbol.name!r})"
        if not section.executable:
            raise InputError(f"{where}: a function in section {section.name!r}, which is not executable")
        if not symbol.name:
            raise InputError(f"{where}: a function in section {section.name!r}, expected a name")
        size = symbol.size or _room(section, symbol, starts)
        if symbol.value % SLOT or size % SLOT or size <= 0:
            raise InputError(f"{where}: {size} bytes at offset {symbol.value}, expected multiples of {SLOT}")
        if symbol.value + size > section.size:
            raise InputError(
                f"{where}: ends at byte {symbol.value + size} of section {section.name!r}, which has {section.size}"
            )
        found.append(Function(symbol.name, section, symbol.value, size, symbol.bind == "LOCAL"))
    typed = {f.section.index for f in found}
    untyped: dict[int, list[Symbol]] = {}
    for symbol in elf.symbols:
        if symbol.type == "NOTYPE" and symbol.section > UNDEFINED:
            untyped.setdefault(symbol.section, []).append(symbol)
    for section in elf.sections:
        if section.executable and section.size and section.index not in typed:
            found += _untyped(section, untyped.get(section.index, []))
    return tuple(sorted(found, key=lambda f: (f.section.index, f.offset)))


def _room(section: Section, symbol: Symbol, starts: list[tuple[int, int]]) -> int:
    """Bytes up to the next function, or to the end of the section."""
    behind = bisect_right(starts, (symbol.section, symbol.value))
    is_last = behind == len(starts) or starts[behind][0] != symbol.section
    return (section.size if is_last else starts[behind][1]) - symbol.value


def _untyped(section: Section, symbols: list[Symbol]) -> list[Function]:
    """The functions of a section whose symbols have no type: global ones, else whatever stands at its beginning."""
    named = [s for s in symbols if s.name and not _LABEL.fullmatch(s.name)]
    starts = [s for s in named if s.bind != "LOCAL"] or [s for s in named if s.value == 0][:1]
    if section.size % SLOT:
        raise InputError(f"section {section.name!r}: {section.size} bytes of code, expected a multiple of {SLOT}")
    if not starts:
        return [Function(section.name, section, 0, section.size, False)]
    places = {s.value: s for s in reversed(starts)}
    for symbol in places.values():
        if symbol.value % SLOT or symbol.value >= section.size:
            raise InputError(
                f"symbol {symbol.index} ({symbol.name!r}): at byte {symbol.value} of section {section.name!r}, "
                f"expected a multiple of {SLOT} below {section.size}"
            )
    edges = [*sorted(places), section.size]
    return [
        Function(places[start].name, section, start, end - start, places[start].bind == "LOCAL")
        for start, end in pairwise(edges)
    ]
