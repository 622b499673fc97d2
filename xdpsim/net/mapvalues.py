"""Whether what a user puts into a map exists: programs and interfaces. Errnos as Linux gives them.

Follows fd_array_map_update_elem (kernel/bpf/arraymap.c), __dev_map_alloc_node (devmap.c) and __cpu_map_entry_alloc
(cpumap.c). An interface counts as unknown only where the user has declared any: without a table every ifindex is good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xdpsim.maps.header import EBADF, EINVAL, ENOMEM
from xdpsim.progtypes.attach import AttachType
from xdpsim.tables.interfaces import LOOPBACK_IFINDEX
from xdpsim.tables.tables import Tables

if TYPE_CHECKING:
    from xdpsim.engines.protocol import LoadedProgram
    from xdpsim.maps.map import Map
    from xdpsim.net.machine import EmulatedMachine


def value_check(machine: EmulatedMachine, target: Map) -> Callable[[bytes], int] | None:
    """What a map's new values have to pass, for `Map.check_value`; None where there is nothing to check."""
    if target.spec.type == "PROG_ARRAY":
        return _ProgramCheck(machine)
    if target.spec.type in ("DEVMAP", "DEVMAP_HASH"):
        return lambda value: _device_error(machine, value)
    if target.spec.type == "CPUMAP":
        return lambda value: _cpu_error(machine, value)
    return None


def _program(machine: EmulatedMachine, number: bytes) -> LoadedProgram | None:
    index = int.from_bytes(number, "little") - 1
    return machine.programs[index] if 0 <= index < len(machine.programs) else None


class _ProgramCheck:
    """Whether a program may stand in a prog array: the first one decides for all (bpf_prog_map_compatible)."""

    def __init__(self, machine: EmulatedMachine) -> None:
        self._machine = machine
        self._owner: tuple[str, bool] | None = None

    def __call__(self, value: bytes) -> int:
        program = _program(self._machine, value)
        if program is None:
            return -EBADF
        kind = program.spec.type, program.spec.frags
        self._owner = self._owner or kind
        return 0 if kind == self._owner else -EINVAL


def _is_for(machine: EmulatedMachine, value: bytes, attach_type: AttachType) -> bool:
    """Whether the program behind a value's first word, if one is given, may run there; negative numbers give none."""
    number = int.from_bytes(value[4:], "little", signed=True)
    if number <= 0:
        return True
    program = _program(machine, value[4:])
    return program is not None and program.spec.type == "XDP" and program.spec.attach_type == attach_type


def _device_error(machine: EmulatedMachine, value: bytes) -> int:
    ifindex = int.from_bytes(value[:4], "little")
    interfaces = machine.part(Tables).interfaces
    is_declared = any(interface.ifindex != LOOPBACK_IFINDEX for interface in interfaces)
    if ifindex and is_declared and interfaces.get(ifindex) is None:
        return -EINVAL
    return 0 if _is_for(machine, value, AttachType.XDP_DEVMAP) else -EINVAL


def _cpu_error(machine: EmulatedMachine, value: bytes) -> int:
    """Without a queue size the entry goes, and its program is not looked at."""
    return 0 if not any(value[:4]) or _is_for(machine, value, AttachType.XDP_CPUMAP) else -ENOMEM
