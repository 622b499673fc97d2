"""Reads the listings of `llvm-objdump -d` and `bpftool prog dump xlated` back into instructions.

Both are the assembler's syntax in other clothes: slot numbers and raw bytes in front, hexadecimal offsets with blanks,
targets repeated as `<name+0x70>`, source lines between.
"""

from __future__ import annotations

import re

from xdpsim.errors import InputError
from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Code

_SECTION = re.compile(r"Disassembly of section (?P<name>\S+):")
_INSN = re.compile(r"\s*(?P<slot>[0-9a-f]+):\s(?P<rest>.*)")
_RAW = re.compile(r"\s*(?:(?:[0-9a-f]{2} ){7}[0-9a-f]{2}\s*){1,2}")
_OPCODE = re.compile(r"\s*\([0-9a-f]{2}\)\s*")
_TARGET = re.compile(r"\s*<[^>]*>\s*$")
_OFFSET = re.compile(r"\(\s*(?P<type>[us]\d+)\s*\*\s*\)\s*\(\s*(?P<base>r\d+)\s*(?P<sign>[+-])\s*(?P<by>0x[0-9a-f]+|\d+)\s*\)")
_JUMP = re.compile(r"(?P<word>gotol?|may_goto)\s*(?P<sign>[+-])(?P<by>0x[0-9a-f]+|\d+)")


def assemble_listing(text: str) -> dict[str, Code]:
    """The instructions of each section of an `llvm-objdump -d` listing, by the section's name.

    A listing without section headers (bpftool's) is one section with the empty name. Relocations are not applied: calls
    and map references have the values that stand in the listing. InputError names the line that is not understood.
    """
    sections: dict[str, list[str]] = {}
    name, lines = "", list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        header = _SECTION.match(line)
        if header:
            name = header["name"]
            lines = sections.setdefault(name, [])
            continue
        found = _INSN.match(line)
        if found:
            lines = sections.setdefault(name, lines)
            lines.append(_statement(found["rest"], number))
    if not sections:
        raise InputError("no instruction in the listing: expected lines such as '  0: r0 = 2' or '  0: (b7) r0 = 2'")
    return {section: assemble("\n".join(statements)) for section, statements in sections.items()}


def _statement(rest: str, number: int) -> str:
    """One line of a listing in the assembler's own syntax."""
    words = _OPCODE.sub("", rest, count=1) if _OPCODE.match(rest) else _RAW.sub("", rest, count=1)
    words = _TARGET.sub("", words.strip())
    if words.startswith("<unknown>") or not words:
        raise InputError(f"line {number}: {rest.strip()!r}: the disassembler did not know this instruction")
    words = _OFFSET.sub(lambda m: f"({m['type']} *)({m['base']} {m['sign']}{int(m['by'], 0)})", words)
    return _JUMP.sub(lambda m: f"{m['word']} pc{m['sign']}{int(m['by'], 0)}", words)
