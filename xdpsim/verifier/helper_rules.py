"""Rules of single helpers beyond their prototypes, checked between the arguments and the result.

Follows the switch over func_id in check_helper_call() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from xdpsim.helpers.ids import HELPERS_BY_NAME
from xdpsim.isa.insn import Insn
from xdpsim.verifier import dynptr, kfunc_info, precision, refs
from xdpsim.verifier.const_args import check_snprintf_format
from xdpsim.verifier.env import ENOTSUPP, LOG_LEVEL2, Env
from xdpsim.verifier.functions import push_callback_call
from xdpsim.verifier.helper_args import CallMeta
from xdpsim.verifier.helper_callbacks import CALLBACKS
from xdpsim.verifier.log import type_str
from xdpsim.verifier.regs import is_null
from xdpsim.verifier.regtypes import DYNPTR_TYPE_SKB, DYNPTR_TYPE_SKB_META, MEM_RCU, PTR_TO_MAP_VALUE

_SKB_DYNPTRS = DYNPTR_TYPE_SKB | DYNPTR_TYPE_SKB_META
_TRAMPOLINES = frozenset({24, 25, 26})
"""Attach types BPF_TRACE_FENTRY, BPF_TRACE_FEXIT and BPF_MODIFY_RETURN."""


def _tail_call(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    refs.check_resource_leak(env, False, True, "tail_call")


def _local_storage(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    if not is_null(env.regs[2]):
        env.fail(errno.EINVAL, "get_local_storage() doesn't support non-zero flags")


def _callback(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    push_callback_call(env, insn, insn_idx, meta.subprogno, CALLBACKS[meta.proto.calls_back])


def _snprintf(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    check_snprintf_format(env, env.regs[3], env.regs[5])


def _loop(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    """The callback is walked as often as the count may say; what was said of the call tells whether it is inlined."""
    notes = env.aux[insn_idx].notes
    before = notes.get("loop_inline")
    if before is None or before[0]:
        notes["loop_inline"] = (
            _flags_are_zero(env) and (before is None or before[1] == meta.subprogno),
            meta.subprogno if before is None else before[1],
        )
    precision.mark_chain_precision(env, 1)
    frame = env.cur.frames[-1]
    if frame.callback_depth < env.regs[1].num.umax:
        _callback(env, insn, insn_idx, meta)
        return
    frame.callback_depth = 0
    if env.log_level & LOG_LEVEL2:
        env.verbose(f"frame{env.cur.curframe} bpf_loop iteration limit reached\n")


def _flags_are_zero(env: Env) -> bool:
    if not is_null(env.regs[4]):
        return False
    precision.mark_chain_precision(env, 4)
    return True


def _dynptr_from_mem(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    kind = env.regs[1].type
    if kind != PTR_TO_MAP_VALUE:
        env.fail(errno.EACCES, f"Unsupported reg type {type_str(kind)} for bpf_dynptr_from_mem data")


def _dynptr_data(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    reg = env.regs[_dynptr_register(meta)]
    meta.dynptr_id, meta.ref_obj_id = dynptr.dynptr_id(env, reg), dynptr.dynptr_ref(env, reg)


def _dynptr_write(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    if dynptr.dynptr_type(env, env.regs[_dynptr_register(meta)]) & _SKB_DYNPTRS:
        meta.changes_packet = True


def _dynptr_register(meta: CallMeta) -> int:
    return next(at for at, kind in enumerate(meta.proto.args, 1) if kind.base == "ARG_PTR_TO_DYNPTR")


def _per_cpu(env: Env, insn: Insn, insn_idx: int, meta: CallMeta) -> None:
    reg = env.regs[1]
    if reg.type & MEM_RCU:
        btf, type_id = reg.extra
        if not kfunc_info.is_struct(btf.types[type_id]):
            env.fail(errno.EFAULT, "Helper has invalid btf/btf_id in R1")
        env.aux[insn_idx].notes["call_with_percpu_alloc_ptr"] = True


def check_get_func_ip(env: Env, meta: CallMeta, type_number: int) -> None:
    """Refuse get_func_ip where there is no function that was entered."""
    if env.prog_type == "TRACING":
        if env.attach_type not in _TRAMPOLINES:
            text = "supported only for fentry/fexit/fmod_ret programs"
            env.fail(ENOTSUPP, f"func {meta.proto.name}#{meta.func_id} {text}")
    elif env.prog_type != "KPROBE":
        text = f"not supported for program type {type_number}"
        env.fail(ENOTSUPP, f"func {meta.proto.name}#{meta.func_id} {text}")


Rule = Callable[[Env, Insn, int, CallMeta], None]
RULES: dict[int, Rule] = {
    HELPERS_BY_NAME[f"bpf_{name}"].id: rule
    for name, rule in (
        ("tail_call", _tail_call),
        ("get_local_storage", _local_storage),
        ("for_each_map_elem", _callback),
        ("timer_set_callback", _callback),
        ("find_vma", _callback),
        ("user_ringbuf_drain", _callback),
        ("snprintf", _snprintf),
        ("loop", _loop),
        ("dynptr_from_mem", _dynptr_from_mem),
        ("dynptr_data", _dynptr_data),
        ("dynptr_write", _dynptr_write),
        ("per_cpu_ptr", _per_cpu),
        ("this_cpu_ptr", _per_cpu),
    )
}
"""By helper."""
