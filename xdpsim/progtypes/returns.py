"""What a program may return: the range of r0 at its end, by program type and attach type (check_return_code)."""

from __future__ import annotations

from xdpsim.progtypes.attach import AttachType as At

Range = tuple[int, int]
"""Lowest and highest value of r0, both good, as a signed 64-bit number."""

_YES_OR_NO: Range = (0, 1)
_RANGES: dict[str, Range] = {
    "CGROUP_SKB": _YES_OR_NO,
    "CGROUP_SOCK": _YES_OR_NO,
    "CGROUP_SOCK_ADDR": _YES_OR_NO,
    "CGROUP_DEVICE": _YES_OR_NO,
    "CGROUP_SYSCTL": _YES_OR_NO,
    "CGROUP_SOCKOPT": _YES_OR_NO,
    "SOCK_OPS": _YES_OR_NO,
    "SK_LOOKUP": _YES_OR_NO,
    "NETFILTER": _YES_OR_NO,
}
"""Types of which Linux checks the result; all others may return anything."""
_BY_ATTACH: dict[tuple[str, int], Range] = {
    ("CGROUP_SKB", At.CGROUP_INET_EGRESS): (0, 3),
    ("CGROUP_SOCK_ADDR", At.CGROUP_INET4_BIND): (0, 3),
    ("CGROUP_SOCK_ADDR", At.CGROUP_INET6_BIND): (0, 3),
    **{
        ("CGROUP_SOCK_ADDR", at): (1, 1)
        for at in (
            At.CGROUP_UDP4_RECVMSG,
            At.CGROUP_UDP6_RECVMSG,
            At.CGROUP_UNIX_RECVMSG,
            At.CGROUP_INET4_GETPEERNAME,
            At.CGROUP_INET6_GETPEERNAME,
            At.CGROUP_UNIX_GETPEERNAME,
            At.CGROUP_INET4_GETSOCKNAME,
            At.CGROUP_INET6_GETSOCKNAME,
            At.CGROUP_UNIX_GETSOCKNAME,
        )
    },
}


def return_range(program_type: str, attach_type: int) -> Range | None:
    """What the program may return; None where Linux does not look."""
    return _BY_ATTACH.get((program_type, attach_type), _RANGES.get(program_type))
