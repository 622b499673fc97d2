"""Native runtime functions: written once in Python, compiled by numba at build time, callable from anywhere.

A function under `@native` is in a C-like subset: every value is an unsigned 64-bit word, arithmetic wraps, memory is
reached through the intrinsics of memory/raw.py, and nothing allocates or raises. Two readers take its source:

- the build (memory/build.py) makes every integer literal a typed constant and hands the function to numba;
- the Python twin (XDPSIM_RUNTIME=python) makes every operation that can leave 64 bits wrap.

Both see the same body, so neither needs masks or typed constants spelled out. Shift counts must lie below 64 and
divisors must not be zero: the caller guards, as in C.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, Protocol

from xdpsim.bits import M64
from xdpsim.errors import XdpsimBug


class Linker(Protocol):
    """Whoever makes native functions callable: memory/runtime.py, which installs itself when it is imported."""

    def bind(self, function: NativeFunction) -> Callable[..., int]:
        """What a call from Python runs."""

    def address_of(self, function: NativeFunction) -> int:
        """What a call from compiled code reaches."""


_installed: list[Linker] = []


def install_linker(linker: Linker) -> None:
    """Name the linker that all native functions use."""
    _installed[:] = [linker]


def _linker() -> Linker:
    return _installed[0]


_WRAPS = (ast.Add, ast.Sub, ast.Mult, ast.LShift)


class NativeFunction:
    """A runtime function; calling it runs the compiled code, or its Python twin when the runtime is Python."""

    __slots__ = ("_call", "arity", "module", "name", "source_function")

    def __init__(self, function: Callable[..., int | None]) -> None:
        self.name = function.__name__
        self.module = function.__module__
        self.source_function = function
        self.arity = function.__code__.co_argcount
        self._call: Callable[..., int] = self._first_call

    def __call__(self, *args: int) -> int:
        return self._call(*args)

    def __repr__(self) -> str:
        return f"<native {self.module}.{self.name}>"

    def _first_call(self, *args: int) -> int:
        return self.bound()(*args)

    def bound(self) -> Callable[..., int]:
        """The callable behind this function, without the indirection: for callers in a hot loop."""
        if self._call == self._first_call:
            self._call = _linker().bind(self)
        return self._call

    @property
    def address(self) -> int:
        """What compiled code calls, and what an operations table holds for it."""
        return _linker().address_of(self)


REGISTRY: dict[str, NativeFunction] = {}
"""Every runtime function that has been imported, by name."""


def native(function: Callable[..., int | None]) -> NativeFunction:
    """Declare a runtime function: all arguments and the result are unsigned 64-bit words (None returns 0)."""
    declared = NativeFunction(function)
    other = REGISTRY.get(declared.name)
    if other is not None and other.module != declared.module:
        raise XdpsimBug(f"native function {declared.name} is declared in {other.module} and in {declared.module}")
    REGISTRY[declared.name] = declared
    return declared


def parse_source(declared: NativeFunction) -> tuple[ast.Module, str]:
    """The function's syntax tree without its decorator, placed on its lines, and its file."""
    function = declared.source_function
    lines, first_line = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first_line - 1)
    body = tree.body[0]
    assert isinstance(body, ast.FunctionDef)
    body.decorator_list = []
    body.returns = None
    for argument in body.args.args:
        argument.annotation = None
    return tree, inspect.getsourcefile(function) or declared.module


class _Wrapping(ast.NodeTransformer):
    """Make additions, subtractions, products, left shifts and complements stay in 64 bits."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return _masked(node) if isinstance(node.op, _WRAPS) else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return _masked(node) if isinstance(node.op, ast.Invert) else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        assert isinstance(node.target, ast.Name)
        read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        value = self.visit(ast.copy_location(ast.BinOp(read, node.op, node.value), node))
        return ast.copy_location(ast.Assign([node.target], value), node)


def _masked(node: ast.expr) -> ast.expr:
    limit = ast.copy_location(ast.Constant(M64), node)
    return ast.copy_location(ast.BinOp(node, ast.BitAnd(), limit), node)


def python_twin(declared: NativeFunction) -> Callable[..., int]:
    """The same body as wrapping Python; tracebacks show the real lines."""
    tree, path = parse_source(declared)
    tree = ast.fix_missing_locations(_Wrapping().visit(tree))
    scope: dict[str, Any] = {}
    exec(compile(tree, path, "exec"), declared.source_function.__globals__, scope)
    body: Callable[..., int | None] = scope[declared.name]
    return lambda *args: int(body(*args) or 0)
