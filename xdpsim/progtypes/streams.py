"""Contexts of the program types that look at sockets' events, messages and look-ups, and that of netfilter programs.

Follows sock_ops_is_valid_access, sk_msg_is_valid_access, sk_lookup_is_valid_access and sk_reuseport_is_valid_access in
net/core/filter.c and nf_is_valid_access in net/netfilter/nf_bpf_link.c of Linux 6.18.
"""

from __future__ import annotations

from xdpsim.progtypes.context import Context, Field, Yields

_OLD, _TCP = "4.13", "4.16"
_TCP_WORDS = (
    "is_fullsock snd_cwnd srtt_us bpf_sock_ops_cb_flags state rtt_min snd_ssthresh rcv_nxt snd_nxt snd_una mss_cache "
    "ecn_flags rate_delivered rate_interval_us packets_out retrans_out total_retrans segs_in data_segs_in segs_out "
    "data_segs_out lost_out sacked_out"
)
SOCK_OPS = Context(
    "bpf_sock_ops",
    224,
    (
        Field("op", 0, 4, "4", since=_OLD),
        # A union with args[4], of which only the first word, the reply, is written.
        Field("reply", 4, 4, "4", "4", _OLD),
        Field("replylong", 8, 12, "4", since=_OLD, count=3),
        Field("family", 20, 4, "4", since=_OLD),
        Field("remote_ip4", 24, 4, "4", since=_OLD),
        Field("local_ip4", 28, 4, "4", since=_OLD),
        Field("remote_ip6", 32, 16, "4", since=_OLD, count=4),
        Field("local_ip6", 48, 16, "4", since=_OLD, count=4),
        Field("remote_port", 64, 4, "4", since=_OLD),
        Field("local_port", 68, 4, "4", since=_OLD),
        *(Field(name, 72 + 4 * at, 4, "4", since=_TCP) for at, name in enumerate(_TCP_WORDS.split())),
        Field("sk_txhash", 164, 4, "4", "4", _TCP),
        Field("bytes_received", 168, 8, "8", since=_TCP),
        Field("bytes_acked", 176, 8, "8", since=_TCP),
        Field("sk", 184, 8, "8", since="5.3", yields=Yields.SOCKET_OR_NULL),
        Field("skb_data", 192, 8, "8", since="5.10", yields=Yields.PACKET_START),
        Field("skb_data_end", 200, 8, "8", since="5.10", yields=Yields.PACKET_END),
        Field("skb_len", 208, 4, "4", since="5.10"),
        Field("skb_tcp_flags", 212, 4, "124", since="5.10", narrow_at=(0,)),
        Field("skb_hwtstamp", 216, 8, "8", since="6.2"),
    ),
)

SK_MSG = Context(
    "sk_msg_md",
    80,
    (
        Field("data", 0, 8, "8", since="4.17", yields=Yields.PACKET_START),
        Field("data_end", 8, 8, "8", since="4.17", yields=Yields.PACKET_END),
        Field("family", 16, 4, "4", since="4.18"),
        Field("remote_ip4", 20, 4, "4", since="4.18"),
        Field("local_ip4", 24, 4, "4", since="4.18"),
        Field("remote_ip6", 28, 16, "4", since="4.18", count=4),
        Field("local_ip6", 44, 16, "4", since="4.18", count=4),
        Field("remote_port", 60, 4, "4", since="4.18"),
        Field("local_port", 64, 4, "4", since="4.18"),
        Field("size", 68, 4, "4", since="5.0"),
        Field("sk", 72, 8, "8", since="5.8", yields=Yields.SOCKET),
    ),
)

SK_LOOKUP = Context(
    "bpf_sk_lookup",
    72,
    (
        Field("sk", 0, 8, "8", since="5.9", yields=Yields.SOCKET_OR_NULL),
        Field("family", 8, 4, "124", since="5.9"),
        Field("protocol", 12, 4, "124", since="5.9"),
        Field("remote_ip4", 16, 4, "124", since="5.9"),
        Field("remote_ip6", 20, 16, "124", since="5.9", count=4),
        Field("remote_port", 36, 4, "124", since="5.9"),
        Field("local_ip4", 40, 4, "124", since="5.9"),
        Field("local_ip6", 44, 16, "124", since="5.9", count=4),
        Field("local_port", 60, 4, "124", since="5.9"),
        Field("ingress_ifindex", 64, 4, "124", since="5.17"),
    ),
)

SK_REUSEPORT = Context(
    "sk_reuseport_md",
    56,
    (
        Field("data", 0, 8, "8", since="4.19", yields=Yields.PACKET_START),
        Field("data_end", 8, 8, "8", since="4.19", yields=Yields.PACKET_END),
        Field("len", 16, 4, "124", since="4.19"),
        Field("eth_protocol", 20, 4, "24", since="4.19"),
        Field("ip_protocol", 24, 4, "124", since="4.19"),
        Field("bind_inany", 28, 4, "124", since="4.19"),
        Field("hash", 32, 4, "4", since="4.19"),
        Field("sk", 40, 8, "8", since="5.14", yields=Yields.SOCKET),
        Field("migrating_sk", 48, 8, "8", since="5.14", yields=Yields.SOCK_COMMON_OR_NULL),
    ),
)

NF_CTX = Context(
    "bpf_nf_ctx",
    16,
    (
        Field("state", 0, 8, "8", since="6.4", yields=Yields.TRUSTED_BTF_ID, btf="nf_hook_state"),
        Field("skb", 8, 8, "8", since="6.4", yields=Yields.TRUSTED_BTF_ID, btf="sk_buff"),
    ),
)
