"""The instruction cases: Linux leaves the r0 that they state, and together they reach every runnable instruction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support import rawbpf
from tests.support.insn_cases import VALUE_SIZE, Case, case_name, load_cases, wrap_for_map
from xdpsim.isa.decode import encode_all
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ALU, ATOMIC, BRANCH, MOVSX_OFFS, Family

# These need a packet, a map, a kernel table or an arena; may_goto, which falls through, is the verifier's matter.
NOT_HERE = {
    Family.ADDR_SPACE_CAST, Family.LD_PACKET, Family.CALL_HELPER, Family.CALL_KFUNC, Family.CALL_REG, Family.MAY_GOTO,
}  # fmt: skip


@pytest.fixture(scope="module")
def map_fd() -> int:
    if reason := rawbpf.kernel_answers():
        pytest.skip(reason)
    return rawbpf.array_map(VALUE_SIZE)


@pytest.mark.parametrize("case", load_cases(), ids=case_name)
def test_linux_leaves_this_r0(case: Case, map_fd: int) -> None:
    code = rawbpf.with_map_fd(encode_all(wrap_for_map(case)), map_fd)
    answer = rawbpf.load(code, prog_type=case.type, log_level=1)
    assert answer.accepted, answer.log
    value = rawbpf.value_after(code, map_fd, VALUE_SIZE)
    assert value is not None
    assert int.from_bytes(value, "little") == case.r0


def test_names_are_unique() -> None:
    names = [case_name(case) for case in load_cases()]
    assert len(names) == len(set(names))


def kind(insn: Insn) -> tuple[object, ...]:
    """What the coverage counts: family, operation, bits, and where they tell, operand form and width."""
    movsx_from = insn.off if insn.family is Family.MOVSX else 0
    width = insn.width if insn.family in LOADS_AND_STORES else 0
    return insn.family, insn.op, insn.bits, insn.uses_reg, movsx_from, width


LOADS_AND_STORES = {
    Family.LOAD, Family.LOAD_SX, Family.STORE_IMM, Family.STORE_REG, Family.LOAD_ACQUIRE, Family.STORE_RELEASE,
}  # fmt: skip


def runnable() -> Iterator[tuple[object, ...]]:
    for family, table in ((Family.ALU, ALU), (Family.BRANCH, BRANCH)):
        yield from ((family, op, bits, form, 0, 0) for op in table for bits in (64, 32) for form in (False, True))
    for bits in (64, 32):
        yield from ((Family.ATOMIC, op, bits, True, 0, 0) for op in ATOMIC)
        yield from ((Family.MOVSX, "movsx", bits, True, start, 0) for start in MOVSX_OFFS if start < bits)
        yield from ((Family.MOV, "mov", bits, form, 0, 0) for form in (False, True))
        yield Family.NEG, "neg", bits, False, 0, 0
    yield from ((Family.ENDIAN, op, bits, False, 0, 0) for op in ("be", "le", "bswap") for bits in (16, 32, 64))
    for width in (1, 2, 4, 8):
        yield Family.LOAD, "load", 64, False, 0, width
        yield Family.STORE_IMM, "store", 64, False, 0, width
        yield Family.STORE_REG, "store", 64, True, 0, width
        yield Family.LOAD_ACQUIRE, "load_acquire", 64, False, 0, width
        yield Family.STORE_RELEASE, "store_release", 64, False, 0, width
        if width < 8:
            yield Family.LOAD_SX, "load_sx", 64, False, 0, width
    yield from ((Family.JUMP, op, 64, False, 0, 0) for op in ("goto", "gotol"))
    yield Family.LD_IMM64, "VALUE", 64, False, 0, 0
    yield Family.CALL_LOCAL, "call", 64, False, 0, 0
    yield Family.EXIT, "exit", 64, False, 0, 0


def test_every_runnable_instruction_is_in_some_case() -> None:
    wanted = set(runnable())
    assert {row[0] for row in wanted} == set(Family) - NOT_HERE
    found = {kind(insn) for insn in itertools.chain(*(case.code for case in load_cases())) if insn is not None}
    assert found == wanted
