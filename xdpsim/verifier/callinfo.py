"""What the passes before the walk need to know of a call: its parameters, and what it may do to the program around it.

The one place of the verifier where the rows of helpers and kfuncs are asked this. Follows get_call_summary and
is_sync_callback_calling_insn of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from typing import NamedTuple

from xdpsim.btf.linux618 import linux618
from xdpsim.btf.types import Func, FuncProto, Kind
from xdpsim.helpers import kfunc_rows, protos
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.helpers.kfunc_rows import KFUNC_ROWS, KfuncRow
from xdpsim.helpers.kinds import Ret
from xdpsim.helpers.proto_rows import ANY_TYPE, PROTOS, Proto
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.verifier.env import Env

TAIL_CALL = 12
_LATER = frozenset({"timer_set_callback"})
"""Of the helpers with `calls_back`, those whose callback runs on its own, some time after."""
_KFUNCS_CALLING_NOW = frozenset({"bpf_rbtree_add_impl"})
_KFUNCS_CALLING_LATER = frozenset(
    {"bpf_wq_set_callback_impl", "bpf_task_work_schedule_signal_impl", "bpf_task_work_schedule_resume_impl"}
)
_KFUNCS_MOVING_PACKET = frozenset({"bpf_xdp_pull_data"})
_INLINED = frozenset({"bpf_get_smp_processor_id"})
"""Helpers that the x86-64 verifier or JIT puts in the place of the call."""


class CallSummary(NamedTuple):
    """A call of a helper or kfunc: how many argument registers it reads, whether it leaves r0, whether r1-r5 survive
    its inlined form.
    """

    params: int
    is_void: bool
    fastcall: bool


def _proto(env: Env, insn: Insn) -> Proto | None:
    """The prototype that the program gets under the helper's number, None where it may not call it."""
    if insn.family is not Family.CALL_HELPER or insn.imm not in HELPERS_BY_ID:
        return None
    return protos.proto_for(insn.imm, env.prog_type, env.attach_type)


def _kfunc_name(env: Env, insn: Insn) -> str:
    is_kfunc = insn.family is Family.CALL_KFUNC and 0 <= insn.imm < len(env.spec.kfuncs)
    return env.spec.kfuncs[insn.imm] if is_kfunc else ""


def _kfunc(env: Env, insn: Insn) -> KfuncRow | None:
    """The row of the kernel function, None where the program may not call it."""
    row = KFUNC_ROWS.get(_kfunc_name(env, insn))
    return row if row is not None and env.prog_type in row.programs else None


def call_summary(env: Env, insn: Insn) -> CallSummary | None:
    """Parameters of a helper or kfunc call; None for other calls and for callees that the program may not call."""
    proto = _proto(env, insn)
    if proto is not None:
        fastcall = proto.allow_fastcall and proto.name in _INLINED
        return CallSummary(len(proto.args), proto.returns is Ret.VOID, fastcall)
    row = _kfunc(env, insn)
    return _kfunc_summary(env, row) if row is not None else None


def _kfunc_summary(env: Env, row: KfuncRow) -> CallSummary | None:
    btf = env.kernel_btf or linux618().btf
    known = btf.by_name(row.name, Kind.FUNC)
    proto = btf.get(known.type_id) if isinstance(known, Func) else None
    if not isinstance(proto, FuncProto):
        return None
    return CallSummary(len(proto.params), proto.return_id == 0, bool(row.flags & kfunc_rows.FASTCALL))


def calls_back_now(env: Env, insn: Insn) -> bool:
    """Whether the call runs a function of the program before it returns."""
    if insn.family is Family.CALL_HELPER:
        calls_back = _calls_back(insn)
        return bool(calls_back) and calls_back not in _LATER
    return _kfunc_name(env, insn) in _KFUNCS_CALLING_NOW


def calls_back_later(env: Env, insn: Insn) -> bool:
    """Whether the call has a function of the program run some time after."""
    if insn.family is Family.CALL_HELPER:
        return _calls_back(insn) in _LATER
    return _kfunc_name(env, insn) in _KFUNCS_CALLING_LATER


def calls_back_sleepable(env: Env, insn: Insn) -> bool:
    """Whether the function that is called back later may sleep: those of timers may not."""
    return insn.family is Family.CALL_KFUNC and calls_back_later(env, insn)


def _calls_back(insn: Insn) -> str:
    """The helper's name where it calls back, whoever calls it."""
    row = PROTOS.get((insn.imm, ANY_TYPE))
    return row.calls_back if row is not None else ""


def moves_packet(env: Env, insn: Insn) -> bool:
    """Whether pointers into the packet are void after the call, whatever program type makes it."""
    if insn.family is Family.CALL_HELPER:
        keys = ((insn.imm, env.prog_type), (insn.imm, ANY_TYPE))
        return any(key in PROTOS and PROTOS[key].moves_packet for key in keys)
    return _kfunc_name(env, insn) in _KFUNCS_MOVING_PACKET and _kfunc(env, insn) is not None


def may_sleep(env: Env, insn: Insn) -> bool:
    """Whether the callee may sleep."""
    proto, row = _proto(env, insn), _kfunc(env, insn)
    return bool(proto and proto.might_sleep) or bool(row and row.flags & kfunc_rows.SLEEPABLE)


def throws(env: Env, insn: Insn) -> bool:
    """Whether the call is bpf_throw."""
    return _kfunc_name(env, insn) == "bpf_throw"


def is_iter_next(env: Env, insn: Insn) -> bool:
    """Whether the call is the next-element function of an open-coded iterator."""
    row = _kfunc(env, insn)
    return bool(row and row.flags & kfunc_rows.ITER_NEXT)
