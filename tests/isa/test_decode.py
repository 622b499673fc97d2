"""decode and encode: against Linux's own verdict on a grid of encodings, and as inverses of each other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import encodings, instructions
from tests.support.encodings import ACCEPTED, SAMPLE, UNDECIDED, kernel_letter, our_verdict
from tests.support.rawbpf import needs_kernel
from xdpsim.errors import InputError
from xdpsim.isa.decode import SLOT, decode, encode, encode_all
from xdpsim.isa.insn import Code
from xdpsim.isa.rows import ALU, ATOMIC, BRANCH, Family, Imm64


def slot(opcode: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return SLOT.pack(opcode, src << 4 | dst, off, imm)


@pytest.mark.parametrize(
    ("opcode", "letters"), [pytest.param(opcode, row, id=f"{opcode:02x}") for opcode, row in encodings.golden_rows()]
)
def test_takes_what_linux_takes(opcode: int, letters: str) -> None:
    for fields, letter in zip(SAMPLE, letters, strict=True):
        if letter != UNDECIDED:
            refusal = our_verdict(opcode, *fields)
            assert (not refusal) == (letter == ACCEPTED), (f"{opcode:02x}", fields, letter, refusal)


@needs_kernel
def test_the_running_kernel_agrees_with_the_recording() -> None:
    recorded = dict(encodings.golden_rows())
    rng = random.Random(7)
    for _ in range(4000):
        opcode, column = rng.randrange(256), rng.randrange(len(SAMPLE))
        assert kernel_letter(opcode, *SAMPLE[column]) == recorded[opcode][column], (f"{opcode:02x}", SAMPLE[column])


@given(instructions.code())
def test_encode_is_the_inverse(code: Code) -> None:
    assert decode(encode_all(code)) == code


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_are_refused(raw: bytes) -> None:
    try:
        code = decode(raw)
    except InputError:
        return
    assert encode_all(code) == raw


def test_every_row_has_an_encoding() -> None:
    insns = list(instructions.every_kind())
    assert {insn.op for insn in insns if insn.family is Family.ALU} == ALU.keys()
    assert {insn.op for insn in insns if insn.family is Family.BRANCH} == BRANCH.keys()
    assert {insn.op for insn in insns if insn.family is Family.ATOMIC} == ATOMIC.keys()
    assert {insn.op for insn in insns if insn.family is Family.LD_IMM64} == {kind.name for kind in Imm64}
    assert {insn.family for insn in insns} == set(Family) - {Family.CALL_REG}


def test_slots_of_a_wide_instruction() -> None:
    code = decode(bytes.fromhex("1801000088776655 0000000044332211 9500000000000000"))
    assert [insn and insn.op for insn in code] == ["VALUE", None, "exit"]
    assert code[0] is not None
    assert code[0].imm64 == 0x1122334455667788
    assert code[0].slots == 2
    assert len(encode(code[0])) == 16


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (bytes(7), "7 bytes of instructions: expected a multiple of 8"),
        (slot(0xFF), "insn 0 (ff00000000000000): unknown opcode ff"),
        (
            slot(0x95) + slot(0x95, dst=1),
            "insn 1 (9501000000000000): BPF_EXIT uses reserved fields: dst is 1, expected 0",
        ),
        (slot(0xB7, dst=11), "insn 0 (b70b000000000000): register R11 is invalid: expected R0 to R10"),
        (slot(0x67, imm=64), "insn 0 (6700000040000000): invalid shift 64: expected 0 to 63"),
        (slot(0x64, imm=-1), "insn 0 (64000000ffffffff): invalid shift -1: expected 0 to 31"),
        (slot(0x37), "insn 0 (3700000000000000): div by zero: the immediate divisor is 0"),
        (
            slot(0x8D),
            "insn 0 (8d00000000000000): unknown opcode 8d: callx, a call through a register, which no Linux accepts",
        ),
        (slot(0xE5, imm=1), "insn 0 (e500000001000000): invalid may_goto imm 1: expected imm, src and dst to be 0"),
        (slot(0x18), "insn 0 (1800000000000000): invalid bpf_ld_imm64 insn: its second slot is missing"),
        (
            slot(0x18) + slot(0xB7),
            "insn 0 (1800000000000000): invalid bpf_ld_imm64 insn: the second slot holds more than an immediate",
        ),
        (
            slot(0x18, src=1) + slot(0, imm=4),
            "insn 0 (1810000000000000): unrecognized bpf_ld_imm64 insn: the second immediate of a map is 4, expected 0",
        ),
        (slot(0x18, src=7) * 2, "insn 0 (1870000000000000): unrecognized bpf_ld_imm64 insn: src is 7, expected 0 to 6"),
        (slot(0xC3, imm=2), "insn 0 (c300000002000000): BPF_ATOMIC uses invalid atomic opcode 02"),
        (slot(0xD3), "insn 0 (d300000000000000): invalid atomic operand size 1: expected 4 or 8"),
        (
            slot(0xBF, off=1, imm=2),
            "insn 0 (bf00010002000000):"
            " addr_space_cast insn can only convert between address space 1 and 0: imm is 0x2",
        ),
    ],
)
def test_refusals_name_the_insn_and_the_field(raw: bytes, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        decode(raw)
    assert refusal.value.message == message
