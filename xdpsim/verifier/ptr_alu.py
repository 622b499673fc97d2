"""Arithmetic of a pointer and a number: which is allowed, and what is known of the pointer afterwards.

A known number goes into the fixed offset, any other into the variable one. Follows adjust_ptr_min_max_vals() and
check_reg_sane_offset() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EACCES, EINVAL
from typing import TYPE_CHECKING

from xdpsim.bits import M32, M64
from xdpsim.isa.rows import ALU
from xdpsim.verifier.log import type_str
from xdpsim.verifier.packet import with_range
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_DYNPTR,
    CONST_PTR_TO_MAP,
    PACKET_TYPES,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_BUF,
    PTR_TO_CTX,
    PTR_TO_FLOW_KEYS,
    PTR_TO_FUNC,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_STACK,
    PTR_TO_TP_BUFFER,
    PTR_UNTRUSTED,
)
from xdpsim.verifier.sanitize import Window, check_bounds, commit_window, open_window
from xdpsim.verifier.scalar import S32_MAX, S32_MIN, S64_MAX, S64_MIN, Scalar
from xdpsim.verifier.scalar_sync import sane, sync
from xdpsim.verifier.state import Reg
from xdpsim.verifier.tnum import tnum_add, tnum_sub

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env

MAX_VAR_OFF = 1 << 29
SYMBOLS = {
    op.name: next(row.symbol for row in ALU.values() if row.code == op.code and not row.off) for op in ALU.values()
}
"""Operations as messages spell them: signed division like the unsigned one."""
_MOVABLE = frozenset(
    {
        PTR_TO_CTX,
        PTR_TO_MAP_VALUE,
        PTR_TO_MAP_KEY,
        PTR_TO_STACK,
        PTR_TO_PACKET_META,
        PTR_TO_PACKET,
        PTR_TO_TP_BUFFER,
        PTR_TO_BTF_ID,
        PTR_TO_MEM,
        PTR_TO_BUF,
        PTR_TO_FUNC,
        CONST_PTR_TO_DYNPTR,
    }
)
_BITWISE = ("and", "or", "xor")


def adjust_ptr(env: Env, insn: Insn, ptr: Reg, number: Reg) -> None:
    """insn.dst is `ptr` changed by `number`; either of them is what the register holds now."""
    num, dst = number.num, insn.dst
    is_known = not num.mask
    regs = env.regs
    if (is_known and (num.smin != num.smax or num.umin != num.umax)) or num.smin > num.smax or num.umin > num.umax:
        regs[dst] = env.unknown  # bounds of a branch that is never taken
        return
    if insn.bits != 64:
        if insn.op != "sub" or not env.allow_ptr_leaks:
            env.fail(EACCES, f"R{dst} 32-bit pointer arithmetic prohibited")
        regs[dst] = env.unknown
        return
    kind = ptr.type
    if kind & PTR_MAYBE_NULL:
        env.fail(EACCES, f"R{dst} pointer arithmetic on {type_str(kind)} prohibited, null-check it first")
    if kind & BASE_MASK == PTR_TO_MEM and kind & PTR_UNTRUSTED:
        return  # read by probing: offsets do not matter
    if kind & BASE_MASK not in _MOVABLE and not _may_move(insn, kind, num):
        env.fail(EACCES, f"R{dst} pointer arithmetic on {type_str(kind)} prohibited")
    check_sane_offset(env, number, kind)
    check_sane_offset(env, ptr, kind)
    _move(env, insn, ptr, number, regs[dst])


def _may_move(insn: Insn, kind: int, num: Scalar) -> bool:
    """Pointers that are moved by known distances or by none at all."""
    if kind & BASE_MASK == PTR_TO_FLOW_KEYS and not num.mask:
        return True
    return (
        kind & BASE_MASK in (PTR_TO_FLOW_KEYS, CONST_PTR_TO_MAP) and not num.mask and num.smin == 0 and insn.op == "add"
    )


def _move(env: Env, insn: Insn, ptr: Reg, number: Reg, old: Reg) -> None:
    is_sum = insn.op == "add"
    window: Window | None = None
    if not env.bypass_spec_v1 and (is_sum or insn.op == "sub"):
        # What the speculative path finds in dst: the pointer, of whose low half nothing is known.
        env.regs[insn.dst] = Reg(
            ptr.type, _low_unknown(old.num), old.off, ptr.id, old.ref, old.precise, old.frameno, old.extra
        )
        window = open_window(env, insn, ptr, number, ptr is old)
    if is_sum:
        made = _sum(env, ptr, number, old)
    elif insn.op == "sub":
        made = _difference(env, insn, ptr, number, old)
    else:
        how = "bitwise operator {} on pointer" if insn.op in _BITWISE else "pointer arithmetic with {} operator"
        env.fail(EACCES, f"R{insn.dst} {how.format(SYMBOLS[insn.op])} prohibited")
    check_sane_offset(env, made, ptr.type)
    if made.num.mask or made.num.u32_max == M32:  # the latter on the masked path, see above
        num = _synced(made.num)
        made = Reg(made.type, num, made.off, made.id, made.ref, made.precise, made.frameno, made.extra)
    env.regs[insn.dst] = made
    if window is not None:
        check_bounds(env, insn, made)
        commit_window(env, insn, made, number, window)


def _low_unknown(n: Scalar) -> Scalar:
    return Scalar(n.value, n.mask, n.smin, n.smax, n.umin, n.umax, S32_MIN, S32_MAX, 0, M32)


def _sum(env: Env, ptr: Reg, number: Reg, old: Reg) -> Reg:
    a, b = ptr.num, number.num
    if not b.mask and S32_MIN <= ptr.off + b.smin <= S32_MAX:
        return Reg(ptr.type, a, ptr.off + b.smin, ptr.id, old.ref, old.precise, old.frameno, ptr.extra)
    value, mask = tnum_add(a.value, a.mask, b.value, b.mask)
    smin, smax, umin, umax = a.smin + b.smin, a.smax + b.smax, a.umin + b.umin, a.umax + b.umax
    if smin < S64_MIN or smin > S64_MAX or smax < S64_MIN or smax > S64_MAX:
        smin, smax = S64_MIN, S64_MAX
    if umax > M64:
        umin, umax = 0, M64
    return _moved(env, ptr, old, Scalar(value, mask, smin, smax, umin, umax, S32_MIN, S32_MAX, 0, M32), True)


def _difference(env: Env, insn: Insn, ptr: Reg, number: Reg, old: Reg) -> Reg:
    if ptr is not old:
        env.fail(EACCES, f"R{insn.dst} tried to subtract pointer from scalar")
    if ptr.type == PTR_TO_STACK:
        env.fail(EACCES, f"R{insn.dst} subtraction from stack pointer prohibited")
    a, b = ptr.num, number.num
    if not b.mask and S32_MIN <= ptr.off - b.smin <= S32_MAX:
        return Reg(ptr.type, a, ptr.off - b.smin, ptr.id, old.ref, old.precise, old.frameno, ptr.extra)
    value, mask = tnum_sub(a.value, a.mask, b.value, b.mask)
    smin, smax = a.smin - b.smax, a.smax - b.smin
    if smin < S64_MIN or smin > S64_MAX or smax < S64_MIN or smax > S64_MAX:
        smin, smax = S64_MIN, S64_MAX
    umin, umax = (0, M64) if a.umin < b.umax else (a.umin - b.umax, a.umax - b.umin)
    return _moved(env, ptr, old, Scalar(value, mask, smin, smax, umin, umax, S32_MIN, S32_MAX, 0, M32), b.smin < 0)


def _moved(env: Env, ptr: Reg, old: Reg, num: Scalar, is_forward: bool) -> Reg:
    """The pointer with the variable offset `num`; of a packet pointer moved forward nothing is proven."""
    if ptr.type not in PACKET_TYPES:
        return Reg(ptr.type, num, ptr.off, ptr.id, old.ref, old.precise, old.frameno, ptr.extra)
    made = Reg(ptr.type, num, ptr.off, env.new_id(), old.ref, old.precise, old.frameno, ptr.extra)
    return with_range(made, 0) if is_forward else made


def _synced(n: Scalar) -> Scalar:
    """Ranges and bits brought into line; pointers carry no knowledge of their low half beyond what those say."""
    return sane(sync(n.value, n.mask, n.smin, n.smax, n.umin, n.umax, S32_MIN, S32_MAX, 0, M32))


def check_sane_offset(env: Env, reg: Reg, kind: int) -> None:
    """A distance, a pointer or their sum must stay far from where sums overflow."""
    num = reg.num
    if not num.mask and not -MAX_VAR_OFF < num.smin < MAX_VAR_OFF:
        env.fail(EINVAL, f"math between {type_str(kind)} pointer and {num.smin} is not allowed")
    if not -MAX_VAR_OFF < reg.off < MAX_VAR_OFF:
        env.fail(EINVAL, f"{type_str(kind)} pointer offset {reg.off} is not allowed")
    if num.smin == S64_MIN:
        env.fail(
            EINVAL,
            f"math between {type_str(kind)} pointer and register with unbounded min value is not allowed",
        )
    if not -MAX_VAR_OFF < num.smin < MAX_VAR_OFF:
        env.fail(EINVAL, f"value {num.smin} makes {type_str(kind)} pointer be out of bounds")
