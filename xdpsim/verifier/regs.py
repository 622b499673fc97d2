"""Reading and writing whole registers: the checks that every insn makes first (check_reg_arg)."""

from __future__ import annotations

from errno import EACCES
from typing import TYPE_CHECKING

from xdpsim.verifier.regtypes import NOT_INIT, SCALAR_VALUE
from xdpsim.verifier.scalar import Violated
from xdpsim.verifier.state import BPF_ADD_CONST, UNINIT, Reg

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.scalar import Scalar
    from xdpsim.verifier.state import Frame, State

FP = 10


def check_src(env: Env, regno: int) -> Reg:
    """The register, which must hold something."""
    env.scratched_regs |= 1 << regno
    reg: Reg = env.regs[regno]
    if reg.type == NOT_INIT:
        env.fail(EACCES, f"R{regno} !read_ok")
    return reg


def check_dst(env: Env, regno: int) -> None:
    """The register may be written."""
    env.scratched_regs |= 1 << regno
    if regno == FP:
        env.fail(EACCES, "frame pointer is read only")


def clear_caller_saved(env: Env, regs: list[Reg]) -> None:
    """A call leaves R0 to R5 without contents."""
    env.scratched_regs |= 0x3F
    regs[0:6] = [UNINIT] * 6


def is_pointer(reg: Reg, allow_ptr_leaks: bool) -> bool:
    """Whether the value must be kept from leaking as a number (__is_pointer_value)."""
    return not allow_ptr_leaks and reg.type != SCALAR_VALUE


def is_null(reg: Reg) -> bool:
    """A number that is known to be zero (register_is_null)."""
    return reg.type == SCALAR_VALUE and reg.num.mask == 0 and reg.num.value == 0


def told(env: Env, num: Scalar, place: str) -> Scalar:
    """`num`; the log says so when its ranges contradicted each other (reg_bounds_sanity_check)."""
    if num.__class__ is Violated:
        env.verbose(f"verifier bug: REG INVARIANTS VIOLATION ({place}): {num.why}\n")
    return num


def give_scalar_id(env: Env, regs: list[Reg], regno: int) -> Reg:
    """Before a number is copied: see that it has an id, by which its copies learn what branches say of it."""
    reg = regs[regno]
    if reg.type != SCALAR_VALUE:
        return reg
    if reg.id & BPF_ADD_CONST:
        reg = regs[regno] = Reg(SCALAR_VALUE, reg.num, 0, 0, reg.ref, reg.precise)
    if not reg.id and reg.num.mask:
        env.id_gen += 1
        reg = regs[regno] = Reg(SCALAR_VALUE, reg.num, 0, env.id_gen, reg.ref, reg.precise)
    return reg


def frame_of(env: Env, reg: Reg) -> Frame:
    """The frame that a stack pointer points into."""
    return env.cur.frames[reg.frameno]


def same_callsites(a: State, b: State) -> bool:
    """Whether both states came by the same calls."""
    if a.curframe != b.curframe:
        return False
    return all(x.callsite == y.callsite for x, y in zip(a.frames, b.frames, strict=True))
