"""Map types and flags of Linux as data: numbers and first kernels from include/uapi/linux/bpf.h.

What a type does is said where it is built (array.py, hash.py ...).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MapType:
    """One BPF_MAP_TYPE_*: the kernel's word without that prefix, its number, and the Linux it came with."""

    name: str
    id: int
    since: str


_ROWS = (
    ("HASH", "3.19"),
    ("ARRAY", "3.19"),
    ("PROG_ARRAY", "4.2"),
    ("PERF_EVENT_ARRAY", "4.3"),
    ("PERCPU_HASH", "4.6"),
    ("PERCPU_ARRAY", "4.6"),
    ("STACK_TRACE", "4.6"),
    ("CGROUP_ARRAY", "4.8"),
    ("LRU_HASH", "4.10"),
    ("LRU_PERCPU_HASH", "4.10"),
    ("LPM_TRIE", "4.11"),
    ("ARRAY_OF_MAPS", "4.12"),
    ("HASH_OF_MAPS", "4.12"),
    ("DEVMAP", "4.14"),
    ("SOCKMAP", "4.14"),
    ("CPUMAP", "4.15"),
    ("XSKMAP", "4.18"),
    ("SOCKHASH", "4.18"),
    ("CGROUP_STORAGE", "4.19"),
    ("REUSEPORT_SOCKARRAY", "4.19"),
    ("PERCPU_CGROUP_STORAGE", "4.20"),
    ("QUEUE", "4.20"),
    ("STACK", "4.20"),
    ("SK_STORAGE", "5.2"),
    ("DEVMAP_HASH", "5.4"),
    ("STRUCT_OPS", "5.6"),
    ("RINGBUF", "5.8"),
    ("INODE_STORAGE", "5.10"),
    ("TASK_STORAGE", "5.11"),
    ("BLOOM_FILTER", "5.16"),
    ("USER_RINGBUF", "6.1"),
    ("CGRP_STORAGE", "6.2"),
    ("ARENA", "6.9"),
)
MAP_TYPES: dict[str, MapType] = {name: MapType(name, number, since) for number, (name, since) in enumerate(_ROWS, 1)}

# Flags of an update.
BPF_ANY = 0
BPF_NOEXIST = 1
BPF_EXIST = 2
BPF_F_LOCK = 4

# Flags of a map.
BPF_F_NO_PREALLOC = 1 << 0
BPF_F_NO_COMMON_LRU = 1 << 1
BPF_F_NUMA_NODE = 1 << 2
BPF_F_RDONLY = 1 << 3
BPF_F_WRONLY = 1 << 4
BPF_F_STACK_BUILD_ID = 1 << 5
BPF_F_ZERO_SEED = 1 << 6
BPF_F_RDONLY_PROG = 1 << 7
BPF_F_WRONLY_PROG = 1 << 8
BPF_F_CLONE = 1 << 9
BPF_F_MMAPABLE = 1 << 10
BPF_F_PRESERVE_ELEMS = 1 << 11
BPF_F_INNER_MAP = 1 << 12
BPF_F_LINK = 1 << 13
BPF_F_PATH_FD = 1 << 14
BPF_F_VTYPE_BTF_OBJ_FD = 1 << 15
BPF_F_TOKEN_FD = 1 << 16
BPF_F_SEGV_ON_FAULT = 1 << 17
BPF_F_NO_USER_CONV = 1 << 18
