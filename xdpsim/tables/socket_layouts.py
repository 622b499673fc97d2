"""struct bpf_sock and struct bpf_tcp_sock, as include/uapi/linux/bpf.h lays them out."""

from __future__ import annotations

from xdpsim.memory.layout import U16, U32, U64, Struct

BPF_SOCK = Struct(
    "bpf_sock",
    ("bound_dev_if", U32),
    ("family", U32),
    ("type", U32),
    ("protocol", U32),
    ("mark", U32),
    ("priority", U32),
    ("src_ip4", U32),
    ("src_ip6", U32, 4),
    ("src_port", U32),  # host byte order
    ("dst_port", U16),  # network byte order
    ("padding", U16),
    ("dst_ip4", U32),
    ("dst_ip6", U32, 4),
    ("state", U32),
    ("rx_queue_mapping", U32),
)
BPF_TCP_SOCK = Struct(
    "bpf_tcp_sock",
    *((name, U32) for name in ("snd_cwnd", "srtt_us", "rtt_min", "snd_ssthresh", "rcv_nxt", "snd_nxt", "snd_una")),
    *((name, U32) for name in ("mss_cache", "ecn_flags", "rate_delivered", "rate_interval_us", "packets_out")),
    *((name, U32) for name in ("retrans_out", "total_retrans", "segs_in", "data_segs_in", "segs_out")),
    *((name, U32) for name in ("data_segs_out", "lost_out", "sacked_out")),
    ("bytes_received", U64),
    ("bytes_acked", U64),
    *((name, U32) for name in ("dsack_dups", "delivered", "delivered_ce", "icsk_retransmits")),
)
KERNEL_PATHS = {"rtt_min": "rtt_min.s[0].v", "icsk_retransmits": "inet_conn.icsk_retransmits"}
"""Where struct tcp_sock keeps what bpf_tcp_sock calls otherwise."""
