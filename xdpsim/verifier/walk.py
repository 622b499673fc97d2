"""The second pass: walk every path, insn by insn, until none is left (do_check() of kernel/bpf/verifier.c)."""

from __future__ import annotations

from collections.abc import Callable
from errno import E2BIG, EACCES, EFAULT, EINVAL, EPERM
from typing import TYPE_CHECKING

from xdpsim.isa.rows import Family, Imm64
from xdpsim.progtypes.loading import LOAD_RULES
from xdpsim.verifier import history
from xdpsim.verifier.alu import check_alu_op
from xdpsim.verifier.branch import check_cond_jmp_op, check_may_goto, push_stack
from xdpsim.verifier.env import LOG_LEVEL, Refusal
from xdpsim.verifier.functions import check_exit, check_func_call, prepare_func_exit
from xdpsim.verifier.helper_call import check_helper_call
from xdpsim.verifier.kfunc_call import SPIN_ALLOWED, THROW, check_kfunc_call
from xdpsim.verifier.log import print_insn, print_insn_state, print_linfo, state_text
from xdpsim.verifier.mem_insns import check_atomic, check_load_mem, check_store_imm, check_store_reg
from xdpsim.verifier.prune import is_state_visited, update_branch_counts
from xdpsim.verifier.refs import check_resource_leak
from xdpsim.verifier.region import check_ptr_off_reg
from xdpsim.verifier.regs import check_dst, check_src, clear_caller_saved
from xdpsim.verifier.regtypes import CONST_PTR_TO_MAP, PTR_TO_CTX, PTR_TO_FUNC, PTR_TO_MAP_VALUE
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import Reg, const_reg
from xdpsim.verifier.subprogs import subprog_at

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env

COMPLEXITY_LIMIT_INSNS = 1_000_000
_SPIN_UNLOCK = 94
_RECOVERABLE = (EPERM, EACCES, EINVAL)
_WRITES_STACK = frozenset(
    {
        Family.STORE_IMM,
        Family.STORE_REG,
        Family.STORE_RELEASE,
        Family.ATOMIC,
        Family.CALL_HELPER,
        Family.CALL_KFUNC,
        Family.CALL_LOCAL,
        Family.EXIT,
    }
)
_PACKET_LOADERS = frozenset(name for name, rules in LOAD_RULES.items() if rules.ld_abs)
Step = Callable[["Env", "Insn", int], "int | None"]


def do_check(env: Env) -> None:
    """Walk on from the current state and all that wait; Refusal when a path is not safe."""
    aux, code = env.aux, env.code
    count, previous, print_next = len(code), -1, False
    while True:
        env.has_hist_entry = False
        if env.notes:
            env.notes.clear()
        env.prev_insn_idx = previous
        idx = env.insn_idx
        if not 0 <= idx < count:
            env.fail(EFAULT, f"invalid insn idx {idx} insn_cnt {count}")
        env.insn_processed += 1
        if env.insn_processed > COMPLEXITY_LIMIT_INSNS:
            env.fail(E2BIG, f"BPF program is too large. Processed {env.insn_processed} insn")
        state = env.cur
        state.last_insn_idx, state.insn_idx = previous, idx
        here = aux[idx]
        if here.prune_point and is_state_visited(env, idx):
            _print_safe(env, print_next)
            following: int | None = None
        else:
            if here.jmp_point:
                history.push(env, state)
            if env.log_level & LOG_LEVEL:
                _print_insn(env, print_next and env.log_level & 2)
                if env.log_level & 2:
                    print_next = False
            if not state.speculative:
                here.seen = env.pass_cnt
            previous = idx
            following = None if state.speculative and here.nospec else _step(env, idx)
        if following is not None:
            if env.returned_from_call:
                env.returned_from_call = False
                print_next = True
            env.insn_idx = following
            continue
        env.scratched_regs = env.scratched_slots = -1
        update_branch_counts(env, env.cur)
        env.stack_live.update(env.cur)
        if not env.worklist:
            return
        env.cur, env.insn_idx, previous, log_length = env.worklist.pop()
        env.stack_live.reset_callchain()
        if not env.log_level & 2:
            del env.log[log_length:]
        print_next = True


def _step(env: Env, idx: int) -> int | None:
    """One insn; the next one, None where the path ends."""
    insn = env.code[idx]
    if insn is None:
        env.fail(EINVAL, f"unknown opcode {0:02x}")
    family, here = insn.family, env.aux[idx]
    live = env.stack_live
    marks = family in _WRITES_STACK
    if marks:
        live.reset_write_marks(idx)
    try:
        following = STEPS[family](env, insn, idx)
    except Refusal as refusal:
        if not env.cur.speculative or refusal.errno not in _RECOVERABLE:
            raise
        if marks:
            live.commit_write_marks()
        here.nospec = True
        here.alu_state = 0
        return None
    if marks:
        live.commit_write_marks()
    if env.cur.speculative and here.nospec_result:
        return None
    return following


def _print_safe(env: Env, print_next: bool) -> None:
    if env.log_level & LOG_LEVEL:
        how = " (speculative execution)" if env.cur.speculative else ""
        if print_next:
            env.verbose(f"\nfrom {env.prev_insn_idx} to {env.insn_idx}{how}: safe\n")
        else:
            env.verbose(f"{env.insn_idx}: safe\n")


def _print_insn(env: Env, whole_state: int) -> None:
    state, idx = env.cur, env.insn_idx
    if whole_state:
        how = " (speculative execution)" if state.speculative else ""
        env.verbose(f"\nfrom {env.prev_insn_idx} to {idx}{how}:")
        env.verbose(state_text(env, state, state.curframe, True))
    if env.scratched_regs or env.scratched_slots:
        print_insn_state(env, state, state.curframe)
    print_linfo(env, idx, "; ")
    print_insn(env, idx, env.code[idx])


# One function for each kind of insn.


def _alu(env: Env, insn: Insn, idx: int) -> int:
    check_alu_op(env, insn)
    return idx + 1


def _load(env: Env, insn: Insn, idx: int) -> int:
    check_load_mem(env, insn)
    return idx + 1


def _store_reg(env: Env, insn: Insn, idx: int) -> int:
    check_store_reg(env, insn)
    return idx + 1


def _store_imm(env: Env, insn: Insn, idx: int) -> int:
    check_store_imm(env, insn)
    return idx + 1


def _atomic(env: Env, insn: Insn, idx: int) -> int:
    check_atomic(env, insn)
    return idx + 1


def _jump(env: Env, insn: Insn, idx: int) -> int:
    env.jmps_processed += 1
    return idx + 1 + insn.jump_offset


def _branch(env: Env, insn: Insn, idx: int) -> int:
    env.jmps_processed += 1
    return check_cond_jmp_op(env, insn, idx)


def _may_goto(env: Env, insn: Insn, idx: int) -> int:
    env.jmps_processed += 1
    return check_may_goto(env, insn, idx)


def _need_no_lock(env: Env, allowed: bool) -> None:
    env.jmps_processed += 1
    if env.cur.active_locks and not allowed:
        env.fail(EINVAL, "function calls are not allowed while holding a lock")


def _call_helper(env: Env, insn: Insn, idx: int) -> int:
    _need_no_lock(env, insn.imm == _SPIN_UNLOCK)
    following = check_helper_call(env, insn, idx)
    env.scratched_regs |= 1
    return following


def _call_kfunc(env: Env, insn: Insn, idx: int) -> int | None:
    name = env.spec.kfuncs[insn.imm]
    _need_no_lock(env, name in SPIN_ALLOWED)
    check_kfunc_call(env, insn, idx)
    if name == THROW:
        return check_exit(env, idx, True)
    env.scratched_regs |= 1
    return idx + 1


def _call_local(env: Env, insn: Insn, idx: int) -> int:
    _need_no_lock(env, True)
    following = check_func_call(env, insn, idx)
    env.scratched_regs |= 1
    return following


def _exit(env: Env, insn: Insn, idx: int) -> int | None:
    env.jmps_processed += 1
    following = check_exit(env, idx, False)
    env.returned_from_call = following is not None
    return following


def _ld_packet(env: Env, insn: Insn, idx: int) -> int:
    """Legacy loads from the packet: R6 is the context, R0 the result.

    Where the packet ends the program does too, a function returns 0.
    """
    if env.prog_type not in _PACKET_LOADERS:
        env.fail(EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type")
    context = check_src(env, 6)
    check_resource_leak(env, False, True, "BPF_LD_[ABS|IND]")
    if context.type != PTR_TO_CTX:
        env.fail(EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb")
    if insn.uses_reg or insn.op == "ind":
        check_src(env, insn.src)
    check_ptr_off_reg(env, context, 6)
    clear_caller_saved(env, env.regs)
    env.regs[0] = env.unknown
    if not env.cur.curframe:
        return idx + 1
    env.scratched_regs |= 1
    push_stack(env, idx + 1, idx)
    env.regs[0] = env.zero
    return prepare_func_exit(env, idx)


def _ld_imm64(env: Env, insn: Insn, idx: int) -> int:
    check_dst(env, insn.dst)
    regs, kind = env.regs, insn.op
    if kind == Imm64.VALUE.name:
        regs[insn.dst] = const_reg(insn.imm64)
    elif kind == Imm64.FUNC.name:
        regs[insn.dst] = _function_pointer(env, insn, idx)
    else:
        map_ = env.maps[insn.imm]
        if kind in (Imm64.MAP_FD.name, Imm64.MAP_IDX.name):
            regs[insn.dst] = Reg(CONST_PTR_TO_MAP, ZERO, extra=(map_, 0))
        elif map_.spec.type == "ARENA":
            regs[insn.dst] = env.unknown
        else:
            regs[insn.dst] = Reg(PTR_TO_MAP_VALUE, ZERO, insn.next_imm & 0xFFFF_FFFF, extra=(map_, 0))
    if not env.cur.speculative:
        env.aux[idx + 1].seen = env.pass_cnt
    return idx + 2


def _function_pointer(env: Env, insn: Insn, idx: int) -> Reg:
    subprog = subprog_at(env, idx + insn.imm + 1)
    if not env.spec.func_info:
        env.fail(EINVAL, "missing btf func_info")
    if env.subprogs[subprog].is_global:
        env.fail(EINVAL, "callback function not static")
    return Reg(PTR_TO_FUNC, ZERO, extra=subprog)


STEPS: dict[Family, Step] = {
    Family.ALU: _alu,
    Family.NEG: _alu,
    Family.MOV: _alu,
    Family.MOVSX: _alu,
    Family.ENDIAN: _alu,
    Family.ADDR_SPACE_CAST: _alu,
    Family.LOAD: _load,
    Family.LOAD_SX: _load,
    Family.STORE_IMM: _store_imm,
    Family.STORE_REG: _store_reg,
    Family.ATOMIC: _atomic,
    Family.LOAD_ACQUIRE: _atomic,
    Family.STORE_RELEASE: _atomic,
    Family.LD_IMM64: _ld_imm64,
    Family.LD_PACKET: _ld_packet,
    Family.JUMP: _jump,
    Family.BRANCH: _branch,
    Family.MAY_GOTO: _may_goto,
    Family.CALL_HELPER: _call_helper,
    Family.CALL_LOCAL: _call_local,
    Family.CALL_KFUNC: _call_kfunc,
    Family.EXIT: _exit,
}
