"""Reading the classic capture format: microseconds and nanoseconds, both byte orders, Kuznetzov's longer records.

Follows draft-ietf-opsawg-pcap; where files break its rules, libpcap 1.10 (sf-pcap.c), as `tcpdump -r` shows it:
a record longer than the file's snapshot length is cut to it, one longer than 262,144 bytes is damage, and whole records
before the damage are given first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NoReturn

from xdpsim.errors import InputError
from xdpsim.frames.linktype import converted, converter
from xdpsim.frames.record import MAX_CAPTURED_BYTES, Interface, Record, whole_before
from xdpsim.frames.source import ByteSource

FILE_HEADER_BYTES = 24
_MICROSECONDS, _NANOSECONDS, _KUZNETZOV = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
_LINKTYPE_MASK = 0x03FF_FFFF  # the bits above say how long a frame check sequence is
_INT_MAX = 0x7FFF_FFFF
_CAPTURED_AT = 8


@dataclass(frozen=True, slots=True)
class PcapLayout:
    """All that a native scanner needs for the bytes behind the file header."""

    byte_order: str  # "<" or ">"
    tick_ns: int  # 1,000 or 1: the unit of the fraction field
    record_header_bytes: int  # 16, Kuznetzov 24: seconds, fraction, captured, on the wire, u32 each
    snaplen: int
    linktype: int


LAYOUTS: dict[bytes, tuple[str, int, int]] = {
    struct.pack(order + "I", magic): (order, tick_ns, header)
    for order in "<>"
    for magic, tick_ns, header in ((_MICROSECONDS, 1000, 16), (_NANOSECONDS, 1, 16), (_KUZNETZOV, 1000, 24))
}


class PcapReader:
    """Records of a classic capture; `l2` as in `open_capture`."""

    format = "pcap"

    def __init__(self, source: ByteSource, l2: str) -> None:
        self.source = source
        if not source.need(FILE_HEADER_BYTES):
            raise InputError(f"{source.name}: {source.left} bytes, a pcap file header has {FILE_HEADER_BYTES}")
        order, tick_ns, header = LAYOUTS[source.buffer[:4]]
        major, minor, _, _, snaplen, network = struct.unpack_from(order + "HHiIII", source.buffer, 4)
        if (major, minor) != (2, 4):
            raise InputError(f"{source.name}: pcap version {major}.{minor}, 2.4 would have been right")
        source.pos = FILE_HEADER_BYTES
        self.layout = PcapLayout(order, tick_ns, header, _limit(snaplen), network & _LINKTYPE_MASK)
        self.interfaces = [Interface("", self.layout.linktype, snaplen, 9 if tick_ns == 1 else 6)]
        self._convert = converter(self.layout.linktype, l2, source.name)

    @property
    def is_plain(self) -> bool:
        """Whether packets are as they stand in the file: Ethernet frames."""
        return self._convert is None

    def records(self, before: int = 0) -> Iterator[Record]:
        """Every whole record, `before` and more; then InputError when the file ends inside one, or one is damaged."""
        source, convert, layout = self.source, self._convert, self.layout
        header, tick_ns, snaplen = layout.record_header_bytes, layout.tick_ns, layout.snaplen
        unpack = struct.Struct(layout.byte_order + "IIII").unpack_from
        buffer, pos, end = source.buffer, source.pos, len(source.buffer)
        make, n = tuple.__new__, before
        while True:
            n += 1
            if end - pos < header:
                source.pos = pos
                if not source.need(header):
                    break
                buffer, pos, end = source.buffer, source.pos, len(source.buffer)
            seconds, fraction, captured, length = unpack(buffer, pos)
            if captured > MAX_CAPTURED_BYTES:
                source.pos = pos
                _too_long(source, n, captured)
            start = pos + header
            if end - start < captured:
                source.pos = pos
                if not source.need(header + captured):
                    _cut(source, n, header, captured)
                buffer, start, end = source.buffer, source.pos + header, len(source.buffer)
            pos = start + captured
            data = buffer[start : pos if captured <= snaplen else start + snaplen]
            if convert is not None:
                data, length = converted(convert, f"{source.name}: record {n}", data, max(length, captured))
            kept = len(data)
            time_ns = seconds * 1_000_000_000 + fraction * tick_ns
            # Past NamedTuple's own __new__, which costs a third of the whole loop.
            yield make(Record, (n, time_ns, data, length if length > kept else kept, 0, kept < length))
        if source.left:
            _cut_in_header(source, n, header)

    def one(self, before: int) -> Record | None:
        """The next record, number `before` + 1, and nothing behind it; None at the end, InputError at damage."""
        source, layout = self.source, self.layout
        for record in islice(self.records(before), 1):
            (captured,) = struct.unpack_from(layout.byte_order + "I", source.buffer, source.pos + _CAPTURED_AT)
            source.pos += layout.record_header_bytes + captured
            return record
        return None


def _limit(snaplen: int) -> int:
    """libpcap's pcap_adjust_snapshot: zero and absurd values mean the maximum."""
    return MAX_CAPTURED_BYTES if snaplen == 0 or snaplen > _INT_MAX else snaplen


def _too_long(source: ByteSource, n: int, captured: int) -> NoReturn:
    raise InputError(
        f"{source.name}: record {n} at byte {source.offset:,}: announces {captured:,} captured bytes, "
        f"at most {MAX_CAPTURED_BYTES:,} would have been right",
        hint=whole_before(n),
    )


def _cut(source: ByteSource, n: int, header: int, captured: int) -> NoReturn:
    raise InputError(
        f"{source.name}: record {n} at byte {source.offset:,}: {captured:,} bytes announced, "
        f"{source.left - header:,} left in the file",
        hint=whole_before(n),
    )


def _cut_in_header(source: ByteSource, n: int, header: int) -> NoReturn:
    raise InputError(
        f"{source.name}: record {n} at byte {source.offset:,}: the file ends {source.left} bytes into its "
        f"{header}-byte header",
        hint=whole_before(n),
    )
