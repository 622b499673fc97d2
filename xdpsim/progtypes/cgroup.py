"""Contexts of the cgroup program types: addresses of sockets, their options, sysctls, devices.

Follows sock_addr_is_valid_access in net/core/filter.c and the cg_*_is_valid_access functions of kernel/bpf/cgroup.c of
Linux 6.18. CGROUP_SOCK is in socks.py, CGROUP_SKB in skb.py.
"""

from __future__ import annotations

from xdpsim.progtypes.attach import AttachType as At
from xdpsim.progtypes.context import Context, Field, Yields

_UDP4_SENDMSG, _UDP6_SENDMSG = frozenset({At.CGROUP_UDP4_SENDMSG}), frozenset({At.CGROUP_UDP6_SENDMSG})
_IP4 = _UDP4_SENDMSG | {
    At.CGROUP_INET4_BIND,
    At.CGROUP_INET4_CONNECT,
    At.CGROUP_INET4_GETPEERNAME,
    At.CGROUP_INET4_GETSOCKNAME,
    At.CGROUP_UDP4_RECVMSG,
}
_IP6 = _UDP6_SENDMSG | {
    At.CGROUP_INET6_BIND,
    At.CGROUP_INET6_CONNECT,
    At.CGROUP_INET6_GETPEERNAME,
    At.CGROUP_INET6_GETSOCKNAME,
    At.CGROUP_UDP6_RECVMSG,
}
SOCK_ADDR = Context(
    "bpf_sock_addr",
    72,
    (
        Field("user_family", 0, 4, "4", since="4.17"),
        Field("user_ip4", 4, 4, "124", "4", "4.17", attach_types=_IP4, store_attach_types=_IP4),
        # Four words that also load and store by aligned pairs, like msg_src_ip6 below.
        Field("user_ip6", 8, 16, "1248", "48", "4.17", count=4, attach_types=_IP6, store_attach_types=_IP6),
        Field("user_port", 24, 4, "124", "4", "4.17"),
        Field("family", 28, 4, "4", since="4.17"),
        Field("type", 32, 4, "4", since="4.17"),
        Field("protocol", 36, 4, "4", since="4.17"),
        Field("msg_src_ip4", 40, 4, "124", "4", "4.18", attach_types=_UDP4_SENDMSG, store_attach_types=_UDP4_SENDMSG),
        Field(
            "msg_src_ip6",
            44,
            16,
            "1248",
            "48",
            "4.18",
            count=4,
            attach_types=_UDP6_SENDMSG,
            store_attach_types=_UDP6_SENDMSG,
        ),
        Field("sk", 64, 8, "8", since="5.3", yields=Yields.SOCKET),
    ),
)

_GET, _SET = frozenset({At.CGROUP_GETSOCKOPT}), frozenset({At.CGROUP_SETSOCKOPT})
SOCKOPT = Context(
    "bpf_sockopt",
    40,
    (
        Field("sk", 0, 8, "8", since="5.3", yields=Yields.SOCKET),
        Field("optval", 8, 8, "8", since="5.3", yields=Yields.PACKET_START),
        Field("optval_end", 16, 8, "8", since="5.3", yields=Yields.PACKET_END),
        Field("level", 24, 4, "4", "4", "5.3", store_attach_types=_SET),
        Field("optname", 28, 4, "4", "4", "5.3", store_attach_types=_SET),
        Field("optlen", 32, 4, "4", "4", "5.3"),
        Field("retval", 36, 4, "4", "4", "5.3", attach_types=_GET, store_attach_types=_GET),
    ),
)

SYSCTL = Context(
    "bpf_sysctl",
    8,
    (Field("write", 0, 4, "124", since="5.2"), Field("file_pos", 4, 4, "124", "4", "5.2")),
)

DEVICE = Context(
    "bpf_cgroup_dev_ctx",
    12,
    (
        Field("access_type", 0, 4, "124", since="4.15"),
        Field("major", 4, 4, "4", since="4.15"),
        Field("minor", 8, 4, "4", since="4.15"),
    ),
)
