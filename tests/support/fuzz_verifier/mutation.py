"""Programs made from real ones and from cases by a few changes: constants, registers, widths, comparisons and more."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.support.verifier_cases import load_cases
from tests.support.verifier_sources import Question, of_case
from xdpsim.errors import InputError
from xdpsim.isa.decode import decode, encode
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import SIZE_CODES, Family, Imm64
from xdpsim.loader.load import load_object
from xdpsim.loader.model import ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.verifier.main import verify

_PROGRAMS = Path(__file__).parents[3] / "programs"
_MOST_INSNS = 2500
_MEMORY = (Family.LOAD, Family.STORE_IMM, Family.STORE_REG, Family.LOAD_SX)
_CONDITIONS = (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0)
_EDGES = (0, 1, -1, 2, 4, 7, 8, 15, 16, 63, 64, 255, 256, 4096, 65535, 0x7FFFFFFF, -8)
_TRIES, _SELDOM = 20, 0.6


@functools.cache
def sources() -> tuple[Question, ...]:
    """The programs of programs/*.o that are accepted without types and walked in a moment."""
    found = []
    for path in sorted(_PROGRAMS.glob("*.o")):
        loaded = load_object(path.read_bytes(), path.name)
        maps = tuple(replace(m, btf=None, key_type=0, value_type=0) for m in loaded.maps)
        for name, spec in loaded.programs.items():
            bare = replace(spec, func_info=(), line_info=(), lines=(), subprograms=())
            if not bare.unsupported and _is_short(bare, maps):
                found.append(Question(f"{path.name}:{name}", bare, maps, None))
    return tuple(found)


def _is_short(spec: ProgramSpec, maps: tuple[MapSpec, ...]) -> bool:
    verdict = verify(spec, maps, None)
    return verdict.accepted and verdict.insns_processed <= _MOST_INSNS


@functools.cache
def case_sources() -> tuple[Question, ...]:
    """The cases of tests/cases/verifier that can be asked anywhere and are walked in a moment."""
    return tuple(
        of_case(case)
        for case in load_cases()
        if case.source != "read" and "bpf" in case.caps and (case.processed or 0) <= _MOST_INSNS
        if "bpf_rdonly_cast" not in case.spec.kfuncs  # its constant is a number in one kernel's types
    )


def mutate(rng: random.Random, name: str, questions: tuple[Question, ...]) -> Question:
    """One of the programs with one to four changes."""
    source = rng.choice(questions)
    code = source.spec.code
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        code = _changed(rng, code, source)
    return replace(source, name=f"{name} from {source.name}", spec=replace(source.spec, code=code))


def _changed(rng: random.Random, code: Code, source: Question) -> Code:
    for _ in range(_TRIES):
        slot = rng.randrange(len(code))
        insn = code[slot]
        if insn is None:
            continue
        changed = rng.choice(_CHANGES)(rng, code, slot, insn, source)
        if changed is not None:
            return changed
    return code


def _with(code: Code, slot: int, insn: Insn) -> Code | None:
    """The code with another insn in that slot; None where no such insn can be."""
    try:
        made = decode(encode(insn))
    except InputError:
        return None
    return (*code[:slot], *made, *code[slot + len(made) :])


def _constant(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    if insn.uses_reg or insn.family not in (Family.ALU, Family.MOV, Family.BRANCH, Family.STORE_IMM):
        return None
    imm = rng.choice((insn.imm + 1, insn.imm - 1, insn.imm * 2, rng.choice(_EDGES)))
    return _with(code, slot, replace(insn, imm=imm)) if -(2**31) <= imm < 2**31 else None


def _offset(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    if insn.family not in _MEMORY:
        return None
    return _with(code, slot, replace(insn, off=insn.off + rng.choice((1, -1, 2, 4, -4, 8, -8, 64))))


def _register(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    other = rng.randrange(11)
    if rng.random() < _SELDOM:  # most of these end in a register that was never written
        return None
    if insn.family in (Family.CALL_HELPER, Family.CALL_LOCAL, Family.CALL_KFUNC, Family.EXIT, Family.JUMP):
        return None
    if insn.uses_reg and rng.random() < 0.5:
        return _with(code, slot, replace(insn, src=other))
    return _with(code, slot, replace(insn, dst=other))


def _width(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    if insn.family in _MEMORY:
        return _with(code, slot, replace(insn, opcode=insn.opcode & ~0x18 | SIZE_CODES[rng.choice((1, 2, 4, 8))]))
    if insn.family in (Family.ALU, Family.MOV):
        return _with(code, slot, replace(insn, opcode=insn.opcode ^ 3))
    if insn.family is Family.BRANCH:
        return _with(code, slot, replace(insn, opcode=insn.opcode ^ 3))
    return None


def _comparison(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    if insn.family is not Family.BRANCH:
        return None
    return _with(code, slot, replace(insn, opcode=insn.opcode & 0x0F | rng.choice(_CONDITIONS)))


def _drop(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    """A jump to the next insn in its place: whatever it checked or stored is gone."""
    if insn.family not in (Family.BRANCH, Family.STORE_IMM, Family.STORE_REG, Family.ALU):
        return None
    return _with(code, slot, decode(bytes.fromhex("0500000000000000"))[0] or insn)


def _swap(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    straight = (*_MEMORY, Family.ALU, Family.MOV)
    other = code[slot + 1] if slot + 1 < len(code) else None
    if insn.family not in straight or other is None or other.family not in straight:
        return None
    return (*code[:slot], other, insn, *code[slot + 2 :])


def _splice(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    """An insn of another program, or of another place."""
    if rng.random() < _SELDOM:
        return None
    from_code = rng.choice((code, rng.choice(sources()).spec.code))
    found = rng.choice(from_code)
    if found is None or insn.slots == 2 or found.family not in (*_MEMORY, Family.ALU, Family.MOV, Family.ATOMIC):
        return None
    return _with(code, slot, found)


def _target(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    if insn.family not in (Family.BRANCH, Family.JUMP) or insn.op == "gotol" or rng.random() < _SELDOM:
        return None
    return _with(code, slot, replace(insn, off=insn.off + rng.choice((1, 2, 3, -1, 5))))


def _map(rng: random.Random, code: Code, slot: int, insn: Insn, source: Question) -> Code | None:
    if insn.op not in (Imm64.MAP_FD.name, Imm64.MAP_VALUE.name):
        return None
    return _with(code, slot, replace(insn, imm=rng.randrange(len(source.maps))))


Change = Callable[[random.Random, Code, int, Insn, Question], Code | None]
_CHANGES: tuple[Change, ...] = (
    *(_constant, _constant, _constant, _constant, _constant, _offset, _offset, _offset, _offset, _width, _width),
    *(_comparison, _comparison, _comparison, _map, _map, _target, _target, _swap, _splice, _register, _drop),
)
