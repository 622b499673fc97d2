"""The reference engine: one small operation per instruction, every access checked, any insn observable.

A program becomes a list of closures, one per slot, each returning the slot to go on at. Nothing of a program's own
doing raises out of `run_batch`: it ends as a fault in the run state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from xdpsim.engines.fault import FaultKind, record_fault
from xdpsim.engines.interpreter import access, alu, calls
from xdpsim.engines.interpreter.context import ContextAccess
from xdpsim.engines.interpreter.cpu import TO_HELPER, CallFrame, Cpu, Faulted, Finished, Op, Returned, Switched
from xdpsim.engines.kernel_reads import is_kernel_load
from xdpsim.engines.limits import DEFAULT_BUDGET
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import callable_slots, callee_row, check_runnable, function_of, imm64_value, only_way
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import Control, Helper
from xdpsim.helpers.timers import Timers
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.memory.batch import Batch, Stop
from xdpsim.memory.batch_ops import begin_packet, end_packet
from xdpsim.memory.structs import CALL_FRAMES

Observer = Callable[[LoadedProgram, int], None]
"""Sees each slot before it is done."""

_PLAIN: dict[Family, Callable[[Cpu, Insn, int], Op]] = {
    Family.ALU: alu.alu,
    Family.NEG: alu.neg,
    Family.MOV: alu.mov,
    Family.MOVSX: alu.movsx,
    Family.ENDIAN: alu.endian,
    Family.JUMP: alu.jump,
    Family.BRANCH: alu.branch,
    Family.MAY_GOTO: alu.may_goto,
    Family.CALL_LOCAL: calls.call_local,
    Family.LD_PACKET: calls.load_packet,
    Family.EXIT: calls.exit_,
}
_ACCESS: dict[Family, Callable[[Cpu, ContextAccess, Insn, int], Op]] = {
    Family.LOAD: access.load,
    Family.LOAD_SX: access.load,
    Family.LOAD_ACQUIRE: access.load,
    Family.STORE_IMM: access.store,
    Family.STORE_REG: access.store,
    Family.STORE_RELEASE: access.store,
    Family.ATOMIC: access.atomic,
}


_CALLS: dict[Control, Callable[[Cpu, Helper, int], Op]] = {
    Control.NONE: calls.call_helper,
    Control.TAIL_CALL: calls.tail_call,
    Control.THROW: calls.throw,
}


class InterpreterEngine:
    """Runs programs insn by insn. `observer`, when set, sees every slot; it may look at `cpu`."""

    name = "interpreter"

    def __init__(self, machine: Machine, *, budget: int = DEFAULT_BUDGET) -> None:
        self.machine = machine
        self.cpu = Cpu(machine)
        self.timers = machine.part(Timers)
        self.budget = budget
        self.observer: Observer | None = None
        machine.set_caller(self)

    def load(self, program: LoadedProgram) -> InterpretedProgram:
        """Make a program ready; Unsupported by name for what does not run."""
        check_runnable(program)
        return InterpretedProgram(self, program)

    @property
    def running(self) -> LoadedProgram:
        """The program whose insn is being done."""
        assert self.cpu.program is not None
        return self.cpu.program.program

    def call_back(self, function: int, *args: int) -> int:
        """Run the function behind a handle on the next stack frame; r0. A fault in it ends the whole program."""
        cpu, place = self.cpu, function_of(function)
        program = self.machine.runner(place[0]) if place else None
        if place is None or program is None or place[1] not in program.callable:
            raise cpu.fault(FaultKind.STRAY, 0, function)
        if len(cpu.frames) - cpu.base + 1 >= CALL_FRAMES:
            raise cpu.fault(FaultKind.CALL_DEPTH, place[1])
        assert cpu.program is not None
        cpu.frames.append(CallFrame(cpu.program, TO_HELPER, cpu.regs[1:11], cpu.base))
        cpu.program = program
        cpu.clear_registers(arguments=True)
        cpu.open_stack_frame()
        cpu.regs[1 : len(args) + 1] = args
        try:
            program.follow(place[1])
        except Returned:
            result: int = cpu.regs[0]
        return result

    def run_callback(self, function: int, *args: int) -> Stop:
        """Run a function by itself, as a timer does; how it ended."""
        place = function_of(function)
        program = self.machine.runner(place[0]) if place else None
        if place is None or program is None or place[1] not in program.callable:
            record_fault(self.machine.run_state, FaultKind.STRAY, 0, function)
            return Stop.FAULT
        self.machine.set_caller(self)
        self.cpu.enter(program)
        self.cpu.regs[1 : len(args) + 1] = args
        result: Stop = program.run_from(place[1])
        return result


class InterpretedProgram:
    """One program as operations."""

    errnos: Mapping[int, int] = {}
    reads_in_place = False

    def __init__(self, engine: InterpreterEngine, program: LoadedProgram) -> None:
        self.engine, self.program = engine, program
        self.callable = frozenset(callable_slots(program))
        fields = ContextAccess(engine.cpu, program.spec.type, program.spec.attach_type)
        engine.cpu.loading_length = len(program.spec.code)
        self.ops: list[Op] = [
            self._operation(fields, slot, insn) if insn else self._stray(len(program.spec.code))
            for slot, insn in enumerate(program.spec.code)
        ]
        self.ops.append(self._stray(len(self.ops)))
        self._observed: tuple[Observer, list[Op]] | None = None

    def _operation(self, fields: ContextAccess, slot: int, insn: Insn) -> Op:
        cpu = self.engine.cpu
        if slot in self.program.spec.poisoned:
            return self._stray(slot, FaultKind.POISONED)
        way = only_way(self.program, slot, insn)
        if way is not None:
            return alu.goes(way)
        if insn.family in _PLAIN:
            return _PLAIN[insn.family](cpu, insn, slot)
        if is_kernel_load(self.program.facts, slot, insn):
            return access.kernel_load(cpu, insn, slot)
        if insn.family in _ACCESS:
            return _ACCESS[insn.family](cpu, fields, insn, slot)
        if insn.family is Family.LD_IMM64:
            return access.ld_imm64(cpu, imm64_value(self.program, slot, insn), insn, slot)
        row = callee_row(self.program, slot, insn)
        return _CALLS[row.control](cpu, row, slot)

    def _stray(self, slot: int, kind: FaultKind = FaultKind.STRAY) -> Op:
        def run() -> int:
            raise self.engine.cpu.fault(kind, slot)

        return run

    def run_batch(self, batch: Batch, start: int) -> tuple[int, Stop]:
        """See engines/protocol.Runner."""
        machine, cpu, timers = self.engine.machine, self.engine.cpu, self.engine.timers
        machine.set_caller(self.engine)
        packet, block, state = cpu.space.packet, machine.pool.block, machine.run_state.address
        packet.view, packet.base = block.view, block.address
        for index in range(start, batch.count):
            if timers.next_ns <= batch.ktime_ns[index]:
                return index, Stop.TIMER_DUE
            begin_packet(state, batch.address, index)
            cpu.refresh_packet()
            cpu.enter(self)
            stop = self.run_from(0)
            end_packet(state, batch.address, index, cpu.regs[0] if stop is Stop.END else 0)
            if machine.rings:
                machine.drain_rings()
            if stop is not Stop.END:
                return index, stop
        return batch.count, Stop.END

    def run_from(self, slot: int) -> Stop:
        """Run the function at `slot` to its end."""
        cpu = self.engine.cpu
        cpu.insns = 0
        try:
            self.follow(slot)
        except Finished:
            return Stop.END
        except Faulted:
            return Stop.FAULT
        finally:
            self.engine.machine.run_state.insns = cpu.insns

    def follow(self, slot: int) -> NoReturn:
        """Do operations from `slot` on, through tail calls and back, until one raises Finished or Faulted."""
        cpu, budget, observer = self.engine.cpu, self.engine.budget, self.engine.observer
        program = self
        while True:
            ops, count = program.observed(observer) if observer else program.ops, 0
            try:
                for count in range(budget - cpu.insns):  # noqa: B007  read where the loop is left
                    slot = ops[slot]()
                raise cpu.fault(FaultKind.BUDGET, slot, budget)
            except Switched as switch:
                program = cpu.program = switch.program
                slot = switch.slot
            finally:
                cpu.insns += count + 1

    def observed(self, observer: Observer) -> list[Op]:
        """The operations, each shown to the observer before it is done."""
        if self._observed is None or self._observed[0] is not observer:

            def watched(slot: int, op: Op) -> Op:
                def run() -> int:
                    observer(self.program, slot)
                    return op()

                return run

            self._observed = observer, [watched(slot, op) for slot, op in enumerate(self.ops)]
        return self._observed[1]
