"""The capture that -w writes: each packet with its verdict, and in words what the verdict does not say.

Packet n of the input is packet n of the output; with --capture both it is there twice, on two interfaces named as
xdpdump names them, under one packet id.
"""

from __future__ import annotations

import os

from xdpsim.cli.errors import UsageError
from xdpsim.cli.options import CaptureSide
from xdpsim.frames.capture import Capture
from xdpsim.frames.linktype import EN10MB
from xdpsim.frames.record import Interface
from xdpsim.frames.writer import PcapngWriter, open_writer
from xdpsim.memory.arena import Block
from xdpsim.memory.batch import Batch
from xdpsim.memory.layout import View
from xdpsim.memory.sweep import MOST_BLOCK_BYTES, WRITE, write_batch
from xdpsim.net.datapath import Result
from xdpsim.progtypes.rows import verdict_name
from xdpsim.progtypes.xdp import XDP

US = 1000
_ROOM_BYTES = 1 << 20
_SIDES = {CaptureSide.EXIT: ("",), CaptureSide.ENTRY: ("",), CaptureSide.BOTH: ("fentry", "fexit")}


def check_target(read: str, write: str) -> None:
    """Refuse to write over the capture that is being read."""
    if "-" in (read, write):
        return
    if os.path.exists(read) and os.path.exists(write) and os.path.samefile(read, write):
        raise UsageError(f"-w {write}: is the capture that -r reads", hint="write to another file")


class WrittenCapture:
    """Writes results as they come; close it to have them all in the file."""

    def __init__(self, path: str, source: Capture, program: str, side: CaptureSide) -> None:
        self._writer = open_writer(path)
        self._source, self._program, self._side = source, program, side
        self._numbers: dict[tuple[int, str], int] = {}

    def add(self, result: Result) -> None:
        """Write one packet, as it came, as the program left it, or both."""
        for suffix in _SIDES[self._side]:
            is_entry = suffix == "fentry" or self._side is CaptureSide.ENTRY
            self._write(result, suffix, is_entry)

    def _write(self, result: Result, suffix: str, is_entry: bool) -> None:
        record = result.record
        data = record.data if is_entry or result.error else result.data
        has_verdict = not result.error and not result.fault and suffix != "fentry"
        self._writer.write(
            data,
            time_ns=record.n * US if record.time_ns is None else record.time_ns,
            interface=self._interface(record.interface, suffix),
            length=len(data) + record.length - len(record.data),
            packet_id=record.n if suffix else None,
            verdict=result.verdict if has_verdict else None,
            comment="" if suffix == "fentry" and not result.error else comment_of(result),
        )

    def _interface(self, number: int, suffix: str) -> int:
        known = self._numbers.get((number, suffix))
        if known is None:
            name = self._source.interfaces[number].name if number < len(self._source.interfaces) else ""
            if suffix:
                name = f"{name or 'capture'}:{self._program}()@{suffix}"
            known = self._numbers[number, suffix] = self._writer.add_interface(Interface(name, EN10MB))
        return known

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()

    @property
    def takes_blocks(self) -> bool:
        """Whether packets may come as finished pcapng blocks: as they leave the program, once each."""
        return isinstance(self._writer, PcapngWriter) and self._side is CaptureSide.EXIT

    def blocks(self) -> WrittenBlocks:
        """What takes whole batches, where `takes_blocks`."""
        assert isinstance(self._writer, PcapngWriter)
        return WrittenBlocks(self, self._writer, self._interface(0, ""))


class WrittenBlocks:
    """A sweep's sink: packets of which only the verdict is to be said become blocks natively, the others one by one."""

    def __init__(self, written: WrittenCapture, writer: PcapngWriter, interface: int) -> None:
        self._written, self._writer = written, writer
        self._room = Block(_ROOM_BYTES, "blocks to write")
        self._about_block = Block(WRITE.size, "what blocks are written from")
        self._about = View(WRITE, self._about_block.view, 0, self._about_block.address)
        self._about.interface = interface
        self._empty()

    def _empty(self) -> None:
        self._about.out, self._about.end = self._room.address, self._room.address + self._room.size
        self._count = 0

    def add(self, result: Result) -> None:
        """One packet, behind those that wait."""
        self.flush()
        self._written.add(result)

    def add_batch(self, batch: Batch, start: int, end: int, arrays: tuple[int, int, int]) -> int:
        """Packets [start, end); up to which they were taken."""
        about = self._about
        about.numbers, about.lengths, about.wire_lengths = arrays
        while True:
            stopped = write_batch(batch.address, start, end, about.address)
            self._count += stopped - start
            start = stopped
            if start == end or about.end - about.out >= MOST_BLOCK_BYTES:
                return start
            self.flush()

    def flush(self) -> None:
        """Hand on what waits."""
        self._writer.write_blocks(self._room.view[: self._about.out - self._room.address], self._count)
        self._empty()


def comment_of(result: Result) -> str:
    """What the verdict option cannot hold; empty for an ordinary verdict."""
    if result.error:
        return f"never ran: {result.error}"
    if result.fault:
        return f"fault: {result.fault}"
    parts = []
    if result.redirect:
        parts.append(f"redirect to {result.redirect}")
    if result.verdict not in XDP.__members__.values():
        parts.append(f"{verdict_name('XDP', result.verdict)}: Linux treats it as XDP_ABORTED")
    if result.meta:
        parts.append(f"metadata {result.meta.hex()}")
    return "; ".join(parts)
