"""The forms of an assembler statement, which are those that `isa.disasm` prints, and what to say when none fits."""

from __future__ import annotations

import re
from collections.abc import Callable

from xdpsim.isa import statements
from xdpsim.isa.statements import ALU_BY_SYMBOL, BRANCH_BY_SYMBOL, NUMBER, Fields, Mistake, Names, Parts


def parse(statement: str, names: Names) -> Fields:
    """The fields of one statement; Mistake says what was expected in its place."""
    tight = re.sub(r"\s*([^\w\s.])\s*", r"\1", statement)  # blanks count between words only
    for pattern, build in _FORMS:
        if match := pattern.fullmatch(tight):
            return build({name: text or "" for name, text in match.groupdict().items()}, names)
    for start, example in _EXAMPLES.items():
        if re.match(start, tight):
            raise Mistake(f"expected {example}")
    raise Mistake("expected an instruction such as 'r0 = 2', 'if r1 == 5 goto label', 'call 1' or 'exit'")


_OFF = rf"(?P<off>{NUMBER.replace('?', '', 1)})?"  # the sign is needed
_PIECES = {
    "NUM": NUMBER,
    "DST": r"(?P<dst>[rw]\d+)",
    "SRC": r"(?P<src>[rw]\d+)",
    "SECOND": rf"(?P<second>[rw]\d+|{NUMBER})",
    "BASE": r"(?P<base>[rw]\d+)",
    "SIZE": r"(?P<size>8|16|32|64)",
    "OFF": _OFF,
    "IMM": rf"(?P<imm>{NUMBER})",
    "TARGET": r"(?P<target>(?:pc)?[+-]\d+|[A-Za-z_.][\w.]*)",
    "PTR": rf"\(u(?P<size>8|16|32|64)\*\)\((?P<base>[rw]\d+){_OFF}\)",
    "ALU": "|".join(re.escape(symbol) for symbol in ALU_BY_SYMBOL),
    "COMPARE": "|".join(re.escape(symbol) for symbol in BRANCH_BY_SYMBOL),
}


# Forms of a statement after blanks round punctuation are gone; the first that fits is taken.
_FORMS: tuple[tuple[re.Pattern[str], Callable[[Parts, Names], Fields]], ...] = tuple(
    (re.compile(text.format(**_PIECES)), build)
    for text, build in (
        (r"exit(?: off ?(?P<off>{NUM}))?", statements.end),
        (r"(?P<word>goto|gotol|may_goto)(?: |(?=[+-])){TARGET}", statements.goto),
        (r"if {DST} ?(?P<symbol>{COMPARE}){SECOND} goto(?: |(?=[+-])){TARGET}", statements.branch),
        (r"call(?: (?P<kfunc>kfunc))?(?: ?[A-Za-z_][\w.-]*)?#{IMM}(?: off ?(?P<off>{NUM}))?", statements.call_number),
        (r"call(?: |(?=-)){IMM}(?P<kfunc>)(?P<off>)", statements.call_number),
        (r"call {TARGET}", statements.call_name),
        (r"lock\*{PTR}(?P<symbol>{ALU}){SRC}", statements.lock),
        (r"store_release\({PTR},{SRC}\)", statements.store_release),
        (r"\*{PTR}={SECOND}", statements.store),
        (r"{DST}=\*\((?P<kind>[us]){SIZE}\*\)\({BASE}{OFF}\)", statements.load),
        (r"{DST}=load_acquire\({PTR}\)", statements.load_acquire),
        (r"{DST}=atomic(?P<wide>64)?_(?P<op>\w+)\({PTR},(?:(?P<expected>r0),)?{SRC}\)", statements.fetch),
        (r"r0=\*\(u{SIZE}\*\)skb\[(?:{SRC}\+)?{IMM}\]", statements.ld_packet),
        (r"{DST}=addr_space_cast\({SRC},(?P<to>\d+),(?P<from_space>\d+)\)", statements.addr_space_cast),
        (r"{DST}=(?P<order>le|be|bswap)(?P<size>16|32|64) (?P<second>r\d+)", statements.endian),
        (r"{DST}=-(?P<second>[rw]\d+)", statements.neg),
        (r"{DST}=\(s(?P<from>8|16|32)\)(?P<second>[rw]\d+)", statements.mov),
        (r"{DST}={IMM} ll", statements.ld_imm64),
        (r"{DST}=(?P<word>\w+)\[(?P<what>{NUM}|[A-Za-z_.][\w.]*)\](?P<plus>[+-]{NUM})?", statements.ld_special),
        (r"{DST}={SECOND}(?P<from>)", statements.mov),
        (r"{DST} ?(?P<symbol>{ALU}){SECOND}", statements.alu),
    )
)

# How a statement begins that no form fits, and what it should look like.
_EXAMPLES: dict[str, str] = {
    r"exit": "'exit' and nothing behind it",
    r"if\b": "a comparison such as 'if r1 s> 5 goto label' or 'if w1 == w2 goto pc+3'",
    r"(goto|gotol|may_goto)\b": "a target: 'goto label' or 'goto pc+3'",
    r"call\b": "'call 1', 'call bpf_name#1', 'call kfunc #1', 'call label' or 'call pc+3'",
    r"lock\b": "'lock *(u64 *)(r1 +0) += r2' with one of += |= &= ^=",
    r"store_release": "'store_release((u64 *)(r1 +0), r2)'",
    r"\*": "a store such as '*(u32 *)(r10 -8) = r1'",
    r"[rw]\d+=": "a register, a number, a load such as '*(u32 *)(r1 +4)' or a form such as 'be16 r1' behind =",
    r"[rw]\d+": f"one of = {' '.join(ALU_BY_SYMBOL)} and a register or a number behind it",
}
