"""Helpers that tell user space: ring buffers and perf events. And those of maps without keys: push, pop, peek.

Follows kernel/bpf/ringbuf.c, kernel/trace/bpf_trace.c and bpf_xdp_event_output() in net/core/filter.c. Records of ring
buffers become events when the machine drains the rings, behind each packet; samples do at once.
"""

from __future__ import annotations

from xdpsim.bits import M32, M64, signed
from xdpsim.helpers.dynptr import MAX_BYTES, NULL, RINGBUF, Dynptr, read_dynptr, write_dynptr
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper, native_helper
from xdpsim.helpers.xdp_pieces import packet_bytes, packet_head
from xdpsim.maps.header import MAP, NEG_EINVAL
from xdpsim.maps.map import Map
from xdpsim.maps.perf import perf_event_cpu
from xdpsim.maps.ringbuf import (
    BPF_RB_FORCE_WAKEUP,
    BPF_RB_NO_WAKEUP,
    ringbuf_commit,
    ringbuf_is_sample,
    ringbuf_query,
    ringbuf_reserve,
)
from xdpsim.maps.types import MAP_TYPES
from xdpsim.memory.raw import call3, call4, copy, load32, load64

_EAGAIN = -11 & M64
_EINVAL, _EFAULT, _E2BIG, _ENOENT, _EOPNOTSUPP = 22, 14, 7, 2, 95
_TYPE = MAP.offset("type")
_PUSH, _POP, _PEEK = MAP.offset("push"), MAP.offset("pop"), MAP.offset("peek")
_RINGBUF = MAP_TYPES["RINGBUF"].id
_WAKEUPS = BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP
_LENGTH_SHIFT, _LENGTH_MASK = 32, 0xF_FFFF
"""BPF_F_CTXLEN_MASK: how many bytes of the packet go behind a sample."""
_CURRENT_CPU = M32
_VALUE_BYTES = 24
"""sizeof(struct bpf_perf_event_value)."""


@native_helper(87)
def bpf_map_push_elem(rs: int, map_: int, value: int, flags: int) -> int:
    """Add an element to a queue, a stack or a filter; 0 or a negative errno of the map type."""
    return call4(load64(map_ + _PUSH), rs, map_, value, flags)


@native_helper(88)
def bpf_map_pop_elem(rs: int, map_: int, value: int) -> int:
    """Take the next element of a queue or stack; 0 or a negative errno of the map type."""
    return call3(load64(map_ + _POP), rs, map_, value)


@native_helper(89)
def bpf_map_peek_elem(rs: int, map_: int, value: int) -> int:
    """Copy the next element of a queue or stack, or ask a filter for `value`; 0 or a negative errno."""
    return call3(load64(map_ + _PEEK), rs, map_, value)


@native_helper(130)
def bpf_ringbuf_output(rs: int, map_: int, data: int, size: int, flags: int) -> int:
    """Put a record into the ring: -EINVAL for other flags than the wakeups, -EAGAIN when it does not fit."""
    if flags & ~_WAKEUPS or load32(map_ + _TYPE) != _RINGBUF:
        return NEG_EINVAL
    record = ringbuf_reserve(rs, map_, size, 0)
    if record == 0:
        return _EAGAIN
    copy(record, data, size)
    ringbuf_commit(rs, record, flags, 0)
    return 0


@native_helper(131)
def bpf_ringbuf_reserve(rs: int, map_: int, size: int, flags: int) -> int:
    """Room for a record of `size` bytes; 0 when it does not fit, and unless `flags` is 0."""
    return ringbuf_reserve(rs, map_, size, flags) if load32(map_ + _TYPE) == _RINGBUF else 0


@native_helper(132)
def bpf_ringbuf_submit(rs: int, sample: int, flags: int) -> int:
    """Give a reserved record to user space."""
    ringbuf_commit(rs, sample, flags, 0)
    return 0


@native_helper(133)
def bpf_ringbuf_discard(rs: int, sample: int, flags: int) -> int:
    """Let a reserved record go unseen."""
    ringbuf_commit(rs, sample, flags, 1)
    return 0


@native_helper(134)
def bpf_ringbuf_query(rs: int, map_: int, flags: int) -> int:
    """Bytes that wait (0), the ring's size (1), the consumer's and the producer's position (2, 3); 0 for others."""
    return ringbuf_query(map_, flags) if load32(map_ + _TYPE) == _RINGBUF else 0


@helper(198)
def bpf_ringbuf_reserve_dynptr(machine: Machine, map_: int, size: int, flags: int, dynptr: int) -> int:
    """A dynptr over room for a record; when there is none it is null: -EINVAL, -E2BIG from 16 MiB on."""
    _of_type(machine, map_, "RINGBUF", 1)
    size &= M32
    error = _EINVAL if flags else _E2BIG if size > MAX_BYTES else 0
    sample = 0 if error else ringbuf_reserve(machine.run_state.address, map_, size, 0)
    write_dynptr(machine, dynptr, Dynptr(sample, RINGBUF, size, 0) if sample else NULL, 4)
    return 0 if sample else -(error or _EINVAL)


def _commit(machine: Machine, dynptr: int, flags: int, discard: int) -> int:
    found, state = read_dynptr(machine, dynptr, 1), machine.run_state.address
    if not found.data:
        return 0
    if found.type != RINGBUF or not ringbuf_is_sample(state, found.data):
        raise BadArgument(1)
    ringbuf_commit(state, found.data, flags, discard)
    write_dynptr(machine, dynptr, NULL, 1)
    return 0


@helper(199)
def bpf_ringbuf_submit_dynptr(machine: Machine, dynptr: int, flags: int) -> int:
    """Give a reserved record to user space."""
    return _commit(machine, dynptr, flags, 0)


@helper(200)
def bpf_ringbuf_discard_dynptr(machine: Machine, dynptr: int, flags: int) -> int:
    """Let a reserved record go unseen."""
    return _commit(machine, dynptr, flags, 1)


def _of_type(machine: Machine, address: int, kind: str, number: int) -> Map:
    found = machine.map_at(address)
    if found is None or found.spec.type != kind:
        raise BadArgument(number)
    return found


def _event_error(machine: Machine, map_: int, flags: int) -> int:
    """Why the event that the lower 32 bits of `flags` name cannot be used on this CPU: a negative errno, or 0."""
    cpu = machine.run_state.cpu
    index = cpu if flags & M32 == _CURRENT_CPU else flags & M32
    found = signed(perf_event_cpu(map_, index), 64)
    if found <= 0:
        return found or -_ENOENT
    return 0 if found == cpu + 1 else -_EOPNOTSUPP


@helper(25, programs=("XDP",))
def bpf_perf_event_output(machine: Machine, ctx: int, map_: int, flags: int, data: int, size: int) -> int:
    """Send a sample, with as many bytes of the packet behind it as bits 32 to 51 of `flags` say.

    -EINVAL for other flags, -EFAULT for more bytes than the packet has, -E2BIG past the map's end, -ENOENT without an
    event, -EOPNOTSUPP for another CPU's.
    """
    target = _of_type(machine, map_, "PERF_EVENT_ARRAY", 2)
    length = flags >> _LENGTH_SHIFT
    if length & ~_LENGTH_MASK:
        return -_EINVAL
    if length > packet_bytes(machine):
        return -_EFAULT
    if error := _event_error(machine, map_, flags):
        return error
    sample = machine.space.read(data, size) + packet_head(machine, length)
    machine.emit("perf", {"map": target.name, "cpu": machine.run_state.cpu, "data": sample})
    return 0


def _count_error(machine: Machine, map_: int, flags: int) -> int:
    error = _event_error(machine, map_, flags)
    return -_EINVAL if error == -_EOPNOTSUPP else error


@helper(22)
def bpf_perf_event_read(machine: Machine, map_: int, flags: int) -> int:
    """The count of an event: samples' events count nothing. -EINVAL for another CPU's."""
    _of_type(machine, map_, "PERF_EVENT_ARRAY", 1)
    return -_EINVAL if flags & ~M32 else _count_error(machine, map_, flags)


@helper(55)
def bpf_perf_event_read_value(machine: Machine, map_: int, flags: int, value: int, size: int) -> int:
    """Count, time enabled and time running of an event, all 0 here; `value` is zeroed when there is an error."""
    _of_type(machine, map_, "PERF_EVENT_ARRAY", 1)
    machine.space.write(value, bytes(size))
    if flags & ~M32 or size != _VALUE_BYTES:
        return -_EINVAL
    return _count_error(machine, map_, flags)
