"""What happens around each packet of a batch: the run state is set up from the columns, the outcome goes back."""

from __future__ import annotations

from xdpsim.memory.batch import BATCH
from xdpsim.memory.native import native
from xdpsim.memory.raw import load32, load64, store32, store64
from xdpsim.memory.structs import FAULT, FRAME_BYTES, REDIRECT, RUN_STATE, XDP_BUFF

_FRAME, _START, _LENGTH, _META = (BATCH.offset(name) for name in ("frame", "start", "length", "meta"))
_KTIME, _TAI = BATCH.offset("ktime_ns"), BATCH.offset("tai_ns")
_HAS_FRAGS, _IFINDEX, _QUEUE = (BATCH.offset(name) for name in ("has_frags", "ifindex", "queue"))
_VERDICT, _INSNS = BATCH.offset("verdict"), BATCH.offset("insns")
_KIND, _OUT_IFINDEX = BATCH.offset("redirect_kind"), BATCH.offset("redirect_ifindex")
_OUT_FLAGS, _OUT_MAP, _OUT_KEY = (BATCH.offset(f"redirect_{name}") for name in ("flags", "map", "key"))

_RS_KTIME, _RS_TAI, _RS_INSNS = (RUN_STATE.offset(name) for name in ("ktime_ns", "tai_ns", "insns"))
_RS_PACKET = RUN_STATE.offset("packet")
_RS_TAIL_CALLS = RUN_STATE.offset("tail_calls")
_RS_FAULT_CODE = RUN_STATE.offset("fault") + FAULT.offset("code")
_RS_REDIRECT, _RS_XDP = RUN_STATE.offset("redirect"), RUN_STATE.offset("xdp")
_RS_KIND = _RS_REDIRECT + REDIRECT.offset("kind")
_RS_OUT_IFINDEX = _RS_REDIRECT + REDIRECT.offset("ifindex")
_RS_OUT_FLAGS = _RS_REDIRECT + REDIRECT.offset("flags")
_RS_OUT_MAP = _RS_REDIRECT + REDIRECT.offset("map")
_RS_OUT_KEY = _RS_REDIRECT + REDIRECT.offset("key")
_RS_DATA = _RS_XDP + XDP_BUFF.offset("data")
_RS_DATA_END = _RS_XDP + XDP_BUFF.offset("data_end")
_RS_DATA_META = _RS_XDP + XDP_BUFF.offset("data_meta")
_RS_HARD_START = _RS_XDP + XDP_BUFF.offset("data_hard_start")
_RS_FRAME_BYTES = _RS_XDP + XDP_BUFF.offset("frame_bytes")
_RS_HAS_FRAGS = _RS_XDP + XDP_BUFF.offset("has_frags")
_RS_IFINDEX = _RS_XDP + XDP_BUFF.offset("ingress_ifindex")
_RS_QUEUE = _RS_XDP + XDP_BUFF.offset("rx_queue_index")
_RS_EGRESS = _RS_XDP + XDP_BUFF.offset("egress_ifindex")


@native
def begin_packet(rs: int, batch: int, index: int) -> int:
    """Set up the run state and the context for packet `index` of the native batch."""
    at4, at8 = index * 4, index * 8
    frame = load64(load64(batch + _FRAME) + at8)
    data = frame + load32(load64(batch + _START) + at4)
    store64(rs + _RS_KTIME, load64(load64(batch + _KTIME) + at8))
    store64(rs + _RS_TAI, load64(load64(batch + _TAI) + at8))
    store64(rs + _RS_INSNS, 0)
    store64(rs + _RS_PACKET, index)
    store32(rs + _RS_TAIL_CALLS, 0)
    store32(rs + _RS_FAULT_CODE, 0)
    store32(rs + _RS_KIND, 0)
    store64(rs + _RS_HARD_START, frame)
    store64(rs + _RS_DATA, data)
    store64(rs + _RS_DATA_END, data + load32(load64(batch + _LENGTH) + at4))
    store64(rs + _RS_DATA_META, data - load32(load64(batch + _META) + at4))
    store32(rs + _RS_FRAME_BYTES, FRAME_BYTES)
    store32(rs + _RS_HAS_FRAGS, load32(load64(batch + _HAS_FRAGS) + at4))
    store32(rs + _RS_IFINDEX, load32(load64(batch + _IFINDEX) + at4))
    store32(rs + _RS_QUEUE, load32(load64(batch + _QUEUE) + at4))
    store32(rs + _RS_EGRESS, 0)
    return 0


@native
def end_packet(rs: int, batch: int, index: int, r0: int) -> int:
    """Write verdict, packet limits and redirect target of packet `index` back to the batch."""
    at4, at8 = index * 4, index * 8
    data = load64(rs + _RS_DATA)
    store32(load64(batch + _VERDICT) + at4, r0)
    store32(load64(batch + _START) + at4, data - load64(rs + _RS_HARD_START))
    store32(load64(batch + _LENGTH) + at4, load64(rs + _RS_DATA_END) - data)
    store32(load64(batch + _META) + at4, data - load64(rs + _RS_DATA_META))
    store32(load64(batch + _HAS_FRAGS) + at4, load32(rs + _RS_HAS_FRAGS))
    store64(load64(batch + _INSNS) + at8, load64(rs + _RS_INSNS))
    kind = load32(rs + _RS_KIND)
    store32(load64(batch + _KIND) + at4, kind)
    if kind:
        store32(load64(batch + _OUT_IFINDEX) + at4, load32(rs + _RS_OUT_IFINDEX))
        store64(load64(batch + _OUT_FLAGS) + at8, load64(rs + _RS_OUT_FLAGS))
        store64(load64(batch + _OUT_MAP) + at8, load64(rs + _RS_OUT_MAP))
        store64(load64(batch + _OUT_KEY) + at8, load64(rs + _RS_OUT_KEY))
    return 0
