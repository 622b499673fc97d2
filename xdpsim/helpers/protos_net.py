"""Prototypes of the helpers for packets and sockets.

Follows net/core/filter.c, sock_map.c, bpf_sk_storage.c, kernel/bpf/cgroup.c and net/ipv4/bpf_tcp_ca.c of Linux 6.18.
"""

from __future__ import annotations

from xdpsim.helpers.proto_rows import proto

# packets of sk_buffs
proto("skb_store_bytes", "CTX ANYTHING MEM_RDONLY SIZE ANYTHING", moves_packet=True)
proto("skb_load_bytes", "CTX ANYTHING UNINIT_MEM SIZE")
proto("skb_load_bytes_relative", "CTX ANYTHING UNINIT_MEM SIZE ANYTHING")
proto("skb_pull_data", "CTX ANYTHING", moves_packet=True)
proto("l3_csum_replace", "CTX ANYTHING ANYTHING ANYTHING ANYTHING", moves_packet=True)
proto("l4_csum_replace", "CTX ANYTHING ANYTHING ANYTHING ANYTHING", moves_packet=True)
proto("csum_diff", "MEM_RDONLY_OR_NULL SIZE_OR_ZERO MEM_RDONLY_OR_NULL SIZE_OR_ZERO ANYTHING", pkt_access=True)
proto("csum_update", "CTX ANYTHING")
proto("csum_level", "CTX ANYTHING")
proto("skb_vlan_push", "CTX ANYTHING ANYTHING", moves_packet=True)
proto("skb_vlan_pop", "CTX", moves_packet=True)
proto("skb_change_proto", "CTX ANYTHING ANYTHING", moves_packet=True)
proto("skb_change_type", "CTX ANYTHING")
proto("skb_change_tail", "CTX ANYTHING ANYTHING", moves_packet=True)
proto("skb_change_head", "CTX ANYTHING ANYTHING", moves_packet=True)
proto("skb_adjust_room", "CTX ANYTHING ANYTHING ANYTHING", moves_packet=True)
proto("skb_ecn_set_ce", "CTX")
proto("skb_set_tstamp", "CTX ANYTHING ANYTHING")
proto("get_hash_recalc", "CTX")
proto("set_hash_invalid", "CTX")
proto("set_hash", "CTX ANYTHING")
proto("get_route_realm", "CTX")
proto("skb_get_tunnel_key", "CTX UNINIT_MEM SIZE ANYTHING")
proto("skb_set_tunnel_key", "CTX MEM_RDONLY SIZE ANYTHING")
proto("skb_get_tunnel_opt", "CTX UNINIT_MEM SIZE")
proto("skb_set_tunnel_opt", "CTX MEM_RDONLY SIZE")
proto("skb_get_xfrm_state", "CTX ANYTHING UNINIT_MEM SIZE ANYTHING")
# where a packet goes
proto("clone_redirect", "CTX ANYTHING ANYTHING", moves_packet=True)
proto("redirect", "ANYTHING ANYTHING")
proto("redirect_map", "CONST_MAP_PTR ANYTHING ANYTHING")
proto("redirect_neigh", "ANYTHING MEM_RDONLY_OR_NULL SIZE_OR_ZERO ANYTHING")
proto("redirect_peer", "ANYTHING ANYTHING")
proto("fib_lookup", "CTX MEM_WRITE SIZE ANYTHING")
proto("check_mtu", "CTX ANYTHING FIXED_MEM_4_WRITE ANYTHING ANYTHING")
proto("lwt_push_encap", "CTX ANYTHING MEM_RDONLY SIZE", moves_packet=True)
proto("lwt_seg6_store_bytes", "CTX ANYTHING MEM_RDONLY SIZE", moves_packet=True)
proto("lwt_seg6_adjust_srh", "CTX ANYTHING ANYTHING", moves_packet=True)
proto("lwt_seg6_action", "CTX ANYTHING MEM_RDONLY SIZE", moves_packet=True)
# XDP
proto("xdp_adjust_head", "CTX ANYTHING", moves_packet=True)
proto("xdp_adjust_meta", "CTX ANYTHING", moves_packet=True)
proto("xdp_adjust_tail", "CTX ANYTHING", moves_packet=True)
proto("xdp_get_buff_len", "CTX")
proto("xdp_get_buff_len", "BTF_ID", types="SYSCALL", btf="xdp_buff")
proto("xdp_load_bytes", "CTX ANYTHING UNINIT_MEM SIZE")
proto("xdp_store_bytes", "CTX ANYTHING MEM_RDONLY SIZE")
# whose packet it is
_ON_SKB = "SCHED_CLS SCHED_ACT LWT_IN LWT_OUT LWT_XMIT LWT_SEG6LOCAL"
proto("get_cgroup_classid", "")
proto("get_cgroup_classid", "CTX", types=_ON_SKB)
proto("skb_under_cgroup", "CTX CONST_MAP_PTR ANYTHING")
proto("skb_cgroup_id", "CTX")
proto("skb_ancestor_cgroup_id", "CTX ANYTHING")
proto("skb_cgroup_classid", "CTX")
proto("sk_cgroup_id", "BTF_ID_SOCK_COMMON")
proto("sk_ancestor_cgroup_id", "BTF_ID_SOCK_COMMON ANYTHING")
proto("get_socket_cookie", "CTX")
proto("get_socket_cookie", "BTF_ID_SOCK_COMMON_OR_NULL", types="SK_REUSEPORT SYSCALL")
proto("get_socket_uid", "CTX")
proto("get_netns_cookie", "CTX_OR_NULL")
# sockets
_LOOKUP = "CTX MEM_RDONLY SIZE_OR_ZERO ANYTHING ANYTHING"
proto("sk_lookup_tcp", _LOOKUP, "SOCKET_OR_NULL", pkt_access=True, acquires=True)
proto("sk_lookup_udp", _LOOKUP, "SOCKET_OR_NULL", pkt_access=True, acquires=True)
proto("skc_lookup_tcp", _LOOKUP, "SOCK_COMMON_OR_NULL", pkt_access=True, acquires=True)
proto("sk_release", "BTF_ID_SOCK_COMMON_RELEASE")
proto("sk_fullsock", "SOCK_COMMON", "SOCKET_OR_NULL", casts=True)
proto("tcp_sock", "SOCK_COMMON", "TCP_SOCK_OR_NULL", casts=True)
proto("get_listener_sock", "SOCK_COMMON", "SOCKET_OR_NULL")
proto("skc_to_tcp6_sock", "BTF_ID_SOCK_COMMON", "BTF_ID_OR_NULL", ret_btf="tcp6_sock", casts=True)
proto("skc_to_tcp_sock", "BTF_ID_SOCK_COMMON", "BTF_ID_OR_NULL", ret_btf="tcp_sock", casts=True)
proto("skc_to_tcp_timewait_sock", "BTF_ID_SOCK_COMMON", "BTF_ID_OR_NULL", ret_btf="tcp_timewait_sock", casts=True)
proto("skc_to_tcp_request_sock", "BTF_ID_SOCK_COMMON", "BTF_ID_OR_NULL", ret_btf="tcp_request_sock", casts=True)
proto("skc_to_udp6_sock", "BTF_ID_SOCK_COMMON", "BTF_ID_OR_NULL", ret_btf="udp6_sock", casts=True)
proto("skc_to_unix_sock", "BTF_ID_SOCK_COMMON", "BTF_ID_OR_NULL", ret_btf="unix_sock", casts=True)
proto("skc_to_mptcp_sock", "SOCK_COMMON", "BTF_ID_OR_NULL", ret_btf="mptcp_sock", casts=True)
proto("sk_assign", "CTX BTF_ID_SOCK_COMMON ANYTHING")
proto("sk_assign", "CTX SOCKET_OR_NULL ANYTHING", types="SK_LOOKUP")
proto("sk_storage_get", "CONST_MAP_PTR BTF_ID_SOCK_COMMON MAP_VALUE_OR_NULL ANYTHING", "MAP_VALUE_OR_NULL")
proto("sk_storage_get", "CONST_MAP_PTR CTX MAP_VALUE_OR_NULL ANYTHING", "MAP_VALUE_OR_NULL", types="CGROUP_SOCK")
proto("sk_storage_delete", "CONST_MAP_PTR BTF_ID_SOCK_COMMON")
_TRACED = "bpf_sk_storage_tracing_allowed"
proto(
    "sk_storage_get",
    "CONST_MAP_PTR BTF_ID_OR_NULL MAP_VALUE_OR_NULL ANYTHING",
    "MAP_VALUE_OR_NULL",
    types="SYSCALL",
    btf="sock_common",
    allowed=_TRACED,
)
proto("sk_storage_delete", "CONST_MAP_PTR BTF_ID_OR_NULL", types="SYSCALL", btf="sock_common", allowed=_TRACED)
proto("tcp_check_syncookie", "BTF_ID_SOCK_COMMON MEM_RDONLY SIZE MEM_RDONLY SIZE", pkt_access=True)
proto("tcp_gen_syncookie", "BTF_ID_SOCK_COMMON MEM_RDONLY SIZE MEM_RDONLY SIZE", pkt_access=True)
proto("tcp_raw_gen_syncookie_ipv4", "FIXED_MEM_20 MEM_RDONLY SIZE_OR_ZERO", pkt_access=True)
proto("tcp_raw_gen_syncookie_ipv6", "FIXED_MEM_40 MEM_RDONLY SIZE_OR_ZERO", pkt_access=True)
proto("tcp_raw_check_syncookie_ipv4", "FIXED_MEM_20 FIXED_MEM_20", pkt_access=True)
proto("tcp_raw_check_syncookie_ipv6", "FIXED_MEM_40 FIXED_MEM_20", pkt_access=True)
proto("tcp_send_ack", "BTF_ID ANYTHING", btf="tcp_sock")
# options of sockets and what cgroups see
_SOCKOPT_TYPES = "CGROUP_SOCKOPT"
proto("setsockopt", "CTX ANYTHING ANYTHING MEM_RDONLY SIZE")
proto("setsockopt", "BTF_ID_SOCK_COMMON ANYTHING ANYTHING MEM_RDONLY SIZE", types=_SOCKOPT_TYPES)
proto("getsockopt", "CTX ANYTHING ANYTHING UNINIT_MEM SIZE")
proto("getsockopt", "BTF_ID_SOCK_COMMON ANYTHING ANYTHING UNINIT_MEM SIZE", types=_SOCKOPT_TYPES)
proto("bind", "CTX MEM_RDONLY SIZE")
proto("sock_ops_cb_flags_set", "CTX ANYTHING")
proto("load_hdr_opt", "CTX MEM_WRITE SIZE ANYTHING")
proto("store_hdr_opt", "CTX MEM_RDONLY SIZE ANYTHING", moves_packet=True)
proto("reserve_hdr_opt", "CTX ANYTHING ANYTHING")
proto("sysctl_get_name", "CTX MEM_WRITE SIZE ANYTHING")
proto("sysctl_get_current_value", "CTX UNINIT_MEM SIZE")
proto("sysctl_get_new_value", "CTX UNINIT_MEM SIZE")
proto("sysctl_set_new_value", "CTX MEM_RDONLY SIZE")
# maps of sockets
proto("sk_redirect_map", "CTX CONST_MAP_PTR ANYTHING ANYTHING")
proto("sk_redirect_hash", "CTX CONST_MAP_PTR MAP_KEY ANYTHING")
proto("msg_redirect_map", "CTX CONST_MAP_PTR ANYTHING ANYTHING")
proto("msg_redirect_hash", "CTX CONST_MAP_PTR MAP_KEY ANYTHING")
proto("sock_map_update", "CTX CONST_MAP_PTR MAP_KEY ANYTHING", pkt_access=True)
proto("sock_hash_update", "CTX CONST_MAP_PTR MAP_KEY ANYTHING", pkt_access=True)
proto("sk_select_reuseport", "CTX CONST_MAP_PTR MAP_KEY ANYTHING")
proto("msg_apply_bytes", "CTX ANYTHING")
proto("msg_cork_bytes", "CTX ANYTHING")
proto("msg_pull_data", "CTX ANYTHING ANYTHING ANYTHING", moves_packet=True)
proto("msg_push_data", "CTX ANYTHING ANYTHING ANYTHING", moves_packet=True)
proto("msg_pop_data", "CTX ANYTHING ANYTHING ANYTHING", moves_packet=True)
