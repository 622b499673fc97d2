"""PROG_ARRAY and DEVMAP: index maps whose values stand for programs and interfaces.

Follows kernel/bpf/arraymap.c and devmap.c. Linux takes file descriptors and gives ids; here a program is its number
in the machine, counted from 1. A slot of PROG_ARRAY is that number, 0 meaning no program. A slot of DEVMAP is struct
bpf_devmap_val {u32 ifindex, u32 program number}, either of them 0 for none.
Which interfaces and programs there are is the machine's knowledge: `Map.check_value` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdpsim.btf.values import Value
from xdpsim.errors import InputError
from xdpsim.maps.array import array_next_key, array_problem, index_key
from xdpsim.maps.header import EINVAL, MAP, NEG_E2BIG, NEG_EBADF, NEG_EEXIST, NEG_EINVAL, NEG_ENOENT
from xdpsim.maps.kind import MapKind, MapMemory, Problem, declare
from xdpsim.maps.plain import no_lookup
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import (
    BPF_EXIST,
    BPF_F_NUMA_NODE,
    BPF_F_RDONLY,
    BPF_F_RDONLY_PROG,
    BPF_F_WRONLY,
    BPF_NOEXIST,
    MAP_TYPES,
)
from xdpsim.memory.native import native
from xdpsim.memory.raw import load32, load64, store64

_MAX = MAP.offset("max_entries")
_VALUE_SIZE = MAP.offset("value_size")
_VALUES = MAP.offset("values")
_SLOT_BYTES = 8
BROADCAST_FLAGS = 8 | 16
"""BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS."""


@native
def reference_slot(map_: int, key: int) -> int:
    """Address of a slot, 0 past the last one."""
    index = load32(key)
    if index >= load32(map_ + _MAX):
        return 0
    return load64(map_ + _VALUES) + (index << 3)


@native
def reference_lookup(rs: int, map_: int, key: int) -> int:
    """Address of a slot that is set, else 0."""
    slot = reference_slot(map_, key)
    if slot == 0:
        return 0
    return slot if load64(slot) else 0


@native
def slot_update_error(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """What is wrong with an update before its value is looked at."""
    if flags:
        return NEG_EINVAL
    return 0 if reference_slot(map_, key) else NEG_E2BIG


@native
def prog_array_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a slot to a program's number; -EBADF for 0."""
    error = slot_update_error(rs, map_, key, value, flags)
    if error:
        return error
    if load32(value) == 0:
        return NEG_EBADF
    store64(reference_slot(map_, key), load32(value))
    return 0


@native
def slot_delete(rs: int, map_: int, key: int) -> int:
    """Empty a slot; -ENOENT when it is empty."""
    slot = reference_slot(map_, key)
    if slot == 0:
        return NEG_E2BIG
    if load64(slot) == 0:
        return NEG_ENOENT
    store64(slot, 0)
    return 0


@native
def devmap_update_error(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """What is wrong with an update before its value is looked at."""
    if flags > BPF_EXIST:
        return NEG_EINVAL
    if reference_slot(map_, key) == 0:
        return NEG_E2BIG
    return NEG_EEXIST if flags == BPF_NOEXIST else 0


@native
def device_word(map_: int, value: int) -> int:
    """A user's value as a slot keeps it; a negative program is none."""
    word = load32(value)
    if load32(map_ + _VALUE_SIZE) == 8:
        word = load64(value)
        if word >> 63:
            word = load32(value)
    return word


@native
def devmap_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a slot to an interface and, with values of 8 bytes, a program; ifindex 0 empties it."""
    error = devmap_update_error(rs, map_, key, value, flags)
    if error:
        return error
    word = device_word(map_, value)
    if word and word & 0xFFFF_FFFF == 0:
        return NEG_EINVAL
    store64(reference_slot(map_, key), word)
    return 0


@native
def devmap_delete(rs: int, map_: int, key: int) -> int:
    """Empty a slot; one that is empty already is no error."""
    slot = reference_slot(map_, key)
    if slot == 0:
        return NEG_EINVAL
    store64(slot, 0)
    return 0


def _prog_array_problem(spec: MapSpec) -> Problem | None:
    if spec.value_size != 4:
        return Problem("value_size", "4, for the value is a program", EINVAL)
    return array_problem(spec)


def _devmap_problem(spec: MapSpec) -> Problem | None:
    if spec.value_size not in (4, 8):
        return Problem("value_size", "4 (an ifindex) or 8 (an ifindex and a program)", EINVAL)
    return array_problem(spec)


def _build(memory: MapMemory) -> None:
    slots = memory.spec.max_entries
    block = memory.block(slots * _SLOT_BYTES, "slots")
    memory.place_values(block, count=slots, stride=_SLOT_BYTES, is_writable=False)
    index_key(memory)


def _build_hidden(memory: MapMemory) -> None:
    _build(memory)
    memory.regions.clear()


def as_number(value: object, what: str, where: str) -> object:
    """A program's or interface's number as the object itself or an int gives it; None for anything else."""
    number = getattr(value, what, value)
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    if not 0 <= number < 1 << 31:
        raise InputError(f"{where}: {what} {number}, expected 0 to {(1 << 31) - 1}")
    return number


def encode_number(value: object, what: str, where: str) -> object:
    """The number of a program, map or socket in 4 bytes; what is none of these is left as it is."""
    number = as_number(value, what, where)
    return number.to_bytes(4, "little") if isinstance(number, int) else value


def _encode_program(spec: MapSpec, value: object, where: str) -> object:
    return encode_number(value, "number", where)


def _decode_program(value: bytes) -> Value:
    return int.from_bytes(value, "little")


def encode_device(spec: MapSpec, value: object, where: str) -> object:
    """An interface, its ifindex, or {"ifindex": .., "bpf_prog": a program, its number, or bpftool's {"id": ..}}."""
    target, program = value, None
    if isinstance(value, Mapping):
        if not value.keys() <= {"ifindex", "bpf_prog"} or "ifindex" not in value:
            return value
        target, program = value["ifindex"], value.get("bpf_prog")
        if isinstance(program, Mapping):
            program = program.get("id", program.get("fd"))
    ifindex = as_number(target, "ifindex", where)
    number = 0 if program is None else as_number(program, "number", where)
    if not isinstance(ifindex, int) or not isinstance(number, int):
        return value
    if number and spec.value_size == 4:
        raise InputError(f"{where}: a program for ifindex {ifindex}, expected none: its values are 4 bytes")
    return (ifindex | number << 32).to_bytes(8, "little")[: spec.value_size]


def decode_device(value: bytes) -> Value:
    """An ifindex, or {"ifindex": .., "bpf_prog": {"id": ..}} as bpftool has it."""
    ifindex = int.from_bytes(value[:4], "little")
    if len(value) == 4:
        return ifindex
    return {"ifindex": ifindex, "bpf_prog": {"id": int.from_bytes(value[4:], "little")}}


PROG_ARRAY = declare(
    MapKind(
        type=MAP_TYPES["PROG_ARRAY"],
        flags=BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
        check=_prog_array_problem,
        build=_build_hidden,
        lookup=no_lookup,
        user_lookup=reference_lookup,
        update=prog_array_update,
        update_error=slot_update_error,
        delete=slot_delete,
        next_key=array_next_key,
        encode_value=_encode_program,
        decode_value=_decode_program,
    )
)
DEVMAP = declare(
    MapKind(
        type=MAP_TYPES["DEVMAP"],
        flags=BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
        check=_devmap_problem,
        build=_build,
        lookup=reference_lookup,
        update=devmap_update,
        update_error=devmap_update_error,
        delete=devmap_delete,
        next_key=array_next_key,
        redirect_flags=BROADCAST_FLAGS,
        added_flags=BPF_F_RDONLY_PROG,
        encode_value=encode_device,
        decode_value=decode_device,
    )
)
