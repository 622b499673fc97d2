"""What Linux asks before and while it verifies a program of each type: attach types, capabilities, what it may do.

Follows bpf_prog_load of kernel/bpf/syscall.c and may_access_direct_pkt_data, may_access_skb and can_be_sleepable of
kernel/bpf/verifier.c, Linux 6.18.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from xdpsim.progtypes.attach import AttachType as At

MAX_INSNS, MAX_INSNS_UNPRIVILEGED = 1_000_000, 4096
"""Insns of a program that has CAP_BPF, and of one that has not (E2BIG beyond)."""


class Packet(Enum):
    """What a program may do with packet bytes through pointers, beside reading those that its context gives."""

    NONE = "nothing"
    READ = "give them to helpers with pkt_access"
    WRITE = "write, and give them to helpers with pkt_access"
    OPTION = "write, and give them to any helper"


class Sleep(Enum):
    """Whether BPF_F_SLEEPABLE goes with the type."""

    NEVER = "never"
    SOME = "for some attach types"
    MUST = "must"


@dataclass(frozen=True, slots=True)
class LoadRules:
    """The rules of one program type.

    `attach_types` empty: every number is taken as expected_attach_type; else other ones are EINVAL, once 0 was replaced
    by `default_attach` where there is one. `capabilities` are needed besides "bpf"; without it only the types that are
    `unprivileged` load (EPERM).
    """

    attach_types: tuple[int, ...] = ()
    default_attach: int = 0
    capabilities: frozenset[str] = frozenset()
    unprivileged: bool = False
    packet: Packet = Packet.NONE
    ld_abs: bool = False
    sleepable: Sleep = Sleep.NEVER


_NET, _PERF = frozenset({"net_admin"}), frozenset({"perfmon"})
_SOCK = (
    At.CGROUP_INET_SOCK_CREATE,
    At.CGROUP_INET_SOCK_RELEASE,
    At.CGROUP_INET4_POST_BIND,
    At.CGROUP_INET6_POST_BIND,
)
_SOCK_ADDR = (
    *(At.CGROUP_INET4_BIND, At.CGROUP_INET6_BIND),
    *(At.CGROUP_INET4_CONNECT, At.CGROUP_INET6_CONNECT, At.CGROUP_UNIX_CONNECT),
    *(At.CGROUP_UDP4_SENDMSG, At.CGROUP_UDP6_SENDMSG, At.CGROUP_UNIX_SENDMSG),
    *(At.CGROUP_UDP4_RECVMSG, At.CGROUP_UDP6_RECVMSG, At.CGROUP_UNIX_RECVMSG),
    *(At.CGROUP_INET4_GETPEERNAME, At.CGROUP_INET6_GETPEERNAME, At.CGROUP_UNIX_GETPEERNAME),
    *(At.CGROUP_INET4_GETSOCKNAME, At.CGROUP_INET6_GETSOCKNAME, At.CGROUP_UNIX_GETSOCKNAME),
)
_REUSEPORT = (At.SK_REUSEPORT_SELECT, At.SK_REUSEPORT_SELECT_OR_MIGRATE)

LOAD_RULES: dict[str, LoadRules] = {
    "SOCKET_FILTER": LoadRules(unprivileged=True, ld_abs=True),
    "KPROBE": LoadRules(capabilities=_PERF, sleepable=Sleep.SOME),
    "SCHED_CLS": LoadRules(capabilities=_NET, packet=Packet.WRITE, ld_abs=True),
    "SCHED_ACT": LoadRules(capabilities=_NET, packet=Packet.WRITE, ld_abs=True),
    "TRACEPOINT": LoadRules(capabilities=_PERF),
    "XDP": LoadRules(capabilities=_NET, packet=Packet.WRITE),
    "PERF_EVENT": LoadRules(capabilities=_PERF),
    "CGROUP_SKB": LoadRules((At.CGROUP_INET_INGRESS, At.CGROUP_INET_EGRESS), unprivileged=True, packet=Packet.READ),
    "CGROUP_SOCK": LoadRules(_SOCK, At.CGROUP_INET_SOCK_CREATE, _NET),
    "LWT_IN": LoadRules(capabilities=_NET, packet=Packet.READ),
    "LWT_OUT": LoadRules(capabilities=_NET, packet=Packet.READ),
    "LWT_XMIT": LoadRules(capabilities=_NET, packet=Packet.WRITE),
    "SOCK_OPS": LoadRules(capabilities=_NET),
    "SK_SKB": LoadRules(capabilities=_NET, packet=Packet.WRITE),
    "CGROUP_DEVICE": LoadRules(capabilities=_NET),
    "SK_MSG": LoadRules(capabilities=_NET, packet=Packet.WRITE),
    "RAW_TRACEPOINT": LoadRules(capabilities=_PERF),
    "CGROUP_SOCK_ADDR": LoadRules(_SOCK_ADDR, capabilities=_NET),
    "LWT_SEG6LOCAL": LoadRules(capabilities=_NET, packet=Packet.READ),
    "LIRC_MODE2": LoadRules(),
    "SK_REUSEPORT": LoadRules(_REUSEPORT, At.SK_REUSEPORT_SELECT, packet=Packet.READ),
    "FLOW_DISSECTOR": LoadRules(capabilities=_NET, packet=Packet.READ),
    "CGROUP_SYSCTL": LoadRules(capabilities=_NET),
    "RAW_TRACEPOINT_WRITABLE": LoadRules(capabilities=_PERF),
    "CGROUP_SOCKOPT": LoadRules((At.CGROUP_GETSOCKOPT, At.CGROUP_SETSOCKOPT), capabilities=_NET, packet=Packet.OPTION),
    "TRACING": LoadRules(capabilities=_PERF, sleepable=Sleep.SOME),
    "STRUCT_OPS": LoadRules(capabilities=_PERF, sleepable=Sleep.SOME),
    "EXT": LoadRules((0,), capabilities=_NET | _PERF),
    "LSM": LoadRules(capabilities=_PERF, sleepable=Sleep.SOME),
    "SK_LOOKUP": LoadRules((At.SK_LOOKUP,)),
    "SYSCALL": LoadRules((0,), sleepable=Sleep.MUST),
    "NETFILTER": LoadRules((At.NETFILTER,), capabilities=_NET),
}


def attach_type_of(program_type: str, attach_type: int) -> int:
    """The attach type that the program has once it is loaded."""
    return attach_type or LOAD_RULES[program_type].default_attach


def takes_attach_type(program_type: str, attach_type: int) -> bool:
    """Whether bpf(2) loads a program of the type with that expected_attach_type."""
    good = LOAD_RULES[program_type].attach_types
    return not good or attach_type_of(program_type, attach_type) in good
