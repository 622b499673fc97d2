"""Helpers that copy bytes of an XDP packet out and in, across its frags. Follows net/core/filter.c."""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.helpers.rows import native_helper
from xdpsim.memory.native import native
from xdpsim.memory.raw import copy, load32, load64
from xdpsim.memory.structs import FRAG, LINEAR_END, SHARED_INFO, XDP_BUFF

_EFAULT = -14 & M64
_EINVAL = -22 & M64
_LOW32 = 0xFFFF_FFFF
_MOST = 0xFFFF
"""Neither an offset nor a length may be larger, whatever the packet's length."""
_DATA = XDP_BUFF.offset("data")
_DATA_END = XDP_BUFF.offset("data_end")
_HARD_START = XDP_BUFF.offset("data_hard_start")
_HAS_FRAGS = XDP_BUFF.offset("has_frags")
_FRAGS_BYTES = LINEAR_END + SHARED_INFO.offset("frags_bytes")
_FRAGS = LINEAR_END + SHARED_INFO.offset("frags")
_FRAG_BYTES = FRAG.size
_FRAG_LENGTH = FRAG.offset("length")


@native
def xdp_buff_len(ctx: int) -> int:
    """Bytes of the packet, its frags included."""
    length = load64(ctx + _DATA_END) - load64(ctx + _DATA)
    if load32(ctx + _HAS_FRAGS):
        length = length + load32(load64(ctx + _HARD_START) + _FRAGS_BYTES)
    return length


@native
def xdp_bytes_error(ctx: int, offset: int, size: int) -> int:
    """What is wrong with the range [offset, offset + size) of the packet, or 0."""
    if offset > _MOST or size > _MOST:
        return _EFAULT
    return _EINVAL if offset + size > xdp_buff_len(ctx) else 0


@native
def xdp_copy_piece(at: int, buf: int, size: int, is_store: int) -> int:
    """Move `size` bytes between packet memory at `at` and the program's buffer."""
    if is_store:
        copy(at, buf, size)
    else:
        copy(buf, at, size)
    return 0


@native
def xdp_copy_bytes(ctx: int, offset: int, buf: int, size: int, is_store: int) -> int:
    """Move a range of the packet, which must exist, piece by piece: the linear part, then each frag."""
    at = load64(ctx + _DATA)
    length = load64(ctx + _DATA_END) - at
    frag = load64(ctx + _HARD_START) + _FRAGS
    while size:
        if offset < length:
            count = length - offset
            if count > size:
                count = size
            xdp_copy_piece(at + offset, buf, count, is_store)
            buf = buf + count
            size = size - count
            offset = length
        if size:
            offset = offset - length
            at = load64(frag)
            length = load32(frag + _FRAG_LENGTH)
            frag = frag + _FRAG_BYTES
    return 0


@native_helper(188, programs=("XDP",))
def bpf_xdp_get_buff_len(rs: int, ctx: int) -> int:
    """Bytes of the packet, its frags included."""
    return xdp_buff_len(ctx)


@native_helper(189, programs=("XDP",))
def bpf_xdp_load_bytes(rs: int, ctx: int, offset: int, buf: int, size: int) -> int:
    """Copy packet bytes to `buf`; -EINVAL past the packet's end, -EFAULT for an offset or a length over 65,535."""
    offset = offset & _LOW32
    error = xdp_bytes_error(ctx, offset, size & _LOW32)
    return error if error else xdp_copy_bytes(ctx, offset, buf, size & _LOW32, 0)


@native_helper(190, programs=("XDP",))
def bpf_xdp_store_bytes(rs: int, ctx: int, offset: int, buf: int, size: int) -> int:
    """Copy `buf` into the packet; errors as those of xdp_load_bytes."""
    offset = offset & _LOW32
    error = xdp_bytes_error(ctx, offset, size & _LOW32)
    return error if error else xdp_copy_bytes(ctx, offset, buf, size & _LOW32, 1)
