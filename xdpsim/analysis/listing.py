"""A program as a listing in the kernel's syntax: labels, names of functions, maps and helpers, source lines.

Without source lines `isa.asm` reads a listing back, given the numbers of the helpers and maps named in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdpsim.analysis.readable import printable
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.isa.disasm import disasm
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import Family
from xdpsim.loader.model import Line, ProgramSpec
from xdpsim.maps.spec import MapSpec

_JUMPS = (Family.JUMP, Family.BRANCH, Family.MAY_GOTO)


def insn_text(spec: ProgramSpec, maps: Sequence[MapSpec], insn: Insn) -> str:
    """One instruction of a program with the names of what it refers to."""
    return disasm(
        insn,
        helper_name=lambda number: HELPERS_BY_ID[number].name if number in HELPERS_BY_ID else None,
        kfunc_name=lambda index: spec.kfuncs[index] if 0 <= index < len(spec.kfuncs) else None,
        map_name=lambda index: maps[index].name if 0 <= index < len(maps) else None,
    )


def listing(spec: ProgramSpec, maps: Sequence[MapSpec], *, source: bool = False) -> Iterator[str]:
    """The lines: each function under its name, labels in front of what is jumped to."""
    starts = {sub.slot: sub.name for sub in spec.subprograms}
    labels = _labels(spec.code)
    lines = {line.slot: line for line in spec.lines}
    shown: Line | None = None
    width = len(str(len(spec.code)))
    for slot, insn in enumerate(spec.code):
        if slot in starts:
            yield f"{printable(starts[slot])}:"
        if insn is None:
            continue
        if slot in labels:
            yield f"{labels[slot]}:"
        line = lines.get(slot)
        if source and line is not None and not _same_place(line, shown):
            yield f"; {line_text(line)}"
            shown = line
        text = insn_text(spec, maps, insn)
        target = _target(slot, insn)
        where = labels.get(target, "") if insn.family in _JUMPS else printable(starts.get(target, ""))
        yield f"{slot:{width + 2}}: ({insn.opcode:02x}) {text}" + (f"  // {where}" if target >= 0 and where else "")


def line_text(line: Line) -> str:
    """A source line with its place, as Linux's log prints it."""
    return printable(f"{line.text.strip()} @ {line.file}:{line.line}")


def _same_place(one: Line, other: Line | None) -> bool:
    return other is not None and (one.file, one.line) == (other.file, other.line)


def _target(slot: int, insn: Insn) -> int:
    """The slot that a jump or a call goes to, -1 for other insns."""
    if insn.family in _JUMPS:
        return slot + 1 + insn.jump_offset
    if insn.family is Family.CALL_LOCAL or (insn.family is Family.LD_IMM64 and insn.op == "FUNC"):
        return slot + 1 + insn.imm
    return -1


def _labels(code: Code) -> dict[int, str]:
    """A label for each slot that is jumped to."""
    targets = {_target(slot, insn) for slot, insn in enumerate(code) if insn is not None and insn.family in _JUMPS}
    return {slot: f"L{slot}" for slot in targets if 0 <= slot < len(code)}
