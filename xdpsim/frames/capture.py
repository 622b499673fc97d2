"""Opening a capture of any format that xdpsim reads: pcap and pcapng, plain or gzip, from a file, a pipe or stdin.

Records come in file order, one pass, in constant memory. A damaged or cut capture gives its whole records first and
then InputError, as tcpdump does. Verdicts and comments of pcapng packets are not read back.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import BinaryIO, Self

from xdpsim.errors import InputError
from xdpsim.frames.blocks import SECTION_MAGIC
from xdpsim.frames.linktype import check_l2
from xdpsim.frames.pcap import LAYOUTS, PcapLayout, PcapReader
from xdpsim.frames.pcapng import PcapngReader
from xdpsim.frames.record import Interface, Record
from xdpsim.frames.source import ByteSource

__all__ = ["Capture", "Interface", "PcapLayout", "Record", "open_capture"]

_FOREIGN = {  # beginnings of what people pass by mistake
    b"\x7fELF": "an ELF file",
    b"\x28\xb5\x2f\xfd": "zstd-compressed; unpack it first: zstd -dc FILE | xdpsim ... -",
    b"\xfd7zXZ": "xz-compressed; unpack it first: xz -dc FILE | xdpsim ... -",
    b"BZh": "bzip2-compressed; unpack it first: bzip2 -dc FILE | xdpsim ... -",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"snoop\0": "a Solaris snoop capture; convert it: editcap -F pcapng FILE out.pcapng",
}


class Capture:
    """An open capture: iterate it once for its `Record`s.

    `format` is "pcap" or "pcapng"; `packed` says that it was gzip; `interfaces` are those described so far (pcapng may
    describe more later). `scanned` lets a native scanner read a pcap without a Python object a packet.
    """

    def __init__(self, source: ByteSource, reader: PcapReader | PcapngReader) -> None:
        self._source = source
        self._reader = reader
        self._records = self._closing()

    @property
    def name(self) -> str:
        """The path as given, or `standard input`."""
        return self._source.name

    @property
    def format(self) -> str:
        """ "pcap" or "pcapng"."""
        return self._reader.format

    @property
    def packed(self) -> bool:
        """True when the capture was gzip-compressed."""
        return self._source.packed

    @property
    def interfaces(self) -> list[Interface]:
        """Interfaces described so far, over all sections; `Record.interface` indexes this list."""
        return self._reader.interfaces

    @property
    def offset(self) -> int:
        """How many (unpacked) bytes were read."""
        return self._source.offset

    @property
    def layout(self) -> PcapLayout | None:
        """How `chunks()` is to be scanned; None for pcapng, which only iterates."""
        return self._reader.layout

    @property
    def scanned(self) -> PcapReader | None:
        """The reader whose `source` a native scanner may read instead of iterating; None where there is none for it.

        The scanner owes what `layout` says: lengths and snapshot length; `records` finds out what is wrong.
        """
        return self._reader if isinstance(self._reader, PcapReader) and self._reader.is_plain else None

    def one_by_one(self) -> Iterator[Record]:
        """The records, none of which is read before it is asked for: `scanned` may go on behind the last one."""
        reader, before = self.scanned, 0
        if reader is None:
            yield from self
            return
        while (record := reader.one(before)) is not None:
            before = record.n
            yield record

    def batches(self, size: int) -> Iterator[list[Record]]:
        """Records in lists of `size`; the last one shorter. Before an InputError comes the list of what was whole."""
        batch: list[Record] = []
        try:
            for record in self._records:
                batch.append(record)
                if len(batch) == size:
                    yield batch
                    batch = []
        except InputError:
            if batch:
                yield batch
            raise
        if batch:
            yield batch

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def _closing(self) -> Generator[Record, None, None]:
        """The records; the file is closed after the last, after an error, and when the capture is given up."""
        try:
            yield from self._reader.records()
        finally:
            self._source.close()

    def close(self) -> None:
        """Close the file if `open_capture` opened it."""
        self._records.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_capture(source: str | os.PathLike[str] | BinaryIO, *, l2: str = "") -> Capture:
    """Open a capture for one pass; `-` is standard input, a file object is read from where it stands and left open.

    Link types other than Ethernet are an InputError, at once for pcap, with an interface's first packet for pcapng,
    unless `l2="synth"`: then RAW, IPV4, IPV6, NULL, LOOP, LINUX_SLL and LINUX_SLL2 packets lose their own header and
    get an Ethernet one. Both addresses are zero, except the sender's where a cooked header has it, and the destination
    of a cooked broadcast (ff:ff:ff:ff:ff:ff); `length` is adjusted, `time_ns` is that of the capture.
    `l2="none"` gives RAW, IPV4 and IPV6 packets as they are, for programs that start at the network header.
    Raises InputError for what cannot be opened or is no capture.
    """
    check_l2(l2)
    stream = ByteSource(source)
    try:
        return Capture(stream, _reader(stream, l2))
    except BaseException:
        stream.close()
        raise


def _reader(stream: ByteSource, l2: str) -> PcapReader | PcapngReader:
    if not stream.need(1):
        raise InputError(f"{stream.name}: is empty, a pcap or pcapng capture would have been right")
    stream.need(8)
    magic = stream.buffer[:4]
    if magic == SECTION_MAGIC:
        return PcapngReader(stream, l2)
    if magic in LAYOUTS:
        return PcapReader(stream, l2)
    foreign = next((what for start, what in _FOREIGN.items() if stream.buffer.startswith(start)), "")
    raise InputError(
        f"{stream.name}: begins with {magic.hex()}, a pcap or pcapng capture would have been right",
        hint=f"this looks like {foreign}" if foreign else "",
    )
