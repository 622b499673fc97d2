"""bpf_wq: work that is done soon, outside of the packet; here before the next packet. Follows kernel/bpf/helpers.c."""

from __future__ import annotations

from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, kfunc
from xdpsim.helpers.timers import Timers, field_place

_EINVAL, _EBUSY = 22, 16
_FIELD_BYTES = 16


def _check(machine: Machine, work: int) -> Timers:
    if not machine.space.writable(work, _FIELD_BYTES):
        raise BadArgument(1)
    return machine.part(Timers)


@kfunc(args=(Arg.ANYTHING, Arg.CONST_MAP_PTR, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_wq_init(machine: Machine, work: int, map_: int, flags: int) -> int:
    """Make the work item in a map's value: -EINVAL unless `flags` is 0, -EBUSY when it is made already."""
    timers, target = _check(machine, work), machine.map_at(map_)
    if target is None:
        raise BadArgument(2)
    if flags & 0xFFFF_FFFF:
        return -_EINVAL
    place = field_place(machine, work, "bpf_wq", target)
    if timers.find(work):
        return -_EBUSY
    timers.make(work, *place)
    return 0


@kfunc(args=(Arg.ANYTHING, Arg.FUNC, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_wq_set_callback_impl(machine: Machine, work: int, callback: int, flags: int, aux: int) -> int:
    """Say what it calls: callback(map, key, value). -EINVAL before bpf_wq_init, and unless `flags` is 0."""
    found = _check(machine, work).find(work)
    if found is None or flags & 0xFFFF_FFFF:
        return -_EINVAL
    found.callback = callback
    return 0


@kfunc(args=(Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_wq_start(machine: Machine, work: int, flags: int) -> int:
    """Have it done. -EINVAL before bpf_wq_init, and unless `flags` is 0."""
    timers = _check(machine, work)
    found = timers.find(work)
    if found is None or flags & 0xFFFF_FFFF:
        return -_EINVAL
    if found.callback and found.expires is None:
        timers.start(found, machine.run_state.ktime_ns)
    return 0
