"""Classic BPF as text: bpf_asm's language, which `tcpdump -d` nearly prints, to instructions and back.

Targets are labels, or instruction numbers as tcpdump has them (`jt 2 jf 5`). `disasm_classic_all` writes what
`assemble_classic` reads. Other ways to write a filter (tcpdump -ddd, C arrays) are classic_input.py's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xdpsim.bits import M32
from xdpsim.errors import InputError
from xdpsim.isa.classic import AD_OFF, ANCILLARY, OPS, ClassicCode, ClassicInsn, Form, targets

_INVERSE = {"jneq": "jeq", "jne": "jeq", "jlt": "jge", "jle": "jgt"}
_INVERSE_OF = {"jeq": "jneq", "jge": "jlt", "jgt": "jle"}
_ALIASES = {"jmp": "ja", "ldi": "ld", "ldxi": "ldx"}
_CODES = {(op.name, op.form): op.code for op in OPS.values()}
_NAMES = sorted({op.name for op in OPS.values()} | _INVERSE.keys() | _ALIASES.keys())
_WORDS = {word: k for k, row in ANCILLARY.items() for word in row.words} | {
    "vlanp": AD_OFF + 48,  # libpcap's own words in tcpdump -d
    "hw_id": AD_OFF + 28,
    "vlant": AD_OFF + 44,
}
_LENGTHS = ("len", "pktlen")

_NUMBER = r"[+-]?(?:0[xX][0-9a-fA-F]+|\d+)"
_FORMS: tuple[tuple[Form, re.Pattern[str]], ...] = tuple(
    (form, re.compile(text.replace("NUM", f"({_NUMBER})")))
    for form, text in (
        (Form.NUMBER, r"#NUM"),
        (Form.INDEX, r"%?x"),
        (Form.ACCUMULATOR, r"%?a"),
        (Form.ABSOLUTE, r"\[NUM\]"),
        (Form.INDIRECT, r"\[%?x\+?NUM\]"),
        (Form.MEMORY, r"[mM]\[NUM\]"),
        (Form.HEADER, r"4\*\(\[NUM\]&0?[xX]?0*[fF]\)"),
    )
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_TCPDUMP_NUMBER = re.compile(r"\(\d+\)\s*")
_LABEL = re.compile(r"([A-Za-z_]\w*)\s*:\s*")


@dataclass(frozen=True, slots=True)
class _Statement:
    line: int
    text: str
    code: int
    k: int
    targets: tuple[str, ...]
    inverted: bool


class _Mistake(Exception):
    """What was expected in place of a statement."""


def assemble_classic(text: str) -> ClassicCode:
    """The filter that `text` spells; InputError names the line and what was expected. Not checked as Linux does."""
    labels: dict[str, int] = {}
    statements: list[_Statement] = []
    blanked = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(blanked.split("\n"), 1):
        rest = _TCPDUMP_NUMBER.sub("", line.split(";")[0].split("//")[0].strip(), count=1)
        while label := _LABEL.match(rest):
            if label[1] in labels:
                raise _error(number, line, f"expected a new name: label {label[1]} is that of insn {labels[label[1]]}")
            labels[label[1]] = len(statements)
            rest = rest[label.end() :]
        if not rest:
            continue
        try:
            statements.append(_parse(number, rest))
        except _Mistake as mistake:
            raise _error(number, rest, str(mistake)) from None
    return tuple(_encode(at, statement, labels, len(statements)) for at, statement in enumerate(statements))


def _parse(line: int, text: str) -> _Statement:
    word, _, rest = text.partition(" ") if " " in text else text.partition("\t")
    word, rest = word.lower(), rest.strip()
    if word not in _NAMES:
        raise _Mistake(f"expected one of {' '.join(_NAMES)}")
    inverted, name = word in _INVERSE, _INVERSE.get(word) or _ALIASES.get(word, word)
    if name == "ja":
        return _Statement(line, text, _CODES["ja", Form.TARGET], 0, (rest,), False)
    if word in _ALIASES and not rest.startswith("#"):
        rest = f"#{rest}"
    wanted: tuple[str, ...] = ()
    words = rest.split()
    if len(words) > 4 and (words[-4], words[-2]) == ("jt", "jf"):
        rest, wanted = " ".join(words[:-4]), (words[-3], words[-1])
    elif name.startswith("j"):
        rest, *others = (part.strip() for part in rest.split(","))
        wanted = tuple(others)
        if not 1 <= len(wanted) <= (1 if inverted else 2):
            raise _Mistake(f"expected '{word} #number, label'" + ("" if inverted else " or '.., label, label'"))
    form, k = _operand(rest)
    if name == "ldx" and form is Form.HEADER:
        name = "ldxb"
    if (name, form) not in _CODES:
        known = ", ".join(form.value.format(k="number") or "nothing" for known, form in _CODES if known == name)
        raise _Mistake(f"expected behind {word} one of: {known}")
    return _Statement(line, text, _CODES[name, form], k, wanted, inverted)


def _operand(text: str) -> tuple[Form, int]:
    """The addressing form and the number of an operand."""
    tight = re.sub(r"\s+", "", text)
    if not tight:
        return Form.NOTHING, 0
    bare = tight.strip("#[]").lower()
    if bare in _LENGTHS:
        return Form.LENGTH, 0
    if bare in _WORDS:
        return Form.ABSOLUTE, _WORDS[bare]
    for form, pattern in _FORMS:
        if found := pattern.fullmatch(tight):
            number = _number(found[1]) if found.re.groups else 0
            if not -(1 << 31) <= number <= M32:
                raise _Mistake(f"expected a number of 32 bits, not {found[1]}")
            return form, number & M32
    raise _Mistake(
        "expected an operand such as #5, [12], [x + 4], M[3], 4*([14]&0xf), x, #len or a word such as #proto"
    )


def _number(text: str) -> int:
    """Numbers as C writes them: 010 is eight."""
    digits = text.lstrip("+-")
    is_octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
    try:
        value = int(digits, 8 if is_octal else 0)
    except ValueError:
        raise _Mistake(f"expected a number, not {text}") from None
    return -value if text.startswith("-") else value


def _encode(at: int, statement: _Statement, labels: dict[str, int], count: int) -> ClassicInsn:
    distances = [_distance(at, statement, target, labels, count) for target in statement.targets]
    if OPS[statement.code].form is Form.TARGET:
        return ClassicInsn(statement.code, k=distances[0])
    for distance in distances:
        if distance > 255:
            raise _error(
                statement.line, statement.text, f"expected a target at most 255 insns ahead: it is {distance} away"
            )
    jt, jf = (*distances, 0, 0)[:2]
    return ClassicInsn(statement.code, *((jf, jt) if statement.inverted else (jt, jf)), statement.k)


def _distance(at: int, statement: _Statement, target: str, labels: dict[str, int], count: int) -> int:
    where = int(target) if target.isdecimal() and len(target) < 10 else labels.get(target)
    if where is None:
        known = ", ".join(labels) or "none"
        raise _error(statement.line, statement.text, f"expected a label for {target!r}; labels: {known}")
    if not at < where < count:
        raise _error(statement.line, statement.text, f"expected a target behind the jump: {target} is insn {where}")
    return where - at - 1


def _error(line: int, text: str, problem: str) -> InputError:
    return InputError(f"line {line}: {text.strip()!r}: {problem}")


def disasm_classic(insn: ClassicInsn, at: int) -> str:
    """One instruction in bpf_asm's words; `at` is its number, and `l5` the label of instruction 5."""
    op = insn.op
    if op is None:
        return f"unknown {insn.code:#06x}"
    if insn.ancillary is not None and insn.ancillary.words:
        return f"{op.name} #{insn.ancillary.words[0]}"
    if op.name == "ja":
        return f"ja {_label(targets(insn, at)[0])}"
    shown = f"{insn.k:#x}" if op.branch or insn.k >= AD_OFF or op.name in ("and", "or", "xor") else str(insn.k)
    operand = op.form.value.format(k=shown)
    if not op.branch:
        return f"{op.name} {operand}".rstrip()
    if_true, if_false = targets(insn, at)
    if insn.jf == 0:
        return f"{op.name} {operand}, {_label(if_true)}"
    if insn.jt == 0 and op.name in _INVERSE_OF:
        return f"{_INVERSE_OF[op.name]} {operand}, {_label(if_false)}"
    return f"{op.name} {operand}, {_label(if_true)}, {_label(if_false)}"


def _label(at: int) -> str:
    return f"l{at}"


def disasm_classic_all(code: ClassicCode) -> list[str]:
    """A whole filter, a line an instruction, labels in front of those that are jumped to."""
    marked = {
        target for at, insn in enumerate(code) for target in targets(insn, at) if insn.op and insn.op.name[0] == "j"
    }
    width = len(_label(len(code))) + 2 if marked else 0
    return [
        f"{_label(at) + ':' if at in marked else '':{width}}{disasm_classic(insn, at)}" for at, insn in enumerate(code)
    ]
