"""Reads the listings of `llvm-objdump -d` and `bpftool prog dump xlated` back into instructions.

Both are the assembler's syntax in other clothes: slot numbers and raw bytes in front, hexadecimal offsets with blanks,
targets repeated as `<name+0x70>`, source lines between. Where raw bytes stand in the listing, they count and the words
do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from xdpsim.errors import InputError
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import decode
from xdpsim.isa.insn import Code

_SECTION = re.compile(r"Disassembly of section (?P<name>\S+):")
_INSN = re.compile(r"\s*[0-9a-f]+:\s(?P<rest>.*)")
_RELOCATION = re.compile(r"\s*(R_BPF_|CO-RE )")
_RAW = re.compile(r"\s*(?P<bytes>(?:[0-9a-f]{2} ){7}[0-9a-f]{2}(?: (?:[0-9a-f]{2} ){7}[0-9a-f]{2})?)(?:\s|$)")
_OPCODE = re.compile(r"\([0-9a-f]{2}\)\s*")
_NUMBER = r"(?:0x[0-9a-f]+|\d+)"
_PLACE = rf"(?P<base>r\d+)\s*(?P<sign>[+-])\s*(?P<by>{_NUMBER})"

Rewrite = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def _place(match: re.Match[str]) -> str:
    return f"({match['base']} {match['sign']}{int(match['by'], 0)})"


_REWRITES: tuple[Rewrite, ...] = (
    (re.compile(r"\s*<[^<>]*>$"), lambda m: ""),
    # clang: r2 = xchg_64(r1 + 0x8, r2), w0 = cmpxchg32_32(r1 + 0x8, w0, w2)
    (
        re.compile(rf"^[rw](?P<dst>\d+) = (?P<op>cmpxchg|xchg)(?P<bits>_64|32_32)\({_PLACE}, (?P<rest>[^)]*)\)$"),
        lambda m: (
            f"r{m['dst']} = atomic{'64' if m['bits'] == '_64' else ''}_{m['op']}"
            f"((u{m['bits'][-2:]} *){_place(m)}, {m['rest'].replace('w', 'r')})"
        ),
    ),
    # clang has one name for both widths of fetching operations, and names 32-bit registers by their halves
    (re.compile(r"= atomic_fetch_(?P<op>\w+)\(\(u64"), lambda m: f"= atomic64_fetch_{m['op']}((u64"),
    (re.compile(r"^w(?P<dst>\d+) = (?P<rest>atomic_fetch_.*), w(?P<src>\d+)\)$"),
     lambda m: f"r{m['dst']} = {m['rest']}, r{m['src']})"),
    (re.compile(r"^w(?P<dst>\d+)(?= = \*\()"), lambda m: f"r{m['dst']}"),
    (re.compile(r"^(?P<store>(?:lock )?\*\(.* )w(?P<src>\d+)$"), lambda m: f"{m['store']}r{m['src']}"),
    (re.compile(rf"\((?P<type>[us]\d+)\s*\*\)\s*\({_PLACE}\)"), lambda m: f"({m['type']} *){_place(m)}"),
    # a call of a function, as compilers leave it for the loader: helpers have positive numbers
    (re.compile(rf"^call -(?P<by>{_NUMBER})$"), lambda m: f"call pc-{int(m['by'], 0)}"),
    (re.compile(rf"(?P<word>gotol?|may_goto)\s*(?P<sign>[+-])(?P<by>{_NUMBER})"),
     lambda m: f"{m['word']} pc{m['sign']}{int(m['by'], 0)}"),
    # bpftool: map[id:5], map[id:5][0]+8, call bpf_map_lookup_elem#278208
    (re.compile(r"map\[id:(?P<id>\d+)\]\[0\]"), lambda m: f"map_value[{m['id']}]"),
    (re.compile(r"map\[id:(?P<id>\d+)\]"), lambda m: f"map[{m['id']}]"),
    (re.compile(r"^call (?P<name>[a-z]\w*)#-?\d+$"), lambda m: f"call {m['name']}"),
)  # fmt: skip


def assemble_listing(text: str, *, helpers: Mapping[str, int] = MappingProxyType({})) -> dict[str, Code]:
    """The instructions of each section of an `llvm-objdump -d` listing, by the section's name.

    A listing without section headers (bpftool's) is one section with the empty name. Relocations are not applied: calls
    and map references have the values that stand in the listing. Without raw bytes llvm-objdump prints a call of a
    helper and a call of a function in the same section alike; then it is taken for a helper. InputError names the line
    that is not understood; `helpers` gives numbers to names.
    """
    sections: dict[str, list[tuple[int, str]]] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _SECTION.match(line)
        found = _INSN.match(line)
        if header:
            name = header["name"]
        elif found and not _RELOCATION.match(found["rest"]):
            sections.setdefault(name, []).append((number, found["rest"]))
    if not sections:
        raise InputError("no instruction in the listing: expected lines such as '  0: r0 = 2' or '  0: (b7) r0 = 2'")
    return {section: _section(lines, helpers) for section, lines in sections.items()}


def _section(lines: list[tuple[int, str]], helpers: Mapping[str, int]) -> Code:
    raw = [_RAW.match(rest) for _, rest in lines]
    if all(raw):
        return decode(b"".join(bytes.fromhex(match["bytes"]) for match in raw if match))
    return assemble("\n".join(_statement(rest, number) for number, rest in lines), helpers=helpers)


def _statement(rest: str, number: int) -> str:
    """One line of a listing in the assembler's own syntax."""
    words = _OPCODE.sub("", _RAW.sub("", rest).strip(), count=1)
    if words.startswith("<unknown>"):
        raise InputError(f"line {number}: {rest.strip()!r}: the disassembler did not know this instruction")
    for pattern, replacement in _REWRITES:
        words = pattern.sub(replacement, words)
    return words
