"""The JSON that `xdpsim verify` prints; docs/cli.md tells every field."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from xdpsim.analysis.needs import Need
from xdpsim.sim.judging import ACCEPTED, REJECTED, UNSUPPORTED, Judgement
from xdpsim.verifier.explain import Explanation, Step

if TYPE_CHECKING:
    from xdpsim.cli.verify import Judgements

Json = dict[str, object]


def report(made: Judgements) -> Json:
    """The report of --json."""
    return {
        "objects": [
            {
                "object": judged.name,
                "error": judged.error.message if judged.error else None,
                "programs": [_program(judgement, made.linux) for judgement in judged.judgements],
            }
            for judged in made.objects
        ],
        "accepted": made.count(ACCEPTED),
        "rejected": made.count(REJECTED),
        "unsupported": made.count(UNSUPPORTED),
        "linux": made.linux or None,
        "insns": sum(judgement.decision.insns for judgement in made if judgement.decision),
        "elapsed_s": round(made.elapsed_s, 6),
    }


def _program(judgement: Judgement, linux: str) -> Json:
    decision, spec = judgement.decision, judgement.spec
    return {
        "name": spec.name,
        "section": spec.section,
        "type": spec.type or None,
        "verdict": judgement.state,
        "loads": judgement.may_load,
        "insns": decision.insns if decision else None,
        "states": decision.states if decision else None,
        "peak_states": decision.peak_states if decision else None,
        "peak_stack": decision.peak_stack if decision else None,
        "remembered": decision.remembered if decision else False,
        "elapsed_s": round(judgement.elapsed_s, 6),
        "reason": judgement.reason or None,
        "refusal": refusal_form(decision.refusal) if decision and decision.refusal else None,
        "kernel_needed": judgement.kernel_needed if linux else None,
        "needed_for": list(judgement.needed_for) if linux else None,
        "lacks": [_need(need) for need in judgement.lacks] if linux else None,
        "log": judgement.log or None,
    }


def refusal_form(refusal: Explanation) -> Json:
    """A refusal by its parts; null where there is nothing."""
    has_place = bool(refusal.file)
    return {
        "errno": refusal.errno_name,
        "message": refusal.message,
        "slot": refusal.slot if refusal.slot >= 0 else None,
        "insn": refusal.insn or None,
        "file": refusal.file or None,
        "line": refusal.line if has_place else None,
        "source": refusal.source if has_place else None,
        "path": [_step(step) for step in refusal.steps],
        "registers": list(refusal.registers),
        "origins": [_origin(step) for step in refusal.origins],
        "remedy": refusal.remedy or None,
    }


def _step(step: Step) -> Json:
    return asdict(step) | ({} if step.file else {"file": None, "line": None, "column": None, "source": None})


def _origin(step: Step) -> Json:
    row = _step(step)
    row["register"] = row.pop("what")
    del row["times"]
    return row


def _need(need: Need) -> Json:
    line = need.line
    return {
        "what": need.what,
        "since": need.since,
        "slot": need.slot if need.slot >= 0 else None,
        "file": line.file if line else None,
        "line": line.line if line else None,
        "source": line.text.strip() if line else None,
    }
