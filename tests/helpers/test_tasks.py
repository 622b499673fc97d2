"""Helpers about the current task: what Linux says of this process, xdpsim says of a task declared like it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support import helper_tables
from tests.support.helper_tables import Ask
from tests.support.record import recorder
from xdpsim.errors import InputError
from xdpsim.net.machine import EmulatedMachine
from xdpsim.sim.sim import Sim
from xdpsim.tables.kernel_structs import place
from xdpsim.tables.tables import Tables
from xdpsim.tables.tasks import INIT_PID_NAMESPACE

OF_THIS_PROCESS = {
    "pid and tgid": "call 14",
    "uid and gid": "call 15",
    **{f"comm of {size}": f"r1 = r7; r1 += 8; r2 = {size}; call 16" for size in (1, 2, 5, 15, 16, 17, 64)},
    "cgroup": "call 80",
    "pid of task_struct": f"call 158; r0 = *(u32 *)(r0 + {place('task_struct', 'pid').offset})",
    "tgid of its leader": f"call 158; r0 = *(u64 *)(r0 + {place('task_struct', 'group_leader').offset});"
    f"r0 = *(u32 *)(r0 + {place('task_struct', 'tgid').offset})",
    "uid of its credentials": f"call 158; r0 = *(u64 *)(r0 + {place('task_struct', 'cred').offset});"
    f"r0 = *(u32 *)(r0 + {place('cred', 'uid').offset})",
    "cgroup by its css_set": f"call 158; r0 = *(u64 *)(r0 + {place('task_struct', 'cgroups').offset});"
    f"r0 = *(u64 *)(r0 + {place('css_set', 'dfl_cgrp').offset}); r0 = *(u64 *)(r0 + {place('cgroup', 'kn').offset});"
    f"r0 = *(u64 *)(r0 + {place('kernfs_node', 'id').offset})",
    "both kinds of pointer": "call 158; r8 = r0; call 35; r1 = 0; if r0 != r8 goto +1; r1 = 1; r0 = r1",
}
_NAMESPACE = "r3 = r7; r3 += 8; *(u64 *)(r3 + 0) = -1; *(u64 *)(r3 + 8) = -1; r4 = {size}; call 120"
_FLAGS = {"no flag": 0, "skip 5": 5, "flag 256": 256, "flag 512": 512, "flag 1024": 1024, "flag 2048": 2048,
          "flag 2304": 2304, "flag 4096": 4096}  # fmt: skip
_STACK = "call 158; r1 = r0; r2 = r7; r2 += 8; r3 = {size}; r4 = {flags} ll; call 141"
_VMA = (
    "call 158; r1 = r0; r2 = 0; r3 = func[found]; r4 = 0; r5 = {flags} ll; call 180; goto behind; found: r0 = 0; exit;"
)
FIXED = {
    "class id": "call 17",
    **{f"ancestor {level}": f"r1 = {level}; call 123" for level in (-1, 0, 99, -(1 << 31), (1 << 31) - 1)},
    "ancestor 1 << 32": "r1 = 0x100000000 ll; call 123",
    **{
        f"another namespace, {size} bytes": f"r1 = 1; r2 = 1; {_NAMESPACE.format(size=size)}"
        for size in (1, 7, 8, 9, 16)
    },
    "a device of 64 bits": f"r1 = 0x100000004 ll; r2 = {INIT_PID_NAMESPACE[1]:#x} ll; {_NAMESPACE.format(size=8)}",
    **{
        f"stack, {name}": _STACK.format(size=64, flags=flags)
        for name, flags in _FLAGS.items()
        if flags not in (0, 5, 256, 2304)
    },
    **{f"stack of {size} bytes": _STACK.format(size=size, flags=0) for size in (1, 7, 9)},
    "stack of 40 bytes with build ids": _STACK.format(size=40, flags=2304),
}


def ask(name: str) -> Ask:
    return Ask(name, FIXED.get(name) or OF_THIS_PROCESS[name])


@recorder("helpers_tasks")
def record() -> dict[str, Any]:
    return helper_tables.record(ask(name) for name in FIXED)


@pytest.mark.golden
@pytest.mark.parametrize("name", FIXED)
def test_what_no_task_changes_is_as_in_linux(name: str) -> None:
    helper_tables.check(ask(name), "interpreter", "tasks")


def machine_like_this_process() -> EmulatedMachine:
    """A machine whose current task is declared as this thread is."""
    machine = EmulatedMachine(cpus=2, seed=1)
    tasks = machine.part(Tables).tasks
    group = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    folder = Path("/sys/fs/cgroup" + group.removeprefix("0::"))
    number = folder.stat().st_ino if group != "0::/" and folder.exists() else 1
    tasks.declare(
        Path("/proc/thread-self/comm").read_text().removesuffix("\n"),
        pid=threading.get_native_id(),
        tgid=os.getpid(),
        uid=os.getuid(),
        gid=os.getgid(),
        cgroup=tasks.cgroup("/here", number) if number != 1 else None,
        classid=0,
        pid_namespace=INIT_PID_NAMESPACE,
    )
    return machine


@pytest.mark.live
@pytest.mark.parametrize("name", OF_THIS_PROCESS)
def test_a_declared_task_is_told_of_as_linux_tells_of_this_one(name: str) -> None:
    if os.stat("/proc/self/ns/pid").st_ino != INIT_PID_NAMESPACE[1]:
        pytest.skip("skipped live: this process has other numbers in its pid namespace")
    found = helper_tables.run(ask(name), "interpreter", machine_like_this_process())
    assert found == helper_tables.run(ask(name), "kernel")


@pytest.mark.live
def test_the_own_pid_namespace_is_known() -> None:
    where = os.stat("/proc/self/ns/pid")
    question = Ask("own", f"r1 = {where.st_dev} ll; r2 = {where.st_ino:#x} ll; {_NAMESPACE.format(size=8)}")
    machine = EmulatedMachine(cpus=2, seed=1)
    tasks = machine.part(Tables).tasks
    place_ = (where.st_dev, where.st_ino)
    numbers = {"pid": threading.get_native_id(), "tgid": os.getpid(), "uid": 0, "gid": 0}
    tasks.declare("x", **numbers, cgroup=None, classid=0, pid_namespace=place_)
    assert helper_tables.run(question, "interpreter", machine) == helper_tables.run(question, "kernel")


def value(sim: Sim, text: str) -> int:
    return sim.load_insns(f"r6 = r1; {text}; exit", "XDP").run(bytes(64)).value


def test_without_a_task_the_idle_one_runs() -> None:
    sim = Sim()
    found = helper_tables.run(Ask("comm", OF_THIS_PROCESS["comm of 16"]), "interpreter")
    assert bytes.fromhex(found["out"]) == b"swapper/0"
    assert [value(sim, text) for text in ("call 14", "call 15", "call 80", "call 17")] == [0, 0, 1, 0]


def test_cgroups_have_ids_and_parents() -> None:
    sim = Sim()
    sim.cgroup("/system.slice", id=77)
    task = sim.task("nginx", pid=12, tgid=10, uid=33, gid=34, cgroup="/system.slice/nginx.service", classid=0x10002)
    assert [value(sim, f"r1 = {level}; call 123") for level in range(4)] == [1, 77, 78, 0]
    assert value(sim, "call 80") == 78
    assert value(sim, "call 17") == 0x10002
    assert (value(sim, "call 14; r0 >>= 32"), value(sim, "call 15; r0 >>= 32")) == (10, 34)
    assert task.cgroup.parent is sim.cgroup("system.slice")


def test_stack_and_memory_of_a_task_are_not_there() -> None:
    sim = Sim(verify=False)  # Linux takes callbacks of objects with BTF only
    look = "call 158; r1 = r0; r2 = 0; r3 = func[found]; r4 = 0; r5 = {}; call 180; exit; found: r0 = 0"
    assert [value(sim, look.format(flags)) for flags in (0, 1)] == [-2 & 0xFFFF_FFFF, -22 & 0xFFFF_FFFF]
    stack = "call 158; r1 = r0; r2 = r10; r2 += -64; r3 = 64; r4 = 0; call 141"
    assert value(sim, stack) == -14 & 0xFFFF_FFFF
    assert value(sim, "call 158; r1 = r0; call 175; r0 = *(u64 *)(r0 + 160)") == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("r1 = 5; call 175", "argument 1 of bpf_task_pt_regs is the number 5"),
        ("call 158; *(u32 *)(r0 + 0) = 1", "writes 4 bytes at task_struct swapper/0 (pid 0)+0, which is read-only"),
        ("r1 = r10; r1 += -4; r2 = 5; call 16", "argument 1 of bpf_get_current_comm is stack+508"),
    ],
)
def test_wild_pointers_are_faults(text: str, problem: str) -> None:
    assert problem in str(Sim(verify=False).load_insns(f"{text}; exit", "XDP").run(bytes(64)).fault)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pid": 0}, "pid 0, expected 1 to 4194303"),
        ({"pid": 5, "tgid": 1 << 22}, "tgid 4194304, expected 1 to 4194303"),
        ({"pid": 5, "uid": -1}, "uid -1, expected 0 to 4294967295"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(given: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Sim().task("x", **given)
    assert message in caught.value.message


def test_a_cgroups_id_is_its_own() -> None:
    sim = Sim()
    sim.cgroup("/a", id=5)
    with pytest.raises(InputError, match="id 5, expected one above 1 that is not taken"):
        sim.cgroup("/b", id=5)
    with pytest.raises(InputError, match="cgroup /a has id 5 already, not 6"):
        sim.cgroup("/a", id=6)
