"""Pointer arithmetic of programs without CAP_PERFMON, which must stay in bounds even where the CPU guesses wrongly.

The limits are found before and after the move and must be the same on every path; the path on which the distance is
masked to zero is walked as well. Follows sanitize_ptr_alu(), sanitize_check_bounds() and retrieve_ptr_limit() of
kernel/bpf/verifier.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import EACCES
from typing import TYPE_CHECKING

from xdpsim.bits import M32
from xdpsim.verifier.branch import push_stack
from xdpsim.verifier.env import Refusal
from xdpsim.verifier.region import ACCESS_HELPER, also_fail, check_map_access
from xdpsim.verifier.regtypes import PTR_TO_MAP_VALUE, PTR_TO_STACK
from xdpsim.verifier.tnum import tnum_text

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Aux, Env
    from xdpsim.verifier.state import Reg

MAX_BPF_STACK = 512
ALU_SANITIZE_SRC, ALU_SANITIZE_DST, ALU_NEG_VALUE, ALU_NON_POINTER, ALU_IMMEDIATE = (1 << bit for bit in range(5))
_PROHIBITED = "pointer arithmetic with it prohibited for !root"


@dataclass
class Window:
    """What was found before the move: state and limit for the mask, whether it points down, who holds the pointer."""

    alu_state: int = 0
    alu_limit: int = 0
    mask_to_left: bool = False
    pointer_is_dst: bool = True


def sanitize_numbers(env: Env, insn: Insn) -> None:
    """A sum or difference of numbers where another path has a pointer is refused."""
    if _needs_no_mask(env, insn):
        return
    _note(env, insn, env.aux[env.insn_idx], ALU_NON_POINTER, 0)


def _needs_no_mask(env: Env, insn: Insn) -> bool:
    return env.bypass_spec_v1 or not insn.uses_reg or env.aux[env.insn_idx].nospec


def _note(env: Env, insn: Insn, aux: Aux, alu_state: int, alu_limit: int) -> None:
    if aux.alu_state and (aux.alu_state, aux.alu_limit) != (alu_state, alu_limit):
        env.fail(EACCES, f"R{insn.dst} tried to {insn.op} from different maps, paths or scalars, {_PROHIBITED}")
    aux.alu_state, aux.alu_limit = alu_state, alu_limit


def open_window(env: Env, insn: Insn, ptr: Reg, number: Reg, pointer_is_dst: bool) -> Window:
    """Before the move: note how its distance is masked, and queue the path on which it is masked to zero."""
    window = Window(pointer_is_dst=pointer_is_dst)
    if _needs_no_mask(env, insn):
        return window
    num = number.num
    if not env.cur.speculative:
        is_negative = num.smin < 0
        if num.mask and is_negative != (num.smax < 0):
            holder = insn.src if pointer_is_dst else insn.dst
            env.fail(EACCES, f"R{holder} has unknown scalar with mixed signed bounds, {_PROHIBITED}")
        window.mask_to_left = (insn.op == "add") == is_negative
        window.alu_limit = _limit(env, insn, ptr, window)
        window.alu_state = ALU_SANITIZE_SRC if pointer_is_dst else ALU_SANITIZE_DST
        window.alu_state |= (ALU_NEG_VALUE if is_negative else 0) | (0 if num.mask else ALU_IMMEDIATE)
        if num.mask:
            env.explore_alu_limits = True
    if num.mask:
        _queue_masked_path(env, insn, ptr, pointer_is_dst)
    return window


def _queue_masked_path(env: Env, insn: Insn, ptr: Reg, pointer_is_dst: bool) -> None:
    regs = env.regs
    kept = regs[insn.dst]
    if not pointer_is_dst:
        regs[insn.dst] = ptr
    push_stack(env, env.insn_idx + 1, env.insn_idx, True)
    regs[insn.dst] = kept


def commit_window(env: Env, insn: Insn, moved: Reg, number: Reg, window: Window) -> None:
    """After the move: the mask is as wide as the pointer went."""
    if _needs_no_mask(env, insn) or env.cur.speculative:
        return
    limit = _limit(env, insn, moved, window)
    _note(env, insn, env.aux[env.insn_idx], window.alu_state, abs(_s32(window.alu_limit - limit)))


def _s32(number: int) -> int:
    return (number + (1 << 31) & M32) - (1 << 31)


def _limit(env: Env, insn: Insn, ptr: Reg, window: Window) -> int:
    """How far the pointer may go in the direction of the mask (retrieve_ptr_limit)."""
    if ptr.type == PTR_TO_STACK:
        most = MAX_BPF_STACK + window.mask_to_left
        limit = -(ptr.num.value + ptr.off) & M32
    elif ptr.type == PTR_TO_MAP_VALUE:
        most = ptr.extra[0].spec.value_size
        limit = (ptr.num.smin if window.mask_to_left else ptr.num.umax) + ptr.off & M32
    else:
        holder = insn.dst if window.pointer_is_dst else insn.src
        env.fail(EACCES, f"R{holder} has pointer with unsupported alu operation, {_PROHIBITED}")
    if limit >= most:
        env.fail(EACCES, f"R{insn.dst} tried to {insn.op} beyond pointer bounds, {_PROHIBITED}")
    return limit


def check_bounds(env: Env, insn: Insn, moved: Reg) -> None:
    """A moved pointer must still point into its region (sanitize_check_bounds)."""
    if moved.type == PTR_TO_STACK:
        _check_stack_bounds(env, insn.dst, moved)
    elif moved.type == PTR_TO_MAP_VALUE:
        try:
            check_map_access(env, insn.dst, moved.off, 1, False, ACCESS_HELPER)
        except Refusal as refusal:
            line = f"R{insn.dst} pointer arithmetic of map value goes out of range, prohibited for !root"
            also_fail(env, refusal, line)


def _check_stack_bounds(env: Env, regno: int, moved: Reg) -> None:
    num = moved.num
    off = _s32(moved.off + num.value)
    if num.mask:
        var_off = tnum_text(num.value, num.mask)
        env.fail(EACCES, f"R{regno} variable stack access prohibited for !root, var_off={var_off} off={off}")
    if off >= 0 or off < -MAX_BPF_STACK:
        env.fail(EACCES, f"R{regno} stack pointer arithmetic goes out of range, prohibited for !root; off={off}")
