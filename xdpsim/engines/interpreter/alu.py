"""Arithmetic and branches: each operation calls the meaning on its row, so there is no second semantics."""

from __future__ import annotations

from xdpsim.bits import byte_swap, mask, sign_extend
from xdpsim.engines.interpreter.cpu import Cpu, Op
from xdpsim.engines.limits import MAY_GOTO_LIMIT
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ALU, BRANCH


def alu(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """dst = dst op (src | imm)."""
    regs, dst, src, bits, following = cpu.regs, insn.dst, insn.src, insn.bits, slot + 1
    meaning, limit = ALU[insn.op].meaning, mask(insn.bits)
    if insn.uses_reg:

        def with_register() -> int:
            regs[dst] = meaning(regs[dst] & limit, regs[src] & limit, bits) & limit
            return following

        return with_register
    imm = insn.imm & limit

    def with_immediate() -> int:
        regs[dst] = meaning(regs[dst] & limit, imm, bits) & limit
        return following

    return with_immediate


def neg(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """dst = -dst."""
    regs, dst, limit, following = cpu.regs, insn.dst, mask(insn.bits), slot + 1

    def run() -> int:
        regs[dst] = -regs[dst] & limit
        return following

    return run


def mov(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """dst = src | imm; the 32-bit form zeroes the upper half."""
    regs, dst, src, limit, following = cpu.regs, insn.dst, insn.src, mask(insn.bits), slot + 1
    if insn.uses_reg:

        def from_register() -> int:
            regs[dst] = regs[src] & limit
            return following

        return from_register
    imm = insn.imm & limit

    def from_immediate() -> int:
        regs[dst] = imm
        return following

    return from_immediate


def movsx(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """dst = src, its low 8, 16 or 32 bits sign-extended."""
    regs, dst, src, from_bits, bits, following = cpu.regs, insn.dst, insn.src, insn.off, insn.bits, slot + 1

    def run() -> int:
        regs[dst] = sign_extend(regs[src], from_bits, bits)
        return following

    return run


def endian(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """Byte order conversions on a little-endian machine: `le` truncates, `be` and `bswap` reverse."""
    regs, dst, bits, limit, following = cpu.regs, insn.dst, insn.bits, mask(insn.bits), slot + 1
    if insn.op == "le":

        def truncate() -> int:
            regs[dst] &= limit
            return following

        return truncate

    def reverse() -> int:
        regs[dst] = byte_swap(regs[dst], bits)
        return following

    return reverse


def jump(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """goto and gotol."""
    return goes(cpu.target(slot, insn.jump_offset))


def goes(target: int) -> Op:
    """A jump to a slot."""
    return lambda: target


def branch(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """Conditional jumps."""
    regs, dst, src, bits, following = cpu.regs, insn.dst, insn.src, insn.bits, slot + 1
    meaning, limit, target = BRANCH[insn.op].meaning, mask(insn.bits), cpu.target(slot, insn.off)
    if insn.uses_reg:
        return lambda: target if meaning(regs[dst] & limit, regs[src] & limit, bits) else following
    imm = insn.imm & limit
    return lambda: target if meaning(regs[dst] & limit, imm, bits) else following


def may_goto(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """Falls through a limited number of times in each call frame, then jumps (Linux 6.9)."""
    counts, frames, following, target = cpu.may_goto, cpu.frames, slot + 1, cpu.target(slot, insn.off)

    def run() -> int:
        key = (len(frames), slot)
        used = counts.get(key, 0)
        if used >= MAY_GOTO_LIMIT:
            return target
        counts[key] = used + 1
        return following

    return run
