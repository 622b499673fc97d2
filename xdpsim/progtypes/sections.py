"""ELF section names and the program type that each stands for, as libbpf knows them (its section_defs, version 1.5).

What the loader does with a section that is not here (a user's own name, iproute2's `N/slot`) is the loader's affair.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.progtypes.attach import AttachType as At


@dataclass(frozen=True, slots=True)
class SectionMatch:
    """What a section name says of the programs in it; `type` is the kernel's word without BPF_PROG_TYPE_."""

    type: str
    attach_type: int
    frags: bool
    sleepable: bool


@dataclass(frozen=True, slots=True)
class SectionName:
    """One row of the table. With `extras` the name may be followed by "/" and anything, else it must match whole."""

    name: str
    type: str
    attach: At | None = None
    extras: bool = False
    frags: bool = False
    sleepable: bool = False


SECTIONS: tuple[SectionName, ...] = (
    SectionName("socket", "SOCKET_FILTER"),
    SectionName("sk_reuseport/migrate", "SK_REUSEPORT", At.SK_REUSEPORT_SELECT_OR_MIGRATE),
    SectionName("sk_reuseport", "SK_REUSEPORT", At.SK_REUSEPORT_SELECT),
    SectionName("kprobe", "KPROBE", extras=True),
    SectionName("uprobe", "KPROBE", extras=True),
    SectionName("uprobe.s", "KPROBE", extras=True, sleepable=True),
    SectionName("kretprobe", "KPROBE", extras=True),
    SectionName("uretprobe", "KPROBE", extras=True),
    SectionName("uretprobe.s", "KPROBE", extras=True, sleepable=True),
    SectionName("kprobe.multi", "KPROBE", At.TRACE_KPROBE_MULTI, extras=True),
    SectionName("kretprobe.multi", "KPROBE", At.TRACE_KPROBE_MULTI, extras=True),
    SectionName("kprobe.session", "KPROBE", At.TRACE_KPROBE_SESSION, extras=True),
    SectionName("uprobe.multi", "KPROBE", At.TRACE_UPROBE_MULTI, extras=True),
    SectionName("uretprobe.multi", "KPROBE", At.TRACE_UPROBE_MULTI, extras=True),
    SectionName("uprobe.session", "KPROBE", At.TRACE_UPROBE_SESSION, extras=True),
    SectionName("uprobe.multi.s", "KPROBE", At.TRACE_UPROBE_MULTI, extras=True, sleepable=True),
    SectionName("uretprobe.multi.s", "KPROBE", At.TRACE_UPROBE_MULTI, extras=True, sleepable=True),
    SectionName("uprobe.session.s", "KPROBE", At.TRACE_UPROBE_SESSION, extras=True, sleepable=True),
    SectionName("ksyscall", "KPROBE", extras=True),
    SectionName("kretsyscall", "KPROBE", extras=True),
    SectionName("usdt", "KPROBE", extras=True),
    SectionName("usdt.s", "KPROBE", extras=True, sleepable=True),
    SectionName("tc/ingress", "SCHED_CLS", At.TCX_INGRESS),
    SectionName("tc/egress", "SCHED_CLS", At.TCX_EGRESS),
    SectionName("tcx/ingress", "SCHED_CLS", At.TCX_INGRESS),
    SectionName("tcx/egress", "SCHED_CLS", At.TCX_EGRESS),
    SectionName("tc", "SCHED_CLS"),
    SectionName("classifier", "SCHED_CLS"),
    SectionName("action", "SCHED_ACT"),
    SectionName("netkit/primary", "SCHED_CLS", At.NETKIT_PRIMARY),
    SectionName("netkit/peer", "SCHED_CLS", At.NETKIT_PEER),
    SectionName("tracepoint", "TRACEPOINT", extras=True),
    SectionName("tp", "TRACEPOINT", extras=True),
    SectionName("raw_tracepoint", "RAW_TRACEPOINT", extras=True),
    SectionName("raw_tp", "RAW_TRACEPOINT", extras=True),
    SectionName("raw_tracepoint.w", "RAW_TRACEPOINT_WRITABLE", extras=True),
    SectionName("raw_tp.w", "RAW_TRACEPOINT_WRITABLE", extras=True),
    SectionName("tp_btf", "TRACING", At.TRACE_RAW_TP, extras=True),
    SectionName("fentry", "TRACING", At.TRACE_FENTRY, extras=True),
    SectionName("fmod_ret", "TRACING", At.MODIFY_RETURN, extras=True),
    SectionName("fexit", "TRACING", At.TRACE_FEXIT, extras=True),
    SectionName("fentry.s", "TRACING", At.TRACE_FENTRY, extras=True, sleepable=True),
    SectionName("fmod_ret.s", "TRACING", At.MODIFY_RETURN, extras=True, sleepable=True),
    SectionName("fexit.s", "TRACING", At.TRACE_FEXIT, extras=True, sleepable=True),
    SectionName("freplace", "EXT", extras=True),
    SectionName("lsm", "LSM", At.LSM_MAC, extras=True),
    SectionName("lsm.s", "LSM", At.LSM_MAC, extras=True, sleepable=True),
    SectionName("lsm_cgroup", "LSM", At.LSM_CGROUP, extras=True),
    SectionName("iter", "TRACING", At.TRACE_ITER, extras=True),
    SectionName("iter.s", "TRACING", At.TRACE_ITER, extras=True, sleepable=True),
    SectionName("syscall", "SYSCALL", sleepable=True),
    SectionName("xdp.frags/devmap", "XDP", At.XDP_DEVMAP, frags=True),
    SectionName("xdp/devmap", "XDP", At.XDP_DEVMAP),
    SectionName("xdp.frags/cpumap", "XDP", At.XDP_CPUMAP, frags=True),
    SectionName("xdp/cpumap", "XDP", At.XDP_CPUMAP),
    SectionName("xdp.frags", "XDP", At.XDP, frags=True),
    SectionName("xdp", "XDP", At.XDP),
    SectionName("perf_event", "PERF_EVENT"),
    SectionName("lwt_in", "LWT_IN"),
    SectionName("lwt_out", "LWT_OUT"),
    SectionName("lwt_xmit", "LWT_XMIT"),
    SectionName("lwt_seg6local", "LWT_SEG6LOCAL"),
    SectionName("sockops", "SOCK_OPS", At.CGROUP_SOCK_OPS),
    SectionName("sk_skb/stream_parser", "SK_SKB", At.SK_SKB_STREAM_PARSER),
    SectionName("sk_skb/stream_verdict", "SK_SKB", At.SK_SKB_STREAM_VERDICT),
    SectionName("sk_skb/verdict", "SK_SKB", At.SK_SKB_VERDICT),
    SectionName("sk_skb", "SK_SKB"),
    SectionName("sk_msg", "SK_MSG", At.SK_MSG_VERDICT),
    SectionName("lirc_mode2", "LIRC_MODE2", At.LIRC_MODE2),
    SectionName("flow_dissector", "FLOW_DISSECTOR", At.FLOW_DISSECTOR),
    SectionName("cgroup_skb/ingress", "CGROUP_SKB", At.CGROUP_INET_INGRESS),
    SectionName("cgroup_skb/egress", "CGROUP_SKB", At.CGROUP_INET_EGRESS),
    SectionName("cgroup/skb", "CGROUP_SKB"),
    SectionName("cgroup/sock_create", "CGROUP_SOCK", At.CGROUP_INET_SOCK_CREATE),
    SectionName("cgroup/sock_release", "CGROUP_SOCK", At.CGROUP_INET_SOCK_RELEASE),
    SectionName("cgroup/sock", "CGROUP_SOCK", At.CGROUP_INET_SOCK_CREATE),
    SectionName("cgroup/post_bind4", "CGROUP_SOCK", At.CGROUP_INET4_POST_BIND),
    SectionName("cgroup/post_bind6", "CGROUP_SOCK", At.CGROUP_INET6_POST_BIND),
    SectionName("cgroup/bind4", "CGROUP_SOCK_ADDR", At.CGROUP_INET4_BIND),
    SectionName("cgroup/bind6", "CGROUP_SOCK_ADDR", At.CGROUP_INET6_BIND),
    SectionName("cgroup/connect4", "CGROUP_SOCK_ADDR", At.CGROUP_INET4_CONNECT),
    SectionName("cgroup/connect6", "CGROUP_SOCK_ADDR", At.CGROUP_INET6_CONNECT),
    SectionName("cgroup/connect_unix", "CGROUP_SOCK_ADDR", At.CGROUP_UNIX_CONNECT),
    SectionName("cgroup/sendmsg4", "CGROUP_SOCK_ADDR", At.CGROUP_UDP4_SENDMSG),
    SectionName("cgroup/sendmsg6", "CGROUP_SOCK_ADDR", At.CGROUP_UDP6_SENDMSG),
    SectionName("cgroup/sendmsg_unix", "CGROUP_SOCK_ADDR", At.CGROUP_UNIX_SENDMSG),
    SectionName("cgroup/recvmsg4", "CGROUP_SOCK_ADDR", At.CGROUP_UDP4_RECVMSG),
    SectionName("cgroup/recvmsg6", "CGROUP_SOCK_ADDR", At.CGROUP_UDP6_RECVMSG),
    SectionName("cgroup/recvmsg_unix", "CGROUP_SOCK_ADDR", At.CGROUP_UNIX_RECVMSG),
    SectionName("cgroup/getpeername4", "CGROUP_SOCK_ADDR", At.CGROUP_INET4_GETPEERNAME),
    SectionName("cgroup/getpeername6", "CGROUP_SOCK_ADDR", At.CGROUP_INET6_GETPEERNAME),
    SectionName("cgroup/getpeername_unix", "CGROUP_SOCK_ADDR", At.CGROUP_UNIX_GETPEERNAME),
    SectionName("cgroup/getsockname4", "CGROUP_SOCK_ADDR", At.CGROUP_INET4_GETSOCKNAME),
    SectionName("cgroup/getsockname6", "CGROUP_SOCK_ADDR", At.CGROUP_INET6_GETSOCKNAME),
    SectionName("cgroup/getsockname_unix", "CGROUP_SOCK_ADDR", At.CGROUP_UNIX_GETSOCKNAME),
    SectionName("cgroup/sysctl", "CGROUP_SYSCTL", At.CGROUP_SYSCTL),
    SectionName("cgroup/getsockopt", "CGROUP_SOCKOPT", At.CGROUP_GETSOCKOPT),
    SectionName("cgroup/setsockopt", "CGROUP_SOCKOPT", At.CGROUP_SETSOCKOPT),
    SectionName("cgroup/dev", "CGROUP_DEVICE", At.CGROUP_DEVICE),
    SectionName("struct_ops", "STRUCT_OPS", extras=True),
    SectionName("struct_ops.s", "STRUCT_OPS", extras=True, sleepable=True),
    SectionName("sk_lookup", "SK_LOOKUP", At.SK_LOOKUP),
    SectionName("netfilter", "NETFILTER", At.NETFILTER),
)
_BY_NAME = {row.name: row for row in SECTIONS}


def section_program(section: str) -> SectionMatch | None:
    """What libbpf makes of a section name, None where it knows none.

    A leading "?" (do not load by default) is passed over, as libbpf does before it looks the name up.
    """
    name = section.removeprefix("?")
    row = _BY_NAME.get(name)
    if row is None and "/" in name:
        row = _BY_NAME.get(name.partition("/")[0])
        if row is not None and not row.extras:
            row = None
    if row is None:
        return None
    return SectionMatch(row.type, int(row.attach or 0), row.frags, row.sleepable)
