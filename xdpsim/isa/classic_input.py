"""Classic filters in every form that people have them: whoever reads one need not say which form it is.

`tcpdump -ddd` (numbers by line, also joined by commas as xt_bpf wants them), `tcpdump -dd` (a C array), bpf_asm's
language and `tcpdump -d`, or the bytes of a struct sock_filter array.
"""

from __future__ import annotations

import re

from xdpsim.errors import InputError
from xdpsim.isa.classic import ClassicCode, ClassicInsn, decode_classic
from xdpsim.isa.classic_asm import assemble_classic
from xdpsim.isa.classic_check import check_classic

_FIELDS = (("code", 0xFFFF), ("jt", 0xFF), ("jf", 0xFF), ("k", 0xFFFF_FFFF))
_NUMBERS = re.compile(r"[0-9\s,]+")
_C_ENTRY = re.compile(r"\{([^{}]*)\}\s*,?")
_C_START = re.compile(r"\{\s*(?:\{\s*)?\d")
_C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def parse_classic(source: str | bytes) -> ClassicCode:
    """The filter in `source`, checked as Linux checks it; InputError says where it is wrong."""
    code = _read(source)
    check_classic(code)
    return code


def _read(source: str | bytes) -> ClassicCode:
    if isinstance(source, bytes):
        return decode_classic(source)
    if _NUMBERS.fullmatch(source) and any(map(str.isdigit, source)):
        return _from_numbers(source)
    bare = _C_COMMENT.sub(" ", source)
    return _from_c(bare) if _C_START.search(bare) else assemble_classic(source)


def _from_numbers(text: str) -> ClassicCode:
    """tcpdump -ddd: the count, then code, jt, jf and k of each instruction."""
    head, *rows = (row.split() for row in re.split(r"[\n,]", text) if row.strip())
    if head != [str(len(rows))]:
        raise InputError(f"line 1: {' '.join(head):.40} where the number of insns stands, {len(rows)} lines follow")
    return tuple(_insn(row, f"line {number}") for number, row in enumerate(rows, 2))


def _from_c(text: str) -> ClassicCode:
    """tcpdump -dd: `{ 0x28, 0, 0, 0x0000000c },` for each instruction."""
    body = text[text.index("{") :]
    if re.match(r"\{\s*\{", body):  # the braces of a whole definition round its entries
        body = body[1 : body.rfind("}")]
    rest = _C_ENTRY.sub("", body).strip(" \t\n;")
    if rest:
        raise InputError(f"{rest[:40]!r}: expected entries such as '{{ 0x28, 0, 0, 0x0000000c }},'")
    entries = enumerate(_C_ENTRY.findall(body))
    return tuple(_insn([part.strip() for part in entry.split(",")], f"entry {number}") for number, entry in entries)


def _insn(words: list[str], where: str) -> ClassicInsn:
    if len(words) != len(_FIELDS):
        raise InputError(f"{where}: {len(words)} numbers, expected code, jt, jf and k")
    numbers = []
    for word, (field, largest) in zip(words, _FIELDS, strict=True):
        try:
            number = int(word, 0) if word.lower().startswith("0x") else int(word)
        except ValueError:
            raise InputError(f"{where}: {field} is {word!r:.40}, expected a number") from None
        if not 0 <= number <= largest:
            raise InputError(f"{where}: {field} is {number}, expected 0 to {largest}")
        numbers.append(number)
    return ClassicInsn(*numbers)
