"""Which Linux a program needs, and why: the latest `since` of the rows that it makes use of.

Instructions, helpers, map types, program types and context fields are looked up where they are declared; what a
program is as a whole (its size, its loops) has the few rows below. Attach types are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.helpers.kfunc_since import KFUNC_SINCE
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import ST, STX, Family
from xdpsim.isa.since import insn_since
from xdpsim.loader.model import ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import MAP_TYPES
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier.cfg import functions, successors
from xdpsim.verifier.facts import find_facts
from xdpsim.versions import Linux

OLD_LIMIT = 4096
"""BPF_MAXINSNS: what a program could have before 5.2."""
_LARGE, _LOOPS, _FRAGS, _SLEEPABLE = "5.2", "5.3", "5.18", "5.10"


@dataclass(frozen=True, slots=True)
class Need:
    """Something of a program that came with Linux `since`; `what` as a person calls it."""

    since: str
    what: str


def kernel_needed(needs: Iterable[Need]) -> tuple[str, list[str]]:
    """The first Linux that has everything, and what it is needed for."""
    by_version: dict[Linux, list[str]] = {}
    for need in needs:
        found = by_version.setdefault(Linux(need.since), [])
        if need.what not in found:
            found.append(need.what)
    newest = max(by_version, default=Linux("3.18"))
    return str(newest), by_version.get(newest, [])


def needs_of(spec: ProgramSpec, maps: Iterable[MapSpec]) -> Iterator[Need]:
    """What a program makes use of; `maps` are those that it refers to."""
    if spec.type in PROG_TYPES:
        yield Need(PROG_TYPES[spec.type].since, f"program type {spec.type}")
    for row in maps:
        if row.type in MAP_TYPES:
            yield Need(MAP_TYPES[row.type].since, f"map type {row.type}")
    for insn in spec.code:
        if insn is None:
            continue
        yield Need(insn_since(insn), _called(insn))
        if insn.family is Family.CALL_HELPER and insn.imm in HELPERS_BY_ID:
            yield Need(HELPERS_BY_ID[insn.imm].since, HELPERS_BY_ID[insn.imm].name)
    yield from (Need(KFUNC_SINCE[name], name) for name in spec.kfuncs if name in KFUNC_SINCE)
    yield from _context_fields(spec)
    yield from _shape(spec)


_WORDS = {
    Family.ATOMIC: "atomic {op}",
    Family.CALL_LOCAL: "calls of functions",
    Family.CALL_KFUNC: "calls of kernel functions",
}


def _called(insn: Insn) -> str:
    """What a person calls an instruction that not every Linux has."""
    if insn.family is Family.BRANCH and insn.bits == 32:
        return "32-bit jumps"
    if insn.family is Family.LD_IMM64:
        return f"{insn.op.lower()} references"
    return _WORDS.get(insn.family, "insn {op}").format(op=insn.op)


def _context_fields(spec: ProgramSpec) -> Iterator[Need]:
    context = PROG_TYPES[spec.type].context if spec.type in PROG_TYPES else None
    if context is None or not spec.code:
        return
    for slot, offset in find_facts(spec.code, spec.type).context_offsets.items():
        insn = spec.code[slot]
        if insn is None:
            continue
        is_write = insn.opcode & 7 in (ST, STX)
        field = context.field_at(offset, insn.width, write=is_write, attach_type=spec.attach_type)
        if field is not None:
            yield Need(field.since, f"{context.name}.{field.name}")


def _shape(spec: ProgramSpec) -> Iterator[Need]:
    if len(spec.code) > OLD_LIMIT:
        yield Need(_LARGE, f"more than {OLD_LIMIT} insns")
    if has_loop(spec.code):
        yield Need(_LOOPS, "a loop")
    if spec.frags:
        yield Need(_FRAGS, "packets in fragments (xdp.frags)")
    if spec.sleepable:
        yield Need(_SLEEPABLE, "a sleepable program")


def has_loop(code: Code) -> bool:
    """Whether some function can come back to a slot without a call."""
    for entry in functions(code):
        states: dict[int, bool] = {entry: True}  # True: on the way, False: done with
        walk = [(entry, iter(successors(code, entry)))]
        while walk:
            slot, after = walk[-1]
            target = next(after, None)
            if target is None:
                states[slot] = False
                walk.pop()
            elif target >= 0 and target not in states:
                states[target] = True
                walk.append((target, iter(successors(code, target))))
            elif states.get(target):
                return True
    return False
