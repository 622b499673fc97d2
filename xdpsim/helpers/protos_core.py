"""Prototypes of the helpers that every program type knows: maps, clocks, rings, strings, locks, timers, dynptrs.

Follows kernel/bpf/helpers.c, ringbuf.c and bpf_local_storage's users of Linux 6.18.
"""

from __future__ import annotations

from xdpsim.helpers.proto_rows import proto

# maps
proto("map_lookup_elem", "CONST_MAP_PTR MAP_KEY", "MAP_VALUE_OR_NULL", pkt_access=True)
proto("map_update_elem", "CONST_MAP_PTR MAP_KEY MAP_VALUE ANYTHING", pkt_access=True)
proto("map_delete_elem", "CONST_MAP_PTR MAP_KEY", pkt_access=True)
proto("map_push_elem", "CONST_MAP_PTR MAP_VALUE ANYTHING", pkt_access=True)
proto("map_pop_elem", "CONST_MAP_PTR UNINIT_MAP_VALUE")
proto("map_peek_elem", "CONST_MAP_PTR UNINIT_MAP_VALUE")
proto("map_lookup_percpu_elem", "CONST_MAP_PTR MAP_KEY ANYTHING", "MAP_VALUE_OR_NULL", pkt_access=True)
proto("for_each_map_elem", "CONST_MAP_PTR FUNC STACK_OR_NULL ANYTHING", calls_back="for_each_map_elem")
proto("tail_call", "CTX CONST_MAP_PTR ANYTHING", "VOID", moves_packet=True)
proto("get_local_storage", "CONST_MAP_PTR ANYTHING", "MAP_VALUE")
# time, chance, place
proto("ktime_get_ns", "")
proto("ktime_get_boot_ns", "")
proto("ktime_get_coarse_ns", "")
proto("ktime_get_tai_ns", "")
proto("jiffies64", "")
proto("get_prandom_u32", "")
proto("get_smp_processor_id", "")
_NOT_RAW = (
    "XDP SCHED_CLS SCHED_ACT LWT_IN LWT_OUT LWT_XMIT LWT_SEG6LOCAL KPROBE TRACEPOINT RAW_TRACEPOINT "
    "RAW_TRACEPOINT_WRITABLE PERF_EVENT SYSCALL"
)
proto("get_smp_processor_id", "", types=_NOT_RAW, allow_fastcall=True)
proto("get_numa_node_id", "")
# tasks and cgroups
proto("get_current_pid_tgid", "")
proto("get_current_uid_gid", "")
proto("get_current_comm", "UNINIT_MEM SIZE")
proto("get_ns_current_pid_tgid", "ANYTHING ANYTHING UNINIT_MEM SIZE")
proto("get_current_cgroup_id", "")
proto("get_current_ancestor_cgroup_id", "ANYTHING")
proto("current_task_under_cgroup", "CONST_MAP_PTR ANYTHING")
proto("get_retval", "")
proto("set_retval", "ANYTHING")
# storages
proto(
    "task_storage_get",
    "CONST_MAP_PTR BTF_ID_OR_NULL MAP_VALUE_OR_NULL ANYTHING",
    "MAP_VALUE_OR_NULL",
    btf="task_struct",
)
proto("task_storage_delete", "CONST_MAP_PTR BTF_ID_OR_NULL", btf="task_struct")
proto("cgrp_storage_get", "CONST_MAP_PTR BTF_ID_OR_NULL MAP_VALUE_OR_NULL ANYTHING", "MAP_VALUE_OR_NULL", btf="cgroup")
proto("cgrp_storage_delete", "CONST_MAP_PTR BTF_ID_OR_NULL", btf="cgroup")
proto("inode_storage_get", "CONST_MAP_PTR BTF_ID_OR_NULL MAP_VALUE_OR_NULL ANYTHING", "MAP_VALUE_OR_NULL", btf="inode")
proto("inode_storage_delete", "CONST_MAP_PTR BTF_ID_OR_NULL", btf="inode")
# rings
proto("ringbuf_output", "CONST_MAP_PTR MEM_RDONLY SIZE_OR_ZERO ANYTHING")
proto("ringbuf_reserve", "CONST_MAP_PTR ALLOC_SIZE_OR_ZERO ANYTHING", "RINGBUF_MEM_OR_NULL", acquires=True)
proto("ringbuf_submit", "RINGBUF_MEM ANYTHING", "VOID")
proto("ringbuf_discard", "RINGBUF_MEM ANYTHING", "VOID")
proto("ringbuf_query", "CONST_MAP_PTR ANYTHING")
proto("ringbuf_reserve_dynptr", "CONST_MAP_PTR ANYTHING ANYTHING UNINIT_DYNPTR_RINGBUF")
proto("ringbuf_submit_dynptr", "DYNPTR_RINGBUF_RELEASE ANYTHING", "VOID")
proto("ringbuf_discard_dynptr", "DYNPTR_RINGBUF_RELEASE ANYTHING", "VOID")
proto("user_ringbuf_drain", "CONST_MAP_PTR FUNC STACK_OR_NULL ANYTHING", calls_back="user_ringbuf_drain")
# strings
proto("strtol", "MEM_RDONLY SIZE ANYTHING FIXED_MEM_8_UNINIT")
proto("strtoul", "MEM_RDONLY SIZE ANYTHING FIXED_MEM_8_UNINIT")
proto("strncmp", "MEM_RDONLY SIZE CONST_STR")
proto("snprintf", "MEM_WRITE_OR_NULL SIZE_OR_ZERO CONST_STR MEM_RDONLY_OR_NULL SIZE_OR_ZERO")
# locks, timers, loops, objects
proto("spin_lock", "SPIN_LOCK", "VOID")
proto("spin_unlock", "SPIN_LOCK", "VOID")
proto("timer_init", "TIMER CONST_MAP_PTR ANYTHING")
proto("timer_set_callback", "TIMER FUNC", calls_back="timer_set_callback")
proto("timer_start", "TIMER ANYTHING ANYTHING")
proto("timer_cancel", "TIMER")
proto("loop", "ANYTHING FUNC STACK_OR_NULL ANYTHING", calls_back="loop")
proto("kptr_xchg", "KPTR_XCHG_DEST BTF_ID_OR_NULL_RELEASE", "BTF_ID_OR_NULL", acquires=True)
proto("per_cpu_ptr", "PERCPU_BTF_ID ANYTHING", "MEM_OR_BTF_ID_OR_NULL")
proto("this_cpu_ptr", "PERCPU_BTF_ID", "MEM_OR_BTF_ID")
# dynptrs
proto("dynptr_from_mem", "UNINIT_MEM SIZE_OR_ZERO ANYTHING UNINIT_DYNPTR")
proto("dynptr_read", "UNINIT_MEM SIZE_OR_ZERO DYNPTR_RDONLY ANYTHING ANYTHING")
proto("dynptr_write", "DYNPTR_RDONLY ANYTHING MEM_RDONLY SIZE_OR_ZERO ANYTHING")
proto("dynptr_data", "DYNPTR_RDONLY ANYTHING ALLOC_SIZE_OR_ZERO", "DYNPTR_MEM_OR_NULL")
