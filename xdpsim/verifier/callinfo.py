"""What the passes before the walk need to know of a call: its parameters, and what it may do to the program around it.

The one place of the verifier where these facts are read from the rows of helpers and kfuncs. Follows get_call_summary,
bpf_helper_changes_pkt_data and is_sync_callback_calling_insn of kernel/bpf/verifier.c and net/core/filter.c.
"""

from __future__ import annotations

from typing import NamedTuple

from xdpsim.btf.types import Func, FuncProto, Kind
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.helpers.kinds import Ret
from xdpsim.helpers.protos import proto_for
from xdpsim.helpers.rows import KFUNCS
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.verifier.env import Env

TAIL_CALL = 12
_SYNC_CALLBACKS = frozenset(
    {"bpf_for_each_map_elem", "bpf_find_vma", "bpf_loop", "bpf_user_ringbuf_drain", "bpf_rbtree_add_impl"}
)
_ASYNC_CALLBACKS = frozenset(
    {
        "bpf_timer_set_callback",
        "bpf_wq_set_callback_impl",
        "bpf_task_work_schedule_signal_impl",
        "bpf_task_work_schedule_resume_impl",
        "bpf_task_work_schedule_signal",
        "bpf_task_work_schedule_resume",
    }
)
_MOVES_PACKET = frozenset(
    {
        "bpf_clone_redirect",
        "bpf_l3_csum_replace",
        "bpf_l4_csum_replace",
        "bpf_lwt_push_encap",
        "bpf_lwt_seg6_action",
        "bpf_lwt_seg6_adjust_srh",
        "bpf_lwt_seg6_store_bytes",
        "bpf_msg_pop_data",
        "bpf_msg_pull_data",
        "bpf_msg_push_data",
        "bpf_skb_adjust_room",
        "bpf_skb_change_head",
        "bpf_skb_change_proto",
        "bpf_skb_change_tail",
        "bpf_skb_pull_data",
        "bpf_skb_store_bytes",
        "bpf_skb_vlan_pop",
        "bpf_skb_vlan_push",
        "bpf_store_hdr_opt",
        "bpf_xdp_adjust_head",
        "bpf_xdp_adjust_meta",
        "bpf_xdp_adjust_tail",
        "bpf_tail_call",
        "bpf_xdp_pull_data",
    }
)
_SLEEPS = frozenset(
    {
        "bpf_copy_from_user",
        "bpf_copy_from_user_task",
        "bpf_ima_inode_hash",
        "bpf_ima_file_hash",
        "bpf_d_path_sleepable",
        "bpf_copy_from_user_str",
        "bpf_copy_from_user_task_str",
        "bpf_copy_from_user_dynptr",
        "bpf_copy_from_user_str_dynptr",
        "bpf_copy_from_user_task_dynptr",
        "bpf_copy_from_user_task_str_dynptr",
        "bpf_iter_css_task_sleepable",
        "bpf_crypto_ctx_create",
        "bpf_key_ref_get",
        "bpf_lookup_user_key",
        "bpf_lookup_system_key",
        "bpf_verify_pkcs7_signature",
        "bpf_get_file_xattr",
        "bpf_get_dentry_xattr",
        "bpf_set_dentry_xattr",
        "bpf_remove_dentry_xattr",
        "bpf_strncpy_from_user",
        "bpf_arena_alloc_pages",
        "bpf_arena_free_pages",
        "bpf_arena_reserve_pages",
    }
)
_FASTCALL = frozenset({"bpf_get_smp_processor_id", "bpf_cast_to_kern_ctx", "bpf_rdonly_cast"})
"""Helpers that the x86-64 verifier or JIT puts in the place of the call, and kfuncs with KF_FASTCALL."""


class CallSummary(NamedTuple):
    """A call of a helper or kfunc: how many argument registers it reads, whether it leaves r0, whether r1-r5 survive
    its inlined form.
    """

    params: int
    is_void: bool
    fastcall: bool


def callee_name(env: Env, insn: Insn) -> str:
    """The name of the helper or kfunc that `insn` calls; empty where the number means none."""
    if insn.family is Family.CALL_HELPER:
        known = HELPERS_BY_ID.get(insn.imm)
        return known.name if known else ""
    if insn.family is Family.CALL_KFUNC and 0 <= insn.imm < len(env.spec.kfuncs):
        return env.spec.kfuncs[insn.imm]
    return ""


def call_summary(env: Env, insn: Insn) -> CallSummary | None:
    """Parameters of a helper or kfunc call; None for other calls and where nothing is known of the callee."""
    if insn.family is Family.CALL_HELPER:
        proto = proto_for(insn.imm, env.prog_type, env.attach_type)
        return CallSummary(len(proto.args), proto.returns is Ret.VOID, proto.name in _FASTCALL) if proto else None
    if insn.family is Family.CALL_KFUNC:
        return _kfunc_summary(env, callee_name(env, insn))
    return None


def _kfunc_summary(env: Env, name: str) -> CallSummary | None:
    known = env.kernel_btf.by_name(name, Kind.FUNC) if env.kernel_btf else None
    if isinstance(known, Func) and env.kernel_btf:
        proto = env.kernel_btf.get(known.type_id)
        if isinstance(proto, FuncProto):
            return CallSummary(len(proto.params), proto.return_id == 0, name in _FASTCALL)
    row = KFUNCS.get(name)
    return CallSummary(row.arity, row.returns is Ret.VOID, name in _FASTCALL) if row else None


def calls_back_now(env: Env, insn: Insn) -> bool:
    """Whether the call runs a function of the program before it returns."""
    return callee_name(env, insn) in _SYNC_CALLBACKS


def calls_back_later(env: Env, insn: Insn) -> bool:
    """Whether the call has a function of the program run some time after."""
    return callee_name(env, insn) in _ASYNC_CALLBACKS


def moves_packet(env: Env, insn: Insn) -> bool:
    """Whether packet pointers are worth nothing after the call, whatever program type makes it."""
    return callee_name(env, insn) in _MOVES_PACKET


def may_sleep(env: Env, insn: Insn) -> bool:
    """Whether the callee may sleep."""
    return callee_name(env, insn) in _SLEEPS


def throws(env: Env, insn: Insn) -> bool:
    """Whether the call is bpf_throw."""
    return insn.family is Family.CALL_KFUNC and callee_name(env, insn) == "bpf_throw"


def is_iter_next(env: Env, insn: Insn) -> bool:
    """Whether the call is the next-element function of an open-coded iterator."""
    name = callee_name(env, insn)
    return insn.family is Family.CALL_KFUNC and name.startswith("bpf_iter_") and name.endswith("_next")
