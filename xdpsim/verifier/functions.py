"""Calls of the program's own functions, callbacks, and the way back out of them.

Follows check_func_call(), push_callback_call(), prepare_func_exit() and check_return_code() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import E2BIG, EACCES, EFAULT, EINVAL
from typing import TYPE_CHECKING

from xdpsim.errors import XdpsimBug
from xdpsim.progtypes.returns import return_range
from xdpsim.verifier.branch import push_stack
from xdpsim.verifier.callinfo import calls_back_later, calls_back_sleepable
from xdpsim.verifier.env import LOG_LEVEL
from xdpsim.verifier.func_args import check_subprog_call
from xdpsim.verifier.locks import in_sleepable
from xdpsim.verifier.log import print_state, type_str
from xdpsim.verifier.packet import clear_all_pkt_pointers
from xdpsim.verifier.precision import MAIN_FUNC, mark_chain_precision
from xdpsim.verifier.prune import find_prev_entry, widen_imprecise
from xdpsim.verifier.refs import check_resource_leak
from xdpsim.verifier.regs import check_src, clear_caller_saved, is_pointer
from xdpsim.verifier.regtypes import PTR_TO_STACK, SCALAR_VALUE
from xdpsim.verifier.scalar import S64_MAX, S64_MIN
from xdpsim.verifier.state import MAX_FRAMES, Frame, Reg, State
from xdpsim.verifier.subprogs import subprog_at

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env

SetCallee = Callable[["Env", Frame, Frame, int], None]
"""Gives a callee's frame its arguments: (env, caller, callee, insn_idx)."""


def _enter(env: Env, state: State, subprog: int, callsite: int, set_callee: SetCallee) -> None:
    if state.curframe + 1 >= MAX_FRAMES:
        env.fail(E2BIG, f"the call stack of {state.curframe + 2} frames is too deep")
    callee = Frame(callsite, state.curframe + 1, subprog)
    env.scratched_regs = env.scratched_slots = -1
    set_callee(env, state.frames[state.curframe], callee, callsite)
    state.frames.append(callee)
    state.curframe += 1


def _set_callee(env: Env, caller: Frame, callee: Frame, insn_idx: int) -> None:
    callee.regs[1:6] = caller.regs[1:6]


def check_func_call(env: Env, insn: Insn, idx: int) -> int:
    """A bpf-to-bpf call; the next insn."""
    subprog = subprog_at(env, idx + insn.imm + 1)
    if subprog < 0:
        raise XdpsimBug(f"verifier: target of func call at insn {idx} is not a program")
    state = env.cur
    caller = state.frames[state.curframe]
    problem, why = check_subprog_call(env, subprog)
    if env.subprogs[subprog].is_global:
        _call_global(env, subprog, caller, problem, why)
        return idx + 1
    _enter(env, state, subprog, idx, _set_callee)
    clear_caller_saved(env, caller.regs)
    env.stack_live.reset_callchain()
    if env.log_level & LOG_LEVEL:
        env.verbose("caller:\n")
        print_state(env, state, caller.frameno, True)
        env.verbose("callee:\n")
        print_state(env, state, state.curframe, True)
    return env.subprogs[subprog].start


def _call_global(env: Env, subprog: int, caller: Frame, problem: int, why: str) -> None:
    """Global functions are verified on their own: a call only has to keep to their prototype."""
    sub, cur = env.subprogs[subprog], env.cur
    if cur.active_locks:
        text = "global function calls are not allowed while holding a lock,\nuse static function instead"
        env.fail(EINVAL, text)
    in_atomic = cur.active_rcu_lock or cur.active_preempt_locks or cur.active_irq_id or not in_sleepable(env)
    if sub.might_sleep and in_atomic:
        env.fail(
            EINVAL,
            "global functions that may sleep are not allowed in non-sleepable context,\n"
            "i.e., in a RCU/IRQ/preempt-disabled section, or in\n"
            "a non-sleepable BPF program context",
        )
    if problem:
        env.notes.extend([why] if why else [])
        env.fail(problem, f"Caller passes invalid args into func#{subprog} ('{sub.name}')")
    env.verbose(f"Func#{subprog} ('{sub.name}') is global and assumed valid.\n")
    if sub.changes_pkt_data:
        clear_all_pkt_pointers(env)
    sub.called = True
    clear_caller_saved(env, caller.regs)
    caller.regs[0] = env.unknown


def push_callback_call(env: Env, insn: Insn, insn_idx: int, subprog: int, set_callee: SetCallee) -> None:
    """A helper or kfunc that calls a function of the program: walk that function too, later."""
    state = env.cur
    caller = state.frames[state.curframe]
    check_subprog_call(env, subprog)
    sub = env.subprogs[subprog]
    sub.is_cb = True
    if calls_back_later(env, insn):
        sub.is_async_cb = True
        queued = _push_async(env, sub.start, insn_idx, subprog, calls_back_sleepable(env, insn))
        callee = queued.frames[0]
        callee.async_entry_cnt = caller.async_entry_cnt + 1
        set_callee(env, caller, callee, insn_idx)
        return
    queued = push_stack(env, sub.start, insn_idx)
    _enter(env, queued, subprog, insn_idx, set_callee)
    queued.callback_unroll_depth += 1
    queued.frames[queued.curframe - 1].callback_depth += 1
    caller.callback_depth = 0


def _push_async(env: Env, start: int, prev_insn_idx: int, subprog: int, sleepable: bool) -> State:
    """A function that runs by itself later, with a stack of its own."""
    queued = State()
    env.worklist.append((queued, start, prev_insn_idx, len(env.log)))
    waiting = len(env.worklist)
    if waiting > 8192:
        env.fail(EFAULT, f"The sequence of {waiting} jumps is too complex for async cb.")
    queued.branches = 1
    queued.in_sleepable = sleepable
    queued.frames.append(Frame(MAIN_FUNC, 0, subprog))
    env.scratched_regs = env.scratched_slots = -1
    return queued


def prepare_func_exit(env: Env, idx: int) -> int:
    """Back to the caller, or to the insn that called back; the next insn."""
    state = env.cur
    env.stack_live.update(state)
    callee = state.frames[state.curframe]
    r0 = callee.regs[0]
    if r0.type == PTR_TO_STACK:
        env.fail(EINVAL, "cannot return stack pointer to the caller")
    caller = state.frames[state.curframe - 1]
    if callee.in_callback_fn:
        if r0.type != SCALAR_VALUE:
            env.fail(EACCES, "R0 not a scalar value")
        mark_chain_precision(env, 0)
        _need_range(env, callee.regs[0], callee.callback_ret_range, "At callback return", "R0")
        if not env.aux[callee.callsite].calls_callback:
            raise XdpsimBug(f"verifier: in callback at {idx}, callsite {callee.callsite} !calls_callback")
        next_idx = callee.callsite
    else:
        caller.regs[0] = r0
        next_idx = callee.callsite + 1
    if env.log_level & LOG_LEVEL:
        env.verbose("returning from callee:\n")
        print_state(env, state, callee.frameno, True)
        env.verbose(f"to caller at {next_idx}:\n")
        print_state(env, state, caller.frameno, True)
    state.frames.pop()
    state.curframe -= 1
    if callee.in_callback_fn and (before := find_prev_entry(env, state, next_idx)) is not None:
        widen_imprecise(env, before, state)
    return next_idx


def _need_range(env: Env, reg: Reg, wanted: tuple[int, int], where: str, name: str) -> None:
    low, high = wanted
    if low <= reg.num.smin and reg.num.smax <= high:
        return
    env.fail(EINVAL, scalar_problem(reg, wanted, where, name))


def scalar_problem(reg: Reg, wanted: tuple[int, int], where: str, name: str) -> str:
    """verbose_invalid_scalar(): what a value is, and what it should have been."""
    text, unknown = f"{where} the register {name} has", True
    if reg.num.smin > S64_MIN:
        text, unknown = f"{text} smin={reg.num.smin}", False
    if reg.num.smax < S64_MAX:
        text, unknown = f"{text} smax={reg.num.smax}", False
    if unknown:
        text += " unknown scalar value"
    return f"{text} should have been in [{wanted[0]}, {wanted[1]}]"


def check_exit(env: Env, idx: int, exception_exit: bool) -> int | None:
    """EXIT, or a throw; the next insn, None when the path ends here."""
    if exception_exit:
        check_resource_leak(env, True, True, "bpf_throw")
        return None
    check_resource_leak(env, False, not env.cur.curframe, "BPF_EXIT instruction in main prog")
    if env.cur.curframe:
        return prepare_func_exit(env, idx)
    check_return_code(env, 0, "R0")
    return None


def check_return_code(env: Env, regno: int, name: str) -> None:
    """What the program, a global function or an asynchronous callback returns."""
    frame = env.cur.frames[0]
    is_subprog = frame.subprogno != 0
    reg = check_src(env, regno)
    if is_pointer(reg, env.allow_ptr_leaks):
        env.fail(EACCES, f"R{regno} leaks addr as return value")
    where = "At program exit"
    wanted: tuple[int, int] | None
    if frame.in_async_callback_fn:
        where, wanted = "At async callback return", frame.callback_ret_range
    elif is_subprog and not frame.in_exception_callback_fn:
        if reg.type != SCALAR_VALUE:
            kind = type_str(reg.type)
            env.fail(EINVAL, f"At subprogram exit the register R{regno} is not a scalar value ({kind})")
        return
    else:
        wanted = return_range(env.prog_type, env.attach_type)
    if wanted is None:
        return
    if reg.type != SCALAR_VALUE:
        env.fail(EINVAL, f"{where} the register R{regno} is not a known value ({type_str(reg.type)})")
    mark_chain_precision(env, regno)
    _need_range(env, env.regs[regno], wanted, where, name)
