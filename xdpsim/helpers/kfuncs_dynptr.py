"""Kernel functions on dynptrs. Follows bpf_dynptr_slice() and its neighbours in kernel/bpf/helpers.c.

Linux 6.18 takes offsets and lengths as 32 bits, whatever the program passes.
"""

from __future__ import annotations

from xdpsim.bits import M32
from xdpsim.helpers.dynptr import (
    NULL,
    XDP,
    Dynptr,
    packet_dynptr,
    read_bytes,
    read_dynptr,
    shrink,
    write_bytes,
    write_dynptr,
)
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, kfunc
from xdpsim.helpers.xdp_pieces import load_packet, packet_pointer

_EINVAL, _E2BIG, _ERANGE = 22, 7, 34
_SLICE = (Arg.DYNPTR, Arg.ANYTHING, Arg.ANYTHING, Arg.SIZE_OR_ZERO)
"""The third argument is a buffer or null; only a buffer that is needed is looked at."""


@kfunc(args=(Arg.CTX, Arg.ANYTHING, Arg.UNINIT_DYNPTR), returns=Ret.INTEGER)
def bpf_dynptr_from_xdp(machine: Machine, ctx: int, flags: int, dynptr: int) -> int:
    """A dynptr over the packet, frags included; -EINVAL, and a null one, unless `flags` is 0."""
    write_dynptr(machine, dynptr, NULL if flags else packet_dynptr(machine), 3)
    return -_EINVAL if flags else 0


def _slice(machine: Machine, dynptr: Dynptr, offset: int, buffer: int, size: int) -> int:
    offset, size = offset & M32, size & M32
    if not dynptr.data or not dynptr.holds(offset, size):
        return 0
    if dynptr.type != XDP:
        return dynptr.memory(machine, offset, size, 1)
    dynptr.context(machine, 1)
    at = packet_pointer(machine, dynptr.offset + offset, size)
    if at or not buffer:
        return at
    found = load_packet(machine, dynptr.offset + offset, size)
    if not machine.space.writable(buffer, size):
        raise BadArgument(3)
    if found and isinstance(found, bytes):
        machine.space.write(buffer, found)
    return buffer


@kfunc(args=_SLICE, returns=Ret.DYNPTR_MEM_OR_NULL)
def bpf_dynptr_slice(machine: Machine, dynptr: int, offset: int, buffer: int, size: int) -> int:
    """Where part of a dynptr lies, to be read; parts that do not lie in one piece are copied into `buffer`."""
    return _slice(machine, read_dynptr(machine, dynptr, 1), offset, buffer, size)


@kfunc(args=_SLICE, returns=Ret.DYNPTR_MEM_OR_NULL)
def bpf_dynptr_slice_rdwr(machine: Machine, dynptr: int, offset: int, buffer: int, size: int) -> int:
    """As bpf_dynptr_slice, to be written as well; 0 when the dynptr is read-only."""
    found = read_dynptr(machine, dynptr, 1)
    return 0 if found.is_read_only else _slice(machine, found, offset, buffer, size)


@kfunc(args=(Arg.DYNPTR, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_dynptr_adjust(machine: Machine, dynptr: int, start: int, end: int) -> int:
    """Let it be [start, end) of what it was: -ERANGE past its end, -EINVAL when start is behind end or it is null."""
    found, start, end = read_dynptr(machine, dynptr, 1), start & M32, end & M32
    if not found.data or start > end:
        return -_EINVAL
    if end > found.size:
        return -_ERANGE
    shrink(machine, dynptr, found, start, end)
    return 0


@kfunc(args=(Arg.DYNPTR,), returns=Ret.INTEGER)
def bpf_dynptr_is_null(machine: Machine, dynptr: int) -> int:
    """Whether it points nowhere."""
    return int(not read_dynptr(machine, dynptr, 1).data)


@kfunc(args=(Arg.DYNPTR,), returns=Ret.INTEGER)
def bpf_dynptr_is_rdonly(machine: Machine, dynptr: int) -> int:
    """Whether it may only be read."""
    found = read_dynptr(machine, dynptr, 1)
    return int(bool(found.data) and found.is_read_only)


@kfunc(args=(Arg.DYNPTR,), returns=Ret.INTEGER)
def bpf_dynptr_size(machine: Machine, dynptr: int) -> int:
    """Bytes in it; -EINVAL, in 32 bits, of a null one."""
    found = read_dynptr(machine, dynptr, 1)
    return found.size if found.data else -_EINVAL & M32


@kfunc(args=(Arg.DYNPTR, Arg.UNINIT_DYNPTR), returns=Ret.INTEGER)
def bpf_dynptr_clone(machine: Machine, dynptr: int, clone: int) -> int:
    """A second one over the same bytes, with an offset and a size of its own; -EINVAL of a null one."""
    found = read_dynptr(machine, dynptr, 1)
    write_dynptr(machine, clone, found if found.data else NULL, 2)
    return 0 if found.data else -_EINVAL


@kfunc(args=(Arg.DYNPTR, Arg.ANYTHING, Arg.DYNPTR, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_dynptr_copy(machine: Machine, dst: int, dst_offset: int, src: int, src_offset: int, size: int) -> int:
    """Copy between two dynptrs: 0 or a negative errno."""
    target, source = read_dynptr(machine, dst, 1), read_dynptr(machine, src, 3)
    dst_offset, src_offset, size = dst_offset & M32, src_offset & M32, size & M32
    if not target.data or not source.data or target.is_read_only:
        return -_EINVAL
    if not target.holds(dst_offset, size) or not source.holds(src_offset, size):
        return -_E2BIG
    found = read_bytes(machine, source, src_offset, size, 3)
    return found if isinstance(found, int) else write_bytes(machine, target, dst_offset, found, 1)


@kfunc(args=(Arg.DYNPTR, Arg.ANYTHING, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_dynptr_memset(machine: Machine, dynptr: int, offset: int, size: int, value: int) -> int:
    """Fill part of a dynptr with one byte: 0 or a negative errno."""
    target, offset, size = read_dynptr(machine, dynptr, 1), offset & M32, size & M32
    if not target.data or target.is_read_only:
        return -_EINVAL
    if not target.holds(offset, size):
        return -_E2BIG
    return write_bytes(machine, target, offset, bytes([value & 0xFF]) * size, 1)
