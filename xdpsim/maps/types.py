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


@dataclass(frozen=True, slots=True)
class MapFlag:
    """A flag of BPF_MAP_CREATE: its name without BPF_F_, bit, first kernel, and map types that take it, if it says."""

    name: str
    bit: int
    since: str
    types: tuple[str, ...] = ()


MAP_FLAGS: dict[str, MapFlag] = {
    row.name: row
    for row in (
        MapFlag("NO_PREALLOC", BPF_F_NO_PREALLOC, "4.6", ("HASH",)),
        MapFlag("NO_COMMON_LRU", BPF_F_NO_COMMON_LRU, "4.10", ("LRU_HASH",)),
        MapFlag("NUMA_NODE", BPF_F_NUMA_NODE, "4.14", ("HASH",)),
        MapFlag("RDONLY", BPF_F_RDONLY, "4.15", ("ARRAY",)),
        MapFlag("WRONLY", BPF_F_WRONLY, "4.15", ("ARRAY",)),
        MapFlag("STACK_BUILD_ID", BPF_F_STACK_BUILD_ID, "4.17"),
        MapFlag("ZERO_SEED", BPF_F_ZERO_SEED, "5.0", ("HASH",)),
        MapFlag("RDONLY_PROG", BPF_F_RDONLY_PROG, "5.2", ("ARRAY",)),
        MapFlag("WRONLY_PROG", BPF_F_WRONLY_PROG, "5.2", ("ARRAY",)),
        MapFlag("CLONE", BPF_F_CLONE, "5.4", ("SK_STORAGE",)),
        MapFlag("MMAPABLE", BPF_F_MMAPABLE, "5.5", ("ARRAY",)),
        MapFlag("PRESERVE_ELEMS", BPF_F_PRESERVE_ELEMS, "5.10", ("PERF_EVENT_ARRAY",)),
        MapFlag("INNER_MAP", BPF_F_INNER_MAP, "5.10", ("ARRAY",)),
        MapFlag("LINK", BPF_F_LINK, "6.4"),
        MapFlag("VTYPE_BTF_OBJ_FD", BPF_F_VTYPE_BTF_OBJ_FD, "6.9"),
        MapFlag("TOKEN_FD", BPF_F_TOKEN_FD, "6.9"),
        MapFlag("SEGV_ON_FAULT", BPF_F_SEGV_ON_FAULT, "6.9", ("ARENA",)),
        MapFlag("NO_USER_CONV", BPF_F_NO_USER_CONV, "6.9", ("ARENA",)),
    )
}
