"""Builds the native runtime: every `@native` function through numba into one LLVM bitcode file, for any machine.

Runs when the package is built, and in a source tree whenever a runtime source has changed and numba is there; the
installed package never needs numba. Each function becomes its own LLVM module that calls the others by symbol, so
an edit compiles only what changed (the cache below); then all are linked and optimised as one.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xdpsim.errors import XdpsimBug
from xdpsim.memory import raw
from xdpsim.memory.native import REGISTRY, NativeFunction, parse_source
from xdpsim.memory.native_modules import NATIVE_MODULES

SYMBOL_PREFIX = "xdpsim_"


def build_bitcode(target: Path, ir_cache: Path, progress: Callable[[int, int, str], None] | None = None) -> None:
    """Compile all runtime functions and write the bitcode file `target`, replacing it in one step."""
    import llvmlite.binding as llvm

    for module in NATIVE_MODULES:
        importlib.import_module(module)
    functions = [REGISTRY[name] for name in sorted(REGISTRY) if REGISTRY[name].module in NATIVE_MODULES]
    ir_cache.mkdir(parents=True, exist_ok=True)
    for declared in functions:
        # numba links each function at once and aborts on a missing symbol; nothing it links here is ever called.
        llvm.add_symbol(SYMBOL_PREFIX + declared.name, id(declared))
    linked = None
    for number, declared in enumerate(functions):
        if progress:
            progress(number, len(functions), declared.name)
        parsed = llvm.parse_assembly(_cached_ir(declared, ir_cache))
        if linked is None:
            linked = parsed
        else:
            linked.link_in(parsed)
    assert linked is not None
    linked.name = "xdpsim_runtime"
    _optimise(linked, {SYMBOL_PREFIX + declared.name for declared in functions})
    _refuse_undefined(linked)
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(linked.as_bitcode())
    temporary.replace(target)


_MAY_BE_UNDEFINED = ("llvm.", "memmove", "memcpy", "memset")


def _refuse_undefined(module: Any) -> None:
    """A function of numba's runtime here means that a body raises or allocates; one of ours, that none defines it."""
    names = [f.name for f in module.functions if f.is_declaration and not f.name.startswith(_MAY_BE_UNDEFINED)]
    if names:
        raise XdpsimBug(f"the native runtime would lack {', '.join(names)}")


def _optimise(module: Any, exported: set[str]) -> None:
    import llvmlite.binding as llvm

    for function in module.functions:
        if not function.is_declaration and function.name not in exported:
            function.linkage = llvm.Linkage.internal
    llvm.initialize_native_target()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=2)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(module, builder)


def _cached_ir(declared: NativeFunction, cache: Path) -> str:
    key = hashlib.sha256(_fingerprint(declared).encode()).hexdigest()[:24]
    path = cache / f"{declared.name}-{key}.ll"
    if path.exists():
        return path.read_text()
    text = _compile(declared)
    path.write_text(text)
    return text


def _fingerprint(declared: NativeFunction) -> str:
    """What the IR of one function depends on: its source, the constants and intrinsics it names, the compilers."""
    import llvmlite
    import numba

    tree, _ = parse_source(declared)
    names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    scope = declared.source_function.__globals__
    values = [f"{name}={_meaning(scope[name])}" for name in names if name in scope]
    emitters = Path(__file__).with_name("intrinsics.py").read_text() + Path(__file__).read_text()
    return "\n".join([ast.dump(tree), *values, emitters, llvmlite.__version__, numba.__version__])


def _meaning(value: object) -> str:
    if isinstance(value, NativeFunction):
        return f"native {value.name}/{value.arity}"
    return getattr(value, "__name__", None) or repr(value)


class _Typed(ast.NodeTransformer):
    """Make every integer literal an unsigned 64-bit constant: numba would turn a mix with int64 into float64."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if type(node.value) is not int:
            return node
        call = ast.Call(ast.copy_location(ast.Name("u64", ast.Load()), node), [node], [])
        return ast.copy_location(call, node)


def _compile(declared: NativeFunction) -> str:
    """One function as LLVM IR text with a C-like entry named xdpsim_<name>."""
    import numba
    from numba.core import types

    tree, path = parse_source(declared)
    tree = ast.fix_missing_locations(_Typed().visit(tree))
    scope: dict[str, Any] = {}
    exec(compile(tree, path, "exec"), _scope(declared), scope)
    signature = types.uint64(*[types.uint64] * declared.arity)
    options: dict[str, Any] = {
        "error_model": "numpy",
        "boundscheck": False,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }
    compiled = numba.njit(signature, **options)(scope[declared.name])
    entry: Any = compiled.overloads[signature.args]
    return _with_c_entry(entry.library.get_llvm_str(), entry.fndesc.mangled_name, declared)


def _scope(declared: NativeFunction) -> dict[str, Any]:
    """The function's globals as numba is to see them."""
    import numba
    import numpy as np
    from numba.core import types

    from xdpsim.memory.intrinsics import INTRINSIC_IMPLEMENTATIONS

    scope: dict[str, Any] = {"u64": numba.uint64, "__builtins__": __builtins__}
    for name, value in declared.source_function.__globals__.items():
        if isinstance(value, NativeFunction):
            signature = types.uint64(*[types.uint64] * value.arity)
            scope[name] = types.ExternalFunction(SYMBOL_PREFIX + value.name, signature)
        elif type(value) is int:
            scope[name] = np.uint64(value)
        elif name in INTRINSIC_IMPLEMENTATIONS and value is getattr(raw, name):
            scope[name] = INTRINSIC_IMPLEMENTATIONS[name]
    return scope


def _with_c_entry(ir: str, mangled: str, declared: NativeFunction) -> str:
    """numba functions return a status and store the result; the exported entry returns the result itself.

    The status is dropped: the subset cannot raise, which the missing `numba_` runtime symbols prove at link time.
    """
    arguments = ", ".join(f"i64 %a{n}" for n in range(declared.arity))
    passed = "".join(f", i64 %a{n}" for n in range(declared.arity))
    definition = f"""
define i64 @{SYMBOL_PREFIX}{declared.name}({arguments}) {{
  %result = alloca i64
  %problem = alloca ptr
  store i64 0, ptr %result
  %status = call i32 @{mangled}(ptr %result, ptr %problem{passed})
  %value = load i64, ptr %result
  ret i64 %value
}}
"""
    kept = [line for line in ir.splitlines() if not line.startswith(("target triple", "target datalayout"))]
    return "\n".join(kept) + definition
