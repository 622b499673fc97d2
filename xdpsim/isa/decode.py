"""Raw slots to instructions and back. Reserved fields are checked here, so every reader may trust what it is given.

Takes and refuses the encodings that Linux takes and refuses, in the words of kernel/bpf/verifier.c. Whether an
instruction makes sense where it stands (its registers, its jump target) is left to the verifier.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import NamedTuple

from xdpsim.errors import InputError
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import (
    ADDR_SPACE_CAST_IMMS,
    ADDR_SPACE_CAST_OFF,
    ALU,
    ALU32,
    ALU64,
    ATOMIC,
    ATOMIC_LOAD_ACQUIRE,
    ATOMIC_STORE_RELEASE,
    BRANCH,
    CALL_CODE,
    CALLX,
    END_CODE,
    EXIT_CODE,
    JA_CODE,
    JCOND_CODE,
    JMP,
    JMP32,
    LD,
    LDX,
    MODE_ABS,
    MODE_ATOMIC,
    MODE_IMM,
    MODE_IND,
    MODE_MEM,
    MODE_MEMSX,
    MOV_CODE,
    MOVSX_OFFS,
    NEG_CODE,
    ST,
    WIDTHS,
    Family,
    Imm64,
)

SLOT = struct.Struct("<BBhi")
_ALU_BY_CODE = {(op.code, op.off): op.name for op in ALU.values()}
_BRANCH_BY_CODE = {op.code: op.name for op in BRANCH.values()}
_ATOMIC_BY_IMM = {op.imm: op.name for op in ATOMIC.values()}
_IMM64_KINDS = {kind.value for kind in Imm64}
_CALLS = {0: Family.CALL_HELPER, 1: Family.CALL_LOCAL, 2: Family.CALL_KFUNC}


class _Bad(Exception):
    """Why one slot is not an instruction."""


class _Raw(NamedTuple):
    """One slot, not judged yet."""

    opcode: int
    dst: int
    src: int
    off: int
    imm: int


def _insn(raw: _Raw, family: Family, op: str, bits: int = 64, uses_reg: bool = False) -> Insn:
    return Insn(raw.opcode, raw.dst, raw.src, raw.off, raw.imm, family, op, bits, uses_reg)


def decode(raw: bytes) -> Code:
    """All instructions of `raw`, indexed by slot. InputError names the slot and the field that is wrong.

    Stricter than Linux in one way: Linux does not look at the fields of an instruction that no path reaches.
    """
    if len(raw) % 8:
        raise InputError(f"{len(raw)} bytes of instructions: expected a multiple of 8")
    code: list[Insn | None] = []
    count = len(raw) // 8
    while len(code) < count:
        index = len(code)
        try:
            insn = decode_slot(*SLOT.unpack_from(raw, index * 8))
            code.append(insn)
            if insn.family is Family.LD_IMM64:
                if index + 1 == count:
                    raise _Bad("invalid bpf_ld_imm64 insn: its second slot is missing")
                code[index] = _join(insn, *SLOT.unpack_from(raw, index * 8 + 8))
                code.append(None)
        except _Bad as bad:
            raise InputError(f"insn {index} ({raw[index * 8 : index * 8 + 8].hex()}): {bad}") from None
    return tuple(code)


def encode(insn: Insn) -> bytes:
    """The 8 or 16 bytes of one instruction."""
    first = SLOT.pack(insn.opcode, insn.src << 4 | insn.dst, insn.off, insn.imm)
    return first + SLOT.pack(0, 0, 0, insn.next_imm) if insn.slots == 2 else first


def encode_all(code: Code) -> bytes:
    """The bytes of a whole program; inverse of `decode`."""
    return b"".join(encode(insn) for insn in code if insn is not None)


def decode_slot(opcode: int, regs: int, off: int, imm: int) -> Insn:
    """One slot, without LD_IMM64's second half; raises an error that `decode` gives its place."""
    raw = _Raw(opcode, regs & 15, regs >> 4, off, imm)
    if raw.dst > 10 or (raw.src > 10):
        raise _Bad(f"register R{max(raw.dst, raw.src)} is invalid: expected R0 to R10")
    insn_class = opcode & 7
    if insn_class in (ALU32, ALU64):
        return _alu(raw, 64 if insn_class == ALU64 else 32)
    if insn_class in (JMP, JMP32):
        return _jump(raw, 64 if insn_class == JMP else 32)
    return _memory(raw, insn_class)


def _need(raw: _Raw, what: str, **zero: int) -> None:
    for field, value in zero.items():
        if getattr(raw, field) != value:
            raise _Bad(f"{what} uses reserved fields: {field} is {getattr(raw, field)}, expected {value}")


def _alu(raw: _Raw, bits: int) -> Insn:
    code, uses_reg = raw.opcode & 0xF0, bool(raw.opcode & 8)
    if bits == 64 and uses_reg and code == MOV_CODE and raw.off == ADDR_SPACE_CAST_OFF:
        return _addr_space_cast(raw)
    if code == END_CODE:
        return _endian(raw, bits, uses_reg)
    if code == NEG_CODE:
        if uses_reg:
            raise _Bad(f"unknown opcode {raw.opcode:02x}")
        _need(raw, "BPF_NEG", src=0, off=0, imm=0)
        return _insn(raw, Family.NEG, "neg", bits=bits)
    _need(raw, "BPF_MOV" if code == MOV_CODE else "BPF_ALU", **({"imm": 0} if uses_reg else {"src": 0}))
    if code == MOV_CODE:
        return _mov(raw, bits, uses_reg)
    name = _ALU_BY_CODE.get((code, raw.off))
    if name is None:
        if (code, 0) not in _ALU_BY_CODE:
            raise _Bad(f"unknown opcode {raw.opcode:02x}")
        raise _Bad(f"BPF_ALU uses reserved fields: off is {raw.off}, expected 0")
    if not uses_reg and code in (0x30, 0x90) and raw.imm == 0:
        raise _Bad("div by zero: the immediate divisor is 0")
    if not uses_reg and code in (0x60, 0x70, 0xC0) and not 0 <= raw.imm < bits:
        raise _Bad(f"invalid shift {raw.imm}: expected 0 to {bits - 1}")
    return _insn(raw, Family.ALU, name, bits, uses_reg)


def _mov(raw: _Raw, bits: int, uses_reg: bool) -> Insn:
    if raw.off == 0:
        return _insn(raw, Family.MOV, "mov", bits, uses_reg)
    if uses_reg and raw.off in MOVSX_OFFS and raw.off < bits:
        return _insn(raw, Family.MOVSX, "movsx", bits=bits, uses_reg=True)
    raise _Bad(f"BPF_MOV uses reserved fields: off is {raw.off}")


def _addr_space_cast(raw: _Raw) -> Insn:
    if raw.imm not in ADDR_SPACE_CAST_IMMS:
        raise _Bad(f"addr_space_cast insn can only convert between address space 1 and 0: imm is {raw.imm:#x}")
    return _insn(raw, Family.ADDR_SPACE_CAST, "addr_space_cast", uses_reg=True)


def _endian(raw: _Raw, bits: int, to_big: bool) -> Insn:
    if raw.imm not in (16, 32, 64) or raw.off or raw.src or (bits == 64 and to_big):
        raise _Bad("BPF_END uses reserved fields: expected imm 16, 32 or 64 and nothing else set")
    op = "bswap" if bits == 64 else "be" if to_big else "le"
    return _insn(raw, Family.ENDIAN, op, bits=raw.imm)


def _jump(raw: _Raw, bits: int) -> Insn:
    code, uses_reg = raw.opcode & 0xF0, bool(raw.opcode & 8)
    if code in _BRANCH_BY_CODE:
        _need(raw, "BPF_JMP/JMP32", **({"imm": 0} if uses_reg else {"src": 0}))
        return _insn(raw, Family.BRANCH, _BRANCH_BY_CODE[code], bits, uses_reg)
    if code == JA_CODE and not uses_reg:
        _need(raw, "BPF_JA", dst=0, src=0, **({"imm": 0} if bits == 64 else {"off": 0}))
        return _insn(raw, Family.JUMP, "goto" if bits == 64 else "gotol")
    if code == JCOND_CODE and bits == 64 and not uses_reg:
        if raw.dst or raw.src or raw.imm:
            raise _Bad(f"invalid may_goto imm {raw.imm}: expected imm, src and dst to be 0")
        return _insn(raw, Family.MAY_GOTO, "may_goto")
    if code == CALL_CODE and bits == 64 and not uses_reg:
        return _call(raw)
    if code == EXIT_CODE and bits == 64 and not uses_reg:
        _need(raw, "BPF_EXIT", dst=0, src=0, imm=0)  # Linux does not look at off
        return _insn(raw, Family.EXIT, "exit")
    if raw.opcode == CALLX:
        raise _Bad(f"unknown opcode {raw.opcode:02x}: callx, a call through a register, which no Linux accepts")
    raise _Bad(f"unknown opcode {raw.opcode:02x}")


def _call(raw: _Raw) -> Insn:
    if raw.src not in _CALLS:
        raise _Bad(f"BPF_CALL uses reserved fields: src is {raw.src}, expected 0, 1 or 2")
    _need(raw, "BPF_CALL", dst=0, **({} if raw.src == 2 else {"off": 0}))
    return _insn(raw, _CALLS[raw.src], "call")


def _memory(raw: _Raw, insn_class: int) -> Insn:
    mode = raw.opcode & 0xE0
    unknown = _Bad(f"unknown opcode {raw.opcode:02x}")
    if insn_class == LD:
        return _load_legacy(raw, mode, unknown)
    if insn_class == LDX:
        if mode == MODE_MEM:
            _need(raw, "BPF_LDX", imm=0)
            return _insn(raw, Family.LOAD, "load")
        if mode == MODE_MEMSX and WIDTHS[raw.opcode & 0x18] < 8:
            _need(raw, "BPF_LDX", imm=0)
            return _insn(raw, Family.LOAD_SX, "load_sx")
        raise unknown
    if insn_class == ST:
        if mode != MODE_MEM:
            raise unknown
        _need(raw, "BPF_ST", src=0)
        return _insn(raw, Family.STORE_IMM, "store")
    if mode == MODE_MEM:
        _need(raw, "BPF_STX", imm=0)
        return _insn(raw, Family.STORE_REG, "store", uses_reg=True)
    if mode == MODE_ATOMIC:
        return _atomic(raw)
    raise unknown


def _load_legacy(raw: _Raw, mode: int, unknown: _Bad) -> Insn:
    if mode == MODE_IMM and WIDTHS[raw.opcode & 0x18] == 8:
        if raw.src not in _IMM64_KINDS:
            raise _Bad(f"unrecognized bpf_ld_imm64 insn: src is {raw.src}, expected 0 to {max(_IMM64_KINDS)}")
        _need(raw, "BPF_LD_IMM64", off=0)
        return _insn(raw, Family.LD_IMM64, Imm64(raw.src).name)
    if mode in (MODE_ABS, MODE_IND) and WIDTHS[raw.opcode & 0x18] < 8:
        _need(raw, "BPF_LD_[ABS|IND]", dst=0, off=0, **({"src": 0} if mode == MODE_ABS else {}))
        return _insn(raw, Family.LD_PACKET, "abs" if mode == MODE_ABS else "ind")
    raise unknown


def _atomic(raw: _Raw) -> Insn:
    width = WIDTHS[raw.opcode & 0x18]
    if raw.imm in (ATOMIC_LOAD_ACQUIRE, ATOMIC_STORE_RELEASE):
        family = Family.LOAD_ACQUIRE if raw.imm == ATOMIC_LOAD_ACQUIRE else Family.STORE_RELEASE
        return _insn(raw, family, family.value)
    if raw.imm not in _ATOMIC_BY_IMM:
        raise _Bad(f"BPF_ATOMIC uses invalid atomic opcode {raw.imm:02x}")
    if width < 4:
        raise _Bad(f"invalid atomic operand size {width}: expected 4 or 8")
    return _insn(raw, Family.ATOMIC, _ATOMIC_BY_IMM[raw.imm], bits=width * 8, uses_reg=True)


def _join(insn: Insn, opcode: int, regs: int, off: int, imm: int) -> Insn:
    if opcode or regs or off:
        raise _Bad("invalid bpf_ld_imm64 insn: the second slot holds more than an immediate")
    if imm and insn.op in (Imm64.MAP_FD.name, Imm64.MAP_IDX.name):
        raise _Bad(f"unrecognized bpf_ld_imm64 insn: the second immediate of a map is {imm}, expected 0")
    return replace(insn, next_imm=imm)
