"""Assembler of the text that `isa.disasm` prints, with labels, comments and names of helpers and maps.

Statements end at a newline or a semicolon. `r1 = 5` and `r1 = 0x5` are moves of 32 bits with sign, `r1 = 0x5 ll` is
LD_IMM64; Linux's log prints the latter without `ll`. Slot and opcode in front of a statement (`3: (b7)`) are skipped,
so that `disasm_all` and most of a verifier log can be read back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from xdpsim.errors import InputError
from xdpsim.isa.decode import SLOT, decode
from xdpsim.isa.grammar import parse
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import LD, MODE_IMM, SIZE_CODES
from xdpsim.isa.statements import Fields, Mistake, Names

_NO_NAMES: Mapping[str, int] = MappingProxyType({})
_SLOT_PREFIX = re.compile(r"\d+:\s*(\([0-9a-f]{2}\))?\s*")
_LABEL = re.compile(r"([A-Za-z_.][\w.]*):\s*")
_RELATIVE = re.compile(r"(?:pc)?([+-]\d+)")
_WIDE = LD | MODE_IMM | SIZE_CODES[8]


@dataclass(frozen=True, slots=True)
class _Statement:
    line: int
    text: str
    slot: int
    fields: Fields


def assemble(text: str, *, helpers: Mapping[str, int] = _NO_NAMES, maps: Mapping[str, int] = _NO_NAMES) -> Code:
    """The program that `text` spells; `helpers` and `maps` give numbers for `call name` and `r1 = map[name]`.

    InputError names the line, the statement and what was expected. A helper's name goes before a label's.
    """
    labels: dict[str, int] = {}
    statements = _parse(text, Names(helpers, maps), labels)
    code: list[Insn | None] = []
    for statement in statements:
        code.extend(_encode(statement, labels))
    return tuple(code)


def _parse(text: str, names: Names, labels: dict[str, int]) -> list[_Statement]:
    statements: list[_Statement] = []
    slot = 0
    for line, words in _split(text):
        rest = words
        while label := _LABEL.match(rest):
            if label[1] in labels:
                raise _error(line, words, f"expected a new name: label {label[1]} is that of slot {labels[label[1]]}")
            labels[label[1]] = slot
            rest = rest[label.end() :]
        if not rest:
            continue
        try:
            fields = parse(rest, names)
        except Mistake as mistake:
            raise _error(line, rest, str(mistake)) from None
        statements.append(_Statement(line, rest, slot, fields))
        slot += 2 if fields.opcode == _WIDE else 1
    return statements


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Statements with their line, free of comments and of slot numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#"):
            continue
        for part in line.split("//")[0].split(";"):
            words = part.strip()
            if words:
                yield number, _SLOT_PREFIX.sub("", words, count=1) if words[0].isdigit() else words


def _encode(statement: _Statement, labels: Mapping[str, int]) -> Code:
    fields = statement.fields
    if fields.target:
        fields = _aim(statement, labels)
    raw = SLOT.pack(fields.opcode, fields.src << 4 | fields.dst, fields.off, fields.imm)
    if fields.opcode == _WIDE:
        raw += SLOT.pack(0, 0, 0, fields.next_imm)
    try:
        return decode(raw)
    except InputError as error:
        raise _error(statement.line, statement.text, error.message.split(": ", 1)[1]) from error


def _aim(statement: _Statement, labels: Mapping[str, int]) -> Fields:
    """The fields with the distance to the target in them, counted from the slot behind the statement."""
    fields = statement.fields
    if relative := _RELATIVE.fullmatch(fields.target):
        distance = int(relative[1])
    elif fields.target in labels:
        distance = labels[fields.target] - statement.slot - 1
    else:
        what = "a label or the name of a helper" if statement.text.startswith("call") else "a label"
        known = ", ".join(labels) or "none"
        raise _error(statement.line, statement.text, f"expected {what} for {fields.target}; labels: {known}")
    bits = 16 if fields.target_in == "off" else 32
    if not -(1 << bits - 1) <= distance < 1 << bits - 1:
        hint = ", or gotol" if bits == 16 else ""
        problem = f"expected a target within {bits} signed bits{hint}: it is {distance} slots away"
        raise _error(statement.line, statement.text, problem)
    return replace(fields, off=distance) if bits == 16 else replace(fields, imm=distance)


def _error(line: int, words: str, problem: str) -> InputError:
    return InputError(f"line {line}: {words!r}: {problem}")
