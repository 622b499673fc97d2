"""Does the frame of an ELF file hold? Header and section table are checked before pyelftools follows them.

Every section lies in the file and over no other, tables have whole entries and links that exist, names end. What is
in the sections is left to elf.py. Follows the ELF specification's file layout and elf_check() of libbpf.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

from xdpsim.errors import InputError, Unsupported

EM_BPF = 247
ET_REL = 1
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL = 0, 1, 2, 3, 4, 7, 8, 9
SHT_LLVM = range(0x6FFF4C00, 0x6FFF4D00)  # .llvm_addrsig and its like
SHF_COMPRESSED = 0x800
MAX_NAME = 4096  # bytes: longer would let a small file fill the memory
MAX_SECTIONS = 1 << 13
MAX_ENTRIES = 1 << 17  # of one table; large real objects have some thousands
MAX_NOBITS = 1 << 30  # .bss takes no room in the file: without a limit it could ask for anything

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_MACHINES = {3: "i386", 40: "arm", 62: "x86-64", 183: "aarch64", 243: "riscv"}
_KNOWN = frozenset({SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL})
_ENTRY_SIZES = {SHT_SYMTAB: 24, SHT_REL: 16, SHT_RELA: 24}


@dataclass(frozen=True, slots=True)
class SectionHeader:
    """One row of the section table, in the fields' own units."""

    index: int
    name_offset: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int

    @property
    def in_file(self) -> bool:
        """Whether it has bytes in the file."""
        return self.type not in (SHT_NULL, SHT_NOBITS) and self.size > 0


def check_headers(data: bytes) -> tuple[SectionHeader, ...]:
    """The section table of a little-endian 64-bit eBPF object; InputError says which field cannot be right."""
    count, names = _check_header(data)
    (table,) = struct.unpack_from("<Q", data, 40)
    headers = tuple(SectionHeader(i, *_SECTION.unpack_from(data, table + i * _SECTION.size)) for i in range(count))
    for header in headers:
        _check_section(header, headers, len(data))
    if headers[names].type != SHT_STRTAB:
        raise InputError(f"elf header: e_shstrndx {names} is no string table (type {headers[names].type})")
    _check_overlap(headers)
    for header in headers:
        if header.type == SHT_STRTAB:
            _check_strings(header, data)
    _check_names(headers, names)
    return headers


def _check_header(data: bytes) -> tuple[int, int]:
    """The number of sections and the index of the one that names them."""
    if data[:4] != b"\x7fELF":
        raise InputError(f"begins with {data[:4].hex(' ') or 'nothing'}, expected an ELF object (7f 45 4c 46)")
    if len(data) < _HEADER.size:
        raise InputError(f"elf header: {len(data)} bytes, expected at least {_HEADER.size}")
    if data[4] != 2:
        raise InputError(f"elf header: class {data[4]}, expected 2 (64 bits)", hint="build with clang -target bpf")
    if data[5] == 2:
        raise Unsupported("elf header: big-endian eBPF", hint="build with clang -target bpfel")
    if data[5] != 1:
        raise InputError(f"elf header: byte order {data[5]}, expected 1 (little-endian)")
    _, kind, machine, _, _, _, table, _, _, _, _, entry_size, count, names = _HEADER.unpack_from(data)
    if machine != EM_BPF:
        found = f"{machine} ({_MACHINES[machine]})" if machine in _MACHINES else str(machine)
        raise InputError(f"elf header: machine {found}, expected {EM_BPF} (bpf)", hint="build with clang -target bpf")
    if kind != ET_REL:
        raise InputError(f"elf header: type {kind}, expected {ET_REL} (relocatable)", hint="build with clang -c")
    if entry_size != _SECTION.size:
        raise InputError(f"elf header: e_shentsize {entry_size}, expected {_SECTION.size}")
    if count < 2 or table < _HEADER.size or table + count * _SECTION.size > len(data):
        raise InputError(
            f"elf header: {count} section headers at byte {table}, expected 2 or more inside the {len(data)} bytes"
        )
    if count > MAX_SECTIONS:
        raise InputError(f"elf header: {count} section headers, expected at most {MAX_SECTIONS}")
    if not 0 < names < count:
        raise InputError(f"elf header: e_shstrndx {names}, expected 1 to {count - 1}")
    return count, names


def _check_section(header: SectionHeader, headers: tuple[SectionHeader, ...], size: int) -> None:
    where = f"section {header.index}"
    if header.in_file and header.offset + header.size > size:
        raise InputError(f"{where}: ends at byte {header.offset + header.size}, but the file has {size}")
    if header.type == SHT_NOBITS and header.size > MAX_NOBITS:
        raise InputError(f"{where}: {header.size} bytes without content, expected at most {MAX_NOBITS}")
    if header.type not in _KNOWN and header.type not in SHT_LLVM:
        raise InputError(f"{where}: type 0x{header.type:x}, expected one that eBPF objects have (0 to 4, 7, 8, 9)")
    if header.flags & SHF_COMPRESSED:
        raise InputError(f"{where}: is compressed", hint="build without -gz")
    entry = _ENTRY_SIZES.get(header.type)
    if entry is None:
        return
    if header.entry_size != entry or header.size % entry:
        raise InputError(
            f"{where}: {header.size} bytes in entries of {header.entry_size}, expected whole ones of {entry}"
        )
    if header.size > entry * MAX_ENTRIES:
        raise InputError(f"{where}: {header.size // entry} entries, expected at most {MAX_ENTRIES}")
    wanted = SHT_STRTAB if header.type == SHT_SYMTAB else SHT_SYMTAB
    if header.link >= len(headers) or headers[header.link].type != wanted:
        raise InputError(f"{where}: sh_link {header.link}, expected a section of type {wanted}")
    if header.type != SHT_SYMTAB and not 0 < header.info < len(headers):
        raise InputError(f"{where}: sh_info {header.info}, expected 1 to {len(headers) - 1}")


def _check_overlap(headers: tuple[SectionHeader, ...]) -> None:
    placed = sorted((h for h in headers if h.in_file), key=lambda h: h.offset)
    for first, second in pairwise(placed):
        if second.offset < first.offset + first.size:
            raise InputError(
                f"section {second.index}: begins at byte {second.offset}, inside section {first.index} "
                f"(bytes {first.offset} to {first.offset + first.size})"
            )


def _check_strings(header: SectionHeader, data: bytes) -> None:
    strings = data[header.offset : header.offset + header.size]
    if not strings or strings[-1]:
        raise InputError(f"section {header.index}: a string table, expected a last byte of zero")
    longest = max(len(part) for part in strings.split(b"\0"))
    if longest > MAX_NAME:
        raise InputError(f"section {header.index}: a name of {longest} bytes, expected at most {MAX_NAME}")


def _check_names(headers: tuple[SectionHeader, ...], names: int) -> None:
    for header in headers:
        if header.name_offset >= headers[names].size:
            raise InputError(
                f"section {header.index}: name at string offset {header.name_offset}, "
                f"expected below {headers[names].size}"
            )
