"""Helpers that tell time, randomness and place, all out of the run state, so that runs repeat exactly.

The formulas are also what the kernel engine's instrumented programs compute; they live here once.
"""

from __future__ import annotations

from xdpsim.helpers.rows import native_helper
from xdpsim.memory.native import native
from xdpsim.memory.raw import load32, load64, store64
from xdpsim.memory.structs import RUN_STATE

HZ = 250
TICK_NS = 1_000_000_000 // HZ
JIFFIES_AT_BOOT = (1 << 32) - 300 * HZ
"""INITIAL_JIFFIES as a 64-bit count: the 32-bit counter wraps five minutes after boot."""
RANDOM_MULTIPLIER = 0x2545F4914F6CDD1D
"""xorshift64*, in the place of the kernel's per-CPU generator: seeded, so that runs repeat."""

_KTIME = RUN_STATE.offset("ktime_ns")
_TAI = RUN_STATE.offset("tai_ns")
_RANDOM = RUN_STATE.offset("random")
_CPU = RUN_STATE.offset("cpu")
_NUMA_NODE = RUN_STATE.offset("numa_node")


@native_helper(5)
def bpf_ktime_get_ns(rs: int) -> int:
    """Nanoseconds since boot on the virtual clock."""
    return load64(rs + _KTIME)


@native_helper(125)
def bpf_ktime_get_boot_ns(rs: int) -> int:
    """As ktime_get_ns: the emulated machine never sleeps."""
    return load64(rs + _KTIME)


@native_helper(160)
def bpf_ktime_get_coarse_ns(rs: int) -> int:
    """The time of the last tick, every 4 ms."""
    now = load64(rs + _KTIME)
    return now - now % TICK_NS


@native_helper(208)
def bpf_ktime_get_tai_ns(rs: int) -> int:
    """The capture's own time, in nanoseconds since 1970."""
    return load64(rs + _TAI)


@native_helper(118)
def bpf_jiffies64(rs: int) -> int:
    """Ticks since boot, HZ=250, counting from where Linux starts."""
    return JIFFIES_AT_BOOT + load64(rs + _KTIME) // TICK_NS


@native
def next_random(rs: int) -> int:
    """32 random bits out of the run state's generator."""
    x = load64(rs + _RANDOM)
    x = x ^ (x >> 12)
    x = x ^ (x << 25)
    x = x ^ (x >> 27)
    store64(rs + _RANDOM, x)
    return (x * RANDOM_MULTIPLIER) >> 32


@native_helper(7, only_arguments=True)
def bpf_get_prandom_u32(rs: int) -> int:
    """The next 32 random bits."""
    return next_random(rs)


@native_helper(8, only_arguments=True)
def bpf_get_smp_processor_id(rs: int) -> int:
    """The emulated CPU that runs the program."""
    return load32(rs + _CPU)


@native_helper(42, only_arguments=True)
def bpf_get_numa_node_id(rs: int) -> int:
    """The node of that CPU."""
    return load32(rs + _NUMA_NODE)
