"""Helpers that move the ends of an XDP packet. Follows net/core/filter.c and include/net/xdp.h."""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.helpers.rows import native_helper
from xdpsim.memory.native import native
from xdpsim.memory.raw import copy, fill, load32, load64, sext32, slt, store32, store64
from xdpsim.memory.structs import FRAG, FRAME_BYTES, LINEAR_END, SHARED_INFO, XDP_BUFF, XDP_FRAME_BYTES

_EINVAL = -22 & M64
_EACCES = -13 & M64
_ETH_HLEN = 14
_DATA = XDP_BUFF.offset("data")
_DATA_END = XDP_BUFF.offset("data_end")
_DATA_META = XDP_BUFF.offset("data_meta")
_HARD_START = XDP_BUFF.offset("data_hard_start")
_HAS_FRAGS = XDP_BUFF.offset("has_frags")
_NR_FRAGS = LINEAR_END + SHARED_INFO.offset("nr_frags")
_FRAGS_BYTES = LINEAR_END + SHARED_INFO.offset("frags_bytes")
_FRAGS = LINEAR_END + SHARED_INFO.offset("frags")
_FRAG_BYTES = FRAG.size
_FRAG_LENGTH = FRAG.offset("length")
_META_MAX = 255
"""meta_len of skb_shared_info is 8 bits wide."""
_LOWEST = -(1 << 31) & M64


@native_helper(44, programs=("XDP",))
def bpf_xdp_adjust_head(rs: int, ctx: int, delta: int) -> int:
    """Move the start by `delta` (signed 32 bits); metadata moves along. -EINVAL past the headroom or below 14 bytes."""
    delta = sext32(delta)
    data = load64(ctx + _DATA)
    meta = load64(ctx + _DATA_META)
    lowest = load64(ctx + _HARD_START) + XDP_FRAME_BYTES + (data - meta)
    moved = data + delta
    if slt(moved, lowest) or slt(load64(ctx + _DATA_END) - _ETH_HLEN, moved):
        return _EINVAL
    if meta < data:
        copy(meta + delta, meta, data - meta)
    store64(ctx + _DATA_META, meta + delta)
    store64(ctx + _DATA, moved)
    return 0


@native_helper(54, programs=("XDP",))
def bpf_xdp_adjust_meta(rs: int, ctx: int, delta: int) -> int:
    """Move the start of the metadata; -EINVAL outside the headroom, -EACCES unless its size is a multiple of 4."""
    data = load64(ctx + _DATA)
    meta = load64(ctx + _DATA_META) + sext32(delta)
    if slt(meta, load64(ctx + _HARD_START) + XDP_FRAME_BYTES) or slt(data, meta):
        return _EINVAL
    size = data - meta
    if size & 3 or size > _META_MAX:
        return _EACCES
    store64(ctx + _DATA_META, meta)
    return 0


@native_helper(65, programs=("XDP",))
def bpf_xdp_adjust_tail(rs: int, ctx: int, delta: int) -> int:
    """Move the end by `delta` (signed 32 bits), zeroing what is gained; -EINVAL past the tailroom or below 14 bytes."""
    delta = sext32(delta)
    if load32(ctx + _HAS_FRAGS):
        if delta == _LOWEST:  # Linux negates it in 32 bits, where it stays negative: nothing is left to cut
            return 0
        if delta >> 63:
            return shrink_frags(ctx, 0 - delta)
        return grow_last_frag(load64(ctx + _HARD_START), delta)
    end = load64(ctx + _DATA_END)
    moved = end + delta
    if moved > load64(ctx + _HARD_START) + LINEAR_END or slt(moved, load64(ctx + _DATA) + _ETH_HLEN):
        return _EINVAL
    if delta and delta >> 63 == 0:
        fill(end, 0, delta)
    store64(ctx + _DATA_END, moved)
    return 0


@native
def grow_last_frag(frame: int, delta: int) -> int:
    """Lengthen the last frag with zeros; -EINVAL past its page."""
    frag = frame + _FRAGS + (load32(frame + _NR_FRAGS) - 1) * _FRAG_BYTES
    length = load32(frag + _FRAG_LENGTH)
    inside = load64(frag) & FRAME_BYTES - 1  # a frag that data was pulled from begins later
    if inside + length + delta > FRAME_BYTES:
        return _EINVAL
    fill(load64(frag) + length, 0, delta)
    store32(frag + _FRAG_LENGTH, length + delta)
    store32(frame + _FRAGS_BYTES, load32(frame + _FRAGS_BYTES) + delta)
    return 0


@native
def shrink_frags(ctx: int, rest: int) -> int:
    """Take `rest` bytes off the end, dropping emptied frags, then off the linear part; -EINVAL below 14 bytes."""
    frame = load64(ctx + _HARD_START)
    linear = load64(ctx + _DATA_END) - load64(ctx + _DATA)
    if slt(linear + load32(frame + _FRAGS_BYTES) - _ETH_HLEN, rest):
        return _EINVAL
    count = load32(frame + _NR_FRAGS)
    while count and rest:
        frag = frame + _FRAGS + (count - 1) * _FRAG_BYTES
        length = load32(frag + _FRAG_LENGTH)
        taken = rest if rest < length else length
        rest = rest - taken
        store32(frame + _FRAGS_BYTES, load32(frame + _FRAGS_BYTES) - taken)
        store32(frag + _FRAG_LENGTH, length - taken)
        if taken == length:
            count = count - 1
    store32(frame + _NR_FRAGS, count)
    if count == 0:
        store32(ctx + _HAS_FRAGS, 0)
        store64(ctx + _DATA_END, load64(ctx + _DATA_END) - rest)
    return 0
