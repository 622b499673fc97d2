"""Which helpers take which types of map: facts of check_map_func_compatibility() in kernel/bpf/verifier.c, as data.

Both tables must agree to a pair. A type of map without an entry in the first goes with every helper that takes maps; a
helper without one in the second takes every type of map. What writes entries of a map is here too.
"""

from __future__ import annotations

from xdpsim.helpers.ids import HELPERS_BY_NAME

_QUEUE = "map_peek_elem map_pop_elem map_push_elem"
_BY_MAP: dict[str, str] = {
    "PROG_ARRAY": "tail_call",
    "PERF_EVENT_ARRAY": "perf_event_read perf_event_output skb_output perf_event_read_value xdp_output",
    "RINGBUF": (
        "ringbuf_output ringbuf_reserve ringbuf_query ringbuf_reserve_dynptr ringbuf_submit_dynptr "
        "ringbuf_discard_dynptr"
    ),
    "USER_RINGBUF": "user_ringbuf_drain",
    "STACK_TRACE": "get_stackid",
    "CGROUP_ARRAY": "skb_under_cgroup current_task_under_cgroup",
    "CGROUP_STORAGE": "get_local_storage",
    "PERCPU_CGROUP_STORAGE": "get_local_storage",
    "DEVMAP": "redirect_map map_lookup_elem",
    "DEVMAP_HASH": "redirect_map map_lookup_elem",
    "CPUMAP": "redirect_map",
    "XSKMAP": "redirect_map map_lookup_elem",
    "ARRAY_OF_MAPS": "map_lookup_elem",
    "HASH_OF_MAPS": "map_lookup_elem",
    "SOCKMAP": "sk_redirect_map sock_map_update msg_redirect_map sk_select_reuseport map_lookup_elem",
    "SOCKHASH": "sk_redirect_hash sock_hash_update msg_redirect_hash sk_select_reuseport map_lookup_elem",
    "REUSEPORT_SOCKARRAY": "sk_select_reuseport",
    "QUEUE": _QUEUE,
    "STACK": _QUEUE,
    "SK_STORAGE": "sk_storage_get sk_storage_delete kptr_xchg",
    "INODE_STORAGE": "inode_storage_get inode_storage_delete kptr_xchg",
    "TASK_STORAGE": "task_storage_get task_storage_delete kptr_xchg",
    "CGRP_STORAGE": "cgrp_storage_get cgrp_storage_delete kptr_xchg",
    "BLOOM_FILTER": "map_peek_elem map_push_elem",
}
_BY_HELPER: dict[str, str] = {
    "tail_call": "PROG_ARRAY",
    "perf_event_read perf_event_output perf_event_read_value skb_output xdp_output": "PERF_EVENT_ARRAY",
    _BY_MAP["RINGBUF"]: "RINGBUF",
    "user_ringbuf_drain": "USER_RINGBUF",
    "get_stackid": "STACK_TRACE",
    "current_task_under_cgroup skb_under_cgroup": "CGROUP_ARRAY",
    "redirect_map": "DEVMAP DEVMAP_HASH CPUMAP XSKMAP",
    "sk_redirect_map msg_redirect_map sock_map_update": "SOCKMAP",
    "sk_redirect_hash msg_redirect_hash sock_hash_update": "SOCKHASH",
    "get_local_storage": "CGROUP_STORAGE PERCPU_CGROUP_STORAGE",
    "sk_select_reuseport": "REUSEPORT_SOCKARRAY SOCKMAP SOCKHASH",
    "map_pop_elem": "QUEUE STACK",
    "map_peek_elem map_push_elem": "QUEUE STACK BLOOM_FILTER",
    "map_lookup_percpu_elem": "PERCPU_ARRAY PERCPU_HASH LRU_PERCPU_HASH",
    "sk_storage_get sk_storage_delete": "SK_STORAGE",
    "inode_storage_get inode_storage_delete": "INODE_STORAGE",
    "task_storage_get task_storage_delete": "TASK_STORAGE",
    "cgrp_storage_get cgrp_storage_delete": "CGRP_STORAGE",
}


def _ids(names: str) -> frozenset[int]:
    return frozenset(HELPERS_BY_NAME[f"bpf_{name}"].id for name in names.split())


HELPERS_OF_MAP: dict[str, frozenset[int]] = {map_type: _ids(names) for map_type, names in _BY_MAP.items()}
MAPS_OF_HELPER: dict[int, frozenset[str]] = {
    number: frozenset(types.split()) for names, types in _BY_HELPER.items() for number in _ids(names)
}

SOCKET_MAPS = frozenset({"SOCKMAP", "SOCKHASH"})
SOCKET_UPDATERS: dict[int, frozenset[str]] = {
    number: frozenset(f"SOCKET_FILTER SCHED_CLS SCHED_ACT XDP SK_REUSEPORT FLOW_DISSECTOR SK_LOOKUP {more}".split())
    for number, more in (
        (HELPERS_BY_NAME["bpf_map_update_elem"].id, ""),
        (HELPERS_BY_NAME["bpf_map_delete_elem"].id, "SOCK_OPS"),
    )
}
"""Program types that may change a sockmap with the plain helper: no socket is locked where they run."""

CHANGERS = _ids("map_update_elem map_delete_elem map_push_elem map_pop_elem")
"""What changes entries of the map itself: refused for a map with BPF_F_RDONLY_PROG."""
RECORDED = CHANGERS | _ids(
    "tail_call map_lookup_elem map_peek_elem for_each_map_elem redirect_map map_lookup_percpu_elem"
)
"""Calls for which Linux keeps the map that they are given."""
FOR_EACH_MAPS = frozenset({"ARRAY", "PERCPU_ARRAY", "HASH", "PERCPU_HASH", "LRU_HASH", "LRU_PERCPU_HASH"})
"""Types of map over whose entries for_each_map_elem goes."""
SLEEPABLE_MAPS = frozenset(
    {
        *("HASH", "LRU_HASH", "ARRAY", "PERCPU_HASH", "PERCPU_ARRAY", "LRU_PERCPU_HASH"),
        *("ARRAY_OF_MAPS", "HASH_OF_MAPS", "RINGBUF", "USER_RINGBUF", "QUEUE", "STACK", "ARENA"),
        *("INODE_STORAGE", "SK_STORAGE", "TASK_STORAGE", "CGRP_STORAGE"),
    }
)
"""Types of map that a sleepable program may use."""
READ_ONLY_MAPS = frozenset({"DEVMAP", "DEVMAP_HASH"})
"""Types of map that Linux makes with BPF_F_RDONLY_PROG, asked for or not (kernel/bpf/devmap.c)."""
