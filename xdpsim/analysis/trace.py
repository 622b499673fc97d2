"""Every instruction that a program does, with what it changed: what the interpreter's observer sees, as steps.

A step is handed on when its instruction is done; one that calls a function of the program is handed on before the
function's own steps, and what came back follows as a `Return`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xdpsim.analysis.listing import insn_text
from xdpsim.analysis.naming import Access, Namer
from xdpsim.bits import mask
from xdpsim.engines.fault import line_at
from xdpsim.engines.interpreter.cpu import Cpu
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import callee_row
from xdpsim.helpers.rows import Control, Helper
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import BRANCH, Family
from xdpsim.loader.model import Line

_CALLS = (Family.CALL_HELPER, Family.CALL_KFUNC)


@dataclass(slots=True)
class Step:
    """One instruction. `depth` counts the functions it is inside of, from 0; registers are told in words."""

    number: int
    depth: int
    program: str
    slot: int
    insn: str
    line: Line | None
    changes: dict[str, str] = field(default_factory=dict)
    access: Access | None = None
    call: str = ""
    result: str = ""
    taken: bool | None = None


@dataclass(frozen=True, slots=True)
class Return:
    """The function that step `number` called is over, and back in `program` behind `slot` these registers differ."""

    number: int
    depth: int
    program: str
    slot: int
    changes: dict[str, str]
    result: str


@dataclass(slots=True)
class _Pending:
    """An instruction that has begun."""

    step: Step
    loaded: LoadedProgram
    insn: Insn
    regs: tuple[int, ...]
    row: Helper | None
    is_told: bool = False


class Tracer:
    """Watches one interpreter: `engine.observer = tracer.observe`, run, then `tracer.finish()`."""

    def __init__(self, cpu: Cpu, tell: Callable[[Step | Return], None]) -> None:
        self._cpu, self._tell = cpu, tell
        self._namer = Namer(cpu)
        self._pending: list[_Pending] = []
        self.steps = 0

    def observe(self, program: LoadedProgram, slot: int) -> None:
        """An interpreter observer: sees each slot before it is done."""
        depth = len(self._cpu.frames)
        while self._pending and self._pending[-1].step.depth >= depth:
            self._end(self._pending.pop(), program, slot, depth)
        if self._pending and not self._pending[-1].is_told:
            self._tell(self._pending[-1].step)
            self._pending[-1].is_told = True
        insn = program.spec.code[slot] if slot < len(program.spec.code) else None
        if insn is not None:
            self._pending.append(self._begin(program, slot, insn, depth))

    def finish(self) -> None:
        """The program is over: tell what is left."""
        while self._pending:
            last = self._pending.pop()
            if not last.is_told:
                self._tell(last.step)

    def _begin(self, loaded: LoadedProgram, slot: int, insn: Insn, depth: int) -> _Pending:
        self.steps += 1
        text = insn_text(loaded.spec, [source.spec for source in loaded.maps], insn)
        step = Step(self.steps, depth, loaded.spec.name, slot, text, line_at(loaded, slot))
        step.access = self._namer.access(loaded, insn)
        step.taken = self._branch(insn)
        row = callee_row(loaded, slot, insn) if insn.family in _CALLS else None
        if row is not None:
            step.call = self._namer.call(row)
        return _Pending(step, loaded, insn, tuple(self._cpu.regs), row)

    def _branch(self, insn: Insn) -> bool | None:
        """Whether a conditional jump is about to jump; None for other instructions."""
        if insn.family is not Family.BRANCH:
            return None
        regs, limit = self._cpu.regs, mask(insn.bits)
        second = regs[insn.src] if insn.uses_reg else insn.imm
        return BRANCH[insn.op].meaning(regs[insn.dst] & limit, second & limit, insn.bits)

    def _end(self, done: _Pending, program: LoadedProgram, slot: int, depth: int) -> None:
        """The instruction is done, and the next will be `slot` of `program`."""
        step = done.step
        if done.row is not None and done.row.control is Control.TAIL_CALL:
            is_missed = program is done.loaded and slot == step.slot + 1
            step.result = "no program there" if is_missed else f"goes on in program {program.spec.name}"
        elif depth == step.depth and program is done.loaded:
            before, now = done.regs, self._cpu.regs
            step.changes = {f"r{n}": self._namer.value(now[n]) for n in range(10) if now[n] != before[n]}
            if done.row is not None:
                step.result = self._namer.result(done.row, now[0])
            if done.insn.family is Family.MAY_GOTO:
                step.taken = slot != step.slot + 1
        if done.is_told:
            self._tell(Return(step.number, step.depth, step.program, step.slot, step.changes, step.result))
        else:
            self._tell(step)
