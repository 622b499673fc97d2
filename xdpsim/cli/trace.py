"""`xdpsim trace`: one packet of a capture, instruction by instruction, for people or as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice

from xdpsim.analysis.listing import line_text
from xdpsim.analysis.readable import printable
from xdpsim.analysis.trace import Return, Step, Tracer
from xdpsim.cli.asked import TraceOptions
from xdpsim.cli.choose import choose_program
from xdpsim.cli.errors import NOTHING_RAN, OK, UsageError, tell
from xdpsim.cli.jsonform import packet_line
from xdpsim.cli.output import emit
from xdpsim.cli.refused import rejections
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.errors import XdpsimBug
from xdpsim.frames.capture import open_capture
from xdpsim.frames.record import Record
from xdpsim.frames.summary import summarise
from xdpsim.loader.model import Line
from xdpsim.maps.files import load_presets
from xdpsim.net.datapath import Result
from xdpsim.progtypes.rows import verdict_name
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim

INSN_WIDTH = 44


def run(options: TraceOptions) -> int:
    """Replay up to the packet, trace it, say how it ended; the exit code."""
    options.loading.warn("interpreter")
    with rejections(options.json):
        return _run(options)


def _run(options: TraceOptions) -> int:
    loading = options.loading
    sim = Sim(seed=options.seed, verify=loading.verify)
    obj = sim.load(options.object, type=loading.type, set=loading.set, btf=loading.btf or None)
    program = obj[choose_program(obj.source, options.program)]
    for presets in options.maps:
        load_presets(obj.maps, presets)
    with open_capture(options.read, l2=options.l2) as capture:
        record = _replay(program, iter(capture), options.number)
    if not isinstance(sim.engine, InterpreterEngine):
        raise XdpsimBug(f"tracing on engine {sim.engine.name}: only the interpreter can be watched")
    printer = _JsonPrinter() if options.json else _TextPrinter()
    printer.start(program, record)
    tracer = Tracer(sim.engine.cpu, printer.tell)
    sim.engine.observer = tracer.observe
    (result,) = program.replay([record], batch_size=1)
    tracer.finish()
    printer.end(result)
    if result.error:
        tell(f"packet {options.number} never reached the program", result.error)
        return NOTHING_RAN
    return OK


def _replay(program: Program, records: Iterator[Record], wanted: int) -> Record:
    """Run the packets before number `wanted`, so that maps and time are as they left them; that packet."""
    count = 0
    for _ in program.replay(islice(records, wanted - 1)):
        count += 1
    record = next(records, None)
    if record is None:
        raise UsageError(f"-n {wanted}: the capture holds {count} packet{'s' * (count != 1)}")
    return record


class _TextPrinter:
    """For people: a line an instruction, the source line above where it changes."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] | None = None
        self._program = ""
        self._steps = 0

    def start(self, program: Program, record: Record) -> None:
        emit(f"packet {record.n}: {printable(summarise(record.data))}")
        emit(f"program {printable(program.name)}")
        self._program = program.name

    def tell(self, step: Step | Return) -> None:
        indent = "  " * step.depth
        notes = [f"{name} = {value}" for name, value in step.changes.items()]
        if isinstance(step, Return):
            shown = [step.result] if step.result else notes
            emit(f"{indent}{step.slot:6}: back: {', '.join(shown) or 'nothing changed'}")
            return
        if step.program != self._program:
            emit(f"program {printable(step.program)}")
            self._program = step.program
        self._show_line(step.line, indent)
        if step.call:
            notes = [step.call + (f" = {step.result}" if step.result else "")]
        if step.access is not None:
            notes.append(str(step.access))
        if step.taken is not None:
            notes.append("taken" if step.taken else "not taken")
        left = f"{indent}{step.slot:6}: {step.insn}"
        emit(f"{left:{INSN_WIDTH}}  {'; '.join(notes)}".rstrip())

    def _show_line(self, line: Line | None, indent: str) -> None:
        if line is not None and (line.file, line.line) != self._shown:
            self._shown = line.file, line.line
            emit(f"{indent}; {line_text(line)}")

    def end(self, result: Result) -> None:
        for event in result.events:
            emit(printable(f"event {event.kind}: {event.data}"))
        if result.error:
            return
        if result.fault:
            emit(printable(f"fault: {result.fault}"))
            return
        to = f" to {result.redirect}" if result.redirect else ""
        changed = "" if result.data == result.record.data else f", packet changed: {summarise(result.data)}"
        emit(printable(f"{verdict_name('XDP', result.verdict)}{to} after {result.insns} insns{changed}"))


class _JsonPrinter:
    """JSON lines: the packet, each step, the end."""

    def start(self, program: Program, record: Record) -> None:
        emit(json.dumps({"packet": record.n, "program": program.name, "summary": summarise(record.data)}))

    def tell(self, step: Step | Return) -> None:
        common = {"step": step.number, "depth": step.depth, "program": step.program, "slot": step.slot}
        changes = {"registers": step.changes, "result": step.result or None}
        if isinstance(step, Return):
            emit(json.dumps(common | {"returned": True} | changes))
            return
        line = step.line
        place = {
            "file": line.file if line else None,
            "line": line.line if line else None,
            "source": line.text.strip() if line else None,
        }
        access = asdict(step.access) if step.access else None
        rest = {"access": access, "call": step.call or None, "taken": step.taken}
        emit(json.dumps(common | {"insn": step.insn} | place | changes | rest))

    def end(self, result: Result) -> None:
        emit(json.dumps(packet_line(result) | {"insns": result.insns, "data": result.data.hex()}))
