"""Capture files byte by byte, in any byte order and with any field wrong: written apart from xdpsim's own writers."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

FRAME = bytes.fromhex("0200000000010200000000020800") + bytes(range(46))
"""60 bytes of Ethernet whose content does not matter."""

IPV4_PACKET = bytes.fromhex("450000140001000040110000 0a000001 c0000201")
"""An IPv4 header alone, without a link layer."""


def pcap(
    records: Iterable[tuple[int, int, bytes]] = (),
    *,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    version: tuple[int, int] = (2, 4),
    snaplen: int = 65_535,
    linktype: int = 1,
) -> bytes:
    """A classic capture of (seconds, fraction, data) records, none truncated."""
    out = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, linktype)
    return out + b"".join(pcap_record(*record, order=order) for record in records)


def pcap_record(
    seconds: int,
    fraction: int,
    data: bytes,
    *,
    captured: int | None = None,
    length: int | None = None,
    order: str = "<",
) -> bytes:
    """One record; `captured` and `length` may lie."""
    captured = len(data) if captured is None else captured
    return struct.pack(order + "IIII", seconds, fraction, captured, captured if length is None else length) + data


@dataclass(frozen=True)
class Ng:
    """Builds pcapng blocks in one byte order; every length may lie."""

    order: str = "<"

    def block(self, kind: int, body: bytes, *, total: int | None = None, trailer: int | None = None) -> bytes:
        body += bytes(-len(body) & 3)
        total = len(body) + 12 if total is None else total
        return (
            struct.pack(self.order + "II", kind, total)
            + body
            + struct.pack(self.order + "I", total if trailer is None else trailer)
        )

    def option(self, code: int, value: bytes, *, size: int | None = None) -> bytes:
        return (
            struct.pack(self.order + "HH", code, len(value) if size is None else size) + value + bytes(-len(value) & 3)
        )

    def section(self, *, version: tuple[int, int] = (1, 0), magic: int = 0x1A2B3C4D, options: bytes = b"") -> bytes:
        return self.block(0x0A0D0D0A, struct.pack(self.order + "IHHq", magic, *version, -1) + options)

    def interface(
        self,
        *,
        linktype: int = 1,
        snaplen: int = 0,
        name: str = "",
        tsresol: int | None = None,
        tsoffset: int | None = None,
    ) -> bytes:
        options = b""
        if name:
            options += self.option(2, name.encode())
        if tsresol is not None:
            options += self.option(9, bytes([tsresol]))
        if tsoffset is not None:
            options += self.option(14, struct.pack(self.order + "q", tsoffset))
        if options:
            options += bytes(4)
        return self.block(1, struct.pack(self.order + "HHI", linktype, 0, snaplen) + options)

    def enhanced(
        self,
        data: bytes,
        *,
        ticks: int = 0,
        interface: int = 0,
        captured: int | None = None,
        length: int | None = None,
        options: bytes = b"",
    ) -> bytes:
        captured = len(data) if captured is None else captured
        head = struct.pack(
            self.order + "IIIII",
            interface,
            ticks >> 32,
            ticks & 0xFFFFFFFF,
            captured,
            captured if length is None else length,
        )
        return self.block(6, head + data + bytes(-len(data) & 3) + options)

    def obsolete(self, data: bytes, *, ticks: int = 0, interface: int = 0, length: int | None = None) -> bytes:
        head = struct.pack(
            self.order + "HHIIII",
            interface,
            0xFFFF,
            ticks >> 32,
            ticks & 0xFFFFFFFF,
            len(data),
            len(data) if length is None else length,
        )
        return self.block(2, head + data)

    def simple(self, data: bytes, *, length: int | None = None) -> bytes:
        return self.block(3, struct.pack(self.order + "I", len(data) if length is None else length) + data)
