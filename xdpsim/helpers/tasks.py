"""Helpers about the task that a program interrupts, and its cgroup.

Follows kernel/bpf/helpers.c, kernel/trace/bpf_trace.c and net/core/filter.c.

Unless a user declares another one, the task is the idle one, as for packets that come in on a CPU with nothing to do:
see tables/tasks.py. BPF_PROG_TEST_RUN instead runs programs in the task that called it.
"""

from __future__ import annotations

from xdpsim.bits import M32, M64, signed
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper
from xdpsim.tables.tables import Tables
from xdpsim.tables.tasks import Task, Tasks

_ENOENT, _E2BIG, _EAGAIN, _EFAULT, _EINVAL = 2, 7, 11, 14, 22
_PIDNS_INFO_BYTES = 8
_SKIP_MASK, _USER_STACK, _USER_BUILD_ID = 0xFF, 1 << 8, 1 << 11
_STACK_FLAGS = _SKIP_MASK | _USER_STACK | _USER_BUILD_ID
_BUILD_ID_BYTES, _WORD_BYTES = 32, 8


def _tasks(machine: Machine) -> Tasks:
    return machine.part(Tables).tasks


def _task_at(machine: Machine, address: int) -> Task:
    found = _tasks(machine).at(address)
    if found is None:
        raise BadArgument(1)
    return found


@helper(14)
def bpf_get_current_pid_tgid(machine: Machine) -> int:
    """The process in the upper half, the thread in the lower."""
    task = _tasks(machine).current
    return task.tgid << 32 | task.pid


@helper(15)
def bpf_get_current_uid_gid(machine: Machine) -> int:
    """The group in the upper half, the user in the lower."""
    task = _tasks(machine).current
    return task.gid << 32 | task.uid


@helper(16)
def bpf_get_current_comm(machine: Machine, buffer: int, size: int) -> int:
    """Write the task's name, cut to `size` bytes with its NUL and padded with zeroes; 0."""
    name = _tasks(machine).current.comm.encode()[:15]
    machine.space.write(buffer, name[: size - 1].ljust(size, b"\0"))
    return 0


@helper(17)
def bpf_get_cgroup_classid(machine: Machine) -> int:
    """The class of the task's net_cls cgroup, 0 for none."""
    return _tasks(machine).current.classid


@helper(35)
def bpf_get_current_task(machine: Machine) -> int:
    """Address of the task's task_struct."""
    return _tasks(machine).current.record.address


@helper(158)
def bpf_get_current_task_btf(machine: Machine) -> int:
    """The task's task_struct, as a typed pointer."""
    return _tasks(machine).current.record.address


@helper(80)
def bpf_get_current_cgroup_id(machine: Machine) -> int:
    """Id of the task's cgroup; 1 is the root."""
    return _tasks(machine).current.cgroup.id


@helper(123)
def bpf_get_current_ancestor_cgroup_id(machine: Machine, level: int) -> int:
    """Id of the cgroup above the task's at that level, the root being 0; 0 below it."""
    ancestors, wanted = _tasks(machine).current.cgroup.ancestors, signed(level, 32)
    return ancestors[wanted].id if 0 <= wanted < len(ancestors) else 0


@helper(37)
def bpf_current_task_under_cgroup(machine: Machine, map_address: int, index: int) -> int:
    """1 when the task is in the cgroup that the CGROUP_ARRAY holds there or below it, 0 when not, or -errno."""
    held = machine.map_at(map_address)
    if held is None or held.spec.type != "CGROUP_ARRAY":
        raise BadArgument(1)
    if index & M32 >= held.spec.max_entries:
        return -_E2BIG
    value = held.lookup_bytes((index & M32).to_bytes(4, "little"))
    tasks = _tasks(machine)
    cgroup = tasks.cgroup_by_id(int.from_bytes(value, "little")) if value else None
    if cgroup is None:
        return -_EAGAIN
    return int(cgroup in tasks.current.cgroup.ancestors)


@helper(120)
def bpf_get_ns_current_pid_tgid(machine: Machine, device: int, inode: int, info: int, size: int) -> int:
    """Write pid and tgid as the task's own pid namespace counts them; zeroes and -EINVAL for any other namespace."""
    task = _tasks(machine).current
    if size != _PIDNS_INFO_BYTES or (device & M64, inode & M64) != task.pid_namespace:
        machine.space.write(info, bytes(size))
        return -_EINVAL
    machine.space.write(info, task.pid.to_bytes(4, "little") + task.tgid.to_bytes(4, "little"))
    return 0


@helper(175)
def bpf_task_pt_regs(machine: Machine, task: int) -> int:
    """The task's user registers: all zero, for nothing of it runs here."""
    return _task_at(machine, task).registers.address


@helper(141)
def bpf_get_task_stack(machine: Machine, task: int, buffer: int, size: int, flags: int) -> int:
    """Zeroes and -EFAULT, for there is no stack to see; -EINVAL for flags and sizes that Linux refuses."""
    _task_at(machine, task)
    if size:
        machine.space.write(buffer, bytes(size))
    wants_ids = flags & _USER_BUILD_ID
    if flags & M64 & ~_STACK_FLAGS or (wants_ids and not flags & _USER_STACK):
        return -_EINVAL
    return -_EINVAL if size % (_BUILD_ID_BYTES if wants_ids else _WORD_BYTES) else -_EFAULT


@helper(180)
def bpf_find_vma(machine: Machine, task: int, address: int, callback: int, context: int, flags: int) -> int:
    """-ENOENT, for no task has memory of its own here; -EINVAL for any flag."""
    _task_at(machine, task)
    return -_EINVAL if flags & M64 else -_ENOENT
