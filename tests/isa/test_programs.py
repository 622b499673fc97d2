"""The generator of random programs: what it makes is valid, repeatable, varied, and accepted by Linux."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings

from tests.support import rawbpf
from tests.support.programs import VALUE_SIZE, branching, random_program, straight_line
from xdpsim.isa.decode import decode, encode_all
from xdpsim.isa.insn import Code
from xdpsim.isa.rows import ALU, ATOMIC, BRANCH, Family


@settings(max_examples=30)
@given(straight_line())
def test_straight_lines_do_not_jump(code: Code) -> None:
    assert decode(encode_all(code)) == code
    assert not {insn.family for insn in code if insn} & {Family.BRANCH, Family.JUMP, Family.CALL_LOCAL}


@settings(max_examples=30)
@given(branching())
def test_targets_are_instructions(code: Code) -> None:
    for slot, insn in enumerate(code):
        if insn is not None and insn.family in (Family.BRANCH, Family.JUMP):
            assert code[slot + 1 + insn.jump_offset] is not None


def test_the_same_seed_gives_the_same_program() -> None:
    assert random_program(random.Random(5)) == random_program(random.Random(5))


def test_the_whole_scalar_isa_occurs() -> None:
    rng = random.Random(1)
    insns = [insn for _ in range(200) for insn in random_program(rng) if insn is not None]
    ops = {(insn.family, insn.op, insn.bits) for insn in insns}
    for family, table in ((Family.ALU, ALU), (Family.BRANCH, BRANCH), (Family.ATOMIC, ATOMIC)):
        assert {(family, op, bits) for op in table for bits in (32, 64)} <= ops
    calls = {Family.CALL_HELPER, Family.CALL_KFUNC, Family.CALL_REG}
    assert {insn.family for insn in insns} == set(Family) - calls - {
        Family.ADDR_SPACE_CAST,
        Family.LD_PACKET,
        Family.MAY_GOTO,
    }


@rawbpf.needs_kernel
@pytest.mark.parametrize("branches", [False, True])
def test_linux_accepts_nearly_all_and_their_results_differ(branches: bool) -> None:
    rng, count, map_fd = random.Random(3), 500, rawbpf.array_map(VALUE_SIZE)
    programs = (random_program(rng, branches=branches) for _ in range(count))
    values = [rawbpf.value_after(encode_all(code), map_fd, VALUE_SIZE) for code in programs]
    assert sum(value is None for value in values) <= count * 0.05
    assert len(set(values)) >= count * 0.95
