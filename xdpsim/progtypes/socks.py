"""What programs read through pointers to sockets: struct bpf_sock, bpf_tcp_sock, bpf_xdp_sock, and bpf_flow_keys.

A program of type CGROUP_SOCK has struct bpf_sock as its context. Follows bpf_sock_is_valid_access and its neighbours in
net/core/filter.c of Linux 6.18.
"""

from __future__ import annotations

from dataclasses import replace

from xdpsim.progtypes.attach import AttachType as At
from xdpsim.progtypes.context import Context, Field

_FIRST = (0,)
_SOCK = (
    Field("bound_dev_if", 0, 4, "4", since="4.10"),
    Field("family", 4, 4, "124", since="4.10", narrow_at=_FIRST),
    Field("type", 8, 4, "124", since="4.10", narrow_at=_FIRST),
    Field("protocol", 12, 4, "124", since="4.10", narrow_at=_FIRST),
    Field("mark", 16, 4, "4", since="4.14"),
    Field("priority", 20, 4, "4", since="4.14"),
    Field("src_ip4", 24, 4, "124", since="4.17"),
    Field("src_ip6", 28, 16, "124", since="4.17", count=4),
    Field("src_port", 44, 4, "124", since="4.17", narrow_at=_FIRST),
    # A port of two bytes and padding: the padding loads only together with it.
    Field("dst_port", 48, 4, "124", since="5.1", narrow_at=(0, 1)),
    Field("dst_ip4", 52, 4, "124", since="5.1"),
    Field("dst_ip6", 56, 16, "124", since="5.1", count=4),
    Field("state", 72, 4, "124", since="5.1", narrow_at=_FIRST),
    Field("rx_queue_mapping", 76, 4, "124", since="5.8", narrow_at=_FIRST),
)
_ONLY_FULL = ("type", "protocol", "mark", "priority")
_TCP_WORDS = (
    "snd_cwnd srtt_us rtt_min snd_ssthresh rcv_nxt snd_nxt snd_una mss_cache ecn_flags rate_delivered "
    "rate_interval_us packets_out retrans_out total_retrans segs_in data_segs_in segs_out data_segs_out lost_out "
    "sacked_out"
)

BPF_SOCK = Context("bpf_sock", 80, _SOCK)
"""Behind a pointer to a full socket (PTR_TO_SOCKET)."""
BPF_SOCK_COMMON = Context("bpf_sock", 80, tuple(replace(f, loads="") if f.name in _ONLY_FULL else f for f in _SOCK))
"""Behind a pointer to what all sockets have (PTR_TO_SOCK_COMMON)."""
BPF_TCP_SOCK = Context(
    "bpf_tcp_sock",
    112,
    (
        *(Field(name, 4 * at, 4, "4", since="5.1") for at, name in enumerate(_TCP_WORDS.split())),
        Field("bytes_received", 80, 8, "8", since="5.1"),
        Field("bytes_acked", 88, 8, "8", since="5.1"),
        Field("dsack_dups", 96, 4, "4", since="5.3"),
        Field("delivered", 100, 4, "4", since="5.3"),
        Field("delivered_ce", 104, 4, "4", since="5.3"),
        Field("icsk_retransmits", 108, 4, "4", since="5.3"),
    ),
)
"""Behind what bpf_tcp_sock gives (PTR_TO_TCP_SOCK)."""
BPF_XDP_SOCK = Context("bpf_xdp_sock", 4, (Field("queue_id", 0, 4, "4", since="5.3"),))
"""Behind what a look-up in an XSKMAP gives (PTR_TO_XDP_SOCK)."""
FLOW_KEYS_BYTES = 56
"""sizeof(struct bpf_flow_keys), behind flow_keys of a flow dissector: any bytes of it may be read and written."""

_LIFE = frozenset({0, At.CGROUP_INET_SOCK_CREATE, At.CGROUP_INET_SOCK_RELEASE})
"""0 too: Linux takes a program without an attach type for one of INET_SOCK_CREATE."""
_BOUND_4, _BOUND_6 = frozenset({At.CGROUP_INET4_POST_BIND}), frozenset({At.CGROUP_INET6_POST_BIND})
_BY_ATTACH: dict[str, frozenset[int]] = {
    "src_ip4": _BOUND_4,
    "src_ip6": _BOUND_6,
    "src_port": _BOUND_4 | _BOUND_6,
}


def _of_cgroup(field: Field) -> Field:
    if field.name in ("bound_dev_if", "mark", "priority"):
        return replace(field, stores="4", attach_types=_LIFE, store_attach_types=_LIFE)
    return replace(field, attach_types=_BY_ATTACH.get(field.name, frozenset()))


CGROUP_SOCK = Context("bpf_sock", 80, tuple(map(_of_cgroup, _SOCK)))
"""The context of CGROUP_SOCK programs."""
