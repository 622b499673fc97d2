"""Arithmetic insns: moves with the links between equal numbers, negation, byte order, and everything of two operands.

Reserved fields, divisors of zero and shift counts were checked when the insns were decoded (isa/decode.py). Pointers
are left to ptr_alu.py, numbers to scalar_alu.py. Follows check_alu_op(), adjust_reg_min_max_vals() and
maybe_fork_scalars() of kernel/bpf/verifier.c as Linux 6.18.44 has them.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES, EINVAL
from functools import lru_cache
from typing import TYPE_CHECKING

from xdpsim.bits import M32
from xdpsim.isa.rows import ADDR_SPACE_CAST_IMMS, Family, Imm64
from xdpsim.verifier.branch import push_stack
from xdpsim.verifier.precision import mark_chain_precision
from xdpsim.verifier.ptr_alu import SYMBOLS, adjust_ptr
from xdpsim.verifier.regs import check_dst, check_src, give_scalar_id, is_pointer, told
from xdpsim.verifier.regtypes import PTR_TO_ARENA, SCALAR_VALUE
from xdpsim.verifier.sanitize import sanitize_numbers
from xdpsim.verifier.scalar import S32_MAX, S32_MIN, UNKNOWN, Scalar, Violated, const
from xdpsim.verifier.scalar_alu import ALU_TRANSFER, endian, forked, movsx, zext32
from xdpsim.verifier.scalar_sync import sane
from xdpsim.verifier.state import BPF_ADD_CONST, BPF_ADD_CONST32, BPF_ADD_CONST64, Reg

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env

_FORKING = ("and", "or")
_NAMES_MAP = (Imm64.MAP_FD.name, Imm64.MAP_VALUE.name)


@lru_cache(maxsize=8192)
def known(number: int, precise: bool = False) -> Reg:
    """A register that holds `number`, modulo 2**64."""
    return Reg(SCALAR_VALUE, const(number), 0, 0, 0, precise)


def check_alu_op(env: Env, insn: Insn) -> None:
    """One insn of the families ALU, MOV, MOVSX, ADDR_SPACE_CAST, NEG and ENDIAN."""
    _CHECKS[insn.family](env, insn)


def _check_alu(env: Env, insn: Insn) -> None:
    if insn.uses_reg:
        check_src(env, insn.src)
    check_src(env, insn.dst)
    check_dst(env, insn.dst)
    adjust_reg_min_max_vals(env, insn)


def _check_mov(env: Env, insn: Insn) -> None:
    regs = env.regs
    if not insn.uses_reg:
        check_dst(env, insn.dst)
        regs[insn.dst] = known(insn.imm if insn.bits == 64 else insn.imm & M32, not env.bpf_capable)
        return
    source = check_src(env, insn.src)
    check_dst(env, insn.dst)
    if insn.bits == 64:
        moved = give_scalar_id(env, regs, insn.src)
        checked = moved.num.__class__ is Violated or (moved.type != SCALAR_VALUE and not moved.num.mask)
        regs[insn.dst] = _sane(env, moved) if checked else moved
        return
    if is_pointer(source, env.allow_ptr_leaks):
        env.fail(EACCES, f"R{insn.src} partial copy of pointer")
    if source.type != SCALAR_VALUE:
        regs[insn.dst] = _number(env.unknown, zext32(UNKNOWN), 0)
        return
    fits = source.num.umax <= M32
    if fits:
        source = give_scalar_id(env, regs, insn.src)
    regs[insn.dst] = _number(source, told(env, zext32(source.num), "alu"), source.id if fits else 0)


def _sane(env: Env, reg: Reg) -> Reg:
    """A register as a move leaves it: Linux takes amiss ranges once given up that do not fit the known bits, and the
    offsets of zero on the masked path of sanitize.py."""
    num = sane(reg.num)
    if num is reg.num:
        return reg
    return reg.but(num=told(env, num, "alu"))


def _check_movsx(env: Env, insn: Insn) -> None:
    regs = env.regs
    source = check_src(env, insn.src)
    check_dst(env, insn.dst)
    if is_pointer(source, env.allow_ptr_leaks):
        what = "sign-extension part" if insn.bits == 64 else "partial copy"
        env.fail(EACCES, f"R{insn.src} {what} of pointer")
    if source.type != SCALAR_VALUE:
        regs[insn.dst] = env.unknown if insn.bits == 64 else _number(env.unknown, zext32(UNKNOWN), 0)
        return
    is_positive = source.num.umax < 1 << (insn.off - 1)
    if is_positive:
        source = give_scalar_id(env, regs, insn.src)
    num = told(env, movsx(source.num, insn.off, insn.bits), "alu")
    regs[insn.dst] = _number(source, num, source.id if is_positive else 0)


def _number(like: Reg, num: Scalar, link: int) -> Reg:
    """`num` with the id `link`, the rest as in `like`."""
    if num is like.num and link == like.id:
        return like
    return Reg(SCALAR_VALUE, num, like.off, link, like.ref, like.precise)


def _check_addr_space_cast(env: Env, insn: Insn) -> None:
    if not _has_arena(env):
        env.fail(EINVAL, "addr_space_cast insn can only be used in a program that has an associated arena")
    check_src(env, insn.src)
    check_dst(env, insn.dst)
    unknown: Reg = env.unknown
    if insn.imm == ADDR_SPACE_CAST_IMMS[0]:
        unknown = Reg(PTR_TO_ARENA, unknown.num, 0, 0, 0, unknown.precise)
    env.regs[insn.dst] = unknown


def _has_arena(env: Env) -> bool:
    """Whether an insn names an arena map."""
    named = (insn for insn in env.code if insn is not None and insn.op in _NAMES_MAP)
    return any(env.maps[insn.imm].spec.type == "ARENA" for insn in named)


def _check_neg(env: Env, insn: Insn) -> None:
    reg = _unary_operand(env, insn)
    if reg.type == SCALAR_VALUE:
        num = told(env, ALU_TRANSFER["neg"](reg.num, reg.num, insn.bits), "alu")
        env.regs[insn.dst] = Reg(SCALAR_VALUE, num, precise=reg.precise)
    else:
        env.regs[insn.dst] = env.unknown


def _check_endian(env: Env, insn: Insn) -> None:
    reg = _unary_operand(env, insn)
    if reg.type != SCALAR_VALUE:
        env.regs[insn.dst] = env.unknown
    elif insn.op != "le" or insn.bits != 64:  # le64 changes nothing on a little-endian machine, links included
        env.regs[insn.dst] = _number(reg, told(env, endian(reg.num, insn.op, insn.bits), "alu"), 0)


def _unary_operand(env: Env, insn: Insn) -> Reg:
    reg = check_src(env, insn.dst)
    if is_pointer(reg, env.allow_ptr_leaks):
        env.fail(EACCES, f"R{insn.dst} pointer arithmetic prohibited")
    check_dst(env, insn.dst)
    return reg


_CHECKS: dict[Family, Callable[[Env, Insn], None]] = {
    Family.ALU: _check_alu,
    Family.MOV: _check_mov,
    Family.MOVSX: _check_movsx,
    Family.ADDR_SPACE_CAST: _check_addr_space_cast,
    Family.NEG: _check_neg,
    Family.ENDIAN: _check_endian,
}


def adjust_reg_min_max_vals(env: Env, insn: Insn) -> None:
    """An operation of two operands: of numbers here, of pointers in ptr_alu.py."""
    regs = env.regs
    dst: Reg = regs[insn.dst]
    if dst.type == PTR_TO_ARENA:
        if insn.bits == 64:
            env.aux[env.insn_idx].notes["needs_zext"] = True
        return
    if not insn.uses_reg:
        src = known(insn.imm)
        if dst.type != SCALAR_VALUE:
            adjust_ptr(env, insn, dst, src)
            return
    else:
        src = regs[insn.src]
        if src.type != SCALAR_VALUE or dst.type != SCALAR_VALUE:
            _adjust_pointer_pair(env, insn, dst, src)
            return
        if dst.precise:
            mark_chain_precision(env, insn.src)
            dst, src = regs[insn.dst], regs[insn.src]
    num = dst.num
    if num.mask and insn.op in _FORKING and not src.num.mask:
        num = _fork_minus_one_or_zero(env, insn, dst, src.num)
    if not env.bypass_spec_v1 and insn.op in ("add", "sub") and insn.uses_reg:
        sanitize_numbers(env, insn)
    result = told(env, ALU_TRANSFER[insn.op](num, src.num, insn.bits), "alu")
    link, off = _link(env, insn, dst, src.num) if dst.id and num is dst.num else _UNLINKED
    regs[insn.dst] = Reg(SCALAR_VALUE, result, off, link, dst.ref, dst.precise)


def _adjust_pointer_pair(env: Env, insn: Insn, dst: Reg, src: Reg) -> None:
    if src.type == SCALAR_VALUE:
        mark_chain_precision(env, insn.src)
        adjust_ptr(env, insn, env.regs[insn.dst], env.regs[insn.src])
    elif dst.type == SCALAR_VALUE:
        mark_chain_precision(env, insn.dst)
        adjust_ptr(env, insn, env.regs[insn.src], env.regs[insn.dst])
    elif insn.op == "sub" and env.allow_ptr_leaks:
        env.regs[insn.dst] = env.unknown
    else:
        env.fail(EACCES, f"R{insn.dst} pointer {SYMBOLS[insn.op]} pointer prohibited")


def _link(env: Env, insn: Insn, dst: Reg, src: Scalar) -> tuple[int, int]:
    """Id and distance of a linked number after the operation: a constant added once keeps the link."""
    is_word = insn.bits == 64
    if not env.bpf_capable or insn.op not in ("add", "sub") or dst.id & BPF_ADD_CONST:
        return _UNLINKED
    if src.mask if is_word else src.mask & M32 or dst.num.umax > M32:
        return _UNLINKED
    added = src.smin if is_word else src.s32_min
    if not S32_MIN <= added <= S32_MAX or (insn.op == "sub" and added == S32_MIN):
        return _UNLINKED
    return dst.id | (BPF_ADD_CONST64 if is_word else BPF_ADD_CONST32), -added if insn.op == "sub" else added


_UNLINKED = (0, 0)


def _fork_minus_one_or_zero(env: Env, insn: Insn, dst: Reg, src: Scalar) -> Scalar:
    """A number that is -1 or 0, as sign bits shifted down are: go on with -1, and later with 0 from the same insn."""
    ways = forked(dst.num, src, insn.op)
    if ways is None:
        return dst.num
    ones, zero = ways
    waiting = push_stack(env, env.insn_idx, env.insn_idx, False)
    regs = waiting.frames[waiting.curframe].regs
    is_whole = not zero.mask
    regs[insn.dst] = Reg(SCALAR_VALUE, zero, 0 if is_whole else dst.off, 0 if is_whole else dst.id, 0, dst.precise)
    return ones
