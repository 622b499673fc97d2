"""DEVMAP_HASH, CPUMAP and XSKMAP: where bpf_redirect_map sends packets, besides DEVMAP (references.py).

Follows kernel/bpf/devmap.c and cpumap.c and net/xdp/xskmap.c. A value of DEVMAP_HASH is that of DEVMAP; one of CPUMAP
is struct bpf_cpumap_val {u32 queue size, u32 program number}, the size 0 meaning no entry. An XSKMAP takes an AF_XDP
socket's file descriptor in Linux, here the socket's number, counted from 1. A slot is {u32 queue, u32 number}: what a
program's lookup yields is struct bpf_xdp_sock, which starts with the queue.
Which interfaces, programs and sockets there are is the machine's knowledge: `Map.check_value` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdpsim.btf.values import Value
from xdpsim.errors import InputError
from xdpsim.maps.array import array_next_key, index_key
from xdpsim.maps.hash import hash_delete, hash_lookup4, hash_next_key, hash_update
from xdpsim.maps.hash_nodes import NODE_KEY, build_nodes, hash_find
from xdpsim.maps.header import (
    E2BIG,
    EINVAL,
    EOPNOTSUPP,
    MAP,
    NEG_E2BIG,
    NEG_EBADF,
    NEG_EEXIST,
    NEG_EINVAL,
    NEG_ENODEV,
    NEG_ENOENT,
    NEG_EOVERFLOW,
)
from xdpsim.maps.kind import MapKind, MapMemory, Problem, declare
from xdpsim.maps.plain import refuse_delete, refuse_update
from xdpsim.maps.references import (
    BROADCAST_FLAGS,
    as_number,
    decode_device,
    device_word,
    encode_device,
    encode_number,
    reference_lookup,
    reference_slot,
)
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
from xdpsim.memory.raw import load32, store32, store64
from xdpsim.memory.structs import RUN_STATE

LARGEST_QUEUE = 16384
MOST_CPUS = 256
"""NR_CPUS: limits a CPUMAP's entries."""
_CPUS = MAP.offset("cpus")
_SCRATCH = RUN_STATE.offset("scratch")
_SLOT_BYTES = 8


@native
def device_hash_update_error(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """What is wrong with an update before the interface is looked at."""
    if flags > BPF_EXIST or load32(value) == 0:
        return NEG_EINVAL
    if flags & BPF_NOEXIST and hash_find(map_, key):
        return NEG_EEXIST
    return 0


@native
def device_hash_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a key to an interface and, with values of 8 bytes, a program. BPF_EXIST is taken for BPF_ANY."""
    error = device_hash_update_error(rs, map_, key, value, flags)
    if error:
        return error
    store64(rs + _SCRATCH, device_word(map_, value))
    return hash_update(rs, map_, key, rs + _SCRATCH, 0)


@native
def cpumap_update_error(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """What is wrong with an update before the program is looked at."""
    if flags > BPF_EXIST:
        return NEG_EINVAL
    if reference_slot(map_, key) == 0:
        return NEG_E2BIG
    if flags == BPF_NOEXIST:
        return NEG_EEXIST
    if load32(value) > LARGEST_QUEUE:
        return NEG_EOVERFLOW
    return 0 if load32(key) < load32(map_ + _CPUS) else NEG_ENODEV


@native
def cpumap_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Give a CPU a queue of so many packets and, with values of 8 bytes, a program; queue size 0 empties the slot."""
    error = cpumap_update_error(rs, map_, key, value, flags)
    if error:
        return error
    store64(reference_slot(map_, key), device_word(map_, value) if load32(value) else 0)
    return 0


@native
def target_delete(rs: int, map_: int, key: int) -> int:
    """Empty a slot; one that is empty already is no error."""
    slot = reference_slot(map_, key)
    if slot == 0:
        return NEG_EINVAL
    store64(slot, 0)
    return 0


@native
def xskmap_update_error(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """What is wrong with an update before the socket is looked at."""
    if flags > BPF_EXIST:
        return NEG_EINVAL
    return 0 if reference_slot(map_, key) else NEG_E2BIG


@native
def xskmap_user_lookup(rs: int, map_: int, key: int) -> int:
    """Address of the number of the socket in a slot, 0 without one."""
    slot = reference_lookup(rs, map_, key)
    return slot + 4 if slot else 0


@native
def xskmap_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set a slot to a socket; -EBADF for number 0. The socket that is there already is no error whatever the flags."""
    error = xskmap_update_error(rs, map_, key, value, flags)
    if error:
        return error
    socket = load32(value)
    if socket == 0:
        return NEG_EBADF
    slot = reference_slot(map_, key)
    old = load32(slot + 4)
    if old == socket:
        return 0
    if old and flags == BPF_NOEXIST:
        return NEG_EEXIST
    if old == 0 and flags == BPF_EXIST:
        return NEG_ENOENT
    store32(slot + 4, socket)
    return 0


def _problem(spec: MapSpec, sizes: tuple[int, ...], what: str) -> Problem | None:
    if spec.max_entries == 0:
        return Problem("max_entries", "1 or more", EINVAL)
    if spec.key_size != 4:
        return Problem("key_size", "4", EINVAL)
    return None if spec.value_size in sizes else Problem("value_size", what, EINVAL)


def _device_problem(spec: MapSpec) -> Problem | None:
    problem = _problem(spec, (4, 8), "4 (an ifindex) or 8 (an ifindex and a program)")
    if problem is None and spec.max_entries > 1 << 31:
        return Problem("max_entries", f"{1 << 31} or less", EINVAL)
    return problem


def _cpu_problem(spec: MapSpec) -> Problem | None:
    problem = _problem(spec, (4, 8), "4 (a queue size) or 8 (a queue size and a program)")
    if problem is None and spec.max_entries > MOST_CPUS:
        return Problem("max_entries", f"{MOST_CPUS} or less", E2BIG)
    return problem


def _socket_problem(spec: MapSpec) -> Problem | None:
    return _problem(spec, (4,), "4, for the value is a socket")


def _build_hash(memory: MapMemory) -> None:
    """A hash with values of 8 bytes, whatever a user's values are."""
    value_at = NODE_KEY + 8
    nodes = build_nodes(memory, value_at + _SLOT_BYTES)
    assert memory.nodes is not None
    memory.place_values(memory.nodes, offset=value_at, count=nodes, stride=value_at + _SLOT_BYTES, is_writable=False)


def _build_slots(memory: MapMemory) -> None:
    slots = memory.spec.max_entries
    block = memory.block(slots * _SLOT_BYTES, "slots")
    memory.place_values(block, count=slots, stride=_SLOT_BYTES, is_writable=False)
    index_key(memory)


def _encode_cpu(spec: MapSpec, value: object, where: str) -> object:
    """A queue size, or {"qsize": .., "bpf_prog": a program, its number, or bpftool's {"id": ..}}."""
    size, program = value, None
    if isinstance(value, Mapping):
        if not value.keys() <= {"qsize", "bpf_prog"} or "qsize" not in value:
            return value
        size, program = value["qsize"], value.get("bpf_prog")
        if isinstance(program, Mapping):
            program = program.get("id", program.get("fd"))
    queue = as_number(size, "qsize", where)
    number = 0 if program is None else as_number(program, "number", where)
    if not isinstance(queue, int) or not isinstance(number, int):
        return value
    if number and spec.value_size == 4:
        raise InputError(f"{where}: a program for queue size {queue}, expected none: its values are 4 bytes")
    return (queue | number << 32).to_bytes(8, "little")[: spec.value_size]


def _decode_cpu(value: bytes) -> Value:
    size = int.from_bytes(value[:4], "little")
    return size if len(value) == 4 else {"qsize": size, "bpf_prog": {"id": int.from_bytes(value[4:], "little")}}


def _encode_socket(spec: MapSpec, value: object, where: str) -> object:
    return encode_number(value, "number", where)


def _decode_socket(value: bytes) -> Value:
    return int.from_bytes(value, "little")


DEVMAP_HASH = declare(
    MapKind(
        type=MAP_TYPES["DEVMAP_HASH"],
        flags=BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
        check=_device_problem,
        build=_build_hash,
        lookup=hash_lookup4,
        update=refuse_update,
        user_update=device_hash_update,
        update_error=device_hash_update_error,
        delete=refuse_delete,
        user_delete=hash_delete,
        next_key=hash_next_key,
        redirect_flags=BROADCAST_FLAGS,
        added_flags=BPF_F_RDONLY_PROG,
        encode_value=encode_device,
        decode_value=decode_device,
        length=lambda header: header.count,
    )
)
CPUMAP = declare(
    MapKind(
        type=MAP_TYPES["CPUMAP"],
        flags=BPF_F_NUMA_NODE,
        check=_cpu_problem,
        build=_build_slots,
        lookup=reference_lookup,
        update=refuse_update,
        user_update=cpumap_update,
        update_error=cpumap_update_error,
        delete=refuse_delete,
        user_delete=target_delete,
        next_key=array_next_key,
        encode_value=_encode_cpu,
        decode_value=_decode_cpu,
    )
)
XSKMAP = declare(
    MapKind(
        type=MAP_TYPES["XSKMAP"],
        flags=BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY,
        check=_socket_problem,
        build=_build_slots,
        lookup=reference_lookup,
        user_lookup=xskmap_user_lookup,
        lookup_error=EOPNOTSUPP,
        update=xskmap_update,
        update_error=xskmap_update_error,
        delete=target_delete,
        next_key=array_next_key,
        encode_value=_encode_socket,
        decode_value=_decode_socket,
    )
)
