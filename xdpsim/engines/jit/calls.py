"""Calls as LLVM IR: native helpers by address, Python ones through a trampoline, subprograms as LLVM functions."""

from __future__ import annotations

from xdpsim.engines.fault import FaultKind
from xdpsim.engines.jit import control, lookups
from xdpsim.engines.jit.function import FunctionEmitter
from xdpsim.engines.jit.needs import function_symbol
from xdpsim.engines.resolve import callee_row
from xdpsim.helpers.checks import kinds_of
from xdpsim.helpers.rows import Control, Helper
from xdpsim.isa.insn import Insn
from xdpsim.memory.native import NativeFunction
from xdpsim.memory.structs import CALL_FRAMES, STACK_FRAME_BYTES
from xdpsim.verifier.cfg import STRAY, call_target


def call_helper(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """A helper or a kernel function: check the arguments by the row's kinds, then call its body."""
    if slot in f.program.spec.poisoned:
        f.fault(FaultKind.POISONED, slot)
        f.place(f.label())
        return False
    row = callee_row(f.program, slot, insn)
    _check_arguments(f, slot, row)
    if row.control is Control.TAIL_CALL:
        control.tail_call(f, slot)
    elif row.control is Control.THROW:
        control.throw(f, slot)
    elif control.calls_in_a_loop(f, slot, row):
        control.loop(f, slot)
    elif isinstance(row.body, NativeFunction):
        _call_native(f, slot, row)
    else:
        _call_python(f, slot, row)
    if row.moves_packet and f.setting.context_copy is not None:
        call_python(f, slot, f.setting.context_copy, [f.state_word("context"), *"0000"])
    return False


def _call_native(f: FunctionEmitter, slot: int, row: Helper) -> None:
    assert isinstance(row.body, NativeFunction)
    is_sure = f.facts.verified or 1 in f.facts.arguments.get(slot, ())
    known = f.facts.call_maps.get(slot) if is_sure else None
    if known is not None and lookups.call_on_map(f, row, f.program.maps[known], known):
        return
    arguments = [f.register(number) for number in range(1, row.arity + 1)]
    f.set_register(0, f.call(f"xdpsim_{row.body.name}", "%rs", *arguments))


def _call_python(f: FunctionEmitter, slot: int, row: Helper) -> None:
    f.set_register(0, call_python(f, slot, row, [f.register(number) for number in range(1, 6)]))


def call_python(f: FunctionEmitter, slot: int, row: Helper, arguments: list[str]) -> str:
    """The result of a body in Python; its trampoline leaves a fault for whatever it raises."""
    symbol = f"python_{row.name}"
    f.needs.python[symbol] = row
    f.set_state_word("running", f.number(), 32)
    passed = ", ".join(f"i64 {argument}" for argument in arguments)
    result = f.value(f"call i64 @{symbol}(i64 %rs, {passed})")
    f.leave_on_fault(slot, is_own=True)
    return result


def _check_arguments(f: FunctionEmitter, slot: int, row: Helper) -> None:
    kinds = 0 if f.facts.verified else kinds_of(row)
    for proven in f.facts.arguments.get(slot, ()):
        kinds &= ~(0xFF << 8 * (proven - 1))
    if not kinds:
        return
    f.needs.checks = True
    arguments = [f.register(number) for number in range(1, 6)]
    bad = f.call("xdpsim_check_arguments", "%rs", str(kinds), *arguments)
    good, wrong = f.label(), f.label()
    f.line(f"br i1 {f.value(f'icmp eq i64 {bad}, 0')}, label %{good}, label %{wrong}, !prof !0")
    f.place(wrong)
    address = arguments[0]
    for number in range(2, 6):
        is_this = f.value(f"icmp eq i64 {bad}, {number}")
        address = f.value(f"select i1 {is_this}, i64 {arguments[number - 1]}, i64 {address}")
    f.fault(FaultKind.ARGUMENT, slot, address, f.value(f"trunc i64 {bad} to i32"))
    f.place(good)


def call_local(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """Enter a subprogram on the next stack frame; a fault in there ends this function too."""
    target = call_target(f.program.spec.code, slot, insn)
    if target == STRAY:
        f.line("br label %stray")
        f.place(f.label())
        return False
    f.pay(slot)  # calls without a loop can still take for ever: seven levels of a hundred calls each
    if not f.facts.verified:
        lowest = f.value(f"sub i64 {f.state_word('call_base')}, {STACK_FRAME_BYTES * (CALL_FRAMES - 1)}")
        f.fault_unless(f.value(f"icmp uge i64 %low, {lowest}"), FaultKind.CALL_DEPTH, slot)
    arguments = "".join(f", i64 {f.register(number)}" for number in range(1, 6))
    result = f.value(f"call i64 @{function_symbol(target)}(ptr %state{arguments})")
    f.leave_on_fault(slot)
    f.line("store i64 %low, ptr %own")
    if f.setting.makes_tail_calls:
        f.line("store i64 %base, ptr %base_at")
    f.set_register(0, result)
    return False
