"""`xdpsim run`: load, fill maps, replay the capture, write and report."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TextIO

from xdpsim.analysis.counters import Describer, MapWatch
from xdpsim.analysis.report import RunReport, map_rows
from xdpsim.cli.choose import choose_program
from xdpsim.cli.errors import INTERRUPTED, NOTHING_RAN, OK, UsageError, output_error, tell
from xdpsim.cli.jsonform import Finished, packet_line, summary
from xdpsim.cli.options import EngineName, RunOptions
from xdpsim.cli.output import emit
from xdpsim.cli.progress import Progress
from xdpsim.cli.refused import rejections
from xdpsim.cli.render import print_report
from xdpsim.cli.replay import KERNEL_LOOKS, Records, count, replay
from xdpsim.cli.written import WrittenCapture, check_target
from xdpsim.errors import InputError
from xdpsim.frames.capture import Capture, open_capture
from xdpsim.maps.files import load_presets, save_maps
from xdpsim.maps.map import Map
from xdpsim.memory import runtime
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim


def run(options: RunOptions) -> int:
    """Do what the options say; the exit code."""
    if options.engine is None:
        options = replace(options, engine=_likely_engine(options.read))
    _check(options)
    with rejections(options.json):
        return _run(options)


def _run(options: RunOptions) -> int:
    loading = options.loading
    sim = Sim(seed=options.seed, engine=_named(options), verify=loading.verify)
    obj = sim.load(options.object, type=loading.type, set=loading.set, btf=loading.btf or None)
    for map_name, type_name in loading.records.items():
        obj.decode_records(map_name, type_name)
    name = choose_program(obj.source, options.program)
    with open_capture(options.read, l2=options.l2.value if options.l2 else "") as capture:
        for presets in options.maps:
            load_presets(obj.maps, presets)
        session = _Session(options, obj[name], list(obj.maps.values()))
        finished, damage = session.replay(capture)
        if options.save_maps:
            save_maps(obj.maps, options.save_maps)
        session.print(finished)
    return _exit_code(finished, damage)


SMALL_CAPTURE_BYTES = 128 << 10
"""Up to here the interpreter is done before a program would be compiled."""


def _likely_engine(path: str) -> EngineName:
    """The jit where it saves more than compiling costs, also where nobody knows the size; results are the same."""
    is_small = os.path.isfile(path) and os.path.getsize(path) <= SMALL_CAPTURE_BYTES and not path.endswith(".gz")
    return EngineName.INTERPRETER if is_small or runtime.is_python() else EngineName.JIT


def _named(options: RunOptions) -> str:
    return (options.engine or EngineName.INTERPRETER).value


def _check(options: RunOptions) -> None:
    options.loading.warn(_named(options))
    if options.write:
        check_target(options.read, options.write)
    if options.write == "-" and (options.json or options.per_packet):
        other = "--json" if options.json else "--per-packet"
        raise UsageError(f"-w - and {other}: both want standard output", hint="write the capture to a file")


def _exit_code(finished: Finished, damage: InputError | None) -> int:
    if damage is not None:
        raise damage
    if finished.was_interrupted:
        tell("interrupted")
        return INTERRUPTED
    if not finished.report.ran:
        tell("no packet reached the program", _why_nothing_ran(finished.report))
        return NOTHING_RAN
    return OK


def _why_nothing_ran(report: RunReport) -> str:
    if not report.packets:
        return "the capture holds no packets"
    return "; ".join(f"{tally.packets} packets: {reason}" for reason, tally in report.errors.items())


class _Session:
    """One program on one capture."""

    def __init__(self, options: RunOptions, program: Program, maps: list[Map]) -> None:
        self.options, self.program, self.maps = options, program, maps
        self.report = RunReport(drops_wanted=options.drops)
        self.watch = MapWatch(maps)
        self.describer = Describer()

    def replay(self, capture: Capture) -> tuple[Finished, InputError | None]:
        """Run every packet; what came of it, and the damage that ended the capture early."""
        options = self.options
        with ExitStack() as stack:
            written = None
            if options.write:
                written = WrittenCapture(options.write, capture, self.program.name, options.capture)
                stack.callback(written.close)
            is_swept = not options.per_packet and (written is None or written.takes_blocks)
            records = stack.enter_context(Records(capture, options.limit, stepwise=is_swept))
            progress = stack.enter_context(Progress(options.read, wanted=not options.per_packet))
            start = time.perf_counter()
            if is_swept:
                blocks = written.blocks() if written else None
                for packets in count(self.program, self.maps, records, self.report, self._looks, blocks):
                    progress.stands_at(packets, capture.offset)
                if blocks:
                    blocks.flush()
            else:
                self._replay(records, written, progress)
            elapsed = time.perf_counter() - start
        return self._finished(records, capture.name, elapsed), records.damage

    def _replay(self, records: Records, written: WrittenCapture | None, progress: Progress) -> None:
        """Run packet by packet, for what is written of each."""
        for result in replay(self.program, self.maps, iter(records), self.report, self._looks):
            if written is not None:
                written.add(result)
            if self.options.per_packet:
                emit(json.dumps(packet_line(result)))
            progress.add(result)

    @property
    def _looks(self) -> int | None:
        return KERNEL_LOOKS if self.options.engine is EngineName.KERNEL else None

    def _finished(self, records: Records, capture: str, elapsed: float) -> Finished:
        return Finished(
            object=self.options.object,
            program=self.program.name,
            engine=_named(self.options),
            capture=capture,
            report=self.report,
            maps=self.maps,
            elapsed_s=elapsed,
            damage=records.damage.message if records.damage else "",
            was_interrupted=records.was_interrupted,
            was_verified=self.options.loading.verify,
            counts_insns=self.options.engine is not EngineName.KERNEL,
        )

    def print(self, finished: Finished) -> None:
        """The report: JSON, or for people; beside a stream on standard output it goes to stderr."""
        if self.options.json:
            emit(json.dumps(summary(finished, self.describer)))
            return
        is_taken = self.options.per_packet or self.options.write == "-"
        target: TextIO = sys.stderr if is_taken else sys.stdout
        rows = map_rows(self.maps, self.watch.look(), self.watch.skipped, self.describer)
        try:
            print_report(finished, rows, self.describer, self.options, target)
        except OSError as err:
            raise output_error(err) from err
