"""The native engine: programs as machine code through LLVM, whole batches without returning to Python.

What nobody has proven is checked, and loops run on a budget: a bad program must end in a fault, never in a dead
process.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from xdpsim.engines.fault import THROWN, FaultKind, fault_view, record_fault
from xdpsim.engines.jit.code import compiled, load_code
from xdpsim.engines.jit.module import CALL, ENTRY, RUN_BATCH
from xdpsim.engines.jit.python_calls import PythonCalls, Unwound
from xdpsim.engines.limits import DEFAULT_BUDGET
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import check_runnable, function_of
from xdpsim.errors import Unsupported
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.timers import NEVER, Timers
from xdpsim.memory import runtime
from xdpsim.memory.arena import Block
from xdpsim.memory.batch import Batch, Stop
from xdpsim.memory.space import Piece
from xdpsim.memory.structs import CALL_FRAMES, RUN_STATE, STACK_BYTES, STACK_FRAME_BYTES

_FIRST_ENTRIES = 64


class JitEngine:
    """Compiles each program when it is loaded."""

    name = "jit"

    def __init__(self, machine: Machine, *, budget: int = DEFAULT_BUDGET) -> None:
        if runtime.is_python():
            raise Unsupported("engine jit needs the native runtime", hint="unset XDPSIM_RUNTIME")
        self.machine, self.budget = machine, budget
        self.counts_blocks = False
        """Let programs that are loaded from now on count how often their blocks run (CompiledProgram.executed)."""
        self.timers = machine.part(Timers)
        self.python = PythonCalls(machine, self._entry_of)
        self._programs: dict[int, CompiledProgram] = {}
        self._entries = Block(8 * _FIRST_ENTRIES, "entry points")
        state = machine.run_state
        self.fault = fault_view(state)
        top = RUN_STATE.offset("stack") + STACK_BYTES
        self.stack_top = state.address + top
        machine.space.stack = Piece("stack", self.stack_top, self.stack_top, state.address, state.buffer)
        self.take_over()

    def load(self, program: LoadedProgram) -> CompiledProgram:
        """Compile; Unsupported by name for what does not run."""
        check_runnable(program)
        made = CompiledProgram(self, program)
        self._note_entry(program.number, made)
        return made

    def _note_entry(self, number: int, made: CompiledProgram) -> None:
        """Let tail calls find a program; it stays alive with the engine."""
        self._programs[number] = made
        if 8 * (number + 1) > self._entries.size:
            grown = Block(max(8 * (number + 1), self._entries.size * 2), "entry points")
            grown.view[: self._entries.size] = self._entries.view
            self._entries = grown
        self._entries.view[8 * number : 8 * number + 8] = made.entry.to_bytes(8, "little")
        self._show_entries()

    def _show_entries(self) -> None:
        state = self.machine.run_state
        state.entries, state.entry_count = self._entries.address, self._entries.size // 8

    def take_over(self) -> None:
        """Let the machine be as this engine's code wants it; another engine may have run since."""
        machine = self.machine
        self._show_entries()
        packet, block = machine.space.packet, machine.pool.block
        packet.view, packet.base = block.view, block.address
        machine.set_caller(self)
        self.python.follow_timers()

    def _entry_of(self, number: int) -> int:
        """Where a tail call to program `number` goes; 0 when there is no such program."""
        runner = self.machine.runner(number)
        return runner.entry if isinstance(runner, CompiledProgram) else 0

    @property
    def running(self) -> LoadedProgram:
        """The program whose insn called the helper that runs."""
        found: LoadedProgram = self.machine.programs[self.machine.run_state.running - 1]
        return found

    def call_back(self, function: int, *args: int) -> int:
        """Run the function behind a handle on the next stack frame; r0. A fault in it ends the whole program."""
        state, place = self.machine.run_state, function_of(function)
        program = self.machine.runner(place[0]) if place else None
        if place is None or not isinstance(program, CompiledProgram) or place[1] not in program.callable:
            return self._refuse(FaultKind.STRAY, 0, function)
        if state.call_base - state.stack_low >= CALL_FRAMES * STACK_FRAME_BYTES:
            return self._refuse(FaultKind.CALL_DEPTH, place[1])
        low, running = state.stack_low, state.running
        result = program.call(place[1], *args)
        if self.fault.code:
            raise Unwound
        state.stack_low, state.running = low, running
        return result

    def _refuse(self, kind: FaultKind, slot: int, address: int = 0) -> int:
        record_fault(self.machine.run_state, kind, slot, address, program=self.machine.run_state.running)
        raise Unwound

    def run_callback(self, function: int, *args: int) -> Stop:
        """Run a function by itself, as a timer does; how it ended."""
        state, place = self.machine.run_state, function_of(function)
        program = self.machine.runner(place[0]) if place else None
        if place is None or not isinstance(program, CompiledProgram) or place[1] not in program.callable:
            record_fault(state, FaultKind.STRAY, 0, function)
            return Stop.FAULT
        self.take_over()
        fault = self.fault
        fault.code, state.insns, state.budget = 0, 0, self.budget
        state.stack_low = state.call_base = self.stack_top
        program.call(place[1], *args)
        if fault.code == THROWN:
            fault.code = 0
            state.stack_low = state.call_base = self.stack_top
            if program.caught_by is not None:
                program.call(program.caught_by, fault.accessed)
        self.python.raise_again()
        self.machine.space.follow_run_state()
        return Stop.FAULT if fault.code else Stop.END


class CompiledProgram:
    """One program as native code."""

    errnos: Mapping[int, int] = {}

    def __init__(self, engine: JitEngine, program: LoadedProgram) -> None:
        self._engine, self.program = engine, program
        self._machine, self._state = engine.machine, engine.machine.run_state.address
        made = compiled(program, engine.budget, counts_blocks=engine.counts_blocks)
        self.callable, self.caught_by, self._checks_time = frozenset(made.callable), made.caught_by, made.checks_time
        self.reads_in_place = made.reads_in_place
        self._blocks = made.blocks
        self._counts = Block(16 * len(made.blocks), "block counts")
        self._code: Any = load_code(made, program, engine.python, self._counts.address)
        words = [ctypes.c_uint64] * 8
        self._run = ctypes.CFUNCTYPE(*words[:5])(self._code[RUN_BATCH])
        self._call = ctypes.CFUNCTYPE(*words)(self._code[CALL])
        self.entry = int(self._code[ENTRY])

    def executed(self) -> tuple[dict[int, int], dict[int, int]]:
        """How often each slot ran, and how often each branch jumped, where the engine `counts_blocks`.

        Of a packet that ended in a fault, the whole of the blocks that it was in counts.
        """
        counts = self._counts.view.cast("Q")
        ran, jumped = dict[int, int](), dict[int, int]()
        for number, block in enumerate(self._blocks):
            if times := counts[2 * number]:
                for slot in block:
                    ran[slot] = ran.get(slot, 0) + times
                jumped[block[-1]] = jumped.get(block[-1], 0) + counts[2 * number + 1]
        return ran, jumped

    def call(self, slot: int, *args: int) -> int:
        """Run the function at `slot` on the stack as it is; r0. Faults are left in the run state."""
        given = [*args, 0, 0, 0, 0, 0][:5]
        return int(self._call(self._state, slot, *given))

    def run_batch(self, batch: Batch, start: int) -> tuple[int, Stop]:
        """See engines/protocol.Runner."""
        engine, machine = self._engine, self._machine
        if machine.caller is not engine:
            engine.take_over()
        count = batch.count
        due = engine.timers.next_ns
        if due is engine.python.shown_ns is NEVER and not machine.rings:  # the same object as long as no timer is set
            stopped = self._run(self._state, batch.address, start, count)
            return (count, Stop.END) if stopped == count else (stopped, self._why_stopped())
        engine.python.follow_timers()
        end = count if self._checks_time or due == NEVER else self._end_in_time(batch, start)
        # Records of ring buffers are told apart by packet: then packets run one by one.
        for stop in range(start + 1, end + 1) if machine.rings else (end,):
            start = self._run(self._state, batch.address, start, stop)
            if machine.rings:
                machine.drain_rings()
            if start != stop:
                return start, self._why_stopped()
        return end, Stop.END if end == count else Stop.TIMER_DUE

    def _why_stopped(self) -> Stop:
        """A fault, or a timer that became due while the batch ran; what a helper raised is raised here."""
        self._engine.machine.space.follow_run_state()
        self._engine.python.raise_again()
        return Stop.FAULT if self._engine.fault.code else Stop.TIMER_DUE

    def _end_in_time(self, batch: Batch, start: int) -> int:
        """The first packet that comes after a timer is due, or the end: for a program that cannot start one."""
        due = self._engine.timers.next_ns
        if not batch.count or batch.ktime_ns[batch.count - 1] < due:
            return batch.count
        return bisect_left(batch.ktime_ns, due, start, batch.count)
