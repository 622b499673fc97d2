"""Task and cgroup storage: each question is answered by Linux for the calling task, by xdpsim for the idle one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import helper_tables
from tests.support.elf_writer import BtfWriter
from tests.support.helper_tables import Ask, run
from tests.support.record import recorder
from xdpsim.btf.parse import parse
from xdpsim.maps.map import Map
from xdpsim.maps.spec import MapSpec
from xdpsim.net.machine import EmulatedMachine
from xdpsim.sim.sim import Sim
from xdpsim.tables.kernel_structs import place
from xdpsim.tables.tables import Tables
from xdpsim.tables.tasks import INIT_PID_NAMESPACE, Task

_BTF = BtfWriter()
_INT, _LONG = _BTF.int("int", 4, 1), _BTF.int("long", 8, 1)
_TYPES = {"key_type": _INT, "value_type": _LONG, "btf": parse(_BTF.build())}
MAPS = {kind: MapSpec(kind, kind, 4, 8, 0, 1, **_TYPES) for kind in ("TASK_STORAGE", "CGRP_STORAGE")}

TASK = "call 158; r8 = r0"
CGROUP = (
    f"call 158; r8 = r0; r8 = *(u64 *)(r8 + {place('task_struct', 'cgroups').offset}); "
    f"r8 = *(u64 *)(r8 + {place('css_set', 'dfl_cgrp').offset})"
)
OWNERS = {"task": (TASK, "TASK_STORAGE", 156, 157), "cgroup": (CGROUP, "CGRP_STORAGE", 210, 211)}
_VALUE = "r3 = r10; r3 += -8; r1 = 0x1122334455667788 ll; *(u64 *)(r3 + 0) = r1"
_READ = "r9 = -1; if r0 == 0 goto +1; r9 = *(u64 *)(r0 + 0); r0 = r9"
_ADD = "if r0 == 0 goto +3; r1 = *(u64 *)(r0 + 0); r1 += 5; *(u64 *)(r0 + 0) = r1"
_BODIES = {
    "nothing there": "{get0}; " + _READ,
    "made of zeroes": "{get1}; " + _READ,
    "made of a value": _VALUE + "; {getv}; " + _READ,
    "a value without the flag": _VALUE + "; {getv0}; " + _READ,
    "found again": "{get1}; " + _ADD + "; {get0}; " + _READ,
    "found, not made again": "{get1}; " + _ADD + "; " + _VALUE + "; {getv}; " + _READ,
    "same address": "{get1}; r9 = r0; {get0}; r1 = 0; if r0 != r9 goto +1; r1 = 1; r0 = r1",
    "flag 2": "{get2}; " + _READ,
    "flag 3": "{get3}; " + _READ,
    "flag 1 << 32": "{getw}; " + _READ,
    "deleted": "{get1}; {delete}",
    "deleted twice": "{get1}; {delete}; {delete}",
    "nothing to delete": "{delete}",
    "gone": "{get1}; " + _ADD + "; {delete}; {get0}; " + _READ,
    "made anew": "{get1}; " + _ADD + "; {delete}; {get1}; " + _READ,
    "no owner": "r8 = 0; {get1}; " + _READ,
    "no owner to delete from": "r8 = 0; {delete}",
}


def body(owner: str, name: str) -> str:
    start, kind, get, delete = OWNERS[owner]
    flags = {"get0": 0, "get1": 1, "get2": 2, "get3": 3, "getv": 1, "getv0": 0, "getw": 1 << 32}
    calls = {
        word: f"r1 = map[{kind}]; r2 = r8; {'' if 'v' in word else 'r3 = 0; '}r4 = {number} ll; call {get}"
        for word, number in flags.items()
    }
    return f"{start}; " + _BODIES[name].format(**calls, delete=f"r1 = map[{kind}]; r2 = r8; call {delete}")


ASKS = [
    Ask(f"{owner}: {name}", body(owner, name), maps={OWNERS[owner][1]: MAPS[OWNERS[owner][1]]})
    for owner in OWNERS
    for name in _BODIES
]


@recorder("helpers_storage")
def record() -> dict[str, Any]:
    return helper_tables.record(ASKS)


@pytest.mark.golden
@pytest.mark.parametrize("ask", ASKS, ids=helper_tables.ask_name)
def test_as_in_linux(ask: Ask) -> None:
    helper_tables.check(ask, "interpreter", "storage")


def test_no_question_is_refused() -> None:
    """Linux runs them all: an answer that is only a verifier's word would compare nothing."""
    assert not [row for row in helper_tables.recorded("storage").values() if "refused" in row]


def declare(machine: EmulatedMachine, pid: int, cgroup: str = "/") -> Task:
    tasks = machine.part(Tables).tasks
    return tasks.declare(
        f"t{pid}", pid=pid, tgid=None, uid=0, gid=0, cgroup=tasks.cgroup(cgroup), classid=0,
        pid_namespace=INIT_PID_NAMESPACE,
    )  # fmt: skip


def machine_and_map(kind: str) -> tuple[Sim, Map]:
    sim = Sim()
    return sim, sim.machine.add_map(MAPS[kind])


def value(sim: Sim, target: Map, text: str) -> int:
    program = sim.load_insns(text + "; exit", "XDP", maps={target.name: target})
    return int(program.run(bytes(64)).value)


def test_a_users_value_is_the_tasks() -> None:
    sim, target = machine_and_map("TASK_STORAGE")
    target[12] = 7
    declare(sim.machine, 12)
    look = body("task", "found again")
    assert value(sim, target, look) == 12
    assert target[12] == 12
    assert len(target) == 1


def test_each_task_has_its_own() -> None:
    sim, target = machine_and_map("TASK_STORAGE")
    for pid in (3, 4, 3 + (1 << 20)):
        declare(sim.machine, pid)
        assert value(sim, target, body("task", "found again")) == 5
    assert [target[pid] for pid in (3, 4, 3 + (1 << 20))] == [5, 5, 5]


def test_the_value_of_a_task_that_is_gone_is_gone() -> None:
    sim, target = machine_and_map("TASK_STORAGE")
    declare(sim.machine, 3)
    assert value(sim, target, body("task", "found again")) == 5
    declare(sim.machine, 3)
    assert value(sim, target, body("task", "nothing there")) == 0xFFFF_FFFF
    assert 3 not in target


def test_cgroups_by_id() -> None:
    sim, target = machine_and_map("CGRP_STORAGE")
    sim.cgroup("/a", id=77)
    target[77] = 100
    declare(sim.machine, 5, "/a")
    assert value(sim, target, body("cgroup", "found again")) == 105
    declare(sim.machine, 6, "/a/b")
    assert value(sim, target, body("cgroup", "found again")) == 5
    assert (target[77], target[78]) == (105, 5)


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("r1 = map[TASK_STORAGE]; r2 = 5; r3 = 0; r4 = 1; call 156", "argument 2 of bpf_task_storage_get"),
        ("r1 = map[TASK_STORAGE]; r2 = r1; r3 = 0; r4 = 1; call 156", "argument 2 of bpf_task_storage_get"),
        ("call 158; r1 = map[TASK_STORAGE]; r2 = r0; r3 = 8; r4 = 1; call 156", "argument 3 of bpf_task_storage_get"),
        ("call 158; r1 = map[TASK_STORAGE]; r2 = r0; r3 = 0; r4 = 1; call 210", "argument 1 of bpf_cgrp_storage_get"),
        ("call 158; r1 = map[TASK_STORAGE]; r2 = r0; call 211", "argument 1 of bpf_cgrp_storage_delete"),
        ("r1 = r10; r2 = 0; call 157", "argument 1 of bpf_task_storage_delete"),
    ],
)
def test_wild_arguments_are_faults(text: str, argument: str) -> None:
    sim, target = machine_and_map("TASK_STORAGE")
    program = sim.load_insns(text + "; exit", "XDP", maps={target.name: target})
    assert argument in str(program.run(bytes(64)).fault)


UNDER = "r1 = map[groups]; r2 = {}; call 37"


def test_under_a_cgroup() -> None:
    sim = Sim()
    groups = sim.machine.add_map(MapSpec("groups", "CGROUP_ARRAY", 4, 4, 5))
    sim.cgroup("/a/b")
    sim.task("x", pid=5, cgroup="/a/b")
    for index, path in enumerate(("/", "/a", "/a/b", "/c")):
        groups[index] = sim.cgroup(path)
    found = [value(sim, groups, UNDER.format(index)) for index in range(6)]
    assert found == [1, 1, 1, 0, -11 & 0xFFFF_FFFF, -7 & 0xFFFF_FFFF]


ROOT = MapSpec("groups", "CGROUP_ARRAY", 4, 4, 2)


@pytest.mark.live
@pytest.mark.parametrize("index", [0, 1, 2, -1])
def test_an_empty_cgroup_array_is_as_in_linux(index: int) -> None:
    ask = Ask("under", UNDER.format(index), maps={"groups": ROOT})
    assert run(ask, "interpreter") == run(ask, "kernel")
