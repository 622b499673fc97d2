"""The state that an interpreted program runs on: registers, call frames, and how an address becomes a piece of memory.

Operations (closures made by the other modules of this package) share one `Cpu`; each returns the next slot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdpsim.bits import M64
from xdpsim.engines.fault import FaultKind, record_fault
from xdpsim.engines.resolve import jump_target
from xdpsim.helpers.machine import Machine
from xdpsim.memory.space import Piece
from xdpsim.memory.structs import RUN_STATE, STACK_BYTES, STACK_FRAME_BYTES, XDP_BUFF

if TYPE_CHECKING:
    from xdpsim.engines.interpreter.engine import InterpretedProgram

Op = Callable[[], int]
"""Does one instruction; returns the slot to go on at."""


class Faulted(Exception):
    """The program did something that ends it; the run state holds what."""


class Finished(Exception):
    """The main function returned."""


class Returned(Exception):
    """A callback returned to the helper that called it."""


class Switched(Exception):
    """Control goes on in another program: after a tail call, or a return out of one."""

    def __init__(self, program: InterpretedProgram, slot: int) -> None:
        super().__init__()
        self.program, self.slot = program, slot


TO_HELPER = -1


@dataclass(slots=True)
class CallFrame:
    """Where a subprogram returns to, and the caller's r1 to r10."""

    program: InterpretedProgram
    slot: int
    """Where the caller goes on, or TO_HELPER."""
    saved: list[int]
    base: int


class Cpu:
    """Registers and memory of one interpreted CPU."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.regs = [0] * 11
        self.frames: list[CallFrame] = []
        self.program: InterpretedProgram | None = None
        self.may_goto: dict[tuple[int, int], int] = {}
        self.loading_length = 0
        self.base = 0
        """How many frames lie below the running program's main function: a tail call leaves only the frame it is in."""
        self.insns = 0
        state = machine.run_state
        self.stack_at = RUN_STATE.offset("stack") + STACK_BYTES
        self.stack_top = state.address + self.stack_at
        self.context_address = state.context
        self.space = machine.space
        stack_base = self.stack_top - self.stack_at
        self.space.stack = Piece("stack", self.stack_top, self.stack_top, stack_base, state.buffer)
        self._context = RUN_STATE.offset("xdp")

    def target(self, slot: int, distance: int) -> int:
        """Where a jump of the program being loaded goes: inside it, or to the stray operation behind its end."""
        return jump_target(self.loading_length, slot, distance)

    def fault(self, kind: FaultKind, slot: int, address: int = 0, size: int = 0, is_write: bool = False) -> Faulted:
        """Record a fault; the caller raises what comes back."""
        number = self.program.program.number if self.program else 0
        record_fault(self.machine.run_state, kind, slot, address, size, is_write, number)
        return Faulted()

    def enter(self, program: InterpretedProgram) -> None:
        """Start a program's main function on an empty stack, r1 at the context."""
        self.frames.clear()
        self.base = 0
        self.may_goto.clear()
        self.program = program
        self.regs[:] = [0] * 11
        self.regs[1] = self.context_address
        self.open_stack_frame()

    def clear_registers(self, *, arguments: bool = False) -> None:
        """Zero what a function is not given: Linux lets no accepted program read it, and runs must repeat exactly."""
        self.regs[0] = self.regs[6] = self.regs[7] = self.regs[8] = self.regs[9] = 0
        if arguments:
            self.regs[1:6] = [0] * 5

    def open_stack_frame(self) -> None:
        """Give the current function its 512 zeroed bytes of stack, and unused may_goto counters."""
        depth = len(self.frames)
        if self.may_goto:
            for place in [place for place in self.may_goto if place[0] == depth]:
                del self.may_goto[place]
        top = self.stack_top - depth * STACK_FRAME_BYTES
        self.regs[10] = top
        stack = self.space.stack
        stack.lo = self.machine.run_state.stack_low = top - STACK_FRAME_BYTES
        at = stack.lo - stack.base
        stack.view[at : at + STACK_FRAME_BYTES] = bytes(STACK_FRAME_BYTES)

    def close_stack_frame(self) -> None:
        """Go back to the caller's stack."""
        top = self.stack_top - len(self.frames) * STACK_FRAME_BYTES
        self.space.stack.lo = self.machine.run_state.stack_low = top - STACK_FRAME_BYTES

    def refresh_packet(self) -> None:
        """Let the packet piece follow the context, after a helper may have moved the packet's ends."""
        view = self.machine.run_state.buffer
        packet = self.space.packet
        packet.lo = _word(view, self._context + XDP_BUFF.offset("data_meta"))
        packet.hi = _word(view, self._context + XDP_BUFF.offset("data_end"))

    def locate(self, addr: int, size: int, slot: int, is_write: bool) -> Piece:
        """The piece that holds an access, or a fault at `slot`."""
        addr &= M64
        piece = self.space.piece_at(addr, size)
        if piece is None or (is_write and not piece.writable):
            raise self.fault(FaultKind.ACCESS, slot, addr, size, is_write)
        return piece


def _word(view: memoryview, at: int) -> int:
    return int.from_bytes(view[at : at + 8], "little")
