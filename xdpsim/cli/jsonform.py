"""The JSON that `xdpsim run` prints; docs/cli.md tells every field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdpsim.analysis.counters import Describer
from xdpsim.analysis.report import FaultSample, RunReport, verdict_of
from xdpsim.engines.fault import Fault
from xdpsim.maps.map import Map
from xdpsim.net.datapath import Result

Json = dict[str, object]


@dataclass(frozen=True)
class Finished:
    """A run that is over, with what only the command line knows of it."""

    object: str
    program: str
    engine: str
    capture: str
    report: RunReport
    maps: list[Map]
    elapsed_s: float
    damage: str = ""
    was_interrupted: bool = False
    counts_insns: bool = True
    was_verified: bool = True


def summary(run: Finished, describer: Describer) -> Json:
    """The report of --json."""
    report = run.report
    return {
        "object": run.object,
        "program": run.program,
        "engine": run.engine,
        "verified": run.was_verified,
        "capture": run.capture,
        "packets": report.packets,
        "bytes": report.bytes,
        "verdicts": report.verdict_counts(),
        "faults": report.faults.packets,
        "fault_samples": [fault_sample(sample) for sample in report.fault_samples],
        "errors": {reason: tally.packets for reason, tally in report.errors.items()},
        "drops": drops(report, describer),
        "maps": map_dumps(run.maps),
        "insns": report.insns if run.counts_insns else None,
        "elapsed_s": round(run.elapsed_s, 6),
        "packets_per_s": round(report.packets / run.elapsed_s) if run.elapsed_s else None,
        "capture_error": run.damage or None,
        "interrupted": run.was_interrupted,
    }


def map_dumps(maps: Iterable[Map]) -> Json:
    """Every map that programs may write, as `bpftool map dump -j` prints it."""
    return {source.name: source.dump() for source in maps if not source.spec.read_only}


def drops(report: RunReport, describer: Describer) -> list[Json]:
    """The listed drops; `changes` is null where nobody looked."""
    return [
        {
            "n": drop.n,
            "verdict": drop.verdict,
            "packet": drop.summary,
            "changes": None if drop.changes is None else describer.sentences(drop.changes),
        }
        for drop in report.drops
    ]


def fault_sample(sample: FaultSample) -> Json:
    """One packet that faulted."""
    return {"n": sample.n, "packet": sample.summary, **fault_form(sample.fault)}


def fault_form(fault: Fault) -> Json:
    """A fault by its parts, and as a sentence."""
    line = fault.line
    return {
        "kind": fault.kind.name,
        "program": fault.program,
        "slot": fault.slot,
        "insn": fault.insn,
        "file": line.file if line else None,
        "line": line.line if line else None,
        "problem": fault.problem,
        "text": str(fault),
    }


def packet_line(result: Result) -> Json:
    """One line of --per-packet."""
    record, ran = result.record, not result.error
    redirect = result.redirect
    line: Json = {
        "n": record.n,
        "verdict": verdict_of(result),
        "value": result.verdict if ran and not result.fault else None,
        "len": record.length,
        "caplen": len(record.data),
        "redirect": None,
        "fault": str(result.fault) if result.fault else None,
    }
    if redirect:
        place: Json = {"map": redirect.map, "key": redirect.key} if redirect.map else {"ifindex": redirect.ifindex}
        line["redirect"] = {**place, "flags": redirect.flags}
    if result.error:
        line["error"] = result.error
    if result.events:
        line["events"] = [{"kind": event.kind, "data": _event_data(event.data)} for event in result.events]
    return line


def _event_data(data: object) -> object:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data).hex()
    if isinstance(data, dict):
        return {str(key): _event_data(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_event_data(value) for value in data]
    return data if isinstance(data, (str, int, float, bool, type(None))) else str(data)
