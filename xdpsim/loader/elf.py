"""The sections, symbols and relocations of an eBPF object file as plain rows, read with pyelftools.

headers.py has looked at the frame before; here symbols and relocations are checked to point at something. What they
mean is left to load.py and the modules that it calls.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from xdpsim.errors import InputError
from xdpsim.loader.headers import (
    SHT_NOBITS,
    SHT_PROGBITS,
    SHT_REL,
    SHT_RELA,
    SHT_STRTAB,
    SHT_SYMTAB,
    SectionHeader,
    check_headers,
)

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

SHF_EXECINSTR = 4
MAX_NAME_BYTES = 1 << 25  # of all symbols together: names may share their bytes in the file
UNDEFINED = 0
"""Section index of a symbol that the object only names."""
_SPECIAL = {"SHN_UNDEF": UNDEFINED, "SHN_ABS": -1, "SHN_COMMON": -2}

# Relocation types (Documentation/bpf/llvm_reloc.rst).
R_BPF_64_64, R_BPF_64_ABS64, R_BPF_64_ABS32, R_BPF_64_NODYLD32, R_BPF_64_32 = 1, 2, 3, 4, 10
RELOCATION_TYPES = frozenset({R_BPF_64_64, R_BPF_64_ABS64, R_BPF_64_ABS32, R_BPF_64_NODYLD32, R_BPF_64_32})


@dataclass(frozen=True, slots=True)
class Section:
    """A section; `data` is empty for one without content (`has_data` False: .bss), `size` is always its size."""

    index: int
    name: str
    size: int
    data: bytes
    executable: bool
    has_data: bool


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol; `section` is an index, UNDEFINED, or negative for absolute ones. `type` is FUNC, OBJECT, SECTION ..."""

    index: int
    name: str
    value: int
    size: int
    type: str
    bind: str
    visibility: str
    section: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """At `offset` bytes into the section it is about: refers to `symbol`."""

    offset: int
    type: int
    symbol: Symbol


@dataclass(frozen=True, eq=False)
class Elf:
    """A read file; `relocations` by the index of the section that they change, ordered by offset."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: dict[int, tuple[Relocation, ...]]

    def named(self, name: str) -> Section | None:
        """The first section called `name`."""
        return self._by_name.get(name)

    @cached_property
    def functions(self) -> dict[tuple[int, int], Symbol]:
        """The first function symbol at each place: section and offset."""
        return {(s.section, s.value): s for s in reversed(self.symbols) if s.type == "FUNC"}

    @cached_property
    def _by_name(self) -> dict[str, Section]:
        return {s.name: s for s in reversed(self.sections)}


def read_elf(data: bytes) -> Elf:
    """Read a little-endian 64-bit eBPF object. InputError says where, what was found, what was expected."""
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    headers = check_headers(data)
    try:
        elf = ELFFile(io.BytesIO(data))
        sections = tuple(_section(elf, header, data) for header in headers)
        symbols = _symbols(elf, headers, sections)
        return Elf(sections, symbols, _relocations(elf, headers, sections, symbols))
    except (ELFError, ConstructError) as err:
        raise InputError(f"elf: {err}") from err


def _section(elf: ELFFile, header: SectionHeader, data: bytes) -> Section:
    readable = header.type in (SHT_PROGBITS, SHT_NOBITS, SHT_STRTAB)
    name = elf.get_section(header.index).name if readable else f"#{header.index}"
    has_data = header.type == SHT_PROGBITS
    content = data[header.offset : header.offset + header.size] if has_data else b""
    size = header.size if header.type in (SHT_PROGBITS, SHT_NOBITS) else 0
    return Section(header.index, name, size, content, has_data and bool(header.flags & SHF_EXECINSTR), has_data)


def _symbols(elf: ELFFile, headers: tuple[SectionHeader, ...], sections: tuple[Section, ...]) -> tuple[Symbol, ...]:
    from elftools.elf.sections import SymbolTableSection

    tables = [h for h in headers if h.type == SHT_SYMTAB]
    if len(tables) != 1:
        raise InputError(f"elf: {len(tables)} symbol tables, expected 1", hint="was the object stripped?")
    table = elf.get_section(tables[0].index)
    names_size = headers[tables[0].link].size
    if not isinstance(table, SymbolTableSection):
        raise InputError(f"section {tables[0].index}: no symbol table")
    found: list[Symbol] = []
    name_bytes = 0
    for index in range(table.num_symbols()):
        symbol = table.get_symbol(index)
        name_bytes += len(symbol.name)
        if name_bytes > MAX_NAME_BYTES:
            raise InputError(f"symbol {index}: the names take more than {MAX_NAME_BYTES} bytes")
        where = f"symbol {index} ({symbol.name!r})"
        if symbol["st_name"] >= names_size:
            raise InputError(f"symbol {index}: name at string offset {symbol['st_name']}, expected below {names_size}")
        section = symbol["st_shndx"]
        section = _SPECIAL.get(section, -3) if isinstance(section, str) else section
        if section >= len(sections) or section == -3:
            raise InputError(f"{where}: in section {symbol['st_shndx']}, expected one below {len(sections)}")
        bind, kind = (_word(symbol["st_info"][part]) for part in ("bind", "type"))
        visibility = _word(symbol["st_other"]["visibility"])
        found.append(Symbol(index, symbol.name, symbol["st_value"], symbol["st_size"], kind, bind, visibility, section))
    return tuple(found)


def _word(value: object) -> str:
    """STT_FUNC -> FUNC; a number that has no name stays a number."""
    return str(value).partition("_")[2] if isinstance(value, str) else str(value)


def _relocations(
    elf: ELFFile, headers: tuple[SectionHeader, ...], sections: tuple[Section, ...], symbols: tuple[Symbol, ...]
) -> dict[int, tuple[Relocation, ...]]:
    found: dict[int, tuple[Relocation, ...]] = {}
    for header in headers:
        if header.type not in (SHT_REL, SHT_RELA):
            continue
        target = sections[header.info]
        if not (target.executable or target.name in (".maps", "maps")):
            continue  # debug information, and addresses in data: libbpf applies neither
        where = f"section {header.index} (relocations of {target.name!r})"
        if header.type == SHT_RELA:
            raise InputError(f"{where}: with addends (RELA), expected plain ones (REL)")
        if target.index in found:
            raise InputError(f"{where}: a second relocation section for it")
        found[target.index] = tuple(sorted(_entries(elf, header, target, symbols, where), key=lambda r: r.offset))
    return found


def _entries(
    elf: ELFFile, header: SectionHeader, target: Section, symbols: tuple[Symbol, ...], where: str
) -> Iterator[Relocation]:
    from elftools.elf.relocation import RelocationSection

    table = elf.get_section(header.index)
    if not isinstance(table, RelocationSection):
        raise InputError(f"{where}: no relocations")
    seen: set[int] = set()
    for index, entry in enumerate(table.iter_relocations()):
        offset, number = entry["r_offset"], entry["r_info_sym"]
        if offset % 8 or offset + 8 > target.size:
            raise InputError(f"{where}: entry {index} at offset {offset}, expected a multiple of 8 below {target.size}")
        if not 0 < number < len(symbols):
            raise InputError(f"{where}: entry {index} names symbol {number}, expected 1 to {len(symbols) - 1}")
        if offset in seen:
            raise InputError(f"{where}: entry {index} is the second at offset {offset}")
        seen.add(offset)
        yield Relocation(offset, entry["r_info_type"], symbols[number])
