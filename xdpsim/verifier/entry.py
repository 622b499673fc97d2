"""Where a walk begins: the program itself, then each global function that is called, with any arguments.

Follows do_check_common(), do_check_main() and do_check_subprogs() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EINVAL
from typing import TYPE_CHECKING

from xdpsim.errors import XdpsimBug
from xdpsim.verifier import func_args
from xdpsim.verifier.dynptr import callback_argument
from xdpsim.verifier.env import Refusal
from xdpsim.verifier.precision import MAIN_FUNC
from xdpsim.verifier.regtypes import (
    DYNPTR_TYPE_LOCAL,
    MEM_RDONLY,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_MEM,
    PTR_TRUSTED,
    PTR_UNTRUSTED,
)
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import CONTEXT, Frame, Reg, State
from xdpsim.verifier.walk import do_check

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env


def check_main(env: Env) -> None:
    """Walk the program from its first insn."""
    subprog = env.subprogs[0]
    state = _begin(env, 0)
    if env.spec.func_info:
        problem, _ = func_args.prepare(env, 0)
        if problem or [arg.kind for arg in subprog.args] != [func_args.CTX]:
            subprog.unreliable = True
    state.frames[0].regs[1] = CONTEXT
    _walk(env)


def check_subprogs_by_themselves(env: Env) -> None:
    """Walk every global function that anything walked calls."""
    if not env.spec.func_info:
        return
    if env.exception_callback_subprog:
        env.subprogs[env.exception_callback_subprog].called = True
    verified: set[int] = set()
    found = True
    while found:
        found = False
        for number, subprog in enumerate(env.subprogs[:-1]):
            if not number or not subprog.is_global or not subprog.called or number in verified:
                continue
            _check_global(env, number)
            env.note(f"Func#{number} ('{subprog.name}') is safe for any args that match its prototype")
            verified.add(number)
            found = True


def _check_global(env: Env, number: int) -> None:
    subprog = env.subprogs[number]
    state = _begin(env, number)
    env.insn_idx = subprog.start
    env.note(f"Validating {subprog.name}() func#{number}...")
    problem, why = func_args.prepare(env, number)
    if problem:
        raise Refusal(problem, why)
    frame = state.frames[0]
    if subprog.is_exception_cb:
        frame.in_exception_callback_fn = True
        if [arg.kind for arg in subprog.args] != [func_args.SCALAR]:
            env.fail(EINVAL, "exception cb only supports single integer argument")
    for at, arg in enumerate(subprog.args, 1):
        frame.regs[at] = _assumed(env, arg)
    _walk(env)


def _assumed(env: Env, arg: func_args.FuncArg) -> Reg:
    """What a global function may rely on of an argument."""
    if arg.kind == func_args.CTX:
        return CONTEXT
    if arg.kind in (func_args.SCALAR, func_args.ARENA):
        return env.unknown
    if arg.kind == func_args.DYNPTR:
        return callback_argument(env, DYNPTR_TYPE_LOCAL)
    if arg.kind == func_args.MEM:
        kind = PTR_TO_MEM | arg.flags & (PTR_MAYBE_NULL | PTR_UNTRUSTED | MEM_RDONLY)
        reg_id = env.new_id() if arg.flags & PTR_MAYBE_NULL else 0
        return Reg(kind, ZERO, id=reg_id, extra=(arg.size, 0))
    if arg.kind == func_args.BTF_ID:
        kind = PTR_TO_BTF_ID | arg.flags & (PTR_MAYBE_NULL | PTR_UNTRUSTED | PTR_TRUSTED)
        return Reg(kind, ZERO, id=env.new_id(), extra=(env.kernel_btf, arg.btf_id))
    raise XdpsimBug(f"verifier: unhandled argument {arg}")


def _begin(env: Env, number: int) -> State:
    env.prev_line = None
    env.pass_cnt += 1
    state = State()
    state.branches = 1
    state.frames.append(Frame(MAIN_FUNC, 0, number))
    state.first_insn_idx = env.subprogs[number].start
    state.last_insn_idx = -1
    env.cur = state
    env.insn_idx = state.first_insn_idx
    env.scratched_regs = env.scratched_slots = -1
    env.stack_live.reset_callchain()
    return state


def _walk(env: Env) -> None:
    do_check(env)
    if not env.log_level & 2:
        env.log.clear()
        env.notes.clear()
    env.explored.clear()
    env.scc_visits.clear()
    env.num_backedges = 0  # The other counts go on, so that peak_states is over all walks, as in Linux.
