"""Calls and returns: helpers (with their arguments checked first), subprograms, tail calls, exit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from xdpsim.bits import M32, M64
from xdpsim.engines.exceptions import exception_callback
from xdpsim.engines.fault import FaultKind
from xdpsim.engines.interpreter.cpu import TO_HELPER, CallFrame, Cpu, Finished, Op, Returned, Switched
from xdpsim.helpers.checks import check_arguments, kinds_of
from xdpsim.helpers.map_ops import program_at
from xdpsim.helpers.packet_load import load_packet as packet_word
from xdpsim.helpers.rows import BadArgument, Helper
from xdpsim.isa.insn import Insn
from xdpsim.memory.native import NativeFunction
from xdpsim.memory.space import BadAddress
from xdpsim.memory.structs import CALL_FRAMES, MAX_TAIL_CALLS


def call_local(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """Enter a subprogram on a fresh stack frame: of the registers it gets its five arguments, the caller keeps all."""
    regs, frames, target, following = cpu.regs, cpu.frames, cpu.target(slot, insn.imm), slot + 1

    def run() -> int:
        if len(frames) - cpu.base + 1 >= CALL_FRAMES:
            raise cpu.fault(FaultKind.CALL_DEPTH, slot)
        assert cpu.program is not None
        frames.append(CallFrame(cpu.program, following, regs[1:11], cpu.base))
        cpu.clear_registers()
        cpu.open_stack_frame()
        return target

    return run


def returning(cpu: Cpu) -> Op:
    """What an exit does."""
    regs, frames = cpu.regs, cpu.frames

    def run() -> int:
        if not frames:
            raise Finished
        frame = frames.pop()
        cpu.close_stack_frame()
        regs[1:11] = frame.saved
        cpu.base = frame.base
        if frame.slot == TO_HELPER:
            cpu.program = frame.program
            raise Returned
        if frame.program is not cpu.program:
            raise Switched(frame.program, frame.slot)
        return frame.slot

    return run


def exit_(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """Return to the caller, or end the program."""
    return returning(cpu)


def load_packet(cpu: Cpu, insn: Insn, slot: int) -> Op:
    """LD_ABS and LD_IND: r0 = the packet's word; the function returns 0 where the packet is too short."""
    regs, imm, src, size, following = cpu.regs, insn.imm, insn.src, insn.width, slot + 1
    is_indirect, read, leave = insn.op == "ind", packet_word.bound(), returning(cpu)
    state = cpu.machine.run_state.address

    def run() -> int:
        offset = regs[src] + imm if is_indirect else imm
        found = read(state, offset & M32, size)
        regs[0] = found & M32
        return following if found else leave()

    return run


def call_helper(cpu: Cpu, row: Helper, slot: int) -> Op:
    """Check the arguments by the row's kinds, call the body, let the packet piece follow."""
    regs, arity, following, moves_packet = cpu.regs, row.arity, slot + 1, row.moves_packet
    check = _checker(cpu, row, slot)
    assert row.body is not None
    if isinstance(row.body, NativeFunction):
        body: Callable[..., int] = partial(row.body.bound(), cpu.machine.run_state.address)
    else:
        body = partial(row.body, cpu.machine)

    def run() -> int:
        check()
        try:
            regs[0] = body(*regs[1 : arity + 1]) & M64
        except BadArgument as bad:
            raise cpu.fault(FaultKind.ARGUMENT, slot, regs[bad.number], bad.number) from None
        except BadAddress as bad:
            raise cpu.fault(FaultKind.ACCESS, slot, bad.address, bad.size, bad.is_write) from None
        if moves_packet:
            cpu.refresh_packet()
        return following

    return run


def tail_call(cpu: Cpu, row: Helper, slot: int) -> Op:
    """Jump into the program that the prog array holds; without one, or after 33 hops, go on behind the call."""
    regs, following, machine, state = cpu.regs, slot + 1, cpu.machine, cpu.machine.run_state
    check = _checker(cpu, row, slot)

    def run() -> int:
        check()
        number = program_at(regs[2], regs[3])
        target = machine.runner(number) if number and state.tail_calls < MAX_TAIL_CALLS else None
        if target is None:
            regs[0] = 0
            return following
        state.tail_calls += 1
        cpu.base = len(cpu.frames)
        cpu.clear_registers(arguments=True)
        regs[1] = cpu.context_address
        cpu.open_stack_frame()
        raise Switched(target, 0)

    return run


def throw(cpu: Cpu, row: Helper, slot: int) -> Op:
    """bpf_throw: leave all functions of the program at once; its result is the cookie, or what it is made of it."""
    regs, frames = cpu.regs, cpu.frames
    caught_at: list[int | None] = []
    leave = returning(cpu)

    def run() -> int:
        program = cpu.program
        assert program is not None
        if not caught_at:
            caught_at.append(exception_callback(program.program))
        del frames[cpu.base :]
        cpu.open_stack_frame()
        if caught_at[0] is not None:
            cookie = regs[1]
            cpu.clear_registers(arguments=True)
            regs[1] = cookie
            return caught_at[0]
        regs[0] = regs[1]
        return leave()

    return run


def _checker(cpu: Cpu, row: Helper, slot: int) -> Callable[[], None]:
    """Raises a fault when an argument is not what the row says."""
    kinds, regs = kinds_of(row), cpu.regs
    if not kinds:
        return lambda: None
    check = partial(check_arguments.bound(), cpu.machine.run_state.address, kinds)

    def run() -> None:
        bad = check(*regs[1:6])
        if bad:
            raise cpu.fault(FaultKind.ARGUMENT, slot, regs[bad], bad)

    return run
