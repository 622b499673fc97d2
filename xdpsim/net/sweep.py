"""A whole pcap through one program at memory speed: records are scanned, run and counted natively.

Packets of programs that only read them stay in the buffer that the file is read into; others are copied into frames of
the pool. What the scanner does not do goes the way of net/datapath.py: packets that need frags, other formats of
captures. Either way the counts are the same, and memory does not grow with the capture.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from errno import errorcode
from itertools import islice
from typing import Protocol

from xdpsim.bits import M64, signed
from xdpsim.engines.fault import Fault, read_fault
from xdpsim.engines.protocol import LoadedProgram, Runner
from xdpsim.frames.capture import Capture
from xdpsim.frames.pcap import PcapReader
from xdpsim.frames.record import MAX_CAPTURED_BYTES, Record
from xdpsim.memory.arena import Block
from xdpsim.memory.batch import Batch, Stop
from xdpsim.memory.layout import View
from xdpsim.memory.structs import HEADROOM_BYTES
from xdpsim.memory.sweep import DAMAGED, LIMIT, LONG, MORE, SCAN, TALLIED, TALLY, scan_records, tally_batch
from xdpsim.net.clock import START_NS
from xdpsim.net.counts import Count, Swept
from xdpsim.net.datapath import MIN_PACKET_BYTES, Result, XdpHook, redirect_of
from xdpsim.net.machine import EmulatedMachine, Event
from xdpsim.net.timers import fire_due

BUFFER_BYTES = 4 << 20
"""What is read at once: several times the largest record."""
_NO_LIMIT = (1 << 64) - 1
_COUNT_MASK = (1 << 32) - 1


class Sink(Protocol):
    """Who wants the packets as they come out, in order."""

    def add(self, result: Result) -> None:
        """One packet that went the long way."""

    def add_batch(self, batch: Batch, start: int, end: int, arrays: tuple[int, int, int]) -> int:
        """Packets [start, end) of a batch, which ran; up to which they were taken.

        `arrays` are the addresses of their numbers (u64), lengths as captured and on the wire (u32). The packet behind
        those taken comes by `add`.
        """


class Sweep:
    """Runs a capture and counts in `swept`; `events` and `faulted` have what the last piece left."""

    def __init__(
        self,
        machine: EmulatedMachine,
        program: LoadedProgram,
        runner: Runner,
        *,
        batch_size: int,
        limit: int | None,
        sink: Sink | None = None,
    ) -> None:
        self.machine, self.program, self.runner = machine, program, runner
        self.swept = Swept()
        self._sink = sink
        self.batch = Batch(batch_size)
        self.faulted: list[tuple[Record, Fault]] = []
        self.events: list[Event] = []
        self.is_reading = False
        """Whether it waits for the capture's bytes: then it may be interrupted without losing packets."""
        self._room = Block(SCAN.size + 32 * batch_size, "scan")
        self._counts = Block(TALLIED * TALLY.size + 8, "tally")
        self._scan = View(SCAN, self._room.view, 0, self._room.address)
        at = SCAN.size
        self.numbers, at = self._room.view[at : at + 8 * batch_size].cast("Q"), at + 8 * batch_size
        self.lengths, at = self._room.view[at : at + 4 * batch_size].cast("I"), at + 4 * batch_size
        self.wire_lengths, at = self._room.view[at : at + 4 * batch_size].cast("I"), at + 4 * batch_size
        self._frames, at = self._room.view[at : at + 8 * batch_size].cast("Q"), at + 8 * batch_size
        self._sources = self._room.view[at : at + 8 * batch_size].cast("Q")
        self._buffer = Block(BUFFER_BYTES, "capture")
        self._in_place = runner.reads_in_place
        self._limit = _NO_LIMIT if limit is None else limit

    def run(self, capture: Capture, *, before: int = 0) -> Iterator[int]:
        """Run the capture, a piece at a time; yields how many packets were read so far.

        `before` have been read already, by `capture.one_by_one()`. InputError at damage, when all before it has run.
        """
        reader = capture.scanned
        if reader is None:
            most = None if self._limit == _NO_LIMIT else max(self._limit - before, 0)
            yield from self._run_records(islice(capture, most))
            return
        own = [] if self._in_place else [self.machine.pool.take() for _ in range(self.batch.capacity)]
        self._prepare(reader, own)
        self._scan.records = before
        try:
            yield from self._run_scanned(reader)
        finally:
            self._finish()
            for frame in own:
                self.machine.pool.release(frame)

    def _prepare(self, reader: PcapReader, frames: list[int]) -> None:
        scan, layout, base = self._scan, reader.layout, self._room.address + SCAN.size
        capacity = self.batch.capacity
        self._frames[: len(frames)] = memoryview(b"".join(f.to_bytes(8, "little") for f in frames)).cast("Q")
        scan.numbers, scan.lengths, scan.wire_lengths = base, base + 8 * capacity, base + 12 * capacity
        scan.frames, scan.sources = base + 16 * capacity if frames else 0, base + 24 * capacity
        scan.header_bytes, scan.tick_ns = layout.record_header_bytes, layout.tick_ns
        scan.is_swapped, scan.snaplen = int(layout.byte_order == ">"), layout.snaplen
        scan.longest, scan.shortest, scan.limit = MAX_CAPTURED_BYTES, MIN_PACKET_BYTES, self._limit
        scan.start_ns, scan.stops_short = START_NS, int(self._sink is not None)
        scan.at = scan.end = self._buffer.address
        batch = self.batch
        for index in range(capacity):
            batch.start[index], batch.ifindex[index] = HEADROOM_BYTES, 1

    def _run_scanned(self, reader: PcapReader) -> Iterator[int]:
        scan, capacity = self._scan, self.batch.capacity
        while True:
            self._lend_clock()
            found = scan_records(scan.address, self.batch.address, capacity)
            self._take_clock()
            count, why = found & _COUNT_MASK, found >> 32
            self.batch.count = count
            if count:
                self._run_batch()
            yield scan.records
            self.faulted.clear()
            self.events.clear()
            if why == LIMIT or (why == MORE and not self._read_on(reader)):
                break
            if why in (LONG, DAMAGED):
                self._run_one(reader)
        if why == MORE and scan.end > scan.at:
            self._give_back(reader)
            next(reader.records(scan.records), None)  # says what is wrong with what is left

    def _read_on(self, reader: PcapReader) -> bool:
        """Read behind what is left; False at the end of the capture."""
        scan, buffer = self._scan, self._buffer
        left = scan.end - scan.at
        at = scan.at - buffer.address
        if at:
            buffer.view[:left] = bytes(buffer.view[at : at + left])
        self.is_reading = True
        got = reader.source.read_into(buffer.view[left:])
        self.is_reading = False
        scan.at, scan.end = buffer.address, buffer.address + left + got
        return got > 0

    def _give_back(self, reader: PcapReader) -> None:
        scan, base = self._scan, self._buffer.address
        reader.source.give_back(bytes(self._buffer.view[scan.at - base : scan.end - base]))
        scan.at = scan.end = base

    def _run_one(self, reader: PcapReader) -> None:
        """The next record goes the long way; InputError when it is damaged."""
        self._give_back(reader)
        record = reader.one(self._scan.records)
        assert record is not None
        self._scan.records += 1
        for _ in self._run_records(iter((record,))):
            pass

    def _run_records(self, records: Iterator[Record]) -> Iterator[int]:
        """As the datapath does it, and counted here."""
        hook = XdpHook(self.machine, self.program, self.runner, self.batch.capacity)
        for number, result in enumerate(hook.run(records), start=1):
            self._count(result)
            if number % self.batch.capacity == 0:
                yield number
                self.faulted.clear()
                self.events.clear()

    def _count(self, result: Result) -> None:
        swept, record = self.swept, result.record
        if self._sink is not None:
            self._sink.add(result)
        swept.packets += 1
        swept.bytes += len(record.data)
        swept.insns += result.insns
        self.events += result.events
        if result.fault:
            self.faulted.append((record, result.fault))
        count = swept.faults if result.fault else swept.verdict(result.verdict)
        if result.error:
            count = swept.errors.setdefault(result.error, Count())
        count.add(1, len(record.data), record.n)

    def _lend_clock(self) -> None:
        scan, clock = self._scan, self.machine.clock
        scan.ktime_ns, scan.tai_ns = clock.ktime_ns, clock.tai_ns
        scan.has_first, scan.first_ns = int(clock.first_ns is not None), (clock.first_ns or 0) & M64

    def _take_clock(self) -> None:
        scan, clock = self._scan, self.machine.clock
        clock.ktime_ns, clock.tai_ns = scan.ktime_ns, scan.tai_ns
        clock.first_ns = signed(scan.first_ns, 64) if scan.has_first else None

    def _run_batch(self) -> None:
        batch, start = self.batch, 0
        while start < batch.count:
            stopped, stop = self.runner.run_batch(batch, start)
            if self.runner.errnos:
                self._tally(start, stopped)
            elif stopped > start:
                addresses = self._scan.numbers, self._scan.lengths, self._counts.address
                tally_batch(batch.address, start, stopped, *addresses)
                self._tally_others(start, stopped)
            if self._sink is not None:
                self._hand_on(self._sink, start, stopped)
            start = stopped
            if stop is Stop.TIMER_DUE:
                fire_due(self.machine, batch.ktime_ns[start], start)
            elif stop is not Stop.END:
                self._add_fault(start)
                start += 1
        if self.machine.events:
            self.events += self.machine.take_events()

    def _tally(self, start: int, end: int, least: int = 0) -> None:
        """Count packets one by one: those that the engine refused, and those of verdicts from `least` on."""
        batch, errnos = self.batch, self.runner.errnos
        for index in range(start, end):
            value, size, number = batch.verdict[index], self.lengths[index], self.numbers[index]
            if index in errnos:
                answer = f"BPF_PROG_TEST_RUN answers {errorcode.get(errnos[index], errnos[index])}"
                self.swept.errors.setdefault(answer, Count()).add(1, size, number)
            elif value >= least:
                self.swept.verdict(value).add(1, size, number)

    def _tally_others(self, start: int, end: int) -> None:
        """Verdicts that the native tally has no place for."""
        place = (TALLIED - 1) * TALLY.size
        others = self._counts.view[place : place + TALLY.size]
        if any(others):
            others[:] = bytes(TALLY.size)
            self._tally(start, end, TALLIED - 1)

    def _add_fault(self, index: int) -> None:
        batch = self.batch
        number, size = self.numbers[index], self.lengths[index]
        self.swept.faults.add(1, size, number)
        self.swept.insns += batch.insns[index]
        record, fault = self._record(index), read_fault(self.machine, self.program)
        self.faulted.append((record, fault))
        if self._sink is not None:
            self._sink.add(self._result(index, record, fault))

    def _hand_on(self, sink: Sink, start: int, end: int) -> None:
        """Give the packets of a batch to the sink."""
        scan = self._scan
        arrays = scan.numbers, scan.lengths, scan.wire_lengths
        while start < end:
            start = sink.add_batch(self.batch, start, end, arrays)
            if start < end:
                sink.add(self._result(start, self._record(start), None))
                start += 1

    def _result(self, index: int, record: Record, fault: Fault | None) -> Result:
        """A packet of the batch as the datapath gives it, but without its events."""
        batch = self.batch
        at, meta = batch.frame[index] + batch.start[index], batch.meta[index]
        block = self._buffer if self._in_place else self.machine.pool.block
        at -= block.address
        data, metadata = bytes(block.view[at : at + batch.length[index]]), bytes(block.view[at - meta : at])
        redirect = redirect_of(self.machine, batch, index)
        return Result(record, batch.verdict[index], data, metadata, redirect, batch.insns[index], fault, [])

    def _record(self, index: int) -> Record:
        """A packet of the batch as it stands in the capture."""
        size, buffer = self.lengths[index], self._buffer
        at = (self.batch.frame[index] + HEADROOM_BYTES if self._in_place else self._sources[index]) - buffer.address
        data = bytes(buffer.view[at : at + size])
        wire = max(size, self.wire_lengths[index])
        return Record(self.numbers[index], self.batch.tai_ns[index], data, wire, truncated=size < wire)

    def others(self, kept: Container[int], most: int) -> list[tuple[Record, int]]:
        """First packets of the last piece whose verdicts are not among `kept`, at most `most`; with the verdicts."""
        faulted = {record.n for record, _ in self.faulted}
        batch = self.batch
        found = (i for i in range(batch.count) if batch.verdict[i] not in kept and self.numbers[i] not in faulted)
        return [(self._record(index), batch.verdict[index]) for index in islice(found, most)]

    def _finish(self) -> None:
        """Add what was counted natively."""
        swept, scan = self.swept, self._scan
        words = self._counts.view[: TALLIED * TALLY.size + 8].cast("Q")
        for value in range(TALLIED - 1):
            packets, size, first = words[3 * value : 3 * value + 3]
            if packets:
                swept.verdict(value).add(packets, size, first)
        swept.insns += words[3 * TALLIED]
        if scan.short_packets:
            reason = f"shorter than {MIN_PACKET_BYTES} bytes"
            swept.errors.setdefault(reason, Count()).add(scan.short_packets, scan.short_bytes, scan.short_first)
        swept.packets = sum(count.packets for count in self.swept.counts())
        swept.bytes = sum(count.bytes for count in self.swept.counts())
