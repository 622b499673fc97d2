"""What BPF_PROG_LOAD asks before it verifies: capabilities for the type (bpf_prog_load() of kernel/bpf/syscall.c)."""

from __future__ import annotations

from errno import EPERM
from typing import TYPE_CHECKING

from xdpsim.verifier.env import Refusal

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env

_FOR_EVERYBODY = frozenset({"SOCKET_FILTER", "CGROUP_SKB"})
_NEED_NET_ADMIN = frozenset(
    {
        *("SCHED_CLS", "SCHED_ACT", "XDP", "LWT_IN", "LWT_OUT", "LWT_XMIT", "LWT_SEG6LOCAL", "SK_SKB", "SK_MSG"),
        *("FLOW_DISSECTOR", "CGROUP_DEVICE", "CGROUP_SOCK", "CGROUP_SOCK_ADDR", "CGROUP_SOCKOPT", "CGROUP_SYSCTL"),
        *("SOCK_OPS", "EXT", "NETFILTER"),
    }
)
_NEED_PERFMON = frozenset(
    {
        *("KPROBE", "TRACEPOINT", "PERF_EVENT", "RAW_TRACEPOINT", "RAW_TRACEPOINT_WRITABLE", "TRACING", "LSM"),
        *("STRUCT_OPS", "EXT"),
    }
)


def check_may_load(env: Env) -> None:
    """EPERM where the loader lacks a capability that the program type needs; Linux prints no word of it."""
    kind, caps = env.prog_type, env.caps
    if kind not in _FOR_EVERYBODY and "bpf" not in caps:
        raise Refusal(EPERM, "")
    if (kind in _NEED_NET_ADMIN and "net_admin" not in caps) or (kind in _NEED_PERFMON and "perfmon" not in caps):
        raise Refusal(EPERM, "")
