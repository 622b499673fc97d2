"""The context that BPF_PROG_TEST_RUN is given for a packet of a batch. Follows net/bpf/test_run.c."""

from __future__ import annotations

import struct

from xdpsim.progtypes.skb import SKB_FIELDS, SKB_TYPES

_XDP_MD = struct.Struct("=6I")
_SK_BUFF_BYTES = 192
_IFINDEX_FIELDS = [row.field.offset for row in SKB_FIELDS if row.field.name in ("ifindex", "ingress_ifindex")]
_LOOPBACK_IFINDEX = 1


def xdp_context(packet_bytes: int, meta_bytes: int, ifindex: int, queue: int) -> bytes:
    """struct xdp_md: `data` is the length of the metadata, with which the data begins; ifindex 0 is TEST_RUN's own."""
    return _XDP_MD.pack(meta_bytes, meta_bytes + packet_bytes, 0, ifindex, queue, 0)


def xdp_meta_bytes(ctx: bytes) -> int:
    """How long the metadata is that a program left."""
    length: int = _XDP_MD.unpack_from(ctx)[0]
    return length


def skb_context(ifindex: int) -> bytes:
    """struct __sk_buff of a packet that came in by `ifindex`; empty for TEST_RUN's own defaults."""
    if ifindex <= _LOOPBACK_IFINDEX:
        return b""
    ctx = bytearray(_SK_BUFF_BYTES)
    for offset in _IFINDEX_FIELDS:
        struct.pack_into("=I", ctx, offset, ifindex)
    return bytes(ctx)


def context_for(program_type: str, packet_bytes: int, meta_bytes: int, ifindex: int, queue: int) -> bytes:
    """ctx_in for one packet; empty where the program type takes none."""
    if program_type == "XDP":
        return xdp_context(packet_bytes, meta_bytes, ifindex, queue)
    return skb_context(ifindex) if program_type in SKB_TYPES else b""
