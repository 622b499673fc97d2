"""The functions of a program: where each starts, that none runs into another, what BTF says of them.

Follows add_subprog_and_kfunc and check_subprogs of kernel/bpf/verifier.c; func_info and line_info are func_info.py's.
"""

from __future__ import annotations

import errno
from bisect import bisect_right, insort

from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family, Imm64
from xdpsim.verifier.callinfo import TAIL_CALL
from xdpsim.verifier.env import LOG_LEVEL2, Env, Subprog
from xdpsim.verifier.func_info import exception_callback_slot
from xdpsim.verifier.kfunc_info import check_may_be_used

MAX_SUBPROGS = 256
_JUMPS = (Family.JUMP, Family.BRANCH, Family.MAY_GOTO)
_NEEDS_BPF = "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN"


def find_subprogs(env: Env) -> None:
    """Fill `env.subprogs`: main first, then by start; the last is a sentinel that starts behind the program."""
    starts = _starts(env)
    callback = exception_callback_slot(env)
    if callback:
        _add(env, starts, callback)
    env.subprogs = [Subprog(start) for start in starts]
    if callback:
        number = starts.index(callback)
        env.exception_callback_subprog = number
        subprog = env.subprogs[number]
        subprog.is_cb = subprog.is_async_cb = subprog.is_exception_cb = True
    env.subprogs.append(Subprog(len(env.code)))
    if env.log_level & LOG_LEVEL2:
        for number, start in enumerate(starts):
            env.verbose(f"func#{number} @{start}\n")


def _starts(env: Env) -> list[int]:
    starts = [0]
    for slot, insn in enumerate(env.code):
        if insn is None:
            continue
        target = callee_slot(slot, insn)
        if target is None and insn.family is not Family.CALL_KFUNC:
            continue
        if not env.bpf_capable:
            env.fail(errno.EPERM, _NEEDS_BPF)
        if target is not None:
            _add(env, starts, target)
        else:
            check_may_be_used(env, env.spec.kfuncs[insn.imm])
    return starts


def _add(env: Env, starts: list[int], slot: int) -> None:
    if not 0 <= slot < len(env.code):
        env.fail(errno.EINVAL, "call to invalid destination")
    if slot in starts:
        return
    if len(starts) >= MAX_SUBPROGS:
        env.fail(errno.E2BIG, "too many subprograms")
    insort(starts, slot)


def callee_slot(slot: int, insn: Insn) -> int | None:
    """The start of the function that a local call enters or whose address LD_IMM64 takes; None for other insns."""
    if insn.family is Family.CALL_LOCAL or is_func_address(insn):
        return slot + 1 + insn.imm
    return None


def is_func_address(insn: Insn) -> bool:
    """Whether LD_IMM64 takes the address of a function of the program."""
    return insn.family is Family.LD_IMM64 and insn.src == Imm64.FUNC.value


def containing(env: Env, slot: int) -> Subprog:
    """The function that `slot` belongs to."""
    return env.subprogs[number_of(env, slot)]


def number_of(env: Env, slot: int) -> int:
    """The number of the function that `slot` belongs to."""
    return bisect_right(env.subprogs, slot, hi=len(env.subprogs) - 1, key=lambda subprog: subprog.start) - 1


def subprog_at(env: Env, slot: int) -> int:
    """The number of the function that starts at `slot` exactly, -1 when none does."""
    if not 0 <= slot < len(env.code):
        return -1
    number = number_of(env, slot)
    return number if env.subprogs[number].start == slot else -1


def check_subprogs(env: Env) -> None:
    """Refuse jumps out of a function and functions whose end can be run over; note tail calls and packet loads."""
    number, subprog, end = 0, env.subprogs[0], env.subprogs[1].start
    for slot, insn in enumerate(env.code):
        if insn is not None:
            family = insn.family
            if family in _JUMPS:
                target = slot + 1 + insn.jump_offset
                if not subprog.start <= target < end:
                    env.fail(errno.EINVAL, f"jump out of range from insn {slot} to {target}")
            elif family is Family.CALL_HELPER and insn.imm == TAIL_CALL:
                subprog.has_tail_call = subprog.tail_call_reachable = True
            elif family is Family.LD_PACKET:
                subprog.has_ld_abs = True
        if slot == end - 1:
            if insn is None or insn.family not in (Family.EXIT, Family.JUMP):
                env.fail(errno.EINVAL, "last insn is not an exit or jmp")
            number += 1
            subprog = env.subprogs[number]
            if number + 1 < len(env.subprogs):
                end = env.subprogs[number + 1].start
