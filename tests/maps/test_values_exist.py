"""What users put into maps has to exist: programs, interfaces, inner maps; the errnos are those of Linux 6.18."""

from __future__ import annotations

import struct

import pytest

from xdpsim.isa.asm import assemble
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.maps.map import Map
from xdpsim.maps.spec import MapSpec
from xdpsim.net.machine import EmulatedMachine
from xdpsim.progtypes.attach import AttachType
from xdpsim.tables.tables import Tables

EBADF, ENOMEM, EINVAL = -9, -12, -22
XDP, TC, FOR_DEVMAP, FOR_CPUMAP, BAD, NONE = 1, 2, 3, 4, 99, -1


@pytest.fixture
def machine() -> EmulatedMachine:
    made = EmulatedMachine(cpus=2, seed=0)
    for kind, attach in (("XDP", 0), ("SCHED_CLS", 0), ("XDP", AttachType.XDP_DEVMAP), ("XDP", AttachType.XDP_CPUMAP)):
        code, main = assemble("r0 = 2; exit"), Subprogram("main", 0)
        made.add_program(ProgramSpec("main", kind, kind, int(attach), code, (main,), (), "GPL"), (), None)
    return made


def add(machine: EmulatedMachine, kind: str, value_size: int) -> Map:
    return machine.add_map(MapSpec("m", kind, 4, value_size, 4))


def answers(target: Map, first: int) -> list[int]:
    programs = (XDP, TC, FOR_DEVMAP, FOR_CPUMAP, BAD, 0, NONE)
    return [target.update_bytes(bytes(4), struct.pack("<Ii", first, program)) for program in programs]


def test_prog_arrays(machine: EmulatedMachine) -> None:
    progs = add(machine, "PROG_ARRAY", 4)
    numbers = (BAD, 0, XDP, TC, FOR_DEVMAP)
    assert [progs.update_bytes(bytes(4), struct.pack("<I", n)) for n in numbers] == [EBADF, EBADF, 0, EINVAL, 0]


def test_cpu_maps(machine: EmulatedMachine) -> None:
    cpus = add(machine, "CPUMAP", 8)
    assert answers(cpus, 64) == [ENOMEM, ENOMEM, ENOMEM, 0, ENOMEM, 0, 0]
    assert answers(cpus, 0) == [0] * 7


@pytest.mark.parametrize("kind", ["DEVMAP", "DEVMAP_HASH"])
def test_device_maps(machine: EmulatedMachine, kind: str) -> None:
    devices = add(machine, kind, 8)
    assert answers(devices, 7) == [EINVAL, EINVAL, 0, EINVAL, EINVAL, 0, 0]
    interfaces = machine.part(Tables).interfaces
    interfaces.declare("eth0", ifindex=7, mac=None, mtu=None, addresses=(), forwarding=False, up=True)
    assert answers(devices, 7) == [EINVAL, EINVAL, 0, EINVAL, EINVAL, 0, 0]
    assert answers(devices, 8) == [EINVAL] * 7
