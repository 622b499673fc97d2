"""SARIF 2.1.0 of what `xdpsim verify` found, as code scanning takes it: one result a refusal, at its source line.

The standard is OASIS sarif-v2.1.0; what GitHub reads of it is in its "SARIF support for code scanning".
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

import xdpsim
from xdpsim.sim.judging import UNSUPPORTED, Judgement
from xdpsim.verifier.explain import Explanation, Step

if TYPE_CHECKING:
    from xdpsim.analysis.needs import Need
    from xdpsim.cli.verify import Judgements

Json = dict[str, object]
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "xdpsimRefusal/v1"
TOO_NEW, NOT_VERIFIED = "needs-newer-linux", "not-verified"
_RULE_WORDS = 6
_NOISE = re.compile(r"\(.*?\)|\[.*?\]|'.*?'|\bR\d+\b|[\w-]+=\S+|\S+#\S*|-?\b\d+\b|0x[0-9a-f]+")


def sarif_log(made: Judgements) -> Json:
    """The whole log: one run, its rules, a result for each finding."""
    results = [row for judged in made.objects for each in judged.judgements for row in _results(judged.name, each)]
    notes = {str(row["ruleId"]): row for row in reversed(results)}
    ids = list(dict.fromkeys(str(row["ruleId"]) for row in results))
    for row in results:
        row["ruleIndex"] = ids.index(str(row["ruleId"]))
    driver: Json = {
        "name": "xdpsim",
        "version": xdpsim.__version__,
        "semanticVersion": xdpsim.__version__,
        "rules": [_rule(rule, str(notes[rule]["level"])) for rule in ids],
    }
    failed = [judged.error.message for judged in made.objects if judged.error]
    invocation: Json = {
        "executionSuccessful": not failed,
        "toolExecutionNotifications": [{"level": "error", "message": {"text": text}} for text in failed],
    }
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "invocations": [invocation],
                "columnKind": "utf16CodeUnits",
                "results": results,
            }
        ],
    }


def rule_id(message: str) -> str:
    """What Linux's message is about, without the numbers and names in it: `invalid-access-to-packet`."""
    words = re.findall(r"[a-z_]+", _NOISE.sub(" ", message.splitlines()[0].split(",")[0]).lower())
    return "-".join(words[:_RULE_WORDS]) or "rejected"


def _rule(rule: str, level: str) -> Json:
    text = {
        TOO_NEW: "The program needs something that the chosen Linux has not.",
        NOT_VERIFIED: "xdpsim does not verify programs of this type.",
    }.get(rule, f"Linux's verifier refuses the program: {rule.replace('-', ' ')}.")
    return {
        "id": rule,
        "name": "".join(word.capitalize() for word in re.split(r"[-_]+", rule)),
        "shortDescription": {"text": text},
        "help": {"text": "https://docs.kernel.org/bpf/verifier.html"},
        "defaultConfiguration": {"level": level},
        "properties": {"tags": ["ebpf", "verifier"]},
    }


def _results(name: str, judgement: Judgement) -> list[Json]:
    refusal = judgement.decision.refusal if judgement.decision else None
    found = [_refused(name, judgement, refusal)] if refusal is not None else []
    if judgement.state == UNSUPPORTED:
        place = _location(name, judgement, "", 0)
        found.append(_result(NOT_VERIFIED, "note", judgement.reason, place, judgement.spec.name))
    return found + [_lacking(name, judgement, need) for need in judgement.lacks]


def _refused(name: str, judgement: Judgement, refusal: Explanation) -> Json:
    program = judgement.spec.name
    text = f"{program}: {refusal.message}"
    text += f"\nInstead: {refusal.remedy}" if refusal.remedy else ""
    place = _location(name, judgement, refusal.file, refusal.line, refusal.column, refusal.source)
    same = f"{program} {refusal.source} {re.sub('[0-9]+', '', refusal.insn)}"
    made = _result(rule_id(refusal.message), "error", text, place, same)
    here = Step(refusal.slot, refusal.insn, "is refused", refusal.file, refusal.line, refusal.column, refusal.source)
    steps = [*refusal.steps, here] if refusal.slot >= 0 else []
    if steps:
        flow = [{"location": _told(name, judgement, step, _said(step))} for step in steps]
        made["codeFlows"] = [{"threadFlows": [{"locations": flow}]}]
    related = [_told(name, judgement, step, f"{step.what} is from here: {step.insn}") for step in refusal.origins]
    if related:
        made["relatedLocations"] = [{"id": at, **place} for at, place in enumerate(related, 1)]
    made["properties"] = {
        "object": name,
        "program": program,
        "errno": refusal.errno_name,
        "insn": refusal.slot,
        "registers": list(refusal.registers),
    }
    return made


def _lacking(name: str, judgement: Judgement, need: Need) -> Json:
    line = need.line
    spot = (line.file, line.line, line.column, line.text.strip()) if line else ("", 0)
    text = f"{judgement.spec.name}: {need.what} needs Linux {need.since}"
    same = f"{judgement.spec.name} {need.what} {line.text.strip() if line else ''}"
    return _result(TOO_NEW, "error", text, _location(name, judgement, *spot), same)


def _result(rule: str, level: str, text: str, place: Json, same: str) -> Json:
    """One result; `same` is what stays as it is while lines above it come and go."""
    made = hashlib.sha256(f"{rule} {same}".encode()).hexdigest()[:32]
    return {
        "ruleId": rule,
        "ruleIndex": 0,
        "level": level,
        "message": {"text": text},
        "locations": [place],
        "partialFingerprints": {FINGERPRINT: made},
    }


def _said(step: Step) -> str:
    often = f", {step.times} times" if step.times > 1 else ""
    return f"insn {step.slot} ({step.insn}) {step.what}{often}"


def _told(name: str, judgement: Judgement, step: Step, text: str) -> Json:
    place = _location(name, judgement, step.file, step.line, step.column, step.source)
    return {**place, "message": {"text": text}}


def _location(name: str, judgement: Judgement, file: str, line: int, column: int = 0, source: str = "") -> Json:
    """A source line; without one the object itself, whose first line code scanning asks for."""
    region: Json = {"startLine": max(line, 1)}
    if column > 0:
        region["startColumn"] = column
    if source:
        region["snippet"] = {"text": source}
    spec = judgement.spec
    return {
        "physicalLocation": {"artifactLocation": _artifact(name, file), "region": region},
        "logicalLocations": [
            {"name": spec.name, "fullyQualifiedName": f"{spec.section}/{spec.name}", "kind": "function"}
        ],
    }


def _artifact(name: str, file: str) -> Json:
    """The file relative to the working directory where it lies below it, as code scanning wants it."""
    path = Path(file or name)
    below_object = Path(name).parent / path
    if not path.is_absolute() and not path.exists() and below_object.exists():
        path = below_object
    try:
        path = path.resolve().relative_to(Path.cwd())
    except ValueError:
        return {"uri": path.resolve().as_uri()}
    return {"uri": quote(str(PurePosixPath(path))), "uriBaseId": "%SRCROOT%"}
