"""Packets of a capture through a program, result by result, with Ctrl-C and damaged captures ending a run in order.

The first packets run one by one, so that the report can say which map entries each drop changed; the rest runs in
full batches. Results are the same either way.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from itertools import islice
from types import FrameType, TracebackType
from typing import Any, Self

from xdpsim.analysis.counters import MapWatch
from xdpsim.analysis.report import RunReport
from xdpsim.errors import InputError
from xdpsim.frames.capture import Capture
from xdpsim.frames.record import Record
from xdpsim.maps.map import Map
from xdpsim.net.datapath import Result
from xdpsim.net.sweep import Sink, Sweep
from xdpsim.sim.program import Program

LOOK_WORK = 100_000
"""How much MapWatch.work a run spends on explaining drops: about a tenth of a second."""
KERNEL_LOOKS = 200
"""With the kernel engine a batch of one copies all maps to Linux and back: so many packets run that way at most."""


class Records:
    """Up to `limit` records of a capture; they end early, and say why, at damage (`damage`) and at Ctrl-C.

    As a context manager it takes over SIGINT: what was read still runs and is reported. A second Ctrl-C ends it all.
    """

    def __init__(self, capture: Capture, limit: int | None, *, stepwise: bool = False) -> None:
        """`stepwise`: no record is read before it is asked for, so that a sweep may go on with the capture."""
        self.damage: InputError | None = None
        self.was_interrupted = False
        self._capture, self._limit = capture, limit
        self._stepwise = stepwise
        self._sweep: Sweep | None = None
        self.given = 0
        self._is_reading = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        self._capture.close()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._is_reading or self.was_interrupted or (self._sweep is not None and self._sweep.is_reading):
            raise KeyboardInterrupt
        self.was_interrupted = True

    def __iter__(self) -> Iterator[Record]:
        records = self._capture.one_by_one() if self._stepwise else iter(self._capture)
        while not self.was_interrupted and self.given != self._limit:
            self._is_reading = True
            try:
                record = next(records, None)
            except InputError as err:
                self.damage = err
                return
            except KeyboardInterrupt:
                self.was_interrupted = True
                return
            finally:
                self._is_reading = False
            if record is None:
                return
            self.given += 1
            yield record

    def sweep(self, program: Program, sink: Sink | None = None) -> Iterator[Sweep]:
        """Run what is left of the capture; yields the sweep after each piece. Damage and Ctrl-C are noted as ever."""
        if self.damage is not None or self.was_interrupted:
            return
        self._sweep = sweep = program.sweep(limit=self._limit, sink=sink)
        try:
            for given in sweep.run(self._capture, before=self.given):
                self.given = given
                yield sweep
                if self.was_interrupted:
                    return
        except InputError as err:
            self.damage = err
            yield sweep
        except KeyboardInterrupt:
            self.was_interrupted = True
            yield sweep


def replay(
    program: Program, maps: list[Map], records: Iterator[Record], report: RunReport, looks: int | None = None
) -> Iterator[Result]:
    """Run every record; `report` has counted a result when it comes out. `looks` limits how many run one by one."""
    if report.wants_drops:
        yield from _looked_at(program, maps, islice(records, looks), report)
    for result in program.hook().run(records):
        report.add(result)
        yield result


def count(
    program: Program,
    maps: list[Map],
    records: Records,
    report: RunReport,
    looks: int | None = None,
    sink: Sink | None = None,
) -> Iterator[int]:
    """As replay, where nobody asks for single results but `sink`; yields how many packets were read."""
    if report.wants_drops:
        for result in _looked_at(program, maps, islice(records, looks), report):
            if sink is not None:
                sink.add(result)
            yield records.given
    sweep = None
    for sweep in records.sweep(program, sink):
        report.add_samples(sweep)
        yield records.given
    if sweep is not None:
        report.add_sweep(sweep)


def _looked_at(program: Program, maps: list[Map], records: Iterator[Record], report: RunReport) -> Iterator[Result]:
    """The first packets, until enough drops are listed or looking has cost enough."""
    hook, watch = program.hook(1), MapWatch(maps)
    for record in records:
        for result in hook.run((record,)):
            report.add(result, watch.look())
            yield result
        if not report.wants_drops or watch.work > LOOK_WORK:
            return
