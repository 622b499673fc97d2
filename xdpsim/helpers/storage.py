"""Values that programs keep with a task or a cgroup. Follows kernel/bpf/bpf_task_storage.c and bpf_cgrp_storage.c."""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper
from xdpsim.maps.local_storage import storage_find, storage_make, storage_remove
from xdpsim.tables.tables import Tables

_ENOENT, _EINVAL = 2, 22
BPF_LOCAL_STORAGE_GET_F_CREATE = 1


def _task_number(machine: Machine, address: int) -> int:
    task = machine.part(Tables).tasks.at(address)
    if task is None:
        raise BadArgument(2)
    return task.pid


def _cgroup_number(machine: Machine, address: int) -> int:
    cgroup = machine.part(Tables).tasks.cgroup_at(address)
    if cgroup is None:
        raise BadArgument(2)
    return cgroup.id


def _check_map(machine: Machine, map_: int, wanted: str) -> None:
    found = machine.map_at(map_)
    if found is None or found.spec.type != wanted:
        raise BadArgument(1)


def _get(map_: int, number: int, owner: int, value: int, flags: int) -> int:
    found = storage_find(map_, number, owner)
    if found or not flags:
        return found
    return storage_make(map_, number, owner, value)


def _delete(map_: int, number: int, owner: int) -> int:
    if not storage_find(map_, number, owner):
        return -_ENOENT
    storage_remove(map_, number)
    return 0


@helper(156)
def bpf_task_storage_get(machine: Machine, map_: int, task: int, value: int, flags: int) -> int:
    """The task's value; with BPF_LOCAL_STORAGE_GET_F_CREATE a new one like `value` (or zeroes) when it has none."""
    _check_map(machine, map_, "TASK_STORAGE")
    if flags & M64 & ~BPF_LOCAL_STORAGE_GET_F_CREATE or not task:
        return 0
    return _get(map_, _task_number(machine, task), task, value, flags)


@helper(157)
def bpf_task_storage_delete(machine: Machine, map_: int, task: int) -> int:
    """Remove the task's value: 0, -ENOENT without one, -EINVAL without a task."""
    _check_map(machine, map_, "TASK_STORAGE")
    return _delete(map_, _task_number(machine, task), task) if task else -_EINVAL


@helper(210)
def bpf_cgrp_storage_get(machine: Machine, map_: int, cgroup: int, value: int, flags: int) -> int:
    """The cgroup's value; with BPF_LOCAL_STORAGE_GET_F_CREATE a new one like `value` (or zeroes) when it has none."""
    _check_map(machine, map_, "CGRP_STORAGE")
    if flags & M64 & ~BPF_LOCAL_STORAGE_GET_F_CREATE or not cgroup:
        return 0
    return _get(map_, _cgroup_number(machine, cgroup), cgroup, value, flags)


@helper(211)
def bpf_cgrp_storage_delete(machine: Machine, map_: int, cgroup: int) -> int:
    """Remove the cgroup's value: 0, -ENOENT without one, -EINVAL without a cgroup."""
    _check_map(machine, map_, "CGRP_STORAGE")
    return _delete(map_, _cgroup_number(machine, cgroup), cgroup) if cgroup else -_EINVAL
