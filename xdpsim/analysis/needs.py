"""Which Linux a program needs, and why: the latest `since` of the rows that it makes use of, with insn and source line.

Instructions, helpers, kernel functions, map types and flags, program and attach types and context fields are looked up
where they are declared; what a program is as a whole (its size, its loops) and the kinds of its BTF have the few rows
below. Whether an older verifier follows a program as today's does is not asked: it may refuse one that lacks nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xdpsim.btf.types import Btf, Kind
from xdpsim.helpers.ids import HELPERS_BY_ID, HELPERS_BY_NAME
from xdpsim.helpers.kfunc_since import KFUNC_SINCE
from xdpsim.helpers.type_since import helper_since
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import ST, STX, Family
from xdpsim.isa.since import STORE_IMM_TO_CONTEXT, insn_since
from xdpsim.loader.model import Line, Object, ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_MMAPABLE, MAP_FLAGS, MAP_TYPES
from xdpsim.progtypes.attach import ATTACH_SINCE, AttachType
from xdpsim.progtypes.loading import LOAD_RULES
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier.cfg import functions, successors
from xdpsim.verifier.facts import find_facts
from xdpsim.versions import Linux

OLD_LIMIT = 4096
"""BPF_MAXINSNS: what a program could have before 5.2."""
_LARGE, _LOOPS, _FRAGS, _SLEEPABLE, _TAIL_CALLS_AND_FUNCTIONS = "5.2", "5.3", "5.18", "5.10", "5.10"
_TAIL_CALL = HELPERS_BY_NAME["bpf_tail_call"].id
_BTF_SINCE = {Kind.FLOAT: "5.13", Kind.DECL_TAG: "5.16", Kind.TYPE_TAG: "5.17", Kind.ENUM64: "6.0"}


@dataclass(frozen=True, slots=True)
class Need:
    """Something of a program that came with Linux `since`; `what` as a person calls it.

    `slot` is the insn that needs it and `line` its source line, -1 and None where it is the program as a whole. What is
    `soft` helps where it is known and is left out by libbpf where it is not (kinds of BTF).
    """

    since: str
    what: str
    slot: int = -1
    line: Line | None = None
    soft: bool = False


def kernel_needed(needs: Iterable[Need]) -> tuple[str, list[str]]:
    """The first Linux that has everything, and what it is needed for."""
    by_version: dict[Linux, list[str]] = {}
    for need in needs:
        if need.soft:
            continue
        found = by_version.setdefault(Linux(need.since), [])
        if need.what not in found:
            found.append(need.what)
    newest = max(by_version, default=Linux("3.18"))
    return str(newest), by_version.get(newest, [])


def missing(needs: Iterable[Need], linux: Linux) -> list[Need]:
    """What the chosen Linux has not: each thing once, at its first insn, newest first."""
    found: dict[str, Need] = {}
    for need in needs:
        if not need.soft and Linux(need.since) > linux:
            found.setdefault(need.what, need)
    return sorted(found.values(), key=lambda need: Linux(need.since), reverse=True)


def object_needs(source: Object) -> dict[str, list[Need]]:
    """What each program of an object needs, by its name; maps and types that it refers to included."""
    return {
        name: [*needs_of(spec, [source.maps[n] for n in maps_of(spec) if 0 <= n < len(source.maps)], source.btf)]
        for name, spec in source.programs.items()
    }


def maps_of(spec: ProgramSpec) -> list[int]:
    """The maps that a program refers to, each once, in the order of its insns."""
    found = (insn.imm for insn in spec.code if insn and insn.family is Family.LD_IMM64 and insn.op.startswith("MAP"))
    return list(dict.fromkeys(found))


def needs_of(spec: ProgramSpec, maps: Iterable[MapSpec], btf: Btf | None = None) -> Iterator[Need]:
    """What a program makes use of; `maps` are those that it refers to."""
    yield from _types(spec)
    for row in maps:
        yield from _map(row)
    for slot, insn in enumerate(spec.code):
        if insn is not None:
            yield from _insn(spec, slot, insn)
    yield from _context_fields(spec)
    yield from _shape(spec)
    if btf is not None:
        yield from _btf(btf)


def line_at(spec: ProgramSpec, slot: int) -> Line | None:
    """The source line of an insn, where it is known."""
    at = bisect_right(spec.lines, slot, key=lambda line: line.slot)
    return spec.lines[at - 1] if at else None


def _types(spec: ProgramSpec) -> Iterator[Need]:
    if spec.type not in PROG_TYPES:
        return
    yield Need(PROG_TYPES[spec.type].since, f"program type {spec.type}")
    # Types that load with any attach type have it for who attaches them, who may do so in another way.
    if LOAD_RULES[spec.type].attach_types and spec.attach_type:
        attach = AttachType(spec.attach_type)
        yield Need(ATTACH_SINCE[attach], f"attach type {attach.name}")


def _map(spec: MapSpec) -> Iterator[Need]:
    if spec.type in MAP_TYPES:
        yield Need(MAP_TYPES[spec.type].since, f"map type {spec.type}")
    holds_globals = spec.initial is not None
    for flag in MAP_FLAGS.values():
        if holds_globals and flag.bit == BPF_F_MMAPABLE:
            continue  # libbpf leaves it out where Linux has it not (bpf_object__sanitize_maps)
        if spec.flags & flag.bit:
            yield Need(flag.since, f"map flag {flag.name}")
    if spec.inner is not None:
        yield from _map(spec.inner)


def _insn(spec: ProgramSpec, slot: int, insn: Insn) -> Iterator[Need]:
    line = line_at(spec, slot)
    yield Need(insn_since(insn), _called(insn), slot, line)
    if insn.family is Family.CALL_HELPER and insn.imm in HELPERS_BY_ID:
        helper, since = HELPERS_BY_ID[insn.imm], helper_since(insn.imm, spec.type)
        what = helper.name if since == helper.since else f"{helper.name} in programs of type {spec.type}"
        yield Need(since, what, slot, line)
    if insn.family is Family.CALL_KFUNC and (name := spec.kfuncs[insn.imm]) in KFUNC_SINCE:
        yield Need(KFUNC_SINCE[name], name, slot, line)


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
        line = line_at(spec, slot)
        is_write = insn.opcode & 7 in (ST, STX)
        field = context.field_at(offset, insn.width, write=is_write, attach_type=spec.attach_type)
        if field is not None:
            yield Need(field.since, f"{context.name}.{field.name}", slot, line)
        if insn.family is Family.STORE_IMM:
            yield Need(STORE_IMM_TO_CONTEXT, "stores of constants to the context", slot, line)


def _shape(spec: ProgramSpec) -> Iterator[Need]:
    families = {insn.family for insn in spec.code if insn is not None}
    if len(spec.code) > OLD_LIMIT:
        yield Need(_LARGE, f"more than {OLD_LIMIT} insns")
    if (slot := loop_slot(spec.code)) is not None:
        yield Need(_LOOPS, "a loop", slot, line_at(spec, slot))
    if Family.CALL_LOCAL in families:
        for slot, insn in enumerate(spec.code):
            if insn is not None and insn.family is Family.CALL_HELPER and insn.imm == _TAIL_CALL:
                what = "tail calls in a program with functions"
                yield Need(_TAIL_CALLS_AND_FUNCTIONS, what, slot, line_at(spec, slot))
                break
    if spec.frags:
        yield Need(_FRAGS, "packets in fragments (xdp.frags)")
    if spec.sleepable:
        yield Need(_SLEEPABLE, "a sleepable program")


def _btf(btf: Btf) -> Iterator[Need]:
    kinds = {row.kind for row in btf.types}
    for kind, since in _BTF_SINCE.items():
        if kind in kinds:
            yield Need(since, f"BTF kind {kind.name}", soft=True)


def has_loop(code: Code) -> bool:
    """Whether some function can come back to a slot without a call."""
    return loop_slot(code) is not None


def loop_slot(code: Code) -> int | None:
    """The slot of a jump by which some function comes back to where it was, None when there is none."""
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
                return slot
    return None
