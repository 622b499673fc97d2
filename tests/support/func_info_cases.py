"""func_info and line_info that Linux takes or refuses, over one program of two functions."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.btf_text import compile_btf
from xdpsim.btf.parse import parse, read_header
from xdpsim.isa.asm import assemble
from xdpsim.sysbpf.btf import load_btf
from xdpsim.sysbpf.programs import ProgramDefinition, verifier_log

CODE = assemble("r0 = 0; call f; r1 = 0x100000001 ll; exit; f: r0 = 2; exit")
ENTRY = 5
"""Where f starts; slots 2 and 3 are one insn."""
TEXT = """
struct box { int x; };
int main(struct xdp_md *ctx);
static int f(void);
int g(void);
"""
BTF = compile_btf(TEXT)
MAIN, F, G, BOX = BTF.functions["main"], BTF.functions["f"], BTF.functions["g"], BTF.types["box"]
XDP = 6
STRING = BTF.raw.index(b"\0main\0") + 1 - read_header(BTF.raw).strings_start
"""Offset of a string that may stand for a file or a line."""
BEYOND = 1 << 20
LAST_LINE = 0x3FFFFF


@dataclass(frozen=True)
class InfoCase:
    """`funcs` are (slot, type id), `lines` (slot, file offset, line offset, line << 10 | column)."""

    name: str
    funcs: tuple[tuple[int, int], ...] = ((0, MAIN), (ENTRY, F))
    lines: tuple[tuple[int, int, int, int], ...] = ()


def _line(slot: int, line: int = 7, *, file: int = STRING, text: int = STRING) -> tuple[int, int, int, int]:
    return slot, file, text, line << 10 | 3


CASES = (
    InfoCase("both functions"),
    InfoCase("a global function", ((0, MAIN), (ENTRY, G))),
    InfoCase("no info", ()),
    InfoCase("main is not first", ((1, MAIN), (ENTRY, F))),
    InfoCase("the same slot twice", ((0, MAIN), (0, F))),
    InfoCase("slots out of order", ((0, MAIN), (ENTRY, F), (3, F))),
    InfoCase("type 0", ((0, 0), (ENTRY, F))),
    InfoCase("a type that is not there", ((0, MAIN), (ENTRY, 9999))),
    InfoCase("a type that is no function", ((0, MAIN), (ENTRY, BOX))),
    InfoCase("one function less", ((0, MAIN),)),
    InfoCase("one function more", ((0, MAIN), (ENTRY, F), (ENTRY + 1, G))),
    InfoCase("another start", ((0, MAIN), (ENTRY - 1, F))),
    InfoCase("lines of both", lines=(_line(0), _line(ENTRY, 9))),
    InfoCase("lines of each insn", lines=tuple(_line(slot, 5 + slot) for slot in (0, 1, 2, 4, 5, 6))),
    InfoCase("the greatest line", lines=(_line(0, LAST_LINE), _line(ENTRY, 0))),
    InfoCase("main without a line", lines=(_line(ENTRY),)),
    InfoCase("main's line is not its first insn", lines=(_line(1), _line(ENTRY))),
    InfoCase("f without a line", lines=(_line(0),)),
    InfoCase("f's line is not its first insn", lines=(_line(0), _line(ENTRY + 1))),
    InfoCase("a line behind the end", lines=(_line(0), _line(ENTRY), _line(7))),
    InfoCase("lines out of order", lines=(_line(0), _line(ENTRY), _line(1))),
    InfoCase("a line twice", lines=(_line(0), _line(0), _line(ENTRY))),
    InfoCase("a line of half an insn", lines=(_line(0), _line(3), _line(ENTRY))),
    InfoCase("a text that is not there", lines=(_line(0, text=BEYOND), _line(ENTRY))),
    InfoCase("a file that is not there", lines=(_line(0, file=BEYOND), _line(ENTRY))),
    InfoCase("an empty text", lines=(_line(0, text=0), _line(ENTRY))),
    InfoCase("lines without functions", (), (_line(0), _line(ENTRY))),
)


def linux_answer(case: InfoCase, raw: bytes) -> tuple[int, str]:
    """What Linux says at log level 2; `raw` is the code."""
    with load_btf(BTF.raw) as types:
        return verifier_log(
            ProgramDefinition(type=XDP, code=raw, btf=types, func_info=case.funcs, line_info=case.lines), 2
        )


def btf() -> object:
    """The types as our verifier wants them."""
    return parse(BTF.raw)
