"""Attach types: where a program of a given type may be hooked (enum bpf_attach_type of Linux 6.18).

The numbers are the kernel's; a test compares them with the running kernel's BTF.
"""

from __future__ import annotations

from enum import IntEnum


class AttachType(IntEnum):
    """`expected_attach_type` of a program, without the kernel's BPF_ in front."""

    CGROUP_INET_INGRESS = 0
    CGROUP_INET_EGRESS = 1
    CGROUP_INET_SOCK_CREATE = 2
    CGROUP_SOCK_OPS = 3
    SK_SKB_STREAM_PARSER = 4
    SK_SKB_STREAM_VERDICT = 5
    CGROUP_DEVICE = 6
    SK_MSG_VERDICT = 7
    CGROUP_INET4_BIND = 8
    CGROUP_INET6_BIND = 9
    CGROUP_INET4_CONNECT = 10
    CGROUP_INET6_CONNECT = 11
    CGROUP_INET4_POST_BIND = 12
    CGROUP_INET6_POST_BIND = 13
    CGROUP_UDP4_SENDMSG = 14
    CGROUP_UDP6_SENDMSG = 15
    LIRC_MODE2 = 16
    FLOW_DISSECTOR = 17
    CGROUP_SYSCTL = 18
    CGROUP_UDP4_RECVMSG = 19
    CGROUP_UDP6_RECVMSG = 20
    CGROUP_GETSOCKOPT = 21
    CGROUP_SETSOCKOPT = 22
    TRACE_RAW_TP = 23
    TRACE_FENTRY = 24
    TRACE_FEXIT = 25
    MODIFY_RETURN = 26
    LSM_MAC = 27
    TRACE_ITER = 28
    CGROUP_INET4_GETPEERNAME = 29
    CGROUP_INET6_GETPEERNAME = 30
    CGROUP_INET4_GETSOCKNAME = 31
    CGROUP_INET6_GETSOCKNAME = 32
    XDP_DEVMAP = 33
    CGROUP_INET_SOCK_RELEASE = 34
    XDP_CPUMAP = 35
    SK_LOOKUP = 36
    XDP = 37
    SK_SKB_VERDICT = 38
    SK_REUSEPORT_SELECT = 39
    SK_REUSEPORT_SELECT_OR_MIGRATE = 40
    PERF_EVENT = 41
    TRACE_KPROBE_MULTI = 42
    LSM_CGROUP = 43
    STRUCT_OPS = 44
    NETFILTER = 45
    TCX_INGRESS = 46
    TCX_EGRESS = 47
    TRACE_UPROBE_MULTI = 48
    CGROUP_UNIX_CONNECT = 49
    CGROUP_UNIX_SENDMSG = 50
    CGROUP_UNIX_RECVMSG = 51
    CGROUP_UNIX_GETPEERNAME = 52
    CGROUP_UNIX_GETSOCKNAME = 53
    NETKIT_PRIMARY = 54
    NETKIT_PEER = 55
    TRACE_KPROBE_SESSION = 56
    TRACE_UPROBE_SESSION = 57


_BY_VERSION: dict[str, tuple[AttachType, ...]] = {
    "4.10": (AttachType.CGROUP_INET_INGRESS, AttachType.CGROUP_INET_EGRESS, AttachType.CGROUP_INET_SOCK_CREATE),
    "4.13": (AttachType.CGROUP_SOCK_OPS,),
    "4.14": (AttachType.SK_SKB_STREAM_PARSER, AttachType.SK_SKB_STREAM_VERDICT),
    "4.15": (AttachType.CGROUP_DEVICE,),
    "4.17": (
        *(AttachType.SK_MSG_VERDICT, AttachType.CGROUP_INET4_BIND, AttachType.CGROUP_INET6_BIND),
        *(AttachType.CGROUP_INET4_CONNECT, AttachType.CGROUP_INET6_CONNECT),
        *(AttachType.CGROUP_INET4_POST_BIND, AttachType.CGROUP_INET6_POST_BIND),
    ),
    "4.18": (AttachType.CGROUP_UDP4_SENDMSG, AttachType.CGROUP_UDP6_SENDMSG, AttachType.LIRC_MODE2),
    "4.20": (AttachType.FLOW_DISSECTOR,),
    "5.2": (AttachType.CGROUP_SYSCTL, AttachType.CGROUP_UDP4_RECVMSG, AttachType.CGROUP_UDP6_RECVMSG),
    "5.3": (AttachType.CGROUP_GETSOCKOPT, AttachType.CGROUP_SETSOCKOPT),
    "5.5": (AttachType.TRACE_RAW_TP, AttachType.TRACE_FENTRY, AttachType.TRACE_FEXIT),
    "5.7": (AttachType.MODIFY_RETURN, AttachType.LSM_MAC),
    "5.8": (
        *(AttachType.TRACE_ITER, AttachType.CGROUP_INET4_GETPEERNAME, AttachType.CGROUP_INET6_GETPEERNAME),
        *(AttachType.CGROUP_INET4_GETSOCKNAME, AttachType.CGROUP_INET6_GETSOCKNAME, AttachType.XDP_DEVMAP),
    ),
    "5.9": (AttachType.CGROUP_INET_SOCK_RELEASE, AttachType.XDP_CPUMAP, AttachType.SK_LOOKUP, AttachType.XDP),
    "5.13": (AttachType.SK_SKB_VERDICT,),
    "5.14": (AttachType.SK_REUSEPORT_SELECT, AttachType.SK_REUSEPORT_SELECT_OR_MIGRATE),
    "5.15": (AttachType.PERF_EVENT,),
    "5.18": (AttachType.TRACE_KPROBE_MULTI,),
    "6.0": (AttachType.LSM_CGROUP,),
    "6.4": (AttachType.STRUCT_OPS, AttachType.NETFILTER),
    "6.6": (AttachType.TCX_INGRESS, AttachType.TCX_EGRESS, AttachType.TRACE_UPROBE_MULTI),
    "6.7": (
        *(AttachType.CGROUP_UNIX_CONNECT, AttachType.CGROUP_UNIX_SENDMSG, AttachType.CGROUP_UNIX_RECVMSG),
        *(AttachType.CGROUP_UNIX_GETPEERNAME, AttachType.CGROUP_UNIX_GETSOCKNAME),
        *(AttachType.NETKIT_PRIMARY, AttachType.NETKIT_PEER),
    ),
    "6.10": (AttachType.TRACE_KPROBE_SESSION,),
    "6.13": (AttachType.TRACE_UPROBE_SESSION,),
}
ATTACH_SINCE: dict[AttachType, str] = {attach: since for since, types in _BY_VERSION.items() for attach in types}
"""The first Linux with each. Read from kernel history; the later ones are asked of older kernels by tests."""
