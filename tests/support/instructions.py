"""Valid encodings for tests: one sample of every kind of instruction, and hypothesis strategies over all of them."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator

from hypothesis import strategies as st

from xdpsim.errors import InputError
from xdpsim.isa.decode import SLOT, decode
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import ATOMIC, Family

_ATOMIC_IMMS = (*(op.imm for op in ATOMIC.values()), 0x100, 0x110)
TELLING_IMMS = tuple(dict.fromkeys((5, -5, 0, 1, 16, 31, 32, 63, 64, 0x10000, *_ATOMIC_IMMS, 2**31 - 1, -(2**31))))
TELLING_OFFS = (5, 0, 1, 8, 16, 32, -8, 32767, -32768)
_ZEROINGS = sorted(itertools.product((False, True), repeat=4), key=sum)  # keep as much as the encoding can hold


def one(opcode: int, dst: int, src: int, off: int, imm: int, next_imm: int = 0) -> Insn | None:
    """The instruction of these fields, or None when there is none."""
    raw = SLOT.pack(opcode, src << 4 | dst, off, imm)
    if opcode == 0x18:
        raw += SLOT.pack(0, 0, 0, next_imm)
    try:
        return decode(raw)[0]
    except InputError:
        return None


def fitting(opcode: int, dst: int, src: int, off: int, imm: int, next_imm: int) -> Insn | None:
    """As `one`, with as few of the fields zeroed as make it an instruction."""
    for zero_dst, zero_src, zero_off, zero_imm in _ZEROINGS:
        fields = (0 if zero_dst else dst, 0 if zero_src else src, 0 if zero_off else off, 0 if zero_imm else imm)
        for second in dict.fromkeys((next_imm, 0)):
            insn = one(opcode, *fields, second)
            if insn is not None:
                return insn
    return None


@functools.cache
def valid_opcodes() -> tuple[int, ...]:
    """Opcode bytes that some instruction has."""
    return tuple(op for op in range(256) if any(fitting(op, 1, 2, 0, imm, 0) for imm in (1, 16, 0x100)))


def every_kind() -> Iterator[Insn]:
    """One instruction of each kind: family, operation, width, operand form, and signs of offset and immediate."""
    seen = set()
    for opcode in valid_opcodes():
        kinds = (0, 1, 2, 3, 4, 5, 6) if opcode in (0x18, 0x85) else (4, 0)  # where src says what the immediate is
        for dst, src, off, imm in itertools.product((3, 0), kinds, TELLING_OFFS[:-2], TELLING_IMMS):
            insn = one(opcode, dst, src, off, imm, 7) or one(opcode, dst, src, off, imm, 0)
            if insn is None:
                continue
            signs = insn.off < 0, insn.off == 0, insn.imm < 0
            movsx_from = insn.off if insn.family is Family.MOVSX else 0
            kind = (insn.family, insn.op, insn.opcode, insn.bits, insn.uses_reg, movsx_from, signs)
            if kind not in seen:
                seen.add(kind)
                yield insn


_imms = st.sampled_from(TELLING_IMMS) | st.integers(-(2**31), 2**31 - 1)
_offs = st.sampled_from(TELLING_OFFS) | st.integers(-(2**15), 2**15 - 1)
_regs = st.integers(0, 10)


def instructions() -> st.SearchStrategy[Insn]:
    """Any valid instruction, whatever a verifier would say of it."""
    fields = st.builds(fitting, st.sampled_from(valid_opcodes()), _regs, _regs, _offs, _imms, _imms)
    return fields.filter(lambda insn: insn is not None)


def code() -> st.SearchStrategy[Code]:
    """A few valid instructions in a row, indexed by slot as `decode` gives them."""
    return st.lists(instructions(), max_size=12).map(_by_slot)


def random_code(rng: random.Random, count: int) -> Code:
    """`count` valid instructions without hypothesis."""
    insns: list[Insn] = []
    while len(insns) < count:
        imm = rng.choice((rng.choice(TELLING_IMMS), rng.randrange(-(2**31), 2**31)))
        off = rng.choice((rng.choice(TELLING_OFFS), rng.randrange(-(2**15), 2**15)))
        opcode, dst, src = rng.choice(valid_opcodes()), rng.randrange(11), rng.randrange(11)
        insn = fitting(opcode, dst, src, off, imm, rng.randrange(-(2**31), 2**31))
        if insn is not None:
            insns.append(insn)
    return _by_slot(insns)


def _by_slot(insns: list[Insn]) -> Code:
    slots: list[Insn | None] = []
    for insn in insns:
        slots += [insn] + [None] * (insn.slots - 1)
    return tuple(slots)
