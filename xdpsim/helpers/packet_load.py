"""What LD_ABS and LD_IND read: a word of the packet in network order, from where socket filters count.

Follows bpf_skb_load_helper_8() and its neighbours in net/core/filter.c. Offsets below 0 count from the network header
(SKF_NET_OFF) or from the link layer's (SKF_LL_OFF); no program type that runs so far has a packet without one.
"""

from __future__ import annotations

from xdpsim.bits import M64
from xdpsim.memory.native import native
from xdpsim.memory.raw import bswap16, bswap32, load8, load16, load32, load64, sext32
from xdpsim.memory.structs import RUN_STATE, XDP_BUFF

LOADED = 1 << 32
"""Set in what load_packet returns when the packet is long enough; the word is in the lower half."""
_DATA = RUN_STATE.offset("xdp") + XDP_BUFF.offset("data")
_DATA_END = RUN_STATE.offset("xdp") + XDP_BUFF.offset("data_end")
_NET_OFF, _LL_OFF = -0x10_0000 & M64, -0x20_0000 & M64
_ETH_HLEN = 14


@native
def load_packet(rs: int, offset: int, size: int) -> int:
    """The word of 1, 2 or 4 bytes at a signed 32-bit offset, with LOADED; 0 where the packet has none."""
    offset = sext32(offset)
    if offset >> 63:
        if offset >= _NET_OFF:
            offset = offset - _NET_OFF + _ETH_HLEN
        elif offset >= _LL_OFF:
            offset = offset - _LL_OFF
        else:
            return 0
    length = load64(rs + _DATA_END) - load64(rs + _DATA)
    if offset + size > length:
        return 0
    at = load64(rs + _DATA) + offset
    if size == 1:
        return LOADED | load8(at)
    if size == 2:
        return LOADED | bswap16(load16(at))
    return LOADED | bswap32(load32(at))
