"""Control flow of a program as a graph in the DOT language: a cluster for each function, a box for each basic block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdpsim.analysis.listing import insn_text, line_text
from xdpsim.isa.rows import Family
from xdpsim.loader.model import Line, ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.verifier.cfg import STRAY, Function, call_target, functions, successors


def cfg_dot(spec: ProgramSpec, maps: Sequence[MapSpec]) -> Iterator[str]:
    """The lines of the graph. Taken branches are labelled, calls of functions dashed."""
    names = {sub.slot: sub.name for sub in spec.subprograms}
    lines = {line.slot: line for line in spec.lines}
    yield f"digraph {_quoted(spec.name)} {{"
    yield '  node [shape=box, fontname="monospace"];'
    found = functions(spec.code)
    for entry, function in sorted(found.items()):
        yield f"  subgraph cluster_{entry} {{"
        yield f"    label={_quoted(names.get(entry, f'slot {entry}'))};"
        for block in function.blocks:
            yield f"    b{entry}_{block[0]} [label={_block(spec, maps, lines, block)}];"
        for block in function.blocks:
            yield from (f"    {edge}" for edge in _edges(spec, function, block))
        yield "  }"
    for _, function in sorted(found.items()):
        yield from (f"  {edge}" for edge in _calls(spec, function))
    yield "}"


def _block(spec: ProgramSpec, maps: Sequence[MapSpec], lines: dict[int, Line], block: tuple[int, ...]) -> str:
    rows = []
    for slot in block:
        insn = spec.code[slot]
        if slot in lines:
            rows.append(f"; {line_text(lines[slot])}")
        if insn is not None:
            rows.append(f"{slot}: {insn_text(spec, maps, insn)}")
    return '"' + "".join(_escaped(row) + "\\l" for row in rows) + '"'


def _edges(spec: ProgramSpec, function: Function, block: tuple[int, ...]) -> Iterator[str]:
    last = block[-1]
    insn = spec.code[last]
    after = successors(spec.code, last)
    for number, target in enumerate(after):
        if target == STRAY:
            continue
        is_taken = insn is not None and insn.family in (Family.BRANCH, Family.MAY_GOTO) and number == 1
        note = ' [label="taken"]' if is_taken else ""
        yield f"b{function.entry}_{block[0]} -> b{function.entry}_{target}{note};"


def _calls(spec: ProgramSpec, function: Function) -> Iterator[str]:
    for block in function.blocks:
        for slot in block:
            insn = spec.code[slot]
            if insn is None or insn.family is not Family.CALL_LOCAL:
                continue
            target = call_target(spec.code, slot, insn)
            if target != STRAY:
                yield f"b{function.entry}_{block[0]} -> b{target}_{target} [style=dashed];"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
