"""A whole program as one LLVM module: its functions, its entry, and the loop that runs a batch without leaving it."""

from __future__ import annotations

from xdpsim.engines.contexts import NATIVE_CONTEXTS
from xdpsim.engines.exceptions import exception_callback
from xdpsim.engines.fault import THROWN
from xdpsim.engines.jit import batch
from xdpsim.engines.jit.access import context_loader
from xdpsim.engines.jit.emit import EMIT_FAMILY
from xdpsim.engines.jit.function import FunctionEmitter
from xdpsim.engines.jit.needs import (
    BLOCK_COUNTS,
    FAULT_CODE,
    NUMBER,
    SIGNATURE,
    Needs,
    Setting,
    function_symbol,
    loader_symbol,
)
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import callable_slots, callee_row
from xdpsim.helpers.rows import Control, Helper
from xdpsim.isa.rows import Family
from xdpsim.memory.native import NativeFunction
from xdpsim.memory.structs import FAULT, RUN_STATE
from xdpsim.verifier.cfg import functions
from xdpsim.verifier.facts import find_facts, joined

RUN_BATCH, ENTRY, CALL = "run_batch", "entry", "call_function"
"""What a library exports: the batch loop, the way in for tail calls, and the way in for callbacks by first slot."""
_FAULT_AT = RUN_STATE.offset("fault")

_ENTRY = """
define internal i64 @main(ptr %state, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5) alwaysinline {{
  %own = getelementptr i8, ptr %state, i64 {stack_low}
  %base_at = getelementptr i8, ptr %state, i64 {call_base}
  %fp = load i64, ptr %own
  store i64 %fp, ptr %base_at
  {call}
}}
"""
_EXPORTED = """define i64 @entry(ptr %state, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5) {
  %r = musttail call i64 @main(ptr %state, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5)
  ret i64 %r
}"""
_PLAIN = """%r = musttail call i64 @f0(ptr %state, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5)
  ret i64 %r"""
_CATCHING = """%r = call i64 @f0(ptr %state, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5)
  %code_at = getelementptr i8, ptr %state, i64 {fault_code}
  %code = load i32, ptr %code_at
  %thrown = icmp eq i32 %code, {thrown}
  br i1 %thrown, label %caught, label %plain
plain:
  ret i64 %r
caught:
  store i32 0, ptr %code_at
  store i64 %fp, ptr %own
  store i64 %fp, ptr %base_at
  %cookie_at = getelementptr i8, ptr %state, i64 {cookie}
  %cookie = load i64, ptr %cookie_at
  {then}"""


class Module:
    """IR text with what has to be bound when its object code is loaded."""

    def __init__(self, program: LoadedProgram, budget: int, *, counts_blocks: bool = False) -> None:
        code = program.spec.code
        self.callable = callable_slots(program)
        self.caught_by = exception_callback(program)
        roots = {*self.callable} if self.caught_by is None else {*self.callable, self.caught_by}
        specs = [made.spec for made in program.maps]
        self.facts = joined(code, find_facts(code, program.spec.type, specs, sorted(roots)), program.facts)
        rows = called_rows(program)
        setting = Setting(
            NATIVE_CONTEXTS[program.spec.type],
            budget,
            any(row.control is Control.TAIL_CALL for row in rows),
            next((row for row in rows if row.copies_context), None),
            _is_alone(program, rows),
            counts_blocks,
            EMIT_FAMILY,
        )
        self.leaves = setting.makes_tail_calls
        self.needs = Needs()
        found = functions(code, sorted(roots))
        emitters = [FunctionEmitter(program, function, self.facts, setting, self.needs) for function in found.values()]
        bodies = [emitter.emit() for emitter in emitters]
        loads = sorted(self.needs.context_loads, key=str)
        attach_type = program.spec.attach_type
        bodies += [context_loader(loader_symbol(*kind), setting.context, attach_type, *kind) for kind in loads]
        bodies += [_entry(rows, self.caught_by, self.needs.stack), _callbacks(sorted(roots)), *_FAULTS]
        self.used = batch.usage(rows, self.needs)
        bodies.append(batch.loop(self.used, setting.context, budget))
        self.text = "\n".join([*_declarations(self.needs), *bodies, _LIKELY])


_LIKELY = '!0 = !{!"branch_weights", i32 1000000, i32 1}'


def called_rows(program: LoadedProgram) -> list[Helper]:
    """The rows of all helpers and kernel functions that the program calls."""
    calls = (Family.CALL_HELPER, Family.CALL_KFUNC)
    return [
        callee_row(program, slot, insn)
        for slot, insn in enumerate(program.spec.code)
        if insn is not None and insn.family in calls and slot not in program.spec.poisoned
    ]


def _is_alone(program: LoadedProgram, rows: list[Helper]) -> bool:
    calls = any(insn is not None and insn.family is Family.CALL_LOCAL for insn in program.spec.code)
    return not calls and all(isinstance(row.body, NativeFunction) for row in rows)


def _declarations(needs: Needs) -> list[str]:
    swaps = [f"declare i{bits} @llvm.bswap.i{bits}(i{bits})" for bits in (16, 32, 64)]
    words = needs.natives | dict.fromkeys(needs.python, 6)
    natives = [f"declare i64 @{symbol}({', '.join(['i64'] * arity)})" for symbol, arity in sorted(words.items())]
    globals_ = [
        f"@{symbol} = external global i8" for symbol in sorted({*needs.addresses, *needs.maps, NUMBER, BLOCK_COUNTS})
    ]
    return [*natives, *globals_, *swaps, "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"]


def _entry(rows: list[Helper], caught_by: int | None, has_stack: bool) -> str:
    """The main function with its place on the stack noted; it catches what the program throws, if it throws at all."""
    call = _PLAIN
    if not has_stack:
        return f"{_EXPORTED}\ndefine internal i64 @main{SIGNATURE} alwaysinline {{\n  {call}\n}}"
    if any(row.control is Control.THROW for row in rows):
        then = "ret i64 %cookie"
        if caught_by is not None:
            arguments = "(ptr %state, i64 %cookie, i64 0, i64 0, i64 0, i64 0)"
            then = f"%x = musttail call i64 @{function_symbol(caught_by)}{arguments}\n  ret i64 %x"
        cookie = _FAULT_AT + FAULT.offset("accessed")
        call = _CATCHING.format(fault_code=FAULT_CODE, thrown=THROWN, cookie=cookie, then=then)
    return _EXPORTED + _ENTRY.format(
        stack_low=RUN_STATE.offset("stack_low"), call_base=RUN_STATE.offset("call_base"), call=call
    )


def _callbacks(slots: list[int]) -> str:
    """call_function(run state, first slot, five arguments): what helpers in Python call back through."""
    cases = " ".join(f"i64 {slot}, label %at{slot}" for slot in slots)
    lines = [
        "define i64 @call_function(i64 %rs, i64 %slot, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5) {",
        "  %state = inttoptr i64 %rs to ptr",
        f"  switch i64 %slot, label %none [ {cases} ]",
        "none:",
        "  ret i64 0",
    ]
    for slot in slots:
        lines += [f"at{slot}:", f"  %r{slot} = call i64 @{function_symbol(slot)}{SIGNATURE}", f"  ret i64 %r{slot}"]
    return "\n".join([*lines, "}"])


def _stores(words: dict[str, str]) -> list[str]:
    lines = []
    for name, word in words.items():
        lines += [f"  %{name}_at = getelementptr i8, ptr %state, i64 {_FAULT_AT + FAULT.offset(name)}"]
        lines += [f"  store {word}, ptr %{name}_at"]
    return lines


def _counting() -> list[str]:
    return [
        f"  %insns_at = getelementptr i8, ptr %state, i64 {RUN_STATE.offset('insns')}",
        "  %before = load i64, ptr %insns_at",
        "  %after = add i64 %before, %insns",
        "  store i64 %after, ptr %insns_at",
        "  ret void",
        "}",
    ]


_NUMBER = ["  %wide = ptrtoint ptr @program_number to i64", "  %number = trunc i64 %wide to i32"]
_PENDING = RUN_STATE.offset("pending")
_FAULTS = (
    # Cold functions that leave a fault in the run state: one for the whole module, which keeps its code small.
    "\n".join(
        [
            "define internal void @record_fault(ptr %state, i32 %code, i32 %slot, i64 %accessed, i32 %size, "
            "i32 %is_write, i64 %insns) noinline cold {",
            *_NUMBER,
            *_stores(
                {"code": "i32 %code", "slot": "i32 %slot", "accessed": "i64 %accessed", "size": "i32 %size"}
                | {"is_write": "i32 %is_write", "program": "i32 %number"}
            ),
            *_counting(),
        ]
    ),
    "\n".join(
        [
            "define internal void @finish_fault(ptr %state, i32 %slot, i64 %insns) noinline cold {",
            f"  %pending_at = getelementptr i8, ptr %state, i64 {_PENDING}",
            "  %pending = load i32, ptr %pending_at",
            "  %own = icmp ne i32 %pending, 0",
            "  br i1 %own, label %fill, label %count",
            "fill:",
            "  store i32 0, ptr %pending_at",
            *_NUMBER,
            *_stores({"slot": "i32 %slot", "program": "i32 %number"}),
            "  br label %count",
            "count:",
            *_counting(),
        ]
    ),
    "\n".join(["define internal void @pass_fault(ptr %state, i32 %slot, i64 %insns) noinline cold {", *_counting()]),
)
