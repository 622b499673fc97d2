"""Loads, stores and atomics. Every access is checked; the piece it hit last time is tried first.

Context loads are translated by the context's rows, as convert_ctx_access does in Linux: the 32-bit field `data` of
xdp_md yields a 64-bit packet address.
"""

from __future__ import annotations

import struct

from xdpsim.bits import M64, mask, sign_extend
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.interpreter.context import ContextAccess
from xdpsim.engines.interpreter.cpu import Cpu, Op
from xdpsim.engines.kernel_reads import kernel_read
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.memory.space import Piece

_WORDS = {width: struct.Struct("<" + code) for width, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))}
_NOWHERE = Piece("nowhere", 1, 0, 0, memoryview(b""))


def load(cpu: Cpu, fields: ContextAccess, insn: Insn, slot: int) -> Op:
    """dst = *(size *)(src + off), zero- or sign-extended; load_acquire is the same on one CPU at a time."""
    regs, dst, src, off, size, following = cpu.regs, insn.dst, insn.src, insn.off, insn.width, slot + 1
    unpack, piece = _WORDS[size].unpack_from, _NOWHERE
    family, is_signed = insn.family, insn.family is Family.LOAD_SX
    context = cpu.context_address

    def run() -> int:
        nonlocal piece
        addr = regs[src] + off
        if not (piece.lo <= addr and addr + size <= piece.hi):
            inner = addr - context
            if 0 <= inner < fields.size:
                value = fields.load(inner, size, family, slot)
                regs[dst] = sign_extend(value, size * 8) if is_signed else value
                return following
            piece = cpu.locate(addr, size, slot, False)
            addr &= M64
        value = unpack(piece.view, addr - piece.base)[0]
        regs[dst] = sign_extend(value, size * 8) if is_signed else value
        return following

    return run


def kernel_load(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """A load of the kernel's memory by a verified program: 0 where nothing is."""
    regs, dst, src, off, size, following = cpu.regs, insn.dst, insn.src, insn.off, insn.width, slot + 1
    is_signed = insn.family is Family.LOAD_SX

    def run() -> int:
        value = kernel_read(cpu.machine, (regs[src] + off) & M64, size, slot)
        regs[dst] = sign_extend(value, size * 8) if is_signed else value
        return following

    return run


def store(cpu: Cpu, fields: ContextAccess, insn: Insn, slot: int) -> Op:
    """*(size *)(dst + off) = src | imm; store_release is the same on one CPU at a time."""
    regs, dst, src, off, size, following = cpu.regs, insn.dst, insn.src, insn.off, insn.width, slot + 1
    pack, piece, limit = _WORDS[size].pack_into, _NOWHERE, mask(insn.width * 8)
    imm = insn.imm & limit
    uses_reg = insn.family is not Family.STORE_IMM
    context = cpu.context_address

    def run() -> int:
        nonlocal piece
        addr = regs[dst] + off
        value = regs[src] & limit if uses_reg else imm
        if not (piece.lo <= addr and addr + size <= piece.hi):
            inner = addr - context
            if 0 <= inner < fields.size:
                fields.store(inner, size, value, slot)
                return following
            piece = cpu.locate(addr, size, slot, True)
            addr &= M64
        pack(piece.view, addr - piece.base, value)
        return following

    return run


def atomic(cpu: Cpu, fields: ContextAccess, insn: Insn, slot: int) -> Op:
    """*(size *)(dst + off) = old op src, the old value into src (fetch) or r0 (cmpxchg)."""
    regs, dst, src, off, size, following = cpu.regs, insn.dst, insn.src, insn.off, insn.width, slot + 1
    word, limit, row, context = _WORDS[size], mask(insn.width * 8), ATOMIC[insn.op], cpu.context_address
    meaning, fetch, compares = row.meaning, row.fetch, insn.op == "cmpxchg"

    def run() -> int:
        addr = (regs[dst] + off) & M64
        if 0 <= addr - context < fields.size:
            raise cpu.fault(FaultKind.CONTEXT, slot, addr - context, size, True)
        if addr % size:
            raise cpu.fault(FaultKind.ACCESS, slot, addr, size, True)
        piece = cpu.locate(addr, size, slot, True)
        at = addr - piece.base
        old = word.unpack_from(piece.view, at)[0]
        if compares:
            if old == regs[0] & limit:
                word.pack_into(piece.view, at, regs[src] & limit)
            regs[0] = old
            return following
        word.pack_into(piece.view, at, meaning(old, regs[src]) & limit)
        if fetch:
            regs[src] = old
        return following

    return run


def ld_imm64(cpu: Cpu, value: int, insn: Insn, slot: int) -> Op:
    """dst = the 64-bit value that the engine put there: a constant, a map's header or a value's address."""
    regs, dst, following = cpu.regs, insn.dst, slot + 2

    def run() -> int:
        regs[dst] = value
        return following

    return run
