"""bpf_xdp_pull_data: makes more of a packet with frags linear. Follows net/core/filter.c."""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.memory.native import native
from xdpsim.memory.raw import copy, load32, load64, slt, store32, store64
from xdpsim.memory.structs import FRAG, LINEAR_END, SHARED_INFO, XDP_BUFF, XDP_FRAME_BYTES

_EINVAL = -22 & M64
_DATA, _DATA_END = XDP_BUFF.offset("data"), XDP_BUFF.offset("data_end")
_DATA_META, _HARD_START = XDP_BUFF.offset("data_meta"), XDP_BUFF.offset("data_hard_start")
_HAS_FRAGS = XDP_BUFF.offset("has_frags")
_NR_FRAGS = LINEAR_END + SHARED_INFO.offset("nr_frags")
_FRAGS_BYTES = LINEAR_END + SHARED_INFO.offset("frags_bytes")
_FRAGS = LINEAR_END + SHARED_INFO.offset("frags")
_FRAG_BYTES, _FRAG_LENGTH = FRAG.size, FRAG.offset("length")


@native
def xdp_pull_frags(ctx: int, rest: int) -> int:
    """Move `rest` bytes from the first frags behind the linear part, which has room for them."""
    frame = load64(ctx + _HARD_START)
    first = frame + _FRAGS
    emptied = 0
    store32(frame + _FRAGS_BYTES, load32(frame + _FRAGS_BYTES) - rest)
    while rest:
        frag = first + emptied * _FRAG_BYTES
        length = load32(frag + _FRAG_LENGTH)
        taken = rest if rest < length else length
        end = load64(ctx + _DATA_END)
        copy(end, load64(frag), taken)
        store64(ctx + _DATA_END, end + taken)
        store64(frag, load64(frag) + taken)
        store32(frag + _FRAG_LENGTH, length - taken)
        rest = rest - taken
        if taken == length:
            emptied += 1
    left = load32(frame + _NR_FRAGS) - emptied
    copy(first, first + emptied * _FRAG_BYTES, left * _FRAG_BYTES)
    store32(frame + _NR_FRAGS, left)
    if left == 0:
        store32(ctx + _HAS_FRAGS, 0)
    return 0


@native
def xdp_pull_data(ctx: int, length: int) -> int:
    """Have the first `length` bytes linear: -EINVAL past the packet's end or what its frame can hold."""
    linear = load64(ctx + _DATA_END) - load64(ctx + _DATA)
    if length <= linear:
        return 0
    frame = load64(ctx + _HARD_START)
    if load32(ctx + _HAS_FRAGS) == 0 or length > linear + load32(frame + _FRAGS_BYTES):
        return _EINVAL
    start = load64(ctx + _DATA_META)
    tailroom = frame + LINEAR_END - load64(ctx + _DATA_END)
    rest = length - linear
    if rest > tailroom + start - frame - XDP_FRAME_BYTES:
        return _EINVAL
    if slt(tailroom, rest):
        shift = rest - tailroom
        copy(start - shift, start, load64(ctx + _DATA_END) - start)
        store64(ctx + _DATA_META, start - shift)
        store64(ctx + _DATA, load64(ctx + _DATA) - shift)
        store64(ctx + _DATA_END, load64(ctx + _DATA_END) - shift)
    return xdp_pull_frags(ctx, rest)
