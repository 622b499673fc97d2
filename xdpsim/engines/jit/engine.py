"""The native engine: programs as machine code through LLVM, whole batches without returning to Python.

Every access that is not plainly inside the stack frame is checked, and loops run on a budget: no verifier has spoken
for the program, and a bad one must end in a fault, never in a dead process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from itertools import count
from typing import Any

from xdpsim.engines.jit.module import ENTRY, Module
from xdpsim.engines.limits import DEFAULT_BUDGET
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import callee_row, check_runnable
from xdpsim.errors import Unsupported
from xdpsim.helpers.machine import Machine
from xdpsim.isa.disasm import disasm
from xdpsim.isa.rows import Family
from xdpsim.memory import runtime
from xdpsim.memory.batch import Batch, Stop
from xdpsim.memory.native import REGISTRY, NativeFunction

_library_numbers = count()
"""LLJIT library names cannot be reused."""


class JitEngine:
    """Compiles each program when it is loaded."""

    name = "jit"

    def __init__(self, machine: Machine, *, budget: int = DEFAULT_BUDGET) -> None:
        if runtime.is_python():
            raise Unsupported("engine jit needs the native runtime", hint="unset XDPSIM_RUNTIME")
        self.machine, self.budget = machine, budget

    def load(self, program: LoadedProgram) -> CompiledProgram:
        """Compile; Unsupported by name for what runs in the interpreter only."""
        check_runnable(program)
        for slot, insn in enumerate(program.spec.code):
            if insn is None or slot in program.spec.poisoned:
                continue
            if insn.family in (Family.CALL_HELPER, Family.CALL_KFUNC):
                row = callee_row(program, slot, insn)
                if not isinstance(row.body, NativeFunction):
                    raise Unsupported(
                        f"{program.spec.name}: insn {slot} ({disasm(insn)}): {row.name} does not run on the jit yet",
                        hint="use the interpreter: --engine interpreter",
                    )
        return CompiledProgram(self, program)


class CompiledProgram:
    """One program as native code."""

    errnos: Mapping[int, int] = {}

    def __init__(self, engine: JitEngine, program: LoadedProgram) -> None:
        self._engine, self._program = engine, program
        module = Module(program, engine.budget)
        self._code = _load(compile_ir(module.text), module)
        self._run = ctypes.CFUNCTYPE(*[ctypes.c_uint64] * 5)(self._code[ENTRY])

    def run_batch(self, batch: Batch, start: int) -> tuple[int, Stop]:
        """See engines/protocol.Runner."""
        machine = self._engine.machine
        # Records of ring buffers are told apart by packet: then packets run one by one.
        ends = range(start + 1, batch.count + 1) if machine.rings else (batch.count,)
        for end in ends:
            stopped = self._run(machine.run_state.address, batch.address, start, end)
            machine.drain_rings()
            if stopped != end:
                machine.space.follow_run_state()
                return stopped, Stop.FAULT
            start = end
        return batch.count, Stop.END


def compile_ir(text: str) -> bytes:
    """Object code for this machine's CPU: O1, codegen level 1 (higher levels cost time and gain nothing here)."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = runtime.target_machine(opt=1)
    module = llvm.parse_assembly(text)
    module.triple = llvm.get_default_triple()
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


def _load(image: bytes, module: Module) -> Any:
    import llvmlite.binding as llvm

    compiler = runtime.jit_compiler()
    builder = llvm.JITLibraryBuilder().add_object_img(image).export_symbol(ENTRY)
    for symbol in module.externals:
        builder.import_symbol(symbol, REGISTRY[symbol.removeprefix(runtime.SYMBOL_PREFIX)].address)
    for symbol, address in (module.addresses | runtime.libc_symbols()).items():
        builder.import_symbol(symbol, address)
    return builder.link(compiler, f"xdpsim_program_{next(_library_numbers)}")
