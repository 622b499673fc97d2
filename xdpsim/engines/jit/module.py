"""A whole program as one LLVM module: its functions, and the loop that runs a batch without returning to Python."""

from __future__ import annotations

from xdpsim.engines.contexts import NATIVE_CONTEXTS
from xdpsim.engines.jit.access import context_loader
from xdpsim.engines.jit.emit import EMIT_FAMILY
from xdpsim.engines.jit.function import FAULT_CODE, FunctionEmitter, Setting, function_symbol, loader_symbol
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.memory.structs import FAULT, RUN_STATE, STACK_BYTES
from xdpsim.verifier.cfg import functions
from xdpsim.verifier.facts import find_facts

ENTRY = "run_batch"
_ARITY = {"xdpsim_begin_packet": 3, "xdpsim_end_packet": 4}

_RUN_BATCH = """
define i64 @run_batch(i64 %rs, i64 %batch, i64 %start, i64 %count) {{
entry:
  %state = inttoptr i64 %rs to ptr
  %fp = add i64 %rs, {stack_top}
  %context = add i64 %rs, {context}
  %budget = getelementptr i8, ptr %state, i64 {budget_at}
  %fault = getelementptr i8, ptr %state, i64 {fault_code}
  br label %head
head:
  %index = phi i64 [ %start, %entry ], [ %next, %good ]
  %more = icmp ult i64 %index, %count
  br i1 %more, label %body, label %end
body:
  store i64 {budget}, ptr %budget
  call i64 @xdpsim_begin_packet(i64 %rs, i64 %batch, i64 %index)
  %r0 = call i64 @{main}(ptr %state, i64 %context, i64 0, i64 0, i64 0, i64 0, i64 %fp)
  call i64 @xdpsim_end_packet(i64 %rs, i64 %batch, i64 %index, i64 %r0)
  %code = load i32, ptr %fault
  %fine = icmp eq i32 %code, 0
  br i1 %fine, label %good, label %end, !prof !0
good:
  %next = add i64 %index, 1
  br label %head
end:
  ret i64 %index
}}
"""


def _record_fault(number: int) -> str:
    """The cold function that leaves a fault in the run state: one for the whole module, which keeps its code small."""
    words = {"code": "i32 %code", "slot": "i32 %slot", "accessed": "i64 %accessed", "size": "i32 %size"}
    words |= {"is_write": "i32 %is_write", "program": f"i32 {number}"}
    arguments = "i32 %code, i32 %slot, i64 %accessed, i32 %size, i32 %is_write"
    lines = [f"define internal void @record_fault(ptr %state, {arguments}) noinline cold {{"]
    for name, word in words.items():
        at = RUN_STATE.offset("fault") + FAULT.offset(name)
        lines += [f"  %{name}_at = getelementptr i8, ptr %state, i64 {at}", f"  store {word}, ptr %{name}_at"]
    return "\n".join([*lines, "  ret void", "}"])


class Module:
    """IR text with what has to be bound when its object code is loaded: runtime functions and addresses by symbol."""

    def __init__(self, program: LoadedProgram, budget: int) -> None:
        facts = find_facts(program.spec.code, program.spec.type)
        setting = Setting(NATIVE_CONTEXTS[program.spec.type], budget, EMIT_FAMILY)
        emitters = [
            FunctionEmitter(program, function, facts, setting) for function in functions(program.spec.code).values()
        ]
        bodies = [emitter.emit() for emitter in emitters]
        self.externals = set(_ARITY).union(*(emitter.externals for emitter in emitters))
        self.addresses = {symbol: address for emitter in emitters for symbol, address in emitter.addresses.items()}
        loads = sorted(set().union(*(emitter.context_loads for emitter in emitters)), key=str)
        attach_type = program.spec.attach_type
        bodies += [context_loader(loader_symbol(*kind), setting.context, attach_type, *kind) for kind in loads]
        bodies.append(_record_fault(program.number))
        loop = _RUN_BATCH.format(
            stack_top=RUN_STATE.offset("stack") + STACK_BYTES,
            context=setting.context.offset,
            budget_at=RUN_STATE.offset("budget"),
            fault_code=FAULT_CODE,
            budget=budget,
            main=function_symbol(0),
        )
        declarations = [f"declare i64 @{symbol}(...)" for symbol in sorted(self.externals)]
        globals_ = [f"@{symbol} = external global i8" for symbol in sorted(self.addresses)]
        swaps = [f"declare i{bits} @llvm.bswap.i{bits}(i{bits})" for bits in (16, 32, 64)]
        memory = ["declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"]
        likely = ['!0 = !{!"branch_weights", i32 1000000, i32 1}']
        self.text = "\n".join([*declarations, *globals_, *swaps, *memory, *bodies, loop, *likely])
