"""Imports go down the list of layers, never up, never sideways, never hidden in a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "xdpsim"
LAYERS = (
    # Highest first; modules of one line may not import each other, except inside one package.
    ("__main__", "conftest"),
    ("cli", "pytest_plugin", "conformance"),
    ("__init__",),
    ("sim",),
    ("analysis",),
    ("net",),
    ("engines.interpreter", "engines.jit", "engines.kernel"),
    ("engines",),
    ("verifier",),
    ("loader",),
    ("helpers",),
    ("maps", "progtypes"),
    ("tables",),
    ("memory", "sysbpf"),
    ("isa", "btf", "frames"),
    ("errors", "versions", "bits"),
)
HEAVY = {"numpy", "numba", "llvmlite", "scapy", "dpkt", "elftools", "typer", "rich", "pydantic", "yaml"}
# The build of the native runtime is all numba, so it counts as heavy itself and loads where it is needed.
BUILD_ONLY = {"xdpsim.memory.build", "xdpsim.memory.intrinsics"}
FLOOR_ORDER = {"bits": 0, "errors": 1, "versions": 2}


def layer_of(module: str) -> tuple[int, str]:
    """Height (0 is highest) and name of the layer that a module like `xdpsim.engines.jit.emit` belongs to."""
    inside = module.removeprefix("xdpsim").lstrip(".") or "__init__"
    for height, names in enumerate(LAYERS):
        for name in names:
            if inside == name or inside.startswith(name + "."):
                return height, name
    raise AssertionError(f"{module} belongs to no layer: add it to LAYERS")


def imports_of(path: Path) -> Iterator[tuple[ast.stmt, str, bool]]:
    """Each import: its statement, the module named, and whether it stands in a function."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    hidden = {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
            if node.module in ("xdpsim", *(f"xdpsim.{name}" for names in LAYERS for name in names)):
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            for module in modules:
                yield node, module, id(node) in hidden
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, id(node) in hidden


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_imports_go_down(path: Path) -> None:
    height, name = layer_of(module_name(path))
    for node, module, hidden in imports_of(path):
        if not module.startswith("xdpsim"):
            continue
        place = f"{path.relative_to(PACKAGE.parent)}:{node.lineno}: {module}"
        assert not hidden or module in BUILD_ONLY, f"{place} is imported inside a function"
        below, other = layer_of(module)
        if other == name:
            continue
        if {name, other} <= set(FLOOR_ORDER):
            assert FLOOR_ORDER[other] < FLOOR_ORDER[name], f"{place}: the floor's own order is bits, errors, versions"
            continue
        assert below > height, f"{place}: {name} may not import {other}"


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_heavy_packages_load_at_first_use(path: Path) -> None:
    if module_name(path) in BUILD_ONLY:
        return
    for node, module, hidden in imports_of(path):
        if module.split(".")[0] in HEAVY and not hidden and not under_type_checking(path, node):
            raise AssertionError(
                f"{path.relative_to(PACKAGE.parent)}:{node.lineno}: {module} must load inside a function"
            )


def under_type_checking(path: Path, wanted: ast.stmt) -> bool:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return any(isinstance(n, ast.stmt) and n.lineno == wanted.lineno for n in ast.walk(node) if n is not node)
    return False


def test_import_of_xdpsim_stays_light() -> None:
    import subprocess
    import sys

    script = "import sys, xdpsim; xdpsim.Sim; print(*sorted(m for m in sys.modules if m in set(sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
