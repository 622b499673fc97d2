"""Every helper of Linux 6.18 by number: its name, its first kernel, and which program types may call it.

A list from enum bpf_func_id in include/uapi/linux/bpf.h (GPL-2.0 WITH Linux-syscall-note) and of what the running
kernel answered: `HELPERS_OF_TYPE` holds for each program type the helpers for which "call N" got past the verifier's
look-up, with the default attach type where ATTACH_RULES says that it matters; `gpl_only` whether it then asks for a
GPL-compatible licence. No kernel was asked for `since`: it is read from kernel history, and so is `gpl_only` of the ids
in `GPL_READ`, which no such program can reach.
What a helper takes and returns is said by protos.py, what it does by the bodies that rows.py collects.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.progtypes.attach import AttachType as At


@dataclass(frozen=True, slots=True)
class HelperId:
    """One number of `call`; `name` with bpf_ in front, `since` the first kernel with it (`source` says how we know)."""

    name: str
    id: int
    since: str
    gpl_only: bool = False
    source: str = "read"


HELPERS_BY_ID: dict[int, HelperId] = {
    row.id: row
    for row in (
        HelperId("bpf_map_lookup_elem", 1, "3.19"),
        HelperId("bpf_map_update_elem", 2, "3.19"),
        HelperId("bpf_map_delete_elem", 3, "3.19"),
        HelperId("bpf_probe_read", 4, "4.1", gpl_only=True),
        HelperId("bpf_ktime_get_ns", 5, "4.1"),
        HelperId("bpf_trace_printk", 6, "4.1", gpl_only=True),
        HelperId("bpf_get_prandom_u32", 7, "4.1"),
        HelperId("bpf_get_smp_processor_id", 8, "4.1"),
        HelperId("bpf_skb_store_bytes", 9, "4.1"),
        HelperId("bpf_l3_csum_replace", 10, "4.1"),
        HelperId("bpf_l4_csum_replace", 11, "4.1"),
        HelperId("bpf_tail_call", 12, "4.2"),
        HelperId("bpf_clone_redirect", 13, "4.2"),
        HelperId("bpf_get_current_pid_tgid", 14, "4.2"),
        HelperId("bpf_get_current_uid_gid", 15, "4.2"),
        HelperId("bpf_get_current_comm", 16, "4.2"),
        HelperId("bpf_get_cgroup_classid", 17, "4.3"),
        HelperId("bpf_skb_vlan_push", 18, "4.3"),
        HelperId("bpf_skb_vlan_pop", 19, "4.3"),
        HelperId("bpf_skb_get_tunnel_key", 20, "4.3"),
        HelperId("bpf_skb_set_tunnel_key", 21, "4.3"),
        HelperId("bpf_perf_event_read", 22, "4.3", gpl_only=True),
        HelperId("bpf_redirect", 23, "4.4"),
        HelperId("bpf_get_route_realm", 24, "4.4"),
        HelperId("bpf_perf_event_output", 25, "4.4", gpl_only=True),
        HelperId("bpf_skb_load_bytes", 26, "4.5"),
        HelperId("bpf_get_stackid", 27, "4.6", gpl_only=True),
        HelperId("bpf_csum_diff", 28, "4.6"),
        HelperId("bpf_skb_get_tunnel_opt", 29, "4.6"),
        HelperId("bpf_skb_set_tunnel_opt", 30, "4.6"),
        HelperId("bpf_skb_change_proto", 31, "4.8"),
        HelperId("bpf_skb_change_type", 32, "4.8"),
        HelperId("bpf_skb_under_cgroup", 33, "4.8"),
        HelperId("bpf_get_hash_recalc", 34, "4.8"),
        HelperId("bpf_get_current_task", 35, "4.8", gpl_only=True),
        HelperId("bpf_probe_write_user", 36, "4.8", gpl_only=True),
        HelperId("bpf_current_task_under_cgroup", 37, "4.9"),
        HelperId("bpf_skb_change_tail", 38, "4.9"),
        HelperId("bpf_skb_pull_data", 39, "4.9"),
        HelperId("bpf_csum_update", 40, "4.9"),
        HelperId("bpf_set_hash_invalid", 41, "4.9"),
        HelperId("bpf_get_numa_node_id", 42, "4.10"),
        HelperId("bpf_skb_change_head", 43, "4.10"),
        HelperId("bpf_xdp_adjust_head", 44, "4.10"),
        HelperId("bpf_probe_read_str", 45, "4.11", gpl_only=True),
        HelperId("bpf_get_socket_cookie", 46, "4.12"),
        HelperId("bpf_get_socket_uid", 47, "4.12"),
        HelperId("bpf_set_hash", 48, "4.13"),
        HelperId("bpf_setsockopt", 49, "4.13"),
        HelperId("bpf_skb_adjust_room", 50, "4.13"),
        HelperId("bpf_redirect_map", 51, "4.14"),
        HelperId("bpf_sk_redirect_map", 52, "4.14"),
        HelperId("bpf_sock_map_update", 53, "4.14"),
        HelperId("bpf_xdp_adjust_meta", 54, "4.15"),
        HelperId("bpf_perf_event_read_value", 55, "4.15", gpl_only=True),
        HelperId("bpf_perf_prog_read_value", 56, "4.15", gpl_only=True),
        HelperId("bpf_getsockopt", 57, "4.15"),
        HelperId("bpf_override_return", 58, "4.16", gpl_only=True),
        HelperId("bpf_sock_ops_cb_flags_set", 59, "4.16"),
        HelperId("bpf_msg_redirect_map", 60, "4.17"),
        HelperId("bpf_msg_apply_bytes", 61, "4.17"),
        HelperId("bpf_msg_cork_bytes", 62, "4.17"),
        HelperId("bpf_msg_pull_data", 63, "4.17"),
        HelperId("bpf_bind", 64, "4.17"),
        HelperId("bpf_xdp_adjust_tail", 65, "4.18"),
        HelperId("bpf_skb_get_xfrm_state", 66, "4.18"),
        HelperId("bpf_get_stack", 67, "4.18", gpl_only=True),
        HelperId("bpf_skb_load_bytes_relative", 68, "4.18"),
        HelperId("bpf_fib_lookup", 69, "4.18", gpl_only=True),
        HelperId("bpf_sock_hash_update", 70, "4.18"),
        HelperId("bpf_msg_redirect_hash", 71, "4.18"),
        HelperId("bpf_sk_redirect_hash", 72, "4.18"),
        HelperId("bpf_lwt_push_encap", 73, "4.18"),
        HelperId("bpf_lwt_seg6_store_bytes", 74, "4.18"),
        HelperId("bpf_lwt_seg6_adjust_srh", 75, "4.18"),
        HelperId("bpf_lwt_seg6_action", 76, "4.18"),
        HelperId("bpf_rc_repeat", 77, "4.18", gpl_only=True),
        HelperId("bpf_rc_keydown", 78, "4.18", gpl_only=True),
        HelperId("bpf_skb_cgroup_id", 79, "4.18"),
        HelperId("bpf_get_current_cgroup_id", 80, "4.18"),
        HelperId("bpf_get_local_storage", 81, "4.19"),
        HelperId("bpf_sk_select_reuseport", 82, "4.19"),
        HelperId("bpf_skb_ancestor_cgroup_id", 83, "4.19"),
        HelperId("bpf_sk_lookup_tcp", 84, "4.20"),
        HelperId("bpf_sk_lookup_udp", 85, "4.20"),
        HelperId("bpf_sk_release", 86, "4.20"),
        HelperId("bpf_map_push_elem", 87, "4.20"),
        HelperId("bpf_map_pop_elem", 88, "4.20"),
        HelperId("bpf_map_peek_elem", 89, "4.20"),
        HelperId("bpf_msg_push_data", 90, "4.20"),
        HelperId("bpf_msg_pop_data", 91, "5.0"),
        HelperId("bpf_rc_pointer_rel", 92, "5.0", gpl_only=True),
        HelperId("bpf_spin_lock", 93, "5.1"),
        HelperId("bpf_spin_unlock", 94, "5.1"),
        HelperId("bpf_sk_fullsock", 95, "5.1"),
        HelperId("bpf_tcp_sock", 96, "5.1"),
        HelperId("bpf_skb_ecn_set_ce", 97, "5.1"),
        HelperId("bpf_get_listener_sock", 98, "5.1"),
        HelperId("bpf_skc_lookup_tcp", 99, "5.2"),
        HelperId("bpf_tcp_check_syncookie", 100, "5.2", gpl_only=True),
        HelperId("bpf_sysctl_get_name", 101, "5.2"),
        HelperId("bpf_sysctl_get_current_value", 102, "5.2"),
        HelperId("bpf_sysctl_get_new_value", 103, "5.2"),
        HelperId("bpf_sysctl_set_new_value", 104, "5.2"),
        HelperId("bpf_strtol", 105, "5.2"),
        HelperId("bpf_strtoul", 106, "5.2"),
        HelperId("bpf_sk_storage_get", 107, "5.2"),
        HelperId("bpf_sk_storage_delete", 108, "5.2"),
        HelperId("bpf_send_signal", 109, "5.3"),
        HelperId("bpf_tcp_gen_syncookie", 110, "5.3", gpl_only=True),
        HelperId("bpf_skb_output", 111, "5.5", gpl_only=True),
        HelperId("bpf_probe_read_user", 112, "5.5", gpl_only=True),
        HelperId("bpf_probe_read_kernel", 113, "5.5", gpl_only=True),
        HelperId("bpf_probe_read_user_str", 114, "5.5", gpl_only=True),
        HelperId("bpf_probe_read_kernel_str", 115, "5.5", gpl_only=True),
        HelperId("bpf_tcp_send_ack", 116, "5.6"),
        HelperId("bpf_send_signal_thread", 117, "5.6"),
        HelperId("bpf_jiffies64", 118, "5.6"),
        HelperId("bpf_read_branch_records", 119, "5.7", gpl_only=True),
        HelperId("bpf_get_ns_current_pid_tgid", 120, "5.7"),
        HelperId("bpf_xdp_output", 121, "5.7", gpl_only=True),
        HelperId("bpf_get_netns_cookie", 122, "5.7"),
        HelperId("bpf_get_current_ancestor_cgroup_id", 123, "5.7"),
        HelperId("bpf_sk_assign", 124, "5.7"),
        HelperId("bpf_ktime_get_boot_ns", 125, "5.8"),
        HelperId("bpf_seq_printf", 126, "5.8", gpl_only=True),
        HelperId("bpf_seq_write", 127, "5.8", gpl_only=True),
        HelperId("bpf_sk_cgroup_id", 128, "5.8"),
        HelperId("bpf_sk_ancestor_cgroup_id", 129, "5.8"),
        HelperId("bpf_ringbuf_output", 130, "5.8"),
        HelperId("bpf_ringbuf_reserve", 131, "5.8"),
        HelperId("bpf_ringbuf_submit", 132, "5.8"),
        HelperId("bpf_ringbuf_discard", 133, "5.8"),
        HelperId("bpf_ringbuf_query", 134, "5.8"),
        HelperId("bpf_csum_level", 135, "5.8"),
        HelperId("bpf_skc_to_tcp6_sock", 136, "5.9"),
        HelperId("bpf_skc_to_tcp_sock", 137, "5.9"),
        HelperId("bpf_skc_to_tcp_timewait_sock", 138, "5.9"),
        HelperId("bpf_skc_to_tcp_request_sock", 139, "5.9"),
        HelperId("bpf_skc_to_udp6_sock", 140, "5.9"),
        HelperId("bpf_get_task_stack", 141, "5.9"),
        HelperId("bpf_load_hdr_opt", 142, "5.10"),
        HelperId("bpf_store_hdr_opt", 143, "5.10"),
        HelperId("bpf_reserve_hdr_opt", 144, "5.10"),
        HelperId("bpf_inode_storage_get", 145, "5.10"),
        HelperId("bpf_inode_storage_delete", 146, "5.10"),
        HelperId("bpf_d_path", 147, "5.10"),
        HelperId("bpf_copy_from_user", 148, "5.10"),
        HelperId("bpf_snprintf_btf", 149, "5.10"),
        HelperId("bpf_seq_printf_btf", 150, "5.10", gpl_only=True),
        HelperId("bpf_skb_cgroup_classid", 151, "5.10"),
        HelperId("bpf_redirect_neigh", 152, "5.10"),
        HelperId("bpf_per_cpu_ptr", 153, "5.10"),
        HelperId("bpf_this_cpu_ptr", 154, "5.10"),
        HelperId("bpf_redirect_peer", 155, "5.10"),
        HelperId("bpf_task_storage_get", 156, "5.11"),
        HelperId("bpf_task_storage_delete", 157, "5.11"),
        HelperId("bpf_get_current_task_btf", 158, "5.11", gpl_only=True),
        HelperId("bpf_bprm_opts_set", 159, "5.11"),
        HelperId("bpf_ktime_get_coarse_ns", 160, "5.11"),
        HelperId("bpf_ima_inode_hash", 161, "5.11"),
        HelperId("bpf_sock_from_file", 162, "5.11"),
        HelperId("bpf_check_mtu", 163, "5.12", gpl_only=True),
        HelperId("bpf_for_each_map_elem", 164, "5.13"),
        HelperId("bpf_snprintf", 165, "5.13", gpl_only=True),
        HelperId("bpf_sys_bpf", 166, "5.14"),
        HelperId("bpf_btf_find_by_name_kind", 167, "5.14"),
        HelperId("bpf_sys_close", 168, "5.14"),
        HelperId("bpf_timer_init", 169, "5.15", gpl_only=True),
        HelperId("bpf_timer_set_callback", 170, "5.15", gpl_only=True),
        HelperId("bpf_timer_start", 171, "5.15", gpl_only=True),
        HelperId("bpf_timer_cancel", 172, "5.15", gpl_only=True),
        HelperId("bpf_get_func_ip", 173, "5.15", gpl_only=True),
        HelperId("bpf_get_attach_cookie", 174, "5.15"),
        HelperId("bpf_task_pt_regs", 175, "5.15", gpl_only=True),
        HelperId("bpf_get_branch_snapshot", 176, "5.16", gpl_only=True),
        HelperId("bpf_trace_vprintk", 177, "5.16", gpl_only=True),
        HelperId("bpf_skc_to_unix_sock", 178, "5.16"),
        HelperId("bpf_kallsyms_lookup_name", 179, "5.16"),
        HelperId("bpf_find_vma", 180, "5.17"),
        HelperId("bpf_loop", 181, "5.17"),
        HelperId("bpf_strncmp", 182, "5.17"),
        HelperId("bpf_get_func_arg", 183, "5.17"),
        HelperId("bpf_get_func_ret", 184, "5.17"),
        HelperId("bpf_get_func_arg_cnt", 185, "5.17"),
        HelperId("bpf_get_retval", 186, "5.18"),
        HelperId("bpf_set_retval", 187, "5.18"),
        HelperId("bpf_xdp_get_buff_len", 188, "5.18"),
        HelperId("bpf_xdp_load_bytes", 189, "5.18"),
        HelperId("bpf_xdp_store_bytes", 190, "5.18"),
        HelperId("bpf_copy_from_user_task", 191, "5.18", gpl_only=True),
        HelperId("bpf_skb_set_tstamp", 192, "5.18"),
        HelperId("bpf_ima_file_hash", 193, "5.18"),
        HelperId("bpf_kptr_xchg", 194, "5.19"),
        HelperId("bpf_map_lookup_percpu_elem", 195, "5.19"),
        HelperId("bpf_skc_to_mptcp_sock", 196, "5.19"),
        HelperId("bpf_dynptr_from_mem", 197, "5.19"),
        HelperId("bpf_ringbuf_reserve_dynptr", 198, "5.19"),
        HelperId("bpf_ringbuf_submit_dynptr", 199, "5.19"),
        HelperId("bpf_ringbuf_discard_dynptr", 200, "5.19"),
        HelperId("bpf_dynptr_read", 201, "5.19"),
        HelperId("bpf_dynptr_write", 202, "5.19"),
        HelperId("bpf_dynptr_data", 203, "5.19"),
        HelperId("bpf_tcp_raw_gen_syncookie_ipv4", 204, "6.0", gpl_only=True),
        HelperId("bpf_tcp_raw_gen_syncookie_ipv6", 205, "6.0", gpl_only=True),
        HelperId("bpf_tcp_raw_check_syncookie_ipv4", 206, "6.0", gpl_only=True),
        HelperId("bpf_tcp_raw_check_syncookie_ipv6", 207, "6.0", gpl_only=True),
        HelperId("bpf_ktime_get_tai_ns", 208, "6.1"),
        HelperId("bpf_user_ringbuf_drain", 209, "6.1"),
        HelperId("bpf_cgrp_storage_get", 210, "6.2"),
        HelperId("bpf_cgrp_storage_delete", 211, "6.2"),
    )
}
HELPERS_BY_NAME: dict[str, HelperId] = {row.name: row for row in HELPERS_BY_ID.values()}

GPL_READ: frozenset[int] = frozenset(
    {36, 58, 64, 77, 78, 92, 116, 126, 127, 145, 146, 150, 159, 161, 183, 184, 185, 193}
)


def ids_of(text: str) -> frozenset[int]:
    """The numbers of a text such as "1-8 12": single ids and closed ranges."""
    bounds = (part.partition("-") for part in text.split())
    return frozenset(number for first, _, last in bounds for number in range(int(first), int(last or first) + 1))


# Program types that share a line have the same helpers. TRACING, LSM, EXT, STRUCT_OPS and LIRC_MODE2 were not asked:
# the first four need a BTF id to load, the last is not built in.
_BY_TYPES: dict[str, str] = {
    "SOCKET_FILTER": (
        "1-3 5-8 12 14-17 22 25-26 35 37 42 46-47 55 68 80 87-89 93-94 105-106 109 112-115 117-118 120 "
        "122-123 125 130-134 136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "KPROBE TRACEPOINT RAW_TRACEPOINT RAW_TRACEPOINT_WRITABLE": (
        "1-8 12 14-17 22 25 27 35 37 42 45 55 67 80 87-89 93-94 105-106 109 112-115 117-118 120 123 125 "
        "130-134 141 149 153-154 156-158 164-165 169-177 180-182 194-195 197-203 208-211"
    ),
    "SCHED_CLS SCHED_ACT": (
        "1-3 5-26 28-35 37-43 46-48 50 55 66 68-69 79-80 83-89 93-100 105-110 112-115 117-118 120 122-125 "
        "130-141 149 151-158 160 163-165 169-172 175-178 180-182 192 194-211"
    ),
    "XDP": (
        "1-3 5-8 12 14-17 22-23 25 28 35 37 42 44 51 54-55 65 69 80 84-89 93-94 99-100 105-106 109-110 "
        "112-115 117-118 120 123 125 130-134 136-141 149 153-154 156-158 160 163-165 169-172 175-178 180-182 "
        "188-190 194-211"
    ),
    "PERF_EVENT": (
        "1-8 12 14-17 22 25 27 35 37 42 45 55-56 67 80 87-89 93-94 105-106 109 112-115 117-120 123 125 "
        "130-134 141 149 153-154 156-158 164-165 169-177 180-182 194-195 197-203 208-211"
    ),
    "CGROUP_SKB": (
        "1-3 5-8 12 14-17 22 25-26 35 37 42 46-47 55 68 79-81 83-89 93-99 105-109 112-115 117-118 120 122-123 "
        "125 128-134 136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "CGROUP_SOCK": (
        "1-3 5-8 12 14-17 22 25 35 37 42 46 55 80-81 87-89 93-94 105-107 109 112-115 117-118 120 122-123 125 "
        "130-134 141 149 153-154 156-158 160 164-165 169-172 175-177 180-182 186-187 194-195 197-203 208-211"
    ),
    "LWT_IN": (
        "1-3 5-8 12 14-17 22 24-26 28 33-35 37 39 42 55 73 80 87-89 93-94 105-106 109 112-115 117-118 120 123 "
        "125 130-134 136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "LWT_OUT": (
        "1-3 5-8 12 14-17 22 24-26 28 33-35 37 39 42 55 80 87-89 93-94 105-106 109 112-115 117-118 120 123 "
        "125 130-134 136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "LWT_XMIT": (
        "1-3 5-17 20-26 28-30 33-35 37-43 55 73 80 87-89 93-94 105-106 109 112-115 117-118 120 123 125 "
        "130-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "SOCK_OPS": (
        "1-3 5-8 12 14-17 22 25 35 37 42 46 49 53 55 57 59 70 80-81 87-89 93-94 96 105-109 112-115 117-118 "
        "120 122-123 125 130-134 136-144 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 "
        "208-211"
    ),
    "SK_SKB": (
        "1-3 5-9 12 14-17 22 25-26 35 37-39 42-43 46-47 50 52 55 72 80 84-89 93-94 99 105-106 109 112-115 "
        "117-118 120 123 125 130-134 136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 "
        "208-211"
    ),
    "CGROUP_DEVICE": (
        "1-3 5-8 12 14-17 22 25 35 37 42 55 80-81 87-89 93-94 105-106 109 112-115 117-118 120 123 125 130-134 "
        "141 149 153-154 156-158 164-165 169-172 175-177 180-182 194-195 197-203 208-211"
    ),
    "SK_MSG": (
        "1-3 5-8 12 14-17 22 25 35 37 42 55 60-63 71 80 87-91 93-94 105-109 112-115 117-118 120 122-123 125 "
        "130-134 136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "CGROUP_SOCK_ADDR": (
        "1-3 5-8 12 14-17 22 25 35 37 42 46 49 55 57 80-81 84-89 93-94 99 105-109 112-115 117-118 120 122-123 "
        "125 130-134 136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 186-187 194-203 208-211"
    ),
    "LWT_SEG6LOCAL": (
        "1-3 5-8 12 14-17 22 24-26 28 33-35 37 39 42 55 74-76 80 87-89 93-94 105-106 109 112-115 117-118 120 "
        "123 125 130-134 136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "SK_REUSEPORT": (
        "1-3 5-8 12 14-17 22 26 35 37 42 46 55 68 80 82 87-89 93-94 105-106 109 112-115 117-118 120 123 125 "
        "130-134 141 149 153-154 156-158 160 164-165 169-172 175-177 180-182 194-195 197-203 208-211"
    ),
    "FLOW_DISSECTOR": (
        "1-3 5-8 12 14-17 22 26 35 37 42 55 80 87-89 93-94 105-106 109 112-115 117-118 120 123 125 130-134 "
        "136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "CGROUP_SYSCTL": (
        "1-3 5-8 12 14-17 22 25 35 37 42 55 80-81 87-89 93-94 101-106 109 112-115 117-118 120 123 125 130-134 "
        "141 149 153-154 156-158 160 164-165 169-172 175-177 180-182 194-195 197-203 208-211"
    ),
    "CGROUP_SOCKOPT": (
        "1-3 5-8 12 14-17 22 25 35 37 42 55 80-81 87-89 93-94 96 105-109 112-115 117-118 120 122-123 125 "
        "130-134 141 149 153-154 156-158 164-165 169-172 175-177 180-182 186-187 194-195 197-203 208-211"
    ),
    "SK_LOOKUP": (
        "1-3 5-8 12 14-17 22 25 35 37 42 55 80 86-89 93-94 105-106 109 112-115 117-118 120 123-125 130-134 "
        "136-141 149 153-154 156-158 160 164-165 169-172 175-178 180-182 194-203 208-211"
    ),
    "SYSCALL": (
        "1-8 12 14-17 22 25 27 35 37 42 45-46 55 67 80 87-89 93-94 105-109 111-115 117-118 120-121 123 125 "
        "130-134 136-141 147-149 153-154 156-158 162 164-173 175-182 188 191 194-203 208-211"
    ),
    "NETFILTER": (
        "1-3 5-8 12 14-17 22 35 37 42 55 80 87-89 93-94 105-106 109 112-115 117-118 120 123 125 130-134 141 "
        "149 153-154 156-158 164-165 169-172 175-177 180-182 194-195 197-203 208-211"
    ),
}
HELPERS_OF_TYPE: dict[str, frozenset[int]] = {
    prog_type: ids_of(text) for prog_types, text in _BY_TYPES.items() for prog_type in prog_types.split()
}

SLEEPING: frozenset[int] = ids_of("148 191")
"""copy_from_user and copy_from_user_task: offered to every type above, but only sleepable programs may call them."""
_NO_RETVAL = frozenset(
    {At.CGROUP_INET_INGRESS, At.CGROUP_INET_EGRESS, At.CGROUP_SOCK_OPS, At.CGROUP_UDP4_RECVMSG, At.CGROUP_UDP6_RECVMSG}
    | {At.CGROUP_UNIX_RECVMSG, At.CGROUP_INET4_GETPEERNAME, At.CGROUP_INET6_GETPEERNAME, At.CGROUP_UNIX_GETPEERNAME}
    | {At.CGROUP_INET4_GETSOCKNAME, At.CGROUP_INET6_GETSOCKNAME, At.CGROUP_UNIX_GETSOCKNAME}
)
_RETVAL = frozenset(At) - _NO_RETVAL
_BY_ATTACH_TYPE: tuple[tuple[str, str, frozenset[At]], ...] = (
    # program types, helpers, the attach types for which they are offered
    ("CGROUP_SOCK_ADDR", "64", frozenset({At.CGROUP_INET4_CONNECT, At.CGROUP_INET6_CONNECT})),
    ("CGROUP_SOCKOPT", "49 57", frozenset({At.CGROUP_SETSOCKOPT})),
    ("SOCK_OPS CGROUP_DEVICE CGROUP_SYSCTL CGROUP_SOCK_ADDR", "186-187", _RETVAL),
)
ATTACH_RULES: dict[tuple[str, int], frozenset[At]] = {
    (prog_type, number): attach_types
    for prog_types, ids, attach_types in _BY_ATTACH_TYPE
    for prog_type in prog_types.split()
    for number in ids_of(ids)
}


def may_call(helper_id: int, program_type: str, attach_type: int = 0) -> bool:
    """Whether a program of the type, for the attach type, may call the helper; sleepable ones may call SLEEPING too."""
    rule = ATTACH_RULES.get((program_type, helper_id))
    if rule is not None:
        return attach_type in rule
    return helper_id in HELPERS_OF_TYPE.get(program_type, frozenset())


def is_offered(helper_id: int, program_type: str, attach_type: int = 0) -> bool:
    """Whether Linux has a prototype for such a program, which may still be refused for sleeping."""
    if helper_id in SLEEPING:
        return program_type in HELPERS_OF_TYPE
    return may_call(helper_id, program_type, attach_type)
