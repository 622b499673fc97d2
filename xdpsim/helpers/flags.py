"""Flags that helpers take, by the kernel's names: constants of include/uapi/linux/bpf.h that programs write.

Flags of maps are in maps/types.py. A test compares the numbers with the running kernel's BTF.
"""

from __future__ import annotations

HELPER_FLAGS: dict[str, int] = {
    # redirect, clone_redirect, redirect_map
    "BPF_F_INGRESS": 1 << 0,
    "BPF_F_BROADCAST": 1 << 3,
    "BPF_F_EXCLUDE_INGRESS": 1 << 4,
    # skb_store_bytes, l3_csum_replace, l4_csum_replace
    "BPF_F_RECOMPUTE_CSUM": 1 << 0,
    "BPF_F_INVALIDATE_HASH": 1 << 1,
    "BPF_F_HDR_FIELD_MASK": 0xF,
    "BPF_F_PSEUDO_HDR": 1 << 4,
    "BPF_F_MARK_MANGLED_0": 1 << 5,
    "BPF_F_MARK_ENFORCE": 1 << 6,
    "BPF_F_IPV6": 1 << 7,
    # skb_get_tunnel_key, skb_set_tunnel_key
    "BPF_F_TUNINFO_IPV6": 1 << 0,
    "BPF_F_ZERO_CSUM_TX": 1 << 1,
    "BPF_F_DONT_FRAGMENT": 1 << 2,
    "BPF_F_SEQ_NUMBER": 1 << 3,
    "BPF_F_NO_TUNNEL_KEY": 1 << 4,
    "BPF_F_TUNINFO_FLAGS": 1 << 4,
    # skb_adjust_room
    "BPF_F_ADJ_ROOM_FIXED_GSO": 1 << 0,
    "BPF_F_ADJ_ROOM_ENCAP_L3_IPV4": 1 << 1,
    "BPF_F_ADJ_ROOM_ENCAP_L3_IPV6": 1 << 2,
    "BPF_F_ADJ_ROOM_ENCAP_L4_GRE": 1 << 3,
    "BPF_F_ADJ_ROOM_ENCAP_L4_UDP": 1 << 4,
    "BPF_F_ADJ_ROOM_NO_CSUM_RESET": 1 << 5,
    "BPF_F_ADJ_ROOM_ENCAP_L2_ETH": 1 << 6,
    "BPF_F_ADJ_ROOM_DECAP_L3_IPV4": 1 << 7,
    "BPF_F_ADJ_ROOM_DECAP_L3_IPV6": 1 << 8,
    # perf_event_output, perf_event_read
    "BPF_F_INDEX_MASK": 0xFFFF_FFFF,
    "BPF_F_CURRENT_CPU": 0xFFFF_FFFF,
    "BPF_F_CTXLEN_MASK": 0xFFFFF << 32,
    # timer_start
    "BPF_F_TIMER_ABS": 1 << 0,
    "BPF_F_TIMER_CPU_PIN": 1 << 1,
}
