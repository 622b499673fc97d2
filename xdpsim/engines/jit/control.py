"""Calls that are control flow, as LLVM IR: tail calls, exceptions, loops over a callback of the program itself.

A tail call is a jump: all functions have one signature, so LLVM's `musttail` makes one of it, through the table of
entry points that the run state points to. What the table has not yet, a trampoline makes ready.
"""

from __future__ import annotations

from xdpsim.bits import M32, M64
from xdpsim.engines.fault import THROWN, FaultKind
from xdpsim.engines.jit.function import FunctionEmitter
from xdpsim.engines.jit.needs import function_symbol
from xdpsim.helpers.callbacks import MAX_LOOPS, bpf_loop
from xdpsim.helpers.rows import Helper
from xdpsim.memory.structs import CALL_FRAMES, MAX_TAIL_CALLS, STACK_FRAME_BYTES

RESOLVE = "resolve_entry"
"""Symbol of the trampoline that makes a program ready: (run state, number) -> address of its entry or 0."""
_EINVAL, _E2BIG = -22 & M64, -7 & M32


def tail_call(f: FunctionEmitter, slot: int) -> None:
    """Jump into the program that the prog array holds; without one, or after 33 hops, go on behind the call."""
    ready, missed, goes_on = f.label(), f.label(), f.label()
    number = f.call("xdpsim_program_at", f.register(2), f.register(3))
    _continue_if(f, f.value(f"icmp ne i64 {number}, 0"), goes_on)
    hops = f.state_word("tail_calls", 32)
    _continue_if(f, f.value(f"icmp ult i32 {hops}, {MAX_TAIL_CALLS}"), goes_on)
    known, inside = f.state_word("entry_count"), f.label()
    f.line(f"br i1 {f.value(f'icmp ult i64 {number}, {known}')}, label %{inside}, label %{missed}, !prof !0")
    f.place(inside)
    place = f.value(f"add i64 {f.state_word('entries')}, {f.value(f'shl i64 {number}, 3')}")
    entry = f.value(f"load i64, ptr {f.pointer(place)}")
    f.line(f"br i1 {f.value(f'icmp ne i64 {entry}, 0')}, label %{ready}, label %{missed}, !prof !0")
    f.place(missed)
    f.needs.python[RESOLVE] = None
    made = f.value(f"call i64 @{RESOLVE}(i64 %rs, i64 {number}, i64 0, i64 0, i64 0, i64 0)")
    f.leave_on_fault(slot, is_own=True)
    resolved = f.label()
    f.line(f"br label %{resolved}")
    f.place(resolved)
    f.line(f"br i1 {f.value(f'icmp ne i64 {made}, 0')}, label %{ready}, label %{goes_on}")
    f.place(ready)
    target = f.value(f"phi i64 [ {entry}, %{inside} ], [ {made}, %{resolved} ]")
    f.set_state_word("tail_calls", f.value(f"add i32 {hops}, 1"), 32)
    f.count_insns(f.insns_up_to(slot))
    f.line("store i64 %fp, ptr %own")
    context = f.state_word("context")
    pointer = f.pointer(target)
    result = f.value(f"musttail call i64 {pointer}(ptr %state, i64 {context}, i64 0, i64 0, i64 0, i64 0)")
    f.line(f"ret i64 {result}")
    f.place(goes_on)
    f.count_rest(slot)
    f.set_register(0, "0")


def _continue_if(f: FunctionEmitter, condition: str, otherwise: str) -> None:
    following = f.label()
    f.line(f"br i1 {condition}, label %{following}, label %{otherwise}")
    f.place(following)


def throw(f: FunctionEmitter, slot: int) -> None:
    """bpf_throw: leave every function as after a fault; the program's entry catches what was thrown."""
    f.fault(THROWN, slot, f.register(1))
    f.place(f.label())


def calls_in_a_loop(f: FunctionEmitter, slot: int, row: Helper) -> bool:
    """Whether a call is bpf_loop on a function of the program that is known here."""
    return row.body is bpf_loop and slot in f.facts.callbacks


def loop(f: FunctionEmitter, slot: int) -> None:
    """bpf_loop as a loop: what helpers/callbacks.py says, without leaving native code."""
    head, body, stopped, end = (f.label() for _ in range(4))
    wrong_flags, too_many = f.label(), f.label()
    count, context, flags = f.register(1), f.register(3), f.register(4)
    target = function_symbol(f.facts.callbacks[slot])
    starts, allowed = f.label(), f.label()
    f.line(f"br i1 {f.value(f'icmp eq i64 {flags}, 0')}, label %{allowed}, label %{wrong_flags}")
    f.place(allowed)
    f.line(f"br i1 {f.value(f'icmp ule i64 {count}, {MAX_LOOPS}')}, label %{starts}, label %{too_many}")
    f.place(starts)
    _check_depth(f, slot, count)
    entered = f.label()
    f.line(f"br label %{entered}")
    f.place(entered)
    f.line(f"br label %{head}")
    f.place(head)
    index, following = f"%index{slot}", f"%following{slot}"
    f.line(f"{index} = phi i64 [ 0, %{entered} ], [ {following}, %{stopped} ]")
    f.line(f"br i1 {f.value(f'icmp ult i64 {index}, {count}')}, label %{body}, label %{end}")
    f.place(body)
    f.pay(slot)
    answer = f.value(f"call i64 @{target}(ptr %state, i64 {index}, i64 {context}, i64 0, i64 0, i64 0)")
    f.leave_on_fault(slot)
    f.line("store i64 %low, ptr %own")
    if f.setting.makes_tail_calls:
        f.line("store i64 %base, ptr %base_at")
    f.line(f"{following} = add i64 {index}, 1")
    f.line(f"br label %{stopped}")
    f.place(stopped)
    left = f.label()
    f.line(f"br i1 {f.value(f'icmp eq i64 {answer}, 0')}, label %{head}, label %{left}")
    f.place(left)
    f.line(f"br label %{end}")
    f.place(wrong_flags)
    f.line(f"br label %{end}")
    f.place(too_many)
    f.line(f"br label %{end}")
    f.place(end)
    ways = f"[ {index}, %{head} ], [ {following}, %{left} ], [ {_EINVAL}, %{wrong_flags} ], [ {_E2BIG}, %{too_many} ]"
    f.set_register(0, f.value(f"phi i64 {ways}"))


def _check_depth(f: FunctionEmitter, slot: int, count: str) -> None:
    """A callback takes a stack frame; without one the fault is the callee's, if it is called at all."""
    if f.facts.verified:
        return
    lowest = f.value(f"sub i64 {f.state_word('call_base')}, {STACK_FRAME_BYTES * (CALL_FRAMES - 1)}")
    fits = f.value(f"or i1 {f.value(f'icmp uge i64 %low, {lowest}')}, {f.value(f'icmp eq i64 {count}, 0')}")
    f.fault_unless(fits, FaultKind.CALL_DEPTH, f.facts.callbacks[slot])
