"""From IR text to code that runs: compiled for this machine's CPU, loaded with everything bound that it refers to."""

from __future__ import annotations

from itertools import count
from typing import Any

from xdpsim.engines.jit.module import CALL, ENTRY, NUMBER, RUN_BATCH, Module
from xdpsim.engines.jit.python_calls import PythonCalls
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import imm64_value
from xdpsim.memory import runtime
from xdpsim.memory.native import REGISTRY

_library_numbers = count()
"""LLJIT library names cannot be reused."""


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


def load_image(image: bytes, module: Module, program: LoadedProgram, python: PythonCalls) -> Any:
    """Load object code; the library that comes back has the exported addresses by name and keeps the code alive."""
    import llvmlite.binding as llvm

    builder = llvm.JITLibraryBuilder().add_object_img(image)
    for symbol in (RUN_BATCH, ENTRY, CALL):
        builder.export_symbol(symbol)
    for symbol, address in bindings(module, program, python).items():
        builder.import_symbol(symbol, address)
    return builder.link(runtime.jit_compiler(), f"xdpsim_program_{next(_library_numbers)}")


def bindings(module: Module, program: LoadedProgram, python: PythonCalls) -> dict[str, int]:
    """The address behind each symbol that the code refers to."""
    needs, code = module.needs, program.spec.code
    found = {symbol: REGISTRY[symbol.removeprefix(runtime.SYMBOL_PREFIX)].address for symbol in needs.natives}
    found |= {symbol: python.address(symbol, row) for symbol, row in needs.python.items()}
    found |= {symbol: program.maps[index].header_address for symbol, index in needs.maps.items()}
    for symbol, slot in needs.addresses.items():
        insn = code[slot]
        assert insn is not None
        found[symbol] = imm64_value(program, slot, insn)
    return found | {NUMBER: program.number} | runtime.libc_symbols()
