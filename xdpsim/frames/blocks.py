"""pcapng's framing: one block after the other, checked, in the byte order of its section. pcapng.py gives them meaning.

A block of a kind that is not read is passed over without being held, so a length that lies costs no memory.
"""

from __future__ import annotations

import struct

from xdpsim.errors import InputError
from xdpsim.frames.record import whole_before
from xdpsim.frames.source import ByteSource

SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"  # reads the same in both byte orders
SECTION, INTERFACE, PACKET, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
PACKET_BLOCKS = {PACKET: 32, SIMPLE: 16, ENHANCED: 32}  # kind -> bytes of a block around an empty packet

_LEAST_BYTES = {SECTION: 28, INTERFACE: 20, **PACKET_BLOCKS}  # the kinds that are read
_MAX_HELD_BYTES = 16 << 20  # libpcap's INITIAL_MAX_BLOCKSIZE
_BYTE_ORDER = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}


class Blocks:
    """Steps through the blocks of `source`; `order` is the byte order of the current section, `n` the next record."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.order = "<"
        self.n = 1

    def hold(self) -> int:
        """Bring the next block that is read whole into the window and give its kind; 0 at the end of the file."""
        source = self.source
        while source.need(12):
            if source.buffer.startswith(SECTION_MAGIC, source.pos):
                self.order = self._section_order()
            kind, total = struct.unpack_from(self.order + "II", source.buffer, source.pos)
            least = _LEAST_BYTES.get(kind, 12)
            if total < least or total & 3:
                raise self.failure(kind, f"announces {total:,} bytes, a multiple of 4 from {least} up", expected=True)
            if kind not in _LEAST_BYTES:
                self._pass_over(kind, total)
                continue
            if total > _MAX_HELD_BYTES:
                raise self.failure(kind, f"announces {total:,} bytes, at most {_MAX_HELD_BYTES:,}", expected=True)
            if not source.need(total):
                raise self.failure(kind, f"{total:,} bytes announced, {source.left:,} left in the file")
            trailer = struct.unpack_from(self.order + "I", source.buffer, source.pos + total - 4)[0]
            if trailer != total:
                raise self.failure(kind, _unlike(total, trailer), expected=True)
            return int(kind)
        if source.left:
            raise self.failure(0, f"the file ends {source.left} bytes into its 12-byte frame")
        return 0

    def total(self) -> int:
        """Length in bytes of the block held."""
        return int(struct.unpack_from(self.order + "I", self.source.buffer, self.source.pos + 4)[0])

    def failure(self, kind: int, found: str, *, expected: bool = False, hint: str = "") -> InputError:
        """The error at the block in the window; `expected` says that `found` ends with what would have been right."""
        return self._failure(self._place(kind), found, expected=expected, hint=hint)

    def _failure(self, place: str, found: str, *, expected: bool = False, hint: str = "") -> InputError:
        right = " would have been right" if expected else ""
        return InputError(f"{self.source.name}: {place}: {found}{right}", hint=hint or whole_before(self.n))

    def _place(self, kind: int) -> str:
        what = f"record {self.n}" if kind in PACKET_BLOCKS else f"block type {kind:#x}" if kind else "block"
        return f"{what} at byte {self.source.offset:,}"

    def _pass_over(self, kind: int, total: int) -> None:
        source, place = self.source, self._place(kind)
        passed = source.skip(total - 4)
        if passed < total - 4 or not source.need(4):
            raise self._failure(place, f"{total:,} bytes announced, {passed + source.left:,} left in the file")
        trailer = struct.unpack_from(self.order + "I", source.buffer, source.pos)[0]
        source.pos += 4
        if trailer != total:
            raise self._failure(place, _unlike(total, trailer), expected=True)

    def _section_order(self) -> str:
        found = self.source.buffer[self.source.pos + 8 : self.source.pos + 12]
        if found not in _BYTE_ORDER:
            raise self.failure(SECTION, f"byte-order magic {found.hex()}, 1a2b3c4d in either order", expected=True)
        return _BYTE_ORDER[found]


def _unlike(total: int, trailer: int) -> str:
    return f"announces {total:,} bytes in front and {trailer:,} at its end, the same twice"
