"""Dynptrs: pointers with a size and an offset of their own, and the helpers on them.

A dynptr is 16 bytes {u64 data, u32 size with its type in the upper bits, u32 offset}, as struct bpf_dynptr_kern in
include/linux/bpf.h; `data` of one over an XDP packet is the context. Nothing proves that a program left these bytes
alone, so each use asks the address space. What happens to packets' bytes is said in xdp_pieces.py.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from xdpsim.bits import M32
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper
from xdpsim.helpers.xdp_pieces import load_packet, packet_bytes, store_packet

_EINVAL, _E2BIG = 22, 7
_WORDS = struct.Struct("<QII")
_SIZE_MASK = (1 << 24) - 1
_READ_ONLY = 1 << 31
_TYPE_SHIFT, _TYPE_MASK = 28, 7
MAX_BYTES = _SIZE_MASK
"""DYNPTR_MAX_SIZE."""
LOCAL, RINGBUF, SKB, XDP = 1, 2, 3, 4
"""enum bpf_dynptr_type."""


@dataclass(frozen=True, slots=True)
class Dynptr:
    """A dynptr's words; `data` 0 is none."""

    data: int
    type: int
    size: int
    offset: int
    is_read_only: bool = False

    def holds(self, offset: int, length: int) -> bool:
        """Whether [offset, offset + length) lies in it."""
        return length <= self.size and offset <= self.size - length

    def memory(self, machine: Machine, offset: int, length: int, number: int, *, write: bool = False) -> int:
        """The address of `offset` in memory that the program may touch; a fault of that argument for any other."""
        start = self.data + self.offset + offset
        allowed = machine.space.writable if write else machine.space.readable
        if self.type not in (LOCAL, RINGBUF) or not allowed(start, length):
            raise BadArgument(number)
        return start

    def context(self, machine: Machine, number: int) -> int:
        """The context of the packet that it is over."""
        if self.type != XDP or self.data != machine.run_state.context:
            raise BadArgument(number)
        return self.data


NULL = Dynptr(0, 0, 0, 0)


def read_dynptr(machine: Machine, address: int, number: int) -> Dynptr:
    """The dynptr at an address; a fault of that argument when it is not in memory."""
    if not machine.space.readable(address, _WORDS.size):
        raise BadArgument(number)
    data, size, offset = _WORDS.unpack(machine.space.read(address, _WORDS.size))
    return Dynptr(data, size >> _TYPE_SHIFT & _TYPE_MASK, size & _SIZE_MASK, offset, bool(size & _READ_ONLY))


def write_dynptr(machine: Machine, address: int, value: Dynptr, number: int) -> None:
    """Put a dynptr into the program's memory."""
    if not machine.space.writable(address, _WORDS.size):
        raise BadArgument(number)
    size = value.size | value.type << _TYPE_SHIFT | _READ_ONLY * value.is_read_only
    machine.space.write(address, _WORDS.pack(value.data, size, value.offset & M32))


def read_bytes(machine: Machine, source: Dynptr, offset: int, length: int, number: int) -> bytes | int:
    """Bytes out of a dynptr, or a negative errno."""
    if not source.holds(offset, length):
        return -_E2BIG
    if source.type == XDP:
        source.context(machine, number)
        return load_packet(machine, source.offset + offset, length)
    start = source.memory(machine, offset, length, number)
    return machine.space.read(start, length)


def write_bytes(machine: Machine, target: Dynptr, offset: int, data: bytes, number: int) -> int:
    """Put bytes into a dynptr: 0 or a negative errno."""
    if not target.holds(offset, len(data)):
        return -_E2BIG
    if target.type == XDP:
        target.context(machine, number)
        return store_packet(machine, target.offset + offset, data)
    start = target.memory(machine, offset, len(data), number, write=True)
    if data:
        machine.space.write(start, data)
    return 0


def packet_dynptr(machine: Machine) -> Dynptr:
    """A dynptr over the whole packet of an XDP program."""
    return Dynptr(machine.run_state.context, XDP, packet_bytes(machine), 0)


@helper(197)
def bpf_dynptr_from_mem(machine: Machine, data: int, size: int, flags: int, dynptr: int) -> int:
    """A dynptr over memory of a map's value: -E2BIG from 16 MiB on, -EINVAL unless `flags` is 0; then it is null."""
    size &= M32
    error = _E2BIG if size > MAX_BYTES else _EINVAL if flags else 0
    write_dynptr(machine, dynptr, NULL if error else Dynptr(data, LOCAL, size, 0), 4)
    return -error


@helper(201)
def bpf_dynptr_read(machine: Machine, dst: int, length: int, src: int, offset: int, flags: int) -> int:
    """Copy out of a dynptr; -EINVAL from a null one or with flags, -E2BIG past its end."""
    source = read_dynptr(machine, src, 3)
    if not source.data or flags:
        return -_EINVAL
    found = read_bytes(machine, source, offset & M32, length & M32, 3)
    if isinstance(found, int):
        return found
    if found:
        machine.space.write(dst, found)
    return 0


@helper(202)
def bpf_dynptr_write(machine: Machine, dst: int, offset: int, src: int, length: int, flags: int) -> int:
    """Copy into a dynptr; -EINVAL into a null or read-only one or with flags, -E2BIG past its end."""
    target, offset, length = read_dynptr(machine, dst, 1), offset & M32, length & M32
    if not target.data or target.is_read_only:
        return -_EINVAL
    if not target.holds(offset, length):
        return -_E2BIG
    if flags:
        return -_EINVAL
    return write_bytes(machine, target, offset, machine.space.read(src, length), 1)


@helper(203)
def bpf_dynptr_data(machine: Machine, dynptr: int, offset: int, length: int) -> int:
    """The address behind part of a dynptr over memory; 0 over a packet, past its end, and when it is read-only."""
    found, offset, length = read_dynptr(machine, dynptr, 1), offset & M32, length & M32
    if not found.data or found.is_read_only or found.type == XDP or not found.holds(offset, length):
        return 0
    return found.memory(machine, offset, length, 1)


def shrink(machine: Machine, address: int, found: Dynptr, start: int, end: int) -> None:
    """Let a dynptr be [start, end) of what it was."""
    write_dynptr(machine, address, replace(found, offset=found.offset + start, size=end - start), 1)
