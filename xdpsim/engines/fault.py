"""What a program did wrong while it ran: recorded as numbers in the run state, told to people here.

Interpreter and JIT leave the same FAULT struct; this module turns it into one wording for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from xdpsim.engines.protocol import LoadedProgram
from xdpsim.helpers.kinds import Arg
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import KFUNCS, Helper, helper_for
from xdpsim.isa.disasm import disasm
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.loader.model import Line
from xdpsim.memory.layout import View
from xdpsim.memory.space import counted
from xdpsim.memory.structs import FAULT, RUN_STATE


class FaultKind(IntEnum):
    """What the fault word says; NONE is a run without one."""

    NONE = 0
    ACCESS = 1  # memory outside every region, or read-only
    CONTEXT = 2  # a context field that does not exist, or not this way
    ARGUMENT = 3  # a helper argument; `size` holds its number
    BUDGET = 4
    CALL_DEPTH = 5
    STRAY = 6  # execution left the program
    RAISED = 7  # a Python helper raised
    POISONED = 8  # an insn for which the loader found no meaning


THROWN = 255
"""In the fault word of compiled code, but no fault: an exception on its way to the function that catches it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `slot` of the insn in program `program`; `str()` is the sentence for people."""

    kind: FaultKind
    program: str
    slot: int
    insn: str
    line: Line | None
    problem: str

    def __str__(self) -> str:
        place = f" at {self.line.file}:{self.line.line}" if self.line else ""
        return f"{self.program}: insn {self.slot} ({self.insn}){place}: {self.problem}"


def fault_view(run_state: View) -> View:
    """The FAULT struct inside a run state."""
    base = RUN_STATE.offset("fault")
    return View(FAULT, run_state.buffer, run_state.base + base, run_state.address + base)


def record_fault(
    run_state: View,
    kind: FaultKind,
    slot: int,
    address: int = 0,
    size: int = 0,
    is_write: bool = False,
    program: int = 0,
) -> None:
    """Leave a fault in the run state; `program` is the number of the program that `slot` is in, 0 for the first one."""
    view = fault_view(run_state)
    view.code, view.slot, view.accessed, view.size, view.is_write = kind, slot, address, size, int(is_write)
    view.program = program


def read_fault(machine: Machine, program: LoadedProgram) -> Fault:
    """The fault in the machine's run state, in words; its addresses are described as they are now.

    `program` is the one that the packet was given to; after a tail call the fault may be in another.
    """
    view = fault_view(machine.run_state)
    if 0 < view.program <= len(machine.programs):
        program = machine.programs[view.program - 1]
    kind = FaultKind(view.code)
    code, slot = program.spec.code, view.slot
    insn = code[slot] if slot < len(code) else None
    text = disasm(insn) if insn else "past the end"
    return Fault(
        kind, program.spec.name, slot, text, line_at(program, slot), _problem(kind, view, insn, machine, program)
    )


def line_at(program: LoadedProgram, slot: int) -> Line | None:
    """The source line that a slot belongs to."""
    found = None
    for line in program.spec.lines:
        if line.slot > slot:
            break
        found = line
    return found


def _callee(insn: Insn, program: LoadedProgram) -> Helper | None:
    if insn.family is Family.CALL_KFUNC:
        return KFUNCS.get(program.spec.kfuncs[insn.imm])
    return helper_for(insn.imm, program.spec.type)


def _problem(kind: FaultKind, view: View, insn: Insn | None, machine: Machine, program: LoadedProgram) -> str:
    where = machine.space.describe(view.accessed, view.size if kind is FaultKind.ACCESS else 1)
    verb = "writes" if view.is_write else "reads"
    if kind is FaultKind.ACCESS:
        is_atomic = insn is not None and insn.family is Family.ATOMIC
        space = machine.space
        is_denied = space.readable(view.accessed, view.size) and not space.writable(view.accessed, view.size)
        denied = ", which is read-only" if view.is_write and is_denied else ""
        odd = is_atomic and view.accessed % view.size and f", which is not a multiple of {view.size}"
        return f"{verb} {counted(view.size)} at {where}{denied or odd or ''}"
    if kind is FaultKind.CONTEXT:
        return f"{verb} {counted(view.size)} at offset {view.accessed} of the context, where no field allows that"
    if kind is FaultKind.ARGUMENT and insn is not None:
        row = _callee(insn, program)
        name = row.name if row else f"helper {insn.imm}"
        kind_name = row.args[view.size - 1].words if row else "an argument"
        if row and row.args[view.size - 1] is Arg.SIZE:
            where = str(view.accessed)
        return f"argument {view.size} of {name} is {where}: expected {kind_name}"
    if kind is FaultKind.POISONED:
        return program.spec.poisoned.get(view.slot, "poisoned")
    if kind is FaultKind.BUDGET:
        return f"gave up after {view.accessed} insns: the program does not seem to end"
    if kind is FaultKind.CALL_DEPTH:
        return "calls nest deeper than 8 frames"
    return "execution left the program" if kind is FaultKind.STRAY else "a helper failed"
