"""Which results a program may return, by its type and attach type (check_return_code of kernel/bpf/verifier.c).

Types without a range may return any number.
"""

from __future__ import annotations

from xdpsim.progtypes.attach import AttachType as At

_ANY, _BIT, _ONE, _ZERO, _TWO_BITS = None, (0, 1), (1, 1), (0, 0), (0, 3)
_RANGES: dict[str, tuple[int, int] | None] = {
    "CGROUP_SKB": _BIT,
    "CGROUP_SOCK": _BIT,
    "CGROUP_SOCK_ADDR": _BIT,
    "CGROUP_DEVICE": _BIT,
    "CGROUP_SYSCTL": _BIT,
    "CGROUP_SOCKOPT": _BIT,
    "SOCK_OPS": _BIT,
    "SK_LOOKUP": _BIT,
    "NETFILTER": _BIT,
    "TRACING": _BIT,
}
_AFTER_THE_FACT = (
    {At.CGROUP_UDP4_RECVMSG, At.CGROUP_UDP6_RECVMSG, At.CGROUP_UNIX_RECVMSG}
    | {At.CGROUP_INET4_GETPEERNAME, At.CGROUP_INET6_GETPEERNAME, At.CGROUP_UNIX_GETPEERNAME}
    | {At.CGROUP_INET4_GETSOCKNAME, At.CGROUP_INET6_GETSOCKNAME, At.CGROUP_UNIX_GETSOCKNAME}
)
"""Where nothing can be refused any more."""
_BY_ATTACH: dict[tuple[str, int], tuple[int, int] | None] = {
    ("CGROUP_SKB", At.CGROUP_INET_EGRESS): _TWO_BITS,
    ("CGROUP_SOCK_ADDR", At.CGROUP_INET4_BIND): _TWO_BITS,
    ("CGROUP_SOCK_ADDR", At.CGROUP_INET6_BIND): _TWO_BITS,
    **{("CGROUP_SOCK_ADDR", attach): _ONE for attach in _AFTER_THE_FACT},
    ("TRACING", At.TRACE_FENTRY): _ZERO,
    ("TRACING", At.TRACE_FEXIT): _ZERO,
    ("TRACING", At.TRACE_RAW_TP): _ANY,
    ("TRACING", At.MODIFY_RETURN): _ANY,
    ("KPROBE", At.TRACE_KPROBE_SESSION): _BIT,
    ("KPROBE", At.TRACE_UPROBE_SESSION): _BIT,
}


def return_range(program_type: str, attach_type: int = 0) -> tuple[int, int] | None:
    """The least and the greatest result that such a program may return; None when every number is good."""
    return _BY_ATTACH.get((program_type, attach_type), _RANGES.get(program_type))
