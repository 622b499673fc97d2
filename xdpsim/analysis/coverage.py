"""Which basic blocks of a program ran, and which sides of its branches: from what an engine's observer sees.

Control flow comes from verifier/cfg.py; dead code, which no path reaches, is not counted. Watches one engine at a time:
`engine.observer = coverage.observe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xdpsim.engines.protocol import LoadedProgram
from xdpsim.isa.rows import Family
from xdpsim.loader.model import ProgramSpec
from xdpsim.verifier.cfg import Function, functions, successors

_TWO_WAY = (Family.BRANCH, Family.MAY_GOTO)


class Blocks(NamedTuple):
    """Basic blocks of a program or of one function; each missing one is the run of its slots."""

    reached: int
    total: int
    missing: list[tuple[int, ...]]


class Branch(NamedTuple):
    """How often the branch at `slot` jumped, and how often it went on behind itself."""

    slot: int
    taken: int
    not_taken: int


@dataclass(slots=True)
class _Seen:
    """What one program did; `spec` is held so that its id stays its own."""

    spec: ProgramSpec
    steps: dict[tuple[int, int], int] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)


class Coverage:
    """Counts slots and steps between them as programs run; asked per ProgramSpec, by identity."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._last: _Seen | None = None
        self._last_slot = -1

    def observe(self, program: LoadedProgram, slot: int) -> None:
        """An interpreter observer: sees each slot before it is done."""
        seen = self._last
        if seen is None or seen.spec is not program.spec:
            seen = self._last = self._of(program.spec)
        else:
            step = (self._last_slot, slot)
            seen.steps[step] = seen.steps.get(step, 0) + 1
        seen.slots[slot] = seen.slots.get(slot, 0) + 1
        self._last_slot = slot

    def add(self, spec: ProgramSpec, ran: Mapping[int, int], jumped: Mapping[int, int]) -> None:
        """Take over counts of slots, and of jumps by the slots of branches: what compiled code counts."""
        seen = self._of(spec)
        for slot, times in ran.items():
            seen.slots[slot] = seen.slots.get(slot, 0) + times
            insn = spec.code[slot]
            if insn is not None and insn.family in _TWO_WAY:
                following, target = successors(spec.code, slot)
                jumps = jumped.get(slot, 0)
                ways = {(slot, following): times - jumps, (slot, target): jumps}
                if following == target:
                    ways = {(slot, target): times}
                for step, count in ways.items():
                    seen.steps[step] = seen.steps.get(step, 0) + count

    def _of(self, spec: ProgramSpec) -> _Seen:
        seen = self._seen.get(id(spec))
        if seen is None:
            seen = self._seen[id(spec)] = _Seen(spec)
        return seen

    def _asked(self, spec: ProgramSpec) -> _Seen:
        return self._seen.get(id(spec)) or _Seen(spec)

    def executed(self, spec: ProgramSpec) -> dict[int, int]:
        """How often each slot ran; slots that never did are not there."""
        return dict(self._asked(spec).slots)

    def blocks(self, spec: ProgramSpec) -> Blocks:
        """Basic blocks over all functions of the program."""
        parts = [self._blocks_of(spec, function) for function in functions(spec.code).values()]
        missing = sorted(block for part in parts for block in part.missing)
        return Blocks(sum(part.reached for part in parts), sum(part.total for part in parts), missing)

    def functions(self, spec: ProgramSpec) -> dict[str, Blocks]:
        """Basic blocks of each function that the program can enter, by name, in order of their slots."""
        names = {sub.slot: sub.name for sub in spec.subprograms}
        found = sorted(functions(spec.code).items())
        return {names.get(slot, f"slot {slot}"): self._blocks_of(spec, function) for slot, function in found}

    def _blocks_of(self, spec: ProgramSpec, function: Function) -> Blocks:
        slots = self._asked(spec).slots
        missing = [block for block in function.blocks if block[0] not in slots]
        return Blocks(len(function.blocks) - len(missing), len(function.blocks), missing)

    def branches(self, spec: ProgramSpec) -> list[Branch]:
        """Every conditional jump that can be reached, with the count of both its sides, in order of slots."""
        steps = self._asked(spec).steps
        reachable = sorted({slot for function in functions(spec.code).values() for slot in function.slots})
        result = []
        for slot in reachable:
            insn = spec.code[slot]
            if insn is not None and insn.family in _TWO_WAY:
                following, target = successors(spec.code, slot)
                result.append(Branch(slot, steps.get((slot, target), 0), steps.get((slot, following), 0)))
        return result
