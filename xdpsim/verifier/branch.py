"""Conditional jumps: which way they can go, and what each way says of the registers compared.

Follows check_cond_jmp_op() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EACCES, EFAULT
from typing import TYPE_CHECKING

from xdpsim.verifier import history, linked
from xdpsim.verifier.env import LOG_LEVEL
from xdpsim.verifier.history import DST_REG_STACK, SRC_REG_STACK, Linked
from xdpsim.verifier.log import print_insn_state
from xdpsim.verifier.nulls import mark_ptr_or_null_regs, non_null, not_null
from xdpsim.verifier.packet import BEYOND_PKT_END, try_match_pkt_pointers
from xdpsim.verifier.precision import mark_chain_precision
from xdpsim.verifier.prune import find_prev_entry, widen_imprecise
from xdpsim.verifier.regs import check_src, told
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    PTR_TO_STACK,
    SCALAR_VALUE,
)
from xdpsim.verifier.scalar import UNKNOWN, Violated
from xdpsim.verifier.scalar_branch import branch_taken, refine, refine_same
from xdpsim.verifier.scalar_sync import sane
from xdpsim.verifier.state import Reg, State, const_reg

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.scalar import Scalar

COMPLEXITY_LIMIT_JMP_SEQ = 8192
_PACKET_ANY = (PTR_TO_PACKET, PTR_TO_PACKET_META, PTR_TO_PACKET_END)
_FLIPPED = {
    "jgt": "jlt",
    "jge": "jle",
    "jlt": "jgt",
    "jle": "jge",
    "jsgt": "jslt",
    "jsge": "jsle",
    "jslt": "jsgt",
    "jsle": "jsge",
}


def push_stack(env: Env, insn_idx: int, prev_insn_idx: int, speculative: bool = False) -> State:
    """A copy of the current state, to be walked later from `insn_idx` on."""
    state = env.cur.copy()
    state.speculative |= speculative
    env.worklist.append((state, insn_idx, prev_insn_idx, len(env.log)))
    waiting = len(env.worklist)
    if waiting > COMPLEXITY_LIMIT_JMP_SEQ:
        env.fail(EFAULT, f"The sequence of {waiting} jumps is too complex.")
    if state.parent is not None:
        state.parent.branches += 1
    return state


def check_may_goto(env: Env, insn: Insn, idx: int) -> int:
    """Both ways of a may_goto; the next insn."""
    cur = env.cur
    before = find_prev_entry(env, cur.parent, idx) if cur.parent is not None else None
    queued = push_stack(env, idx + 1, idx)
    queued.may_goto_depth += 1
    if before is not None:
        widen_imprecise(env, before, queued)
    return idx + insn.off + 1


def check_cond_jmp_op(env: Env, insn: Insn, idx: int) -> int:
    """Walk on along one way, leave the other one for later; the next insn."""
    dst = check_src(env, insn.dst)
    flags = DST_REG_STACK if dst.type == PTR_TO_STACK else 0
    if insn.uses_reg:
        src = check_src(env, insn.src)
        if not (dst.type in _PACKET_ANY and src.type in _PACKET_ANY) and _leaks(env, src):
            env.fail(EACCES, f"R{insn.src} pointer comparison prohibited")
        if src.type == PTR_TO_STACK:
            flags |= SRC_REG_STACK
    else:
        src = _immediate(insn.imm)
    if flags:
        history.push(env, env.cur, flags)
    taken = _is_branch_taken(dst, src, insn.op, insn.bits)
    if taken < 0:
        return _both_ways(env, insn, idx, dst, src)
    if dst.type == SCALAR_VALUE:
        mark_chain_precision(env, insn.dst)
    if insn.uses_reg and src.type == SCALAR_VALUE:
        mark_chain_precision(env, insn.src)
    other = idx + 1 if taken else idx + insn.off + 1
    if not env.bypass_spec_v1:
        sanitize_speculative_path(env, insn, other, idx)
    if env.log_level & LOG_LEVEL:
        print_insn_state(env, env.cur, env.cur.curframe)
    return idx + insn.off + 1 if taken else idx + 1


def sanitize_speculative_path(env: Env, insn: Insn, next_idx: int, idx: int) -> None:
    """Walk the way not taken as a processor may by mistake; what it compares there is not known."""
    branch = push_stack(env, next_idx, idx, True)
    regs = branch.frames[branch.curframe].regs
    for regno in (insn.dst, insn.src) if insn.uses_reg else (insn.dst,):
        regs[regno] = env.unknown


_immediates: dict[int, Reg] = {}


def _immediate(imm: int) -> Reg:
    reg = _immediates.get(imm)
    if reg is None:
        reg = const_reg(imm)
        if len(_immediates) < 4096:
            _immediates[imm] = reg
    return reg


def _leaks(env: Env, reg: Reg) -> bool:
    return not env.allow_ptr_leaks and reg.type != SCALAR_VALUE


def _is_branch_taken(a: Reg, b: Reg, op: str, bits: int) -> int:
    """1 or 0 where only one way can be gone, else -1."""
    if a.type == SCALAR_VALUE and b.type == SCALAR_VALUE:
        if _is_const(b, bits):
            return branch_taken(a.num, b.num, op, bits)
        return branch_taken(b.num, a.num, _FLIPPED.get(op, op), bits)
    if a.type in _PACKET_ANY and b.type in _PACKET_ANY and bits == 64:
        return _packet_branch_taken(a, b, op)
    if not _is_const(b, bits):
        op = _FLIPPED.get(op, op)
        a, b = b, a
        if not _is_const(b, bits):
            return -1
    if not not_null(a) or b.num.value & (0xFFFF_FFFF if bits == 32 else -1):
        return -1
    return {"jeq": 0, "jne": 1}.get(op, -1)


def _is_const(reg: Reg, bits: int) -> bool:
    return reg.type == SCALAR_VALUE and not reg.num.mask & (0xFFFF_FFFF if bits == 32 else -1)


def _packet_branch_taken(a: Reg, b: Reg, op: str) -> int:
    """A packet pointer that was compared with the packet's end before."""
    if b.type == PTR_TO_PACKET_END:
        pointer = a
    elif a.type == PTR_TO_PACKET_END:
        pointer, op = b, _FLIPPED.get(op, op)
    else:
        return -1
    extent: int = pointer.extra or 0
    if extent >= 0:
        return -1
    if op in ("jle", "jgt") and extent == BEYOND_PKT_END:
        return int(op == "jgt")
    if op in ("jlt", "jge"):
        return int(op == "jge")
    return -1


def _both_ways(env: Env, insn: Insn, idx: int, dst: Reg, src: Reg) -> int:
    this, frameno = env.cur, env.cur.curframe
    found: list[Linked] = []
    if insn.uses_reg and src.type == SCALAR_VALUE and src.id:
        linked.collect(env, this, src.id, found)
    if dst.type == SCALAR_VALUE and dst.id:
        linked.collect(env, this, dst.id, found)
    if len(found) > 1:
        history.push(env, this, 0, tuple(found))
    other = push_stack(env, idx + insn.off + 1, idx)
    regs, other_regs = this.frames[frameno].regs, other.frames[frameno].regs
    if dst.type == SCALAR_VALUE and src.type == SCALAR_VALUE:
        _refine(env, insn, regs[insn.dst], regs[insn.src] if insn.uses_reg else src, regs, other_regs)
    for regno in (insn.src, insn.dst) if insn.uses_reg else (insn.dst,):
        reg = regs[regno]
        if reg.type == SCALAR_VALUE and reg.id:
            at = (frameno, regno, True)
            linked.sync(this, reg, at, found)
            linked.sync(other, other_regs[regno], at, found)
    if dst.type != SCALAR_VALUE:
        _learn_of_pointers(env, insn, dst, src, this, other)
    if env.log_level & LOG_LEVEL:
        print_insn_state(env, this, frameno)
    return idx + 1


def _refine(env: Env, insn: Insn, dst: Reg, src: Reg, regs: list[Reg], other_regs: list[Reg]) -> None:
    if insn.uses_reg and insn.dst == insn.src:
        dst_true, dst_false = refine_same(dst.num, insn.op, insn.bits)
        src_true, src_false = _checked_again(dst_true), _checked_again(dst_false)
    else:
        dst_true, src_true, dst_false, src_false = refine(dst.num, src.num, insn.op, insn.bits)
    if Violated in (dst_true.__class__, src_true.__class__, dst_false.__class__, src_false.__class__):
        told(env, dst_true, "true_reg1")
        told(env, src_true, "true_reg2")
        told(env, dst_false, "false_reg1")
        told(env, src_false, "false_reg2")
    if dst_false is not dst.num:
        regs[insn.dst] = Reg(SCALAR_VALUE, dst_false, dst.off, dst.id, dst.ref, dst.precise)
    if dst_true is not dst.num:
        other_regs[insn.dst] = Reg(SCALAR_VALUE, dst_true, dst.off, dst.id, dst.ref, dst.precise)
    if not insn.uses_reg or insn.dst == insn.src:
        return
    if src_false is not src.num:
        regs[insn.src] = Reg(SCALAR_VALUE, src_false, src.off, src.id, src.ref, src.precise)
    if src_true is not src.num:
        other_regs[insn.src] = Reg(SCALAR_VALUE, src_true, src.off, src.id, src.ref, src.precise)


def _checked_again(num: Scalar) -> Scalar:
    """A register checked as the second operand too: ranges just given up may then not fit its known bits."""
    checked = sane(num)
    return UNKNOWN if checked is num else checked


def _learn_of_pointers(env: Env, insn: Insn, dst: Reg, src: Reg, this: State, other: State) -> None:
    """A pointer compared: with zero, with another pointer, with the packet's end."""
    regs, other_regs = this.frames[this.curframe].regs, other.frames[other.curframe].regs
    is_equality = insn.op in ("jeq", "jne")
    if insn.bits == 64 and insn.uses_reg and src.type != SCALAR_VALUE and is_equality:
        _lift_null(insn, dst, src, other_regs if insn.op == "jeq" else regs)
    if insn.bits == 64 and not insn.uses_reg and insn.imm == 0 and is_equality and dst.type & PTR_MAYBE_NULL:
        mark_ptr_or_null_regs(this, insn.dst, insn.op == "jne")
        mark_ptr_or_null_regs(other, insn.dst, insn.op == "jeq")
        return
    _match_packet(env, insn, this, other)


def _lift_null(insn: Insn, dst: Reg, src: Reg, equal_regs: list[Reg]) -> None:
    """Equal to a pointer that is not null means not null."""
    if (src.type ^ dst.type) & PTR_MAYBE_NULL == 0:
        return
    if PTR_TO_BTF_ID in (src.type & BASE_MASK, dst.type & BASE_MASK):
        return
    regno = insn.src if src.type & PTR_MAYBE_NULL else insn.dst
    equal_regs[regno] = non_null(equal_regs[regno])


def _match_packet(env: Env, insn: Insn, this: State, other: State) -> None:
    regs = this.frames[this.curframe].regs
    if not try_match_pkt_pointers(env, insn, regs[insn.dst], regs[insn.src], this, other) and _leaks(
        env, regs[insn.dst]
    ):
        env.fail(EACCES, f"R{insn.dst} pointer comparison prohibited")
