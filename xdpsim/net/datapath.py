"""The way of packets through the emulated machine: rx -> XDP -> verdict.

Packets travel in batches; results never depend on the batch size. What a verdict does beyond being counted (TX,
redirect, the stack) belongs to nodes that come behind XDP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from errno import errorcode
from typing import NamedTuple

from xdpsim.engines.fault import Fault, read_fault
from xdpsim.engines.protocol import LoadedProgram, Runner
from xdpsim.frames.record import Record
from xdpsim.memory.batch import Batch, Stop
from xdpsim.memory.pool import MAX_PACKET_BYTES
from xdpsim.memory.structs import MAX_FRAGS, REDIRECT_IFINDEX, REDIRECT_NONE
from xdpsim.net.machine import EmulatedMachine, Event
from xdpsim.net.timers import fire_due
from xdpsim.progtypes.xdp import XDP

MIN_PACKET_BYTES = 14
"""ETH_HLEN: no driver hands a shorter frame to XDP, and BPF_PROG_TEST_RUN answers EINVAL."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where XDP_REDIRECT is to go: an interface, or entry `key` of map `map`."""

    ifindex: int = 0
    map: str = ""
    key: int = 0
    flags: int = 0

    def __str__(self) -> str:
        return f"{self.map}[{self.key}]" if self.map else f"ifindex {self.ifindex}"


class Result(NamedTuple):
    """What became of one packet. `error` says why it never ran; then everything behind it is empty."""

    record: Record
    verdict: int
    data: bytes
    meta: bytes
    redirect: Redirect | None
    insns: int
    fault: Fault | None
    events: list[Event]
    error: str = ""


@dataclass
class Totals:
    """Counts over a run; `errors` are packets that never reached the program, by reason."""

    packets: int = 0
    bytes: int = 0
    verdicts: dict[int, int] = field(default_factory=dict)
    faults: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    insns: int = 0


class XdpHook:
    """Runs one XDP program over records; `totals` counts as it goes."""

    def __init__(self, machine: EmulatedMachine, program: LoadedProgram, runner: Runner, batch_size: int) -> None:
        self.machine, self.program, self.runner = machine, program, runner
        self.totals = Totals()
        self._batch = Batch(batch_size)
        self._records: list[Record] = []

    def run(self, records: Iterable[Record]) -> Iterator[Result]:
        """One result a record, in order. Packets run as they are read, a batch at a time."""
        refused: list[tuple[int, Result]] = []
        for record in records:
            error = refusal(record.data)
            if error:
                refused.append((len(self._records), self._refuse(record, error)))
                continue
            self._accept(record)
            if self._batch.count == self._batch.capacity or self.machine.pool.free_frames <= MAX_FRAGS:
                yield from self._flush(refused)
                refused = []
        yield from self._flush(refused)

    def _refuse(self, record: Record, error: str) -> Result:
        errors = self.totals.errors
        errors[error] = errors.get(error, 0) + 1
        self.totals.packets += 1
        self.totals.bytes += len(record.data)
        return Result(record, 0, record.data, b"", None, 0, None, [], error)

    def _accept(self, record: Record) -> None:
        machine, batch = self.machine, self._batch
        machine.clock.arrive(record.time_ns)
        frame = machine.pool.put(record.data)
        at = batch.append(frame, ktime_ns=machine.clock.ktime_ns, tai_ns=machine.clock.tai_ns)
        batch.has_frags[at] = int(frame[2] < len(record.data))
        batch.ifindex[at] = 1
        self._records.append(record)

    def _flush(self, refused: list[tuple[int, Result]]) -> Iterator[Result]:
        """Run what the batch holds; refused packets come out at their places."""
        results = self._run_batch()
        at = 0
        for place, result in refused:
            yield from results[at:place]
            yield result
            at = place
        yield from results[at:]

    def _run_batch(self) -> list[Result]:
        batch, machine = self._batch, self.machine
        faults: dict[int, Fault] = {}
        start, errnos = 0, dict[int, int]()
        while start < batch.count:
            start, stop = self.runner.run_batch(batch, start)
            errnos.update(self.runner.errnos)
            if stop is Stop.TIMER_DUE:
                fire_due(machine, batch.ktime_ns[start], start)
            elif stop is not Stop.END:
                faults[start] = read_fault(machine, self.program)
                start += 1
        events: dict[int, list[Event]] = {}
        for event in machine.take_events():
            events.setdefault(event.packet, []).append(event)
        results = [self._result(i, faults.get(i), events.get(i, []), errnos.get(i, 0)) for i in range(batch.count)]
        self._records.clear()
        batch.clear()
        return results

    def _result(self, index: int, fault: Fault | None, events: list[Event], errno: int) -> Result:
        batch, pool, record = self._batch, self.machine.pool, self._records[index]
        frame, start, meta = batch.frame[index], batch.start[index], batch.meta[index]
        if errno:
            pool.release(frame)
            return self._refuse(record, f"BPF_PROG_TEST_RUN answers {errorcode.get(errno, errno)}")
        data = pool.get(frame, start, batch.length[index])
        metadata = pool.read(frame, start - meta, meta) if meta else b""
        pool.release(frame)
        totals, verdict = self.totals, batch.verdict[index]
        totals.packets += 1
        totals.bytes += len(record.data)
        totals.insns += batch.insns[index]
        if fault:
            totals.faults += 1
        else:
            totals.verdicts[verdict] = totals.verdicts.get(verdict, 0) + 1
        return Result(
            record,
            verdict,
            data,
            metadata,
            redirect_of(self.machine, self._batch, index),
            batch.insns[index],
            fault,
            events,
        )


def redirect_of(machine: EmulatedMachine, batch: Batch, index: int) -> Redirect | None:
    """The target that the program left; it counts only where the verdict is XDP_REDIRECT."""
    kind = batch.redirect_kind[index]
    if batch.verdict[index] != XDP.REDIRECT or kind == REDIRECT_NONE:
        return None
    flags = batch.redirect_flags[index]
    if kind == REDIRECT_IFINDEX:
        return Redirect(ifindex=batch.redirect_ifindex[index], flags=flags)
    target = machine.map_at(batch.redirect_map[index])
    return Redirect(map=target.spec.name if target is not None else "", key=batch.redirect_key[index], flags=flags)


def refusal(data: bytes) -> str:
    """Why a packet of these bytes cannot reach an XDP program; empty when it can."""
    if len(data) < MIN_PACKET_BYTES:
        return f"shorter than {MIN_PACKET_BYTES} bytes"
    if len(data) > MAX_PACKET_BYTES:
        return f"longer than {MAX_PACKET_BYTES} bytes"
    return ""
