"""bpf_spin_lock and bpf_kptr_xchg: what programs do to the special fields of values and objects.

Packets run one after the other, so a lock is free whenever a verified program asks for it.
"""

from __future__ import annotations

from xdpsim.helpers.rows import native_helper
from xdpsim.memory.raw import load64, store32, store64


@native_helper(93, only_arguments=True)
def bpf_spin_lock(rs: int, lock: int) -> int:
    """Take the lock."""
    store32(lock, 1)
    return 0


@native_helper(94, only_arguments=True)
def bpf_spin_unlock(rs: int, lock: int) -> int:
    """Give the lock back."""
    store32(lock, 0)
    return 0


@native_helper(194, only_arguments=True)
def bpf_kptr_xchg(rs: int, field: int, pointer: int) -> int:
    """Put a pointer into a kptr field; the pointer that was there, 0 for none."""
    old = load64(field)
    store64(field, pointer)
    return old
