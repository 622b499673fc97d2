"""Calls as LLVM IR: native helpers by address, subprograms as LLVM functions."""

from __future__ import annotations

from xdpsim.engines.fault import FaultKind
from xdpsim.engines.jit.function import FAULT_CODE, FunctionEmitter, function_symbol
from xdpsim.engines.resolve import callee_row
from xdpsim.helpers.checks import kinds_of
from xdpsim.isa.insn import Insn
from xdpsim.memory.native import NativeFunction
from xdpsim.memory.structs import CALL_FRAMES, RUN_STATE, STACK_BYTES, STACK_FRAME_BYTES
from xdpsim.verifier.cfg import STRAY, call_target


def call_helper(f: FunctionEmitter, slot: int, insn: Insn) -> bool:
    """Check the arguments by the row's kinds, then call the native body."""
    if slot in f.program.spec.poisoned:
        f.fault(FaultKind.POISONED, slot)
        f.place(f.label())
        return False
    row = callee_row(f.program, slot, insn)
    assert isinstance(row.body, NativeFunction)
    arguments = [f.register(number) for number in range(1, 6)]
    kinds = kinds_of(row)
    if kinds:
        bad = f.call("xdpsim_check_arguments", "%rs", str(kinds), *arguments)
        _fault_on_bad_argument(f, slot, bad, arguments)
    f.set_register(0, f.call(f"xdpsim_{row.body.name}", "%rs", *arguments[: row.arity]))
    return False


def _fault_on_bad_argument(f: FunctionEmitter, slot: int, bad: str, arguments: list[str]) -> None:
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
    top = f.value("load i64, ptr %stack_low")
    end = RUN_STATE.offset("stack") + STACK_BYTES
    lowest = f.value(f"add i64 %rs, {end - STACK_FRAME_BYTES * (CALL_FRAMES - 1)}")
    f.fault_unless(f.value(f"icmp uge i64 {top}, {lowest}"), FaultKind.CALL_DEPTH, slot)
    arguments = "".join(f", i64 {f.register(number)}" for number in range(1, 6))
    result = f.value(f"call i64 @{function_symbol(target)}(ptr %state{arguments}, i64 {top})")
    code = f.value(f"load i32, ptr {f.state_pointer(FAULT_CODE)}")
    good, bad = f.label(), f.label()
    f.line(f"br i1 {f.value(f'icmp eq i32 {code}, 0')}, label %{good}, label %{bad}, !prof !0")
    f.place(bad)
    f.leave("0", f.insns_up_to(slot))
    f.place(good)
    f.line(f"store i64 {top}, ptr {f.state_pointer(RUN_STATE.offset('stack_low'))}")
    f.set_register(0, result)
    return False
