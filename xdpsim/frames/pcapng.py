"""Reading pcapng: several sections and interfaces, enhanced, simple and obsolete packet blocks; others are skipped.

Follows draft-ietf-opsawg-pcapng; where files break its rules, libpcap 1.10 (sf-pcapng.c). Packet options are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from xdpsim.frames.blocks import ENHANCED, INTERFACE, PACKET_BLOCKS, SECTION, SIMPLE, Blocks
from xdpsim.frames.linktype import Convert, converted, converter
from xdpsim.frames.record import MAX_CAPTURED_BYTES, Interface, Record
from xdpsim.frames.source import ByteSource

_OPT_NAME, _OPT_TSRESOL, _OPT_TSOFFSET = 2, 9, 14
_OPTION_BYTES = {_OPT_TSRESOL: 1, _OPT_TSOFFSET: 8}
_SECOND = 1_000_000_000
_TIME_LIMIT = 1 << 63


class _Port(NamedTuple):
    """What a packet block's interface number stands for in the current section."""

    number: int  # in Capture.interfaces
    tick_ns: int  # 0 when a tick is no whole number of nanoseconds
    units: int
    offset_ns: int
    limit: int
    convert: Convert | None


class PcapngReader:
    """Records of a pcapng capture; `interfaces` grows as their blocks are met."""

    format = "pcapng"
    layout = None

    def __init__(self, source: ByteSource, l2: str) -> None:
        self.source = source
        self.interfaces: list[Interface] = []
        self._blocks = Blocks(source)
        self._l2 = l2
        self._ports: dict[int, _Port] = {}
        self._section_first = 0
        while (kind := self._blocks.hold()) in (SECTION, INTERFACE):  # so that an open capture shows them
            self._describe(kind)
        self._kind = kind

    def records(self) -> Iterator[Record]:
        """Every whole record; then InputError when the file ends inside a block, or one is damaged."""
        blocks, kind = self._blocks, self._kind
        while kind:
            if kind in PACKET_BLOCKS:
                yield self._record(kind)
                yield from self._whole_enhanced()
            else:
                self._describe(kind)
            kind = blocks.hold()

    def _whole_enhanced(self) -> Iterator[Record]:
        """Enhanced packet blocks that lie whole in the window, fast; ends at the first that is not plainly right."""
        source, blocks, ports, make = self.source, self._blocks, self._ports, tuple.__new__
        unpack = struct.Struct(blocks.order + "7I").unpack_from
        buffer, pos, last = source.buffer, source.pos, len(source.buffer) - 32
        while pos <= last:
            kind, total, interface, high, low, captured, length = unpack(buffer, pos)
            port = ports.get(interface)
            after = pos + total
            if kind != ENHANCED or port is None or after > last + 32 or total & 3 or captured > total - 32:
                break
            number, tick_ns, units, offset_ns, limit, convert = port
            if captured > limit or convert is not None or buffer[pos + 4 : pos + 8] != buffer[after - 4 : after]:
                break
            ticks = high << 32 | low
            time_ns = (ticks * tick_ns if tick_ns else ticks * _SECOND // units) + offset_ns
            if not -_TIME_LIMIT <= time_ns < _TIME_LIMIT:
                break
            data = buffer[pos + 28 : pos + 28 + captured]
            record_n = blocks.n
            blocks.n = record_n + 1
            source.pos = pos = after
            whole = length if length > captured else captured
            # Past NamedTuple's own __new__, which costs a quarter of this loop.
            yield make(Record, (record_n, time_ns, data, whole, number, captured < length))

    def _describe(self, kind: int) -> None:
        """Take in the section header or interface description held in the window."""
        source, blocks = self.source, self._blocks
        total = blocks.total()
        if kind == SECTION:
            major, minor = struct.unpack_from(blocks.order + "HH", source.buffer, source.pos + 12)
            if (major, minor) not in ((1, 0), (1, 2)):
                raise blocks.failure(kind, f"pcapng version {major}.{minor}, 1.0", expected=True)
            self._section_first = len(self.interfaces)
            self._ports.clear()
        else:
            linktype, snaplen = struct.unpack_from(blocks.order + "HxxI", source.buffer, source.pos + 8)
            options = source.buffer[source.pos + 16 : source.pos + total - 4]
            self.interfaces.append(self._interface(linktype, snaplen, options))
        source.pos += total

    def _interface(self, linktype: int, snaplen: int, options: bytes) -> Interface:
        order = self._blocks.order
        name, tsresol, tsoffset = "", 6, 0
        at = 0
        while at + 4 <= len(options):
            code, size = struct.unpack_from(order + "HH", options, at)
            if code == 0:
                break
            value = options[at + 4 : at + 4 + size]
            wanted = _OPTION_BYTES.get(code, size)
            if not size == wanted == len(value):
                found = f"option {code} has {size} bytes, {len(value)} of them in the block, {wanted}"
                raise self._blocks.failure(INTERFACE, found, expected=True)
            if code == _OPT_NAME:
                name = value.decode("utf-8", "replace").rstrip("\0")
            elif code == _OPT_TSRESOL:
                tsresol = value[0]
            elif code == _OPT_TSOFFSET:
                tsoffset = struct.unpack(order + "q", value)[0]
            at += 4 + size + (-size & 3)
        return Interface(name, linktype, snaplen, tsresol, tsoffset)

    def _port(self, interface: int) -> _Port:
        """The interface as the packets need it, made at its first packet: one that has none may be of any link type."""
        if interface in self._ports:
            return self._ports[interface]
        known = len(self.interfaces) - self._section_first
        if interface >= known:
            found = f"came in on interface {interface}, but the section has described {known}"
            raise self._blocks.failure(ENHANCED, found)
        number = self._section_first + interface
        row = self.interfaces[number]
        units = row.units_per_second
        place = f"{self.source.name}: interface {number}" + (f" ({row.name})" if row.name else "")
        limit = min(row.snaplen or MAX_CAPTURED_BYTES, MAX_CAPTURED_BYTES)
        tick_ns = 0 if _SECOND % units else _SECOND // units
        convert = converter(row.linktype, self._l2, place)
        return self._ports.setdefault(interface, _Port(number, tick_ns, units, row.tsoffset * _SECOND, limit, convert))

    def _record(self, kind: int) -> Record:
        """The packet block held in the window, of any kind and with all that may be wrong with it."""
        source, blocks = self.source, self._blocks
        buffer, pos, total = source.buffer, source.pos, blocks.total()
        time_ns: int | None = None
        if kind == SIMPLE:
            length = struct.unpack_from(blocks.order + "I", buffer, pos + 8)[0]
            port = self._port(0)
            captured, start = min(length, port.limit), pos + 12
        else:
            fields = (
                blocks.order + ("I" if kind == ENHANCED else "Hxx") + "4I"
            )  # the obsolete block has a drop count there
            interface, high, low, captured, length = struct.unpack_from(fields, buffer, pos + 8)
            port = self._port(interface)
            time_ns, start = self._time(kind, port, high << 32 | low), pos + 28
        room = total - PACKET_BLOCKS[kind]
        if captured > min(room, port.limit):
            bound = "its block holds" if room < port.limit else "the snapshot length of its interface is"
            found = f"announces {captured:,} captured bytes, {bound} {min(room, port.limit):,}"
            raise blocks.failure(kind, found)
        data, length = buffer[start : start + captured], max(length, captured)
        if port.convert is not None:
            data, length = converted(port.convert, f"{source.name}: record {blocks.n}", data, length)
        source.pos = pos + total
        blocks.n += 1
        return Record(blocks.n - 1, time_ns, data, length, port.number, len(data) < length)

    def _time(self, kind: int, port: _Port, ticks: int) -> int:
        time_ns = ticks * _SECOND // port.units + port.offset_ns
        if not -_TIME_LIMIT <= time_ns < _TIME_LIMIT:
            found = f"is {time_ns // _SECOND:,} seconds from 1970, at most {_TIME_LIMIT // _SECOND:,}"
            hint = "nanoseconds are kept in 64 bits; does if_tsresol fit the time stamps?"
            raise self._blocks.failure(kind, found, expected=True, hint=hint)
        return time_ns
