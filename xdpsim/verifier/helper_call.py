"""A call of a helper: may it be called here, are the arguments right, what is left of the state, what is in R0.

The arguments are checked by helper_args.py, rules of single helpers by helper_rules.py, R0 is made by
helper_returns.py. Follows check_helper_call() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from functools import cache
from typing import TYPE_CHECKING

from xdpsim.helpers.capabilities import capability_for
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.helpers.proto_rows import Proto
from xdpsim.helpers.protos import proto_for
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier import dynptr, mem_access, refs
from xdpsim.verifier.arg_types import kind_of
from xdpsim.verifier.branch import push_stack
from xdpsim.verifier.callinfo import TAIL_CALL
from xdpsim.verifier.env import Env
from xdpsim.verifier.functions import prepare_func_exit
from xdpsim.verifier.helper_args import CallMeta, Plan, check_func_arg
from xdpsim.verifier.helper_returns import set_return
from xdpsim.verifier.helper_rules import RULES, check_get_func_ip
from xdpsim.verifier.licences import GPL_COMPATIBLE
from xdpsim.verifier.locks import in_rcu_cs, in_sleepable
from xdpsim.verifier.map_rules import check_map_func_compatibility, func_name, record_func_key, record_func_map
from xdpsim.verifier.packet import clear_all_pkt_pointers
from xdpsim.verifier.regs import clear_caller_saved, is_null
from xdpsim.verifier.regtypes import MEM_ALLOC, MEM_PERCPU, MEM_RCU
from xdpsim.verifier.state import Reg

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn

_STORAGE_GET = frozenset(
    {"bpf_sk_storage_get", "bpf_inode_storage_get", "bpf_task_storage_get", "bpf_cgrp_storage_get"}
)


def check_helper_call(env: Env, insn: Insn, insn_idx: int) -> int:
    """Refuse the call, or leave the state as it is behind it; the next insn."""
    proto, plan = _callable(env, insn.imm)
    _check_context(env, proto, insn_idx)
    meta = CallMeta(proto)
    for regno, kind, before in plan:
        check_func_arg(env, regno, kind, before, meta, insn_idx)
    record_func_map(env, meta.map, meta.func_id, insn_idx)
    record_func_key(env, meta.map, meta.func_id, insn_idx)
    for at in range(meta.access_size):
        mem_access.check_mem_access(env, insn_idx, meta.regno, at, 1, True, -1)
    if meta.release_regno:
        _release(env, meta)
    rule = RULES.get(meta.func_id)
    if rule is not None:
        rule(env, insn, insn_idx, meta)
    percpu_alloc = proto.returns.base == "RET_PTR_TO_MEM_OR_BTF_ID" and bool(env.regs[1].type & MEM_RCU)
    clear_caller_saved(env, env.regs)
    set_return(env, meta, insn_idx, percpu_alloc)
    if meta.map is not None:
        check_map_func_compatibility(env, meta.map, meta.func_id)
    if proto.name == "bpf_get_func_ip":
        check_get_func_ip(env, meta, PROG_TYPES[env.prog_type].id)
    if meta.func_id == TAIL_CALL:
        return _leave_by_tail_call(env, insn_idx) if env.cur.curframe else insn_idx + 1
    if meta.changes_packet:
        clear_all_pkt_pointers(env)
    return insn_idx + 1


def _leave_by_tail_call(env: Env, insn_idx: int) -> int:
    """A tail call out of a function: the program called may do anything to the packet, and returns to the caller.

    Where the call fails the function goes on, which is walked later.
    """
    env.scratched_regs |= 1
    push_stack(env, insn_idx + 1, insn_idx)
    clear_all_pkt_pointers(env)
    env.regs[0] = env.unknown
    return prepare_func_exit(env, insn_idx)


@cache
def _planned(helper_id: int, program_type: str, attach_type: int) -> tuple[Proto, Plan] | None:
    """The prototype and its arguments, made ready; None where such a program cannot use the helper."""
    proto = proto_for(helper_id, program_type, attach_type)
    if proto is None:
        return None
    btf_types = proto.arg_btf or ("",) * len(proto.args)
    kinds = [kind_of(arg, name) for arg, name in zip(proto.args, btf_types, strict=True)]
    return proto, tuple((at, kind, kinds[at - 2] if at > 1 else None) for at, kind in enumerate(kinds, 1))


def _callable(env: Env, helper_id: int) -> tuple[Proto, Plan]:
    """The prototype of a helper that the program may call; refuse when it may not."""
    if helper_id < 0 or helper_id > max(HELPERS_BY_ID):
        env.fail(errno.EINVAL, f"invalid func {func_name(helper_id)}")
    found = _planned(helper_id, env.prog_type, env.attach_type) if helper_id else None
    capability = capability_for(helper_id, env.prog_type)
    if found is None or (capability and capability not in env.caps):
        env.fail(errno.EINVAL, f"program of this type cannot use helper {func_name(helper_id)}")
    proto = found[0]
    if proto.gpl_only and env.spec.licence not in GPL_COMPATIBLE:
        env.fail(errno.EINVAL, "cannot call GPL-restricted function from non-GPL compatible program")
    if proto.allowed:
        env.fail(errno.EINVAL, "helper call is not allowed in probe")
    return found


def _check_context(env: Env, proto: Proto, insn_idx: int) -> None:
    """A helper that may sleep needs a place where that is allowed."""
    state = env.cur
    if proto.might_sleep and not in_sleepable(env):
        env.fail(errno.EINVAL, "helper call might sleep in a non-sleepable prog")
    if not (state.active_rcu_lock or state.active_preempt_locks or state.active_irq_id):
        return
    if proto.might_sleep:
        where = "in IRQ-disabled region"
        if state.active_rcu_lock:
            where = "in rcu_read_lock region"
        elif state.active_preempt_locks:
            where = "in non-preemptible region"
        env.fail(errno.EINVAL, f"sleepable helper {func_name(proto.id)} {where}")
    if proto.name in _STORAGE_GET and in_sleepable(env):
        env.aux[insn_idx].notes["storage_get_func_atomic"] = True


def _release(env: Env, meta: CallMeta) -> None:
    """Give back what the argument holds."""
    reg: Reg = env.regs[meta.release_regno]
    if meta.proto.args[meta.release_regno - 1].base == "ARG_PTR_TO_DYNPTR":
        is_done = dynptr.unmark_stack_slots_dynptr(env, reg)
    elif not meta.ref_obj_id:
        is_done = is_null(reg)
    elif meta.kptr_field is not None:
        is_done = _give_to_map(env, meta.ref_obj_id)
    else:
        is_done = refs.release(env, meta.ref_obj_id)
    if not is_done:
        env.fail(errno.EINVAL, f"func {func_name(meta.func_id)} reference has not been acquired before")


def _give_to_map(env: Env, ref_obj_id: int) -> bool:
    """bpf_kptr_xchg takes an object over: copies of a per-CPU one can still be read under RCU."""
    if not refs.release_nomark(env.cur, ref_obj_id):
        return False
    invalid, in_rcu = refs.invalid_reg(env), in_rcu_cs(env)

    def given(reg: Reg) -> Reg | None:
        if reg.ref != ref_obj_id:
            return None
        if in_rcu and reg.type & MEM_ALLOC and reg.type & MEM_PERCPU:
            return reg.but(ref=0, type=reg.type & ~MEM_ALLOC | MEM_RCU)
        return invalid

    refs.change_registers(env.cur, given)
    return True
