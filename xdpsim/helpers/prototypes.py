"""C prototypes of the helpers that XDP, tc and socket filter programs may call; the C header is printed from them.

Facts from the documentation in include/uapi/linux/bpf.h (GPL-2.0 WITH Linux-syscall-note): names and types only. The
verifier does not read them: argument kinds are in the rows of helpers/rows.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Prototype:
    """Result and parameters of one helper, as C text."""

    returns: str
    params: str

    @property
    def structs(self) -> frozenset[str]:
        """Names of the structures it mentions, which a header must declare."""
        words = f"{self.returns} {self.params}".replace("*", " ").replace(",", " ").split()
        return frozenset(name for word, name in pairwise(words) if word == "struct")


_LOOKUP = "void *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size, __u64 netns, __u64 flags"
_SYNCOOKIE = "void *sk, void *iph, __u32 iph_len, struct tcphdr *th, __u32 th_len"
_PROBE = "void *dst, __u32 size, const void *unsafe_ptr"

PROTOTYPES: dict[str, Prototype] = {
    f"bpf_{name}": Prototype(returns, params)
    for name, returns, params in (
        # maps
        ("map_lookup_elem", "void *", "void *map, const void *key"),
        ("map_update_elem", "long", "void *map, const void *key, const void *value, __u64 flags"),
        ("map_delete_elem", "long", "void *map, const void *key"),
        ("map_push_elem", "long", "void *map, const void *value, __u64 flags"),
        ("map_pop_elem", "long", "void *map, void *value"),
        ("map_peek_elem", "long", "void *map, void *value"),
        ("map_lookup_percpu_elem", "void *", "void *map, const void *key, __u32 cpu"),
        ("for_each_map_elem", "long", "void *map, void *callback_fn, void *callback_ctx, __u64 flags"),
        ("spin_lock", "long", "struct bpf_spin_lock *lock"),
        ("spin_unlock", "long", "struct bpf_spin_lock *lock"),
        ("kptr_xchg", "void *", "void *dst, void *ptr"),
        ("sk_storage_get", "void *", "void *map, void *sk, void *value, __u64 flags"),
        ("sk_storage_delete", "long", "void *map, void *sk"),
        ("task_storage_get", "void *", "void *map, struct task_struct *task, void *value, __u64 flags"),
        ("task_storage_delete", "long", "void *map, struct task_struct *task"),
        ("cgrp_storage_get", "void *", "void *map, struct cgroup *cgroup, void *value, __u64 flags"),
        ("cgrp_storage_delete", "long", "void *map, struct cgroup *cgroup"),
        # time, random numbers, CPU
        ("ktime_get_ns", "__u64", "void"),
        ("ktime_get_boot_ns", "__u64", "void"),
        ("ktime_get_coarse_ns", "__u64", "void"),
        ("ktime_get_tai_ns", "__u64", "void"),
        ("jiffies64", "__u64", "void"),
        ("get_prandom_u32", "__u32", "void"),
        ("get_smp_processor_id", "__u32", "void"),
        ("get_numa_node_id", "long", "void"),
        ("per_cpu_ptr", "void *", "const void *percpu_ptr, __u32 cpu"),
        ("this_cpu_ptr", "void *", "const void *percpu_ptr"),
        ("timer_init", "long", "struct bpf_timer *timer, void *map, __u64 flags"),
        ("timer_set_callback", "long", "struct bpf_timer *timer, void *callback_fn"),
        ("timer_start", "long", "struct bpf_timer *timer, __u64 nsecs, __u64 flags"),
        ("timer_cancel", "long", "struct bpf_timer *timer"),
        # control flow
        ("tail_call", "long", "void *ctx, void *prog_array_map, __u32 index"),
        ("loop", "long", "__u32 nr_loops, void *callback_fn, void *callback_ctx, __u64 flags"),
        # output and text
        ("trace_printk", "long", "const char *fmt, __u32 fmt_size, ..."),
        ("trace_vprintk", "long", "const char *fmt, __u32 fmt_size, const void *data, __u32 data_len"),
        ("snprintf", "long", "char *str, __u32 str_size, const char *fmt, __u64 *data, __u32 data_len"),
        ("snprintf_btf", "long", "char *str, __u32 str_size, struct btf_ptr *ptr, __u32 btf_ptr_size, __u64 flags"),
        ("strncmp", "long", "const char *s1, __u32 s1_sz, const char *s2"),
        ("strtol", "long", "const char *buf, unsigned long buf_len, __u64 flags, long *res"),
        ("strtoul", "long", "const char *buf, unsigned long buf_len, __u64 flags, unsigned long *res"),
        ("perf_event_output", "long", "void *ctx, void *map, __u64 flags, void *data, __u64 size"),
        ("perf_event_read", "__u64", "void *map, __u64 flags"),
        (
            "perf_event_read_value",
            "long",
            "void *map, __u64 flags, struct bpf_perf_event_value *buf, __u32 buf_size",
        ),
        ("ringbuf_output", "long", "void *ringbuf, void *data, __u64 size, __u64 flags"),
        ("ringbuf_reserve", "void *", "void *ringbuf, __u64 size, __u64 flags"),
        ("ringbuf_submit", "void", "void *data, __u64 flags"),
        ("ringbuf_discard", "void", "void *data, __u64 flags"),
        ("ringbuf_query", "__u64", "void *ringbuf, __u64 flags"),
        ("ringbuf_reserve_dynptr", "long", "void *ringbuf, __u32 size, __u64 flags, struct bpf_dynptr *ptr"),
        ("ringbuf_submit_dynptr", "void", "struct bpf_dynptr *ptr, __u64 flags"),
        ("ringbuf_discard_dynptr", "void", "struct bpf_dynptr *ptr, __u64 flags"),
        ("user_ringbuf_drain", "long", "void *map, void *callback_fn, void *ctx, __u64 flags"),
        ("dynptr_from_mem", "long", "void *data, __u64 size, __u64 flags, struct bpf_dynptr *ptr"),
        (
            "dynptr_read",
            "long",
            "void *dst, __u64 len, const struct bpf_dynptr *src, __u64 offset, __u64 flags",
        ),
        (
            "dynptr_write",
            "long",
            "const struct bpf_dynptr *dst, __u64 offset, void *src, __u64 len, __u64 flags",
        ),
        ("dynptr_data", "void *", "const struct bpf_dynptr *ptr, __u64 offset, __u64 len"),
        # checksums
        ("csum_diff", "__s64", "__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __wsum seed"),
        ("csum_update", "__s64", "struct __sk_buff *skb, __wsum csum"),
        ("csum_level", "long", "struct __sk_buff *skb, __u64 level"),
        ("l3_csum_replace", "long", "struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 size"),
        ("l4_csum_replace", "long", "struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags"),
        # XDP packets
        ("xdp_adjust_head", "long", "struct xdp_md *xdp_md, int delta"),
        ("xdp_adjust_tail", "long", "struct xdp_md *xdp_md, int delta"),
        ("xdp_adjust_meta", "long", "struct xdp_md *xdp_md, int delta"),
        ("xdp_get_buff_len", "__u64", "struct xdp_md *xdp_md"),
        ("xdp_load_bytes", "long", "struct xdp_md *xdp_md, __u32 offset, void *buf, __u32 len"),
        ("xdp_store_bytes", "long", "struct xdp_md *xdp_md, __u32 offset, void *buf, __u32 len"),
        # skb packets
        ("skb_load_bytes", "long", "const void *skb, __u32 offset, void *to, __u32 len"),
        (
            "skb_load_bytes_relative",
            "long",
            "const void *skb, __u32 offset, void *to, __u32 len, __u32 start_header",
        ),
        (
            "skb_store_bytes",
            "long",
            "struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags",
        ),
        ("skb_pull_data", "long", "struct __sk_buff *skb, __u32 len"),
        ("skb_change_head", "long", "struct __sk_buff *skb, __u32 len, __u64 flags"),
        ("skb_change_tail", "long", "struct __sk_buff *skb, __u32 len, __u64 flags"),
        ("skb_change_proto", "long", "struct __sk_buff *skb, __be16 proto, __u64 flags"),
        ("skb_change_type", "long", "struct __sk_buff *skb, __u32 type"),
        ("skb_adjust_room", "long", "struct __sk_buff *skb, __s32 len_diff, __u32 mode, __u64 flags"),
        ("skb_vlan_push", "long", "struct __sk_buff *skb, __be16 vlan_proto, __u16 vlan_tci"),
        ("skb_vlan_pop", "long", "struct __sk_buff *skb"),
        ("skb_set_tstamp", "long", "struct __sk_buff *skb, __u64 tstamp, __u32 tstamp_type"),
        ("skb_ecn_set_ce", "long", "struct __sk_buff *skb"),
        ("get_hash_recalc", "__u32", "struct __sk_buff *skb"),
        ("set_hash", "long", "struct __sk_buff *skb, __u32 hash"),
        ("set_hash_invalid", "void", "struct __sk_buff *skb"),
        ("get_route_realm", "__u32", "struct __sk_buff *skb"),
        (
            "skb_get_tunnel_key",
            "long",
            "struct __sk_buff *skb, struct bpf_tunnel_key *key, __u32 size, __u64 flags",
        ),
        (
            "skb_set_tunnel_key",
            "long",
            "struct __sk_buff *skb, struct bpf_tunnel_key *key, __u32 size, __u64 flags",
        ),
        ("skb_get_tunnel_opt", "long", "struct __sk_buff *skb, void *opt, __u32 size"),
        ("skb_set_tunnel_opt", "long", "struct __sk_buff *skb, void *opt, __u32 size"),
        (
            "skb_get_xfrm_state",
            "long",
            "struct __sk_buff *skb, __u32 index, struct bpf_xfrm_state *xfrm_state, __u32 size, __u64 flags",
        ),
        # where packets go
        ("redirect", "long", "__u32 ifindex, __u64 flags"),
        ("redirect_map", "long", "void *map, __u64 key, __u64 flags"),
        ("redirect_neigh", "long", "__u32 ifindex, struct bpf_redir_neigh *params, int plen, __u64 flags"),
        ("redirect_peer", "long", "__u32 ifindex, __u64 flags"),
        ("clone_redirect", "long", "struct __sk_buff *skb, __u32 ifindex, __u64 flags"),
        ("fib_lookup", "long", "void *ctx, struct bpf_fib_lookup *params, int plen, __u32 flags"),
        ("check_mtu", "long", "void *ctx, __u32 ifindex, __u32 *mtu_len, __s32 len_diff, __u64 flags"),
        # sockets
        ("sk_lookup_tcp", "struct bpf_sock *", _LOOKUP),
        ("sk_lookup_udp", "struct bpf_sock *", _LOOKUP),
        ("skc_lookup_tcp", "struct bpf_sock *", _LOOKUP),
        ("sk_release", "long", "void *sock"),
        ("sk_assign", "long", "void *ctx, void *sk, __u64 flags"),
        ("sk_fullsock", "struct bpf_sock *", "struct bpf_sock *sk"),
        ("tcp_sock", "struct bpf_tcp_sock *", "struct bpf_sock *sk"),
        ("get_listener_sock", "struct bpf_sock *", "struct bpf_sock *sk"),
        ("get_socket_cookie", "__u64", "void *ctx"),
        ("get_socket_uid", "__u32", "struct __sk_buff *skb"),
        ("get_netns_cookie", "__u64", "void *ctx"),
        ("skc_to_tcp_sock", "struct tcp_sock *", "void *sk"),
        ("skc_to_tcp6_sock", "struct tcp6_sock *", "void *sk"),
        ("skc_to_tcp_timewait_sock", "struct tcp_timewait_sock *", "void *sk"),
        ("skc_to_tcp_request_sock", "struct tcp_request_sock *", "void *sk"),
        ("skc_to_udp6_sock", "struct udp6_sock *", "void *sk"),
        ("skc_to_unix_sock", "struct unix_sock *", "void *sk"),
        ("skc_to_mptcp_sock", "struct mptcp_sock *", "void *sk"),
        ("tcp_check_syncookie", "long", _SYNCOOKIE),
        ("tcp_gen_syncookie", "__s64", _SYNCOOKIE),
        ("tcp_raw_gen_syncookie_ipv4", "__s64", "struct iphdr *iph, struct tcphdr *th, __u32 th_len"),
        ("tcp_raw_gen_syncookie_ipv6", "__s64", "struct ipv6hdr *iph, struct tcphdr *th, __u32 th_len"),
        ("tcp_raw_check_syncookie_ipv4", "long", "struct iphdr *iph, struct tcphdr *th"),
        ("tcp_raw_check_syncookie_ipv6", "long", "struct ipv6hdr *iph, struct tcphdr *th"),
        # tasks and cgroups
        ("get_current_pid_tgid", "__u64", "void"),
        ("get_current_uid_gid", "__u64", "void"),
        ("get_current_comm", "long", "void *buf, __u32 size_of_buf"),
        ("get_current_task", "__u64", "void"),
        ("get_current_task_btf", "struct task_struct *", "void"),
        ("get_ns_current_pid_tgid", "long", "__u64 dev, __u64 ino, struct bpf_pidns_info *nsdata, __u32 size"),
        ("get_task_stack", "long", "struct task_struct *task, void *buf, __u32 size, __u64 flags"),
        ("task_pt_regs", "long", "struct task_struct *task"),
        (
            "find_vma",
            "long",
            "struct task_struct *task, __u64 addr, void *callback_fn, void *callback_ctx, __u64 flags",
        ),
        ("get_branch_snapshot", "long", "void *entries, __u32 size, __u64 flags"),
        ("send_signal", "long", "__u32 sig"),
        ("send_signal_thread", "long", "__u32 sig"),
        ("probe_read_user", "long", _PROBE),
        ("probe_read_kernel", "long", _PROBE),
        ("probe_read_user_str", "long", _PROBE),
        ("probe_read_kernel_str", "long", _PROBE),
        ("get_cgroup_classid", "__u32", "struct __sk_buff *skb"),
        ("skb_cgroup_classid", "__u64", "struct __sk_buff *skb"),
        ("skb_cgroup_id", "__u64", "struct __sk_buff *skb"),
        ("skb_ancestor_cgroup_id", "__u64", "struct __sk_buff *skb, int ancestor_level"),
        ("skb_under_cgroup", "long", "struct __sk_buff *skb, void *map, __u32 index"),
        ("get_current_cgroup_id", "__u64", "void"),
        ("get_current_ancestor_cgroup_id", "__u64", "int ancestor_level"),
        ("current_task_under_cgroup", "long", "void *map, __u32 index"),
    )
}
