"""Kernel functions on maps. Follows kernel/bpf/map_iter.c."""

from __future__ import annotations

from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, kfunc

COUNTED_TYPES = frozenset({"HASH", "PERCPU_HASH", "LRU_HASH", "LRU_PERCPU_HASH"})


@kfunc(args=(Arg.CONST_MAP_PTR,), returns=Ret.INTEGER)
def bpf_map_sum_elem_count(machine: Machine, map_: int) -> int:
    """How many elements a hash has; 0 for maps that Linux does not count."""
    target = machine.map_at(map_)
    if target is None:
        raise BadArgument(1)
    return len(target) if target.spec.type in COUNTED_TYPES else 0
