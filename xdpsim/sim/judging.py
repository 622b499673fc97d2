"""What the verifier says of every program of an object, without running any: `xdpsim verify`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from xdpsim.analysis.needs import Need, kernel_needed, missing, object_needs
from xdpsim.errors import Unsupported
from xdpsim.loader.core.target import read_target
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.loader.options import LoadOptions
from xdpsim.sim.verifying import TRACING_TYPES
from xdpsim.verifier.decide import Decision, decide, decision_of, verify_as_loaded
from xdpsim.verifier.env import ALL_CAPS, Env
from xdpsim.versions import DEFAULT, Linux

ACCEPTED, REJECTED, UNSUPPORTED = "accepted", "rejected", "unsupported"
PROGRAM_CPUS = 2


@dataclass(frozen=True)
class Conditions:
    """Who loads, and where: capabilities, the kernel to compare with ("" for none), flags and log of BPF_PROG_LOAD."""

    caps: frozenset[str] = ALL_CAPS
    linux: str = ""
    strict_alignment: bool = False
    log_level: int = 0


@dataclass(frozen=True)
class Judgement:
    """One program: ACCEPTED, REJECTED (then `decision.refusal` says why) or UNSUPPORTED (then `reason` does).

    With a kernel to compare with, `lacks` is what that kernel has not, newest first, and `kernel_needed` the oldest
    that has everything, for what `needed_for` says. `log` is Linux's log at the level asked for.
    """

    spec: ProgramSpec
    state: str
    decision: Decision | None = None
    reason: str = ""
    elapsed_s: float = 0.0
    log: str = ""
    lacks: tuple[Need, ...] = ()
    kernel_needed: str = ""
    needed_for: tuple[str, ...] = ()

    @property
    def may_load(self) -> bool:
        """Whether it is accepted, by today's Linux and, as far as what it needs goes, by the one compared with."""
        return self.state == ACCEPTED and not self.lacks


def read_for_judging(
    data: bytes,
    name: str,
    linux: str,
    *,
    type: str | Mapping[str, str] = "",
    set: Mapping[str, object] | None = None,
    btf: str | None = None,
) -> Object:
    """Load an object as `Sim.load` does, maps and all, without making any of it; InputError where it is no object."""
    version = Linux(linux or DEFAULT)
    return load_object(data, name, LoadOptions(type, set or {}, partial(read_target, btf), PROGRAM_CPUS, version))


def judge(
    source: Object,
    programs: Iterable[ProgramSpec],
    conditions: Conditions,
    watch: Callable[[ProgramSpec, Env], None] | None = None,
) -> Iterator[Judgement]:
    """Judge programs of an object one by one; `watch` is told of each verification that is about to begin."""
    needs = object_needs(source) if conditions.linux else {}
    for spec in programs:
        made = _judged(source, spec, conditions, watch)
        if not conditions.linux:
            yield made
            continue
        own = needs[spec.name]
        newest, needed_for = kernel_needed(own)
        lacks = tuple(missing(own, Linux(conditions.linux)))
        yield Judgement(
            *(spec, made.state, made.decision, made.reason, made.elapsed_s, made.log),
            *(lacks, newest, tuple(needed_for)),
        )


def _judged(
    source: Object, spec: ProgramSpec, conditions: Conditions, watch: Callable[[ProgramSpec, Env], None] | None
) -> Judgement:
    if spec.type in TRACING_TYPES:
        why = f"programs of type {spec.type} are outside the network side: xdpsim does not verify them"
        return Judgement(spec, UNSUPPORTED, reason=spec.unsupported or why)
    if spec.unsupported:
        return Judgement(spec, UNSUPPORTED, reason=spec.unsupported)
    started = time.perf_counter()
    told = partial(watch, spec) if watch is not None else None
    try:
        decision, log = _decided(source, spec, conditions, told)
    except Unsupported as err:
        return Judgement(spec, UNSUPPORTED, reason=err.message)
    state = ACCEPTED if decision.accepted else REJECTED
    return Judgement(spec, state, decision, elapsed_s=time.perf_counter() - started, log=log)


def _decided(
    source: Object, spec: ProgramSpec, conditions: Conditions, watch: Callable[[Env], None] | None
) -> tuple[Decision, str]:
    """What is decided, and Linux's log where one is wanted."""
    if not conditions.strict_alignment and not conditions.log_level:
        return decide(spec, source.maps, source.btf, caps=conditions.caps, watch=watch), ""
    verdict = verify_as_loaded(
        *(spec, source.maps, source.btf),
        caps=conditions.caps,
        log_level=conditions.log_level,
        strict_alignment=conditions.strict_alignment,
        watch=watch,
    )
    return decision_of(verdict), verdict.log
