"""Programs are verified before they run: what the verifier says becomes facts for the engine, or Rejected."""

from __future__ import annotations

from xdpsim.engines.protocol import LoadedProgram
from xdpsim.errors import Rejected
from xdpsim.loader.model import ProgramSpec
from xdpsim.verifier.decide import Decision, decide
from xdpsim.verifier.explain import Explanation
from xdpsim.verifier.facts import Facts

TRACING_TYPES = frozenset(
    {
        *("KPROBE", "TRACEPOINT", "PERF_EVENT", "RAW_TRACEPOINT", "RAW_TRACEPOINT_WRITABLE", "TRACING", "LSM", "EXT"),
        *("STRUCT_OPS", "SYSCALL", "LIRC_MODE2", "UNSPEC"),
    }
)
"""Types outside the network side: their contexts and attach points are none that this verifier knows."""


def decision_on(loaded: LoadedProgram, caps: frozenset[str]) -> Decision:
    """What the verifier says of a program with its maps."""
    return decide(loaded.spec, [made.spec for made in loaded.maps], loaded.btf, caps=caps)


def verified_facts(loaded: LoadedProgram, caps: frozenset[str]) -> Facts:
    """The facts of a program that may run; Rejected when it may not. Engines refuse the types that nobody verifies."""
    if loaded.spec.type in TRACING_TYPES:
        return Facts()
    decision = decision_on(loaded, caps)
    if decision.refusal is not None:
        raise rejected(loaded.spec, decision.refusal)
    return decision.facts


def rejected(spec: ProgramSpec, refusal: Explanation) -> Rejected:
    """The refusal as an exception: Linux's message first, what a person needs below."""
    message = f"{spec.name}: rejected ({refusal.errno_name}): {refusal.message}"
    lines = refusal.lines()
    if refusal.slot in spec.poisoned:
        lines.append(f"libbpf poisoned this insn: {spec.poisoned[refusal.slot]}")
    details = {"program": spec.name, **refusal.as_json()}
    return Rejected(message, hint="\n  ".join(lines), errno=refusal.errno, details=details)
