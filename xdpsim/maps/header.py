"""The native face of a map: the struct that a program's map pointer points to, and the errno words operations return.

Operations come first, so that a helper is one load and one call; what follows is what compiled code and the
operations read. Which storage fields mean what is said where a type is built.
"""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.memory.layout import U32, U64, Struct

MAP = Struct(
    "map",
    # Operations, as addresses of native functions.
    ("lookup", U64),  # (rs, map, key) -> address of the value or 0
    ("update", U64),  # (rs, map, key, value, flags) -> 0 or -errno; a program's view
    ("delete", U64),  # (rs, map, key) -> 0 or -errno
    ("push", U64),  # (rs, map, value, flags) -> 0 or -errno
    ("pop", U64),  # (rs, map, value) -> 0 or -errno
    ("peek", U64),  # (rs, map, value) -> 0 or -errno
    ("next_key", U64),  # (rs, map, key or 0, room for a key) -> 0 or -errno
    # What the map is.
    ("type", U32),
    ("key_size", U32),
    ("value_size", U32),
    ("max_entries", U32),
    ("flags", U32),
    ("cpus", U32),
    ("number", U32),
    ("count", U32),  # elements now, where the type counts them
    ("has_lock", U32),  # the value holds a bpf_spin_lock
    ("data_size", U32),  # LPM_TRIE: bytes of data in a key
    ("redirect_flags", U64),  # what bpf_redirect_map takes besides the verdict
    ("special", U64),  # address of the value's locks, timers ... (special.py), 0 without
    # Values: CPU c's copy of value n lies at values + c * cpu_stride + n * value_stride.
    ("values", U64),
    ("value_stride", U64),
    ("cpu_stride", U64),  # 0 unless the type is per CPU
    # Storage of linked nodes: node n lies at nodes + n * node_stride.
    ("buckets", U64),
    ("bucket_mask", U64),
    ("nodes", U64),
    ("node_stride", U64),
    ("nodes_used", U64),  # nodes from here on were never used
    ("free", U64),  # first node of the list of free ones, 0 for none
    ("free_last", U64),
    ("free_count", U64),
    ("spares", U64),  # per CPU: address of the node that its next replacement takes
    ("root", U64),
    ("index", U64),  # LPM_TRIE: the tables that lookups read (lpm_index.py), 0 without
    ("tables_used", U64),  # where the next table goes
    ("tables_free", U64),  # first of the list of free ones
    ("tables_end", U64),
    ("lru", U64),  # LRU_HASH, LRU_PERCPU_HASH: address of the lists (lru_lists.py)
    ("head", U64),  # QUEUE, STACK: where the next element goes
    ("tail", U64),  # and the oldest one
    ("hashes", U64),  # BLOOM_FILTER: number of hash functions
    ("locks", U64),  # a lock word per bucket, for live runs on several queues; 0 without
)

EPERM, ENOENT, E2BIG, EBADF, ENOMEM, EACCES, EEXIST, EINVAL, ENOSPC = 1, 2, 7, 9, 12, 13, 17, 22, 28
ENODEV, EBUSY, EOVERFLOW, EOPNOTSUPP, ENOTSUPP = 19, 16, 75, 95, 524
ERRNO_NAMES = {
    EPERM: "EPERM",
    ENOENT: "ENOENT",
    E2BIG: "E2BIG",
    EBADF: "EBADF",
    ENOMEM: "ENOMEM",
    EACCES: "EACCES",
    EEXIST: "EEXIST",
    EINVAL: "EINVAL",
    ENOSPC: "ENOSPC",
    ENODEV: "ENODEV",
    EBUSY: "EBUSY",
    EOVERFLOW: "EOVERFLOW",
    EOPNOTSUPP: "EOPNOTSUPP",
    ENOTSUPP: "ENOTSUPP",
}
"""Linux's numbers, whatever system this runs on."""

NEG_ENOENT = -ENOENT & M64
NEG_E2BIG = -E2BIG & M64
NEG_EBADF = -EBADF & M64
NEG_EEXIST = -EEXIST & M64
NEG_EINVAL = -EINVAL & M64
NEG_ENOSPC = -ENOSPC & M64
NEG_ENOMEM = -ENOMEM & M64
NEG_ENODEV = -ENODEV & M64
NEG_EOVERFLOW = -EOVERFLOW & M64
NEG_EOPNOTSUPP = -EOPNOTSUPP & M64
NEG_ENOTSUPP = -ENOTSUPP & M64
FIRST_ERROR = -4095 & M64
"""IS_ERR: words from here on are negative errnos, not addresses."""

ERRNO_REASONS = {
    EPERM: "the map is read-only",
    ENOENT: "there is no such element",
    E2BIG: "the map is full, or the index is past its end",
    EBADF: "there is no such program, map or socket",
    EEXIST: "the element exists already",
    EINVAL: "the key, the value or the flags are not what this type of map takes",
    ENOSPC: "the map is full",
    ENODEV: "there is no such CPU",
    EOVERFLOW: "the queue size is above 16384",
    EOPNOTSUPP: "this type of map has no such operation",
    ENOTSUPP: "this type of map has no such operation",
}
"""What an operation's errno means to the user who asked for it."""
