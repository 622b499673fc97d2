"""Since when programs of a type may call a helper, where that came later than the helper itself.

Linux 6.1 and 6.12 were asked which helpers each type may call; the release in between is read from kernel history.
"""

from __future__ import annotations

from xdpsim.helpers.ids import HELPERS_BY_ID, HELPERS_BY_NAME, HELPERS_OF_TYPE
from xdpsim.versions import Linux

_TRACING = "KPROBE TRACEPOINT RAW_TRACEPOINT RAW_TRACEPOINT_WRITABLE PERF_EVENT SYSCALL"
_CGROUP = "CGROUP_SOCK CGROUP_DEVICE CGROUP_SOCK_ADDR CGROUP_SYSCTL CGROUP_SOCKOPT"
_TC_LWT = "SCHED_CLS SCHED_ACT LWT_IN LWT_OUT LWT_XMIT LWT_SEG6LOCAL"

# Since this release every type may call these helpers; those named could from the start.
_FOR_ALL: tuple[tuple[str, str, str], ...] = (
    ("6.4", "get_current_cgroup_id get_current_ancestor_cgroup_id", f"{_TRACING} {_CGROUP} SK_MSG"),
    ("6.10", "get_current_pid_tgid", f"{_TRACING} {_CGROUP} SK_MSG"),
    ("6.10", "get_ns_current_pid_tgid", _TRACING),
    ("6.16", "get_current_uid_gid", f"{_TRACING} {_CGROUP} SK_MSG"),
    ("6.16", "get_current_comm current_task_under_cgroup", f"{_TRACING} {_CGROUP}"),
    ("6.16", "get_cgroup_classid", f"{_TC_LWT} {_CGROUP} SK_MSG"),
    ("6.16", "find_vma get_branch_snapshot get_task_stack perf_event_read perf_event_read_value", _TRACING),
    ("6.16", "send_signal send_signal_thread task_storage_get task_storage_delete", _TRACING),
)
# Since this release these types may.
_FOR_SOME: tuple[tuple[str, str, str], ...] = (
    ("5.8", "skb_change_head", "SCHED_CLS SCHED_ACT"),
    ("6.10", "get_attach_cookie", "RAW_TRACEPOINT RAW_TRACEPOINT_WRITABLE"),
    ("6.12", "current_task_under_cgroup", _CGROUP),
    ("6.13", "skb_pull_data", "LWT_SEG6LOCAL"),
    ("6.15", "get_netns_cookie", "SOCKET_FILTER SCHED_CLS SCHED_ACT CGROUP_SKB"),
)


def _rows() -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for since, names, had in _FOR_ALL:
        for name in names.split():
            found.update(
                {(t, HELPERS_BY_NAME["bpf_" + name].id): since for t in HELPERS_OF_TYPE.keys() - {*had.split()}}
            )
    for since, names, types in _FOR_SOME:
        for name in names.split():
            found.update({(t, HELPERS_BY_NAME["bpf_" + name].id): since for t in types.split()})
    return found


_LATER = _rows()


def helper_since(helper_id: int, program_type: str) -> str:
    """The first Linux on which a program of the type may call the helper; KeyError for an unknown number."""
    first = HELPERS_BY_ID[helper_id].since
    return max((first, _LATER.get((program_type, helper_id), first)), key=Linux)
