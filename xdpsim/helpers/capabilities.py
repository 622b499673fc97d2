"""Helpers that Linux offers only to programs whose loader has a capability, whatever the program's type.

Facts of bpf_base_func_proto() (kernel/bpf/helpers.c) and bpf_sk_base_func_proto() (net/core/filter.c). Those that need
CAP_PERFMON are what the running kernel answered for 22 program types, all but SYSCALL alike; what needs CAP_BPF was
read: it only tells for programs whose loader has no capability.
"""

from __future__ import annotations

from xdpsim.helpers.ids import HELPERS_BY_NAME

_PERFMON = (
    "trace_printk get_current_comm perf_event_read get_current_task perf_event_read_value send_signal probe_read_user "
    "probe_read_kernel probe_read_user_str probe_read_kernel_str send_signal_thread get_task_stack copy_from_user "
    "snprintf_btf get_current_task_btf snprintf sys_bpf task_pt_regs get_branch_snapshot trace_vprintk find_vma "
    "copy_from_user_task"
)
_SOCKET_CASTS = (
    "skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock "
    "skc_to_unix_sock skc_to_mptcp_sock"
)
_BPF = (
    "get_current_uid_gid get_cgroup_classid current_task_under_cgroup get_current_cgroup_id spin_lock spin_unlock "
    "jiffies64 get_current_ancestor_cgroup_id per_cpu_ptr this_cpu_ptr task_storage_get task_storage_delete "
    "for_each_map_elem timer_init timer_set_callback timer_start timer_cancel loop kptr_xchg dynptr_from_mem "
    "ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr dynptr_read dynptr_write dynptr_data "
    "user_ringbuf_drain cgrp_storage_get cgrp_storage_delete"
)


def _ids(names: str) -> frozenset[int]:
    return frozenset(HELPERS_BY_NAME[f"bpf_{name}"].id for name in names.split())


_NEEDS_PERFMON, _NEEDS_BPF, _CASTS = _ids(_PERFMON), _ids(_BPF), _ids(_SOCKET_CASTS)


def capability_for(helper_id: int, program_type: str) -> str:
    """What a program of the type must have to be offered the helper: "perfmon", "bpf" or nothing."""
    if helper_id in _NEEDS_PERFMON or (helper_id in _CASTS and program_type != "SYSCALL"):
        return "perfmon"
    return "bpf" if helper_id in _NEEDS_BPF else ""
