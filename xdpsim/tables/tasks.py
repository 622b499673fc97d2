"""The task that a program finds running, and cgroups.

Packets are handled in softirq context on a CPU that does nothing else: the current task is then `swapper/0`, pid 0,
in the root cgroup. `current` may be another task that a user declares, as it would be when that task sends.
Records have the layouts of task_struct, cred, css_set, cgroup and kernfs_node, as far as their members are known here;
the others are zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdpsim.errors import InputError
from xdpsim.tables.kernel_structs import place, size_of
from xdpsim.tables.records import Memory, Record, RecordPool

ROOT_CGROUP_ID = 1
INIT_PID_NAMESPACE = (4, 0xEFFFFFFC)
"""Device and inode of /proc/1/ns/pid: nsfs is usually device 4, the inode is fixed (PROC_PID_INIT_INO)."""
PF_KTHREAD = 0x00200000
KNOWN_MEMBERS = {
    "task_struct": (
        *("pid", "tgid", "flags", "comm", "group_leader", "real_parent", "parent", "cred", "real_cred", "cgroups"),
    ),
    "cred": ("uid", "gid", "suid", "sgid", "euid", "egid", "fsuid", "fsgid"),
    "css_set": ("dfl_cgrp",),
    "cgroup": ("self.cgroup", "kn", "level", "ancestors"),
    "kernfs_node": ("id",),
}
"""What the records hold of the kernel's structs."""
_COMM_BYTES = 16
_PID_MAX = 1 << 22
_POINTER_BYTES = 8


@dataclass(eq=False)
class Cgroup:
    """One cgroup of the unified hierarchy; `id` is what bpf_get_current_cgroup_id gives for a task in it."""

    path: str
    id: int
    parent: Cgroup | None
    record: Record

    @property
    def ancestors(self) -> list[Cgroup]:
        """From the root down to the cgroup itself."""
        above = self.parent.ancestors if self.parent else []
        return [*above, self]


@dataclass(eq=False)
class Task:
    """One task. `pid` is the thread's number and `tgid` the process's, as the kernel names them."""

    comm: str
    pid: int
    tgid: int
    uid: int
    gid: int
    cgroup: Cgroup
    classid: int
    pid_namespace: tuple[int, int]
    is_kernel_thread: bool
    record: Record
    registers: Record
    signals: list[int] = field(default_factory=list)
    """What programs have sent to it."""


class Tasks:
    """All tasks and cgroups; `current` is the task that programs find running."""

    def __init__(self, memory: Memory) -> None:
        kinds = ("task_struct", "cred", "css_set", "cgroup", "kernfs_node", "pt_regs")
        self._pools = {kind: RecordPool(memory, kind, size_of(kind)) for kind in kinds}
        self._idle: Task | None = None
        self._declared: Task | None = None
        self._cgroups: dict[str, Cgroup] = {}

    @property
    def root(self) -> Cgroup:
        """The root cgroup, made at first use."""
        return self._cgroups.get("/") or self._make_cgroup("/", ROOT_CGROUP_ID, None)

    @property
    def current(self) -> Task:
        """The declared task, else the idle one."""
        if self._declared is not None:
            return self._declared
        if self._idle is None:
            self._idle = self._make("swapper/0", 0, 0, 0, 0, self.root, 0, INIT_PID_NAMESPACE, True)
        return self._idle

    def cgroup(self, path: str, id: int | None = None) -> Cgroup:
        """The cgroup of that path, made with its parents when it is new."""
        clean = "/" + path.strip("/")
        if clean in self._cgroups or clean == "/":
            found = self._cgroups.get(clean) or self.root
            if id not in (None, found.id):
                raise InputError(f"cgroup {clean} has id {found.id} already, not {id}")
            return found
        parent = self.cgroup(clean.rpartition("/")[0])
        taken = {other.id for other in self._cgroups.values()}
        if id in taken or (id is not None and not 0 < id < 1 << 64):
            raise InputError(f"cgroup {clean}: id {id}, expected one above {ROOT_CGROUP_ID} that is not taken")
        return self._make_cgroup(clean, max(taken) + 1 if id is None else id, parent)

    def cgroup_by_id(self, number: int) -> Cgroup | None:
        """The cgroup of that id."""
        return next((cgroup for cgroup in (self.root, *self._cgroups.values()) if cgroup.id == number), None)

    def declare(
        self,
        comm: str,
        *,
        pid: int,
        tgid: int | None,
        uid: int,
        gid: int,
        cgroup: Cgroup | None,
        classid: int,
        pid_namespace: tuple[int, int],
    ) -> Task:
        """Make a task the current one."""
        process = pid if tgid is None else tgid
        for name, number in (("pid", pid), ("tgid", process)):
            if not 0 < number < _PID_MAX:
                raise InputError(f"task {comm}: {name} {number}, expected 1 to {_PID_MAX - 1}")
        for name, number in (("uid", uid), ("gid", gid), ("classid", classid)):
            if not 0 <= number < 1 << 32:
                raise InputError(f"task {comm}: {name} {number}, expected 0 to {(1 << 32) - 1}")
        self._declared = self._make(comm, pid, process, uid, gid, cgroup or self.root, classid, pid_namespace, False)
        return self._declared

    def at(self, address: int) -> Task | None:
        """The task whose task_struct starts at `address`."""
        return next((t for t in (self._declared, self._idle) if t is not None and t.record.address == address), None)

    def cgroup_at(self, address: int) -> Cgroup | None:
        """The cgroup whose record starts at `address`."""
        return next((cgroup for cgroup in self._cgroups.values() if cgroup.record.address == address), None)

    def _make_cgroup(self, path: str, number: int, parent: Cgroup | None) -> Cgroup:
        record, node = self._pools["cgroup"].new(path), self._pools["kernfs_node"].new(path)
        made = Cgroup(path, number, parent, record)
        node.set("kernfs_node", "id", number)
        record.set("cgroup", "kn", node.address)
        record.set("cgroup", "self.cgroup", record.address)
        level = len(made.ancestors) - 1
        record.set("cgroup", "level", level)
        first = place("cgroup", "ancestors").offset
        for at, ancestor in enumerate(made.ancestors):
            if first + (at + 1) * _POINTER_BYTES <= record.size:
                record.write(first + at * _POINTER_BYTES, _POINTER_BYTES, ancestor.record.address)
        self._cgroups[path] = made
        return made

    def _make(
        self,
        comm: str,
        pid: int,
        tgid: int,
        uid: int,
        gid: int,
        cgroup: Cgroup,
        classid: int,
        pid_namespace: tuple[int, int],
        is_kernel_thread: bool,
    ) -> Task:
        label = f"{comm} (pid {pid})"
        record, cred = self._pools["task_struct"].new(label), self._pools["cred"].new(label)
        set_, registers = self._pools["css_set"].new(label), self._pools["pt_regs"].new(label)
        for path in ("uid", "suid", "euid", "fsuid"):
            cred.set("cred", f"{path}.val", uid)
            cred.set("cred", f"{path.replace('uid', 'gid')}.val", gid)
        set_.set("css_set", "dfl_cgrp", cgroup.record.address)
        members: dict[str, int | bytes] = {
            "pid": pid,
            "tgid": tgid,
            "flags": PF_KTHREAD if is_kernel_thread else 0,
            "comm": comm.encode()[: _COMM_BYTES - 1].ljust(_COMM_BYTES, b"\0"),
            "group_leader": record.address,
            "real_parent": record.address,
            "parent": record.address,
            "cred": cred.address,
            "real_cred": cred.address,
            "cgroups": set_.address,
        }
        for path, value in members.items():
            record.set("task_struct", path, value)
        return Task(comm, pid, tgid, uid, gid, cgroup, classid, pid_namespace, is_kernel_thread, record, registers)
