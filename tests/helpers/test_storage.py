"""Task and cgroup storage: each question is answered by Linux for the calling task, by xdpsim for the idle one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import helper_tables
from tests.support.elf_writer import BtfWriter
from tests.support.helper_tables import Ask, run
from tests.support.record import recorder
from xdpsim.btf.parse import parse
from xdpsim.isa.asm import assemble
from xdpsim.maps.local_storage import OWNERS
from xdpsim.maps.map import Map
from xdpsim.maps.spec import MapSpec
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim
from xdpsim.tables.kernel_structs import place

_BTF = BtfWriter()
_INT, _LONG = _BTF.int("int", 4, 1), _BTF.int("long", 8, 1)
_TYPES = {"key_type": _INT, "value_type": _LONG, "btf": parse(_BTF.build())}
MAPS = {kind: MapSpec(kind, kind, 4, 8, 0, 1, **_TYPES) for kind in ("TASK_STORAGE", "CGRP_STORAGE")}

TASK = "call 158; r8 = r0"
CGROUP = (
    f"call 158; r8 = r0; r8 = *(u64 *)(r8 + {place('task_struct', 'cgroups').offset}); "
    f"r8 = *(u64 *)(r8 + {place('css_set', 'dfl_cgrp').offset})"
)
_KINDS = {"task": (TASK, "TASK_STORAGE", 156, 157), "cgroup": (CGROUP, "CGRP_STORAGE", 210, 211)}
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
    start, kind, get, delete = _KINDS[owner]
    flags = {"get0": 0, "get1": 1, "get2": 2, "get3": 3, "getv": 1, "getv0": 0, "getw": 1 << 32}
    calls = {
        word: f"r1 = map[{kind}]; r2 = r8; {'' if 'v' in word else 'r3 = 0; '}r4 = {number} ll; call {get}"
        for word, number in flags.items()
    }
    return f"{start}; " + _BODIES[name].format(**calls, delete=f"r1 = map[{kind}]; r2 = r8; call {delete}")


ASKS = [
    Ask(f"{owner}: {name}", body(owner, name), maps={_KINDS[owner][1]: MAPS[_KINDS[owner][1]]})
    for owner in _KINDS
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


def program_of(sim: Sim, text: str, spec: MapSpec) -> tuple[Program, Map]:
    program = sim.load_insns(assemble(text + "; exit", maps={spec.name: 0}), "XDP", maps=[spec])
    return program, program.maps[spec.name]


def returned(program: Program) -> int:
    outcome = program.run(bytes(64))
    assert outcome.fault is None
    return int(outcome.value)


def test_a_users_value_is_the_tasks() -> None:
    sim = Sim()
    look, target = program_of(sim, body("task", "found again"), MAPS["TASK_STORAGE"])
    target[12] = 7
    sim.task("x", pid=12)
    assert (returned(look), target[12], len(target)) == (12, 12, 1)


def test_each_task_has_its_own() -> None:
    sim = Sim()
    look, target = program_of(sim, body("task", "found again"), MAPS["TASK_STORAGE"])
    pids = (3, 4, 3 + (1 << 20))
    for pid in pids:
        sim.task("x", pid=pid)
        assert returned(look) == 5
    assert [target[pid] for pid in pids] == [5, 5, 5]


def test_the_value_of_a_task_that_is_gone_goes() -> None:
    sim = Sim()
    look, target = program_of(sim, body("task", "found again"), MAPS["TASK_STORAGE"])
    for _ in range(3):
        sim.task("x", pid=3)
        assert [returned(look), returned(look)] == [5, 10]
    assert len(target) == 1


def test_cgroups_by_id() -> None:
    sim = Sim()
    look, target = program_of(sim, body("cgroup", "found again"), MAPS["CGRP_STORAGE"])
    sim.cgroup("/a", id=77)
    target[77] = 100
    sim.task("x", pid=5, cgroup="/a")
    assert returned(look) == 105
    sim.task("y", pid=6, cgroup="/a/b")
    assert returned(look) == 5
    assert (target[77], target[78]) == (105, 5)


def test_a_map_that_is_full_gives_null() -> None:
    sim = Sim()
    look, target = program_of(sim, body("task", "found again"), MAPS["TASK_STORAGE"])
    for pid in range(1, OWNERS + 1):
        target[pid] = pid
    assert returned(look) == 0xFFFF_FFFF
    del target[9]
    assert returned(look) == 5


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
    program, _ = program_of(Sim(verify=False), text, MAPS["TASK_STORAGE"])
    assert argument in str(program.run(bytes(64)).fault)


GROUPS = MapSpec("groups", "CGROUP_ARRAY", 4, 4, 5)
UNDER = "r1 = map[groups]; r2 = {}; call 37"


def test_under_a_cgroup() -> None:
    sim = Sim()
    sim.task("x", pid=5, cgroup="/a/b")
    found = []
    for index in range(6):
        ask, groups = program_of(sim, UNDER.format(index), GROUPS)
        for at, path in enumerate(("/", "/a", "/a/b", "/c")):
            groups[at] = sim.cgroup(path)
        found.append(returned(ask))
    assert found == [1, 1, 1, 0, -11 & 0xFFFF_FFFF, -7 & 0xFFFF_FFFF]


@pytest.mark.live
@pytest.mark.parametrize("index", [0, 4, 5, -1, -(1 << 31)])
def test_an_empty_cgroup_array_is_as_in_linux(index: int) -> None:
    ask = Ask("under", UNDER.format(index), maps={"groups": GROUPS})
    assert run(ask, "interpreter") == run(ask, "kernel")
