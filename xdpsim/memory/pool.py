"""Frames: fixed 4,096-byte buffers laid out as a driver's page is, and the packets put into them.

A frame holds headroom, the packet's linear part and the tailroom of `skb_shared_info`, which lists further frames
(frags) where a packet is longer than 3,520 bytes. Follows net/bpf/test_run.c and include/net/xdp.h.
"""

from __future__ import annotations

import struct

from xdpsim.errors import InputError
from xdpsim.memory.arena import Block
from xdpsim.memory.structs import (
    FRAG,
    FRAME_BYTES,
    HEADROOM_BYTES,
    LINEAR_BYTES,
    LINEAR_END,
    MAX_FRAGS,
    SHARED_INFO,
    XDP_FRAME_BYTES,
)

MAX_PACKET_BYTES = LINEAR_BYTES + MAX_FRAGS * FRAME_BYTES
_HEAD = struct.Struct("<II")
_FRAG = struct.Struct("<QII")
_FRAGS_AT = LINEAR_END + SHARED_INFO.offset("frags")
assert _FRAG.size == FRAG.size


class FramePool:
    """`count` frames of native memory. A frame is named by the native address of its first byte."""

    def __init__(self, count: int) -> None:
        self.block = Block(count * FRAME_BYTES, "frame pool")
        first = self.block.address
        self._free = [first + n * FRAME_BYTES for n in range(count - 1, -1, -1)]
        self._frags_of: dict[int, list[int]] = {}

    @property
    def free_frames(self) -> int:
        """How many frames are left."""
        return len(self._free)

    def take(self) -> int:
        """A frame for whoever fills it himself; `release` gives it back."""
        return self._free.pop()

    def put(self, data: bytes) -> tuple[int, int, int]:
        """Store a packet; its frame, the offset of its first byte in the frame, and its linear length.

        InputError above 73,152 bytes: a packet has at most 17 frags. Headroom is zeroed, as for BPF_PROG_TEST_RUN.
        """
        if len(data) > MAX_PACKET_BYTES:
            raise InputError(f"a packet of {len(data)} bytes: expected at most {MAX_PACKET_BYTES}")
        frame = self._free.pop()
        at = frame - self.block.address
        linear = min(len(data), LINEAR_BYTES)
        view = self.block.view
        view[at : at + HEADROOM_BYTES] = bytes(HEADROOM_BYTES)
        view[at + HEADROOM_BYTES : at + HEADROOM_BYTES + linear] = data[:linear]
        _HEAD.pack_into(view, at + LINEAR_END, 0, 0)
        if linear < len(data):
            self._put_frags(at, data[linear:])
        return frame, HEADROOM_BYTES, linear

    def _put_frags(self, at: int, rest: bytes) -> None:
        view = self.block.view
        pieces = [rest[n : n + FRAME_BYTES] for n in range(0, len(rest), FRAME_BYTES)]
        _HEAD.pack_into(view, at + LINEAR_END, len(pieces), len(rest))
        for n, piece in enumerate(pieces):
            frag = self._free.pop()
            to = frag - self.block.address
            view[to : to + len(piece)] = piece
            _FRAG.pack_into(view, at + _FRAGS_AT + n * FRAG.size, frag, len(piece), FRAME_BYTES)
            self._frags_of.setdefault(at + self.block.address, []).append(frag)

    def frags(self, frame: int) -> list[tuple[int, int]]:
        """Address and length of each frag of the packet in `frame`."""
        at = frame - self.block.address
        count, _ = _HEAD.unpack_from(self.block.view, at + LINEAR_END)
        return [_FRAG.unpack_from(self.block.view, at + _FRAGS_AT + n * FRAG.size)[:2] for n in range(count)]

    def get(self, frame: int, start: int, length: int) -> bytes:
        """The packet's bytes: `length` linear ones from offset `start` in its frame, then all frags."""
        at = frame - self.block.address + start
        data = bytes(self.block.view[at : at + length])
        if _HEAD.unpack_from(self.block.view, frame - self.block.address + LINEAR_END)[0]:
            for frag, size in self.frags(frame):
                to = frag - self.block.address
                data += self.block.view[to : to + size]
        return data

    def read(self, frame: int, start: int, length: int) -> bytes:
        """Bytes of one frame, metadata in its headroom for instance."""
        at = frame - self.block.address + start
        return bytes(self.block.view[at : at + length])

    def replace(self, frame: int, data: bytes, meta: bytes = b"") -> tuple[int, int]:
        """Put other bytes, with metadata before them, into a frame: the offset of the first byte and the linear length.

        The first byte is at 256 if packet and metadata allow it; old frags go back to the pool. InputError when they do
        not fit a frame and 17 frags.
        """
        lowest = XDP_FRAME_BYTES + len(meta)
        start = max(HEADROOM_BYTES - max(len(data) - MAX_PACKET_BYTES, 0), lowest)
        if len(data) > LINEAR_END - start + MAX_FRAGS * FRAME_BYTES:
            most = LINEAR_END - lowest + MAX_FRAGS * FRAME_BYTES
            raise InputError(f"a packet of {len(data)} bytes behind {len(meta)} of metadata: expected at most {most}")
        self._free += self._frags_of.pop(frame, ())
        at = frame - self.block.address
        linear = min(len(data), LINEAR_END - start)
        self.block.view[at + start - len(meta) : at + start + linear] = meta + data[:linear]
        _HEAD.pack_into(self.block.view, at + LINEAR_END, 0, 0)
        if linear < len(data):
            self._put_frags(at, data[linear:])
        return start, linear

    def release(self, frame: int) -> None:
        """Give a packet's frames back, those that a program cut off it included."""
        self._free += self._frags_of.pop(frame, ())
        self._free.append(frame)
