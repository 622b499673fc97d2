"""Native functions: compiled code and Python twin are one function, and the lists that the build reads are complete."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runtimes import ROOT, python_runtime, surrounding
from xdpsim.bits import M64
from xdpsim.errors import XdpsimBug
from xdpsim.memory import raw, runtime
from xdpsim.memory.build import build_bitcode
from xdpsim.memory.native import REGISTRY, NativeFunction, native, parse_source, python_twin
from xdpsim.memory.native_modules import NATIVE_MODULES

WORDS = (
    0,
    1,
    2,
    7,
    8,
    13,
    63,
    64,
    255,
    256,
    0xFFFF,
    0x10000,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
    M64 - 21,
    M64 - 1,
    M64,
)
_PURE_INTRINSICS = {"sdiv", "slt", "sar", "sext32", "bswap16", "bswap32", "bswap64", "clz64", "mulhi"}


def modules_with_native_functions() -> set[str]:
    """Modules with a function under @native or @native_helper, by their source."""
    marks = {"native", "native_helper"}
    found = set()
    for path in sorted((ROOT / "xdpsim").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = {d.func if isinstance(d, ast.Call) else d for d in node.decorator_list}
                if any(isinstance(name, ast.Name) and name.id in marks for name in names):
                    found.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


def test_the_list_of_modules_is_complete() -> None:
    assert modules_with_native_functions() <= set(NATIVE_MODULES)
    assert len(set(NATIVE_MODULES)) == len(NATIVE_MODULES)


def called(function: NativeFunction) -> set[str]:
    """What a native function calls, by name."""
    tree, _ = parse_source(function)
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


@functools.cache
def is_pure(name: str) -> bool:
    """Whether it touches no memory."""
    own = REGISTRY.keys() & (names := called(REGISTRY[name]))
    return names <= own | _PURE_INTRINSICS and all(is_pure(other) for other in own if other != name)


def load_all() -> None:
    for module in NATIVE_MODULES:
        importlib.import_module(module)


load_all()
PURE = sorted(name for name in REGISTRY if REGISTRY[name].module in NATIVE_MODULES and is_pure(name))


def test_some_functions_are_pure() -> None:
    assert {"carry_around", "csum_fold"} <= set(PURE)


@pytest.mark.skipif(runtime.is_python(), reason="compares the native runtime with Python")
@pytest.mark.parametrize("name", PURE)
def test_twin_and_compiled_code_agree(name: str) -> None:
    function, rng = REGISTRY[name], random.Random(name)
    compiled, twin = function.bound(), python_twin(function)
    for _ in range(400):
        args = [rng.choice(WORDS) if rng.random() < 0.6 else rng.getrandbits(64) for _ in range(function.arity)]
        names = function.source_function.__code__.co_varnames
        args = [1 + arg % 31 if name == "count" else arg for name, arg in zip(names, args, strict=False)]
        try:
            expected = twin(*args)
        except (
            ValueError,
            ZeroDivisionError,
            MemoryError,
            OverflowError,
        ):  # a shift or divisor that the caller has to rule out
            continue
        assert compiled(*args) == expected & M64, args


def test_every_function_has_a_docstring_and_no_literal_too_large() -> None:
    for name, function in REGISTRY.items():
        if function.module in NATIVE_MODULES:
            assert function.source_function.__doc__, name
            tree, _ = parse_source(function)
            assert all(
                0 <= n.value <= M64 for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is int
            )


def test_a_name_is_one_functions() -> None:
    def bpf_jiffies64(rs: int) -> int:
        return rs

    with pytest.raises(XdpsimBug, match=r"native function bpf_jiffies64 is declared in xdpsim\.helpers\.world and in"):
        native(bpf_jiffies64)


def test_twins_wrap() -> None:
    def wrapping(a: int, b: int) -> int:
        c = a + b
        c -= 5
        c = c * a
        c <<= 3
        return ~c ^ (a - b)

    twin, rng = python_twin(NativeFunction(wrapping)), random.Random(1)
    for _ in range(200):
        a, b = rng.getrandbits(64), rng.getrandbits(64)
        assert twin(a, b) == (~((a + b - 5) * a << 3) ^ (a - b)) & M64


def test_the_bitcode_is_named_after_all_that_decides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = runtime.source_hash()
    assert before in runtime.bitcode_path().name
    read = Path.read_bytes
    for changed in ("space_ops.py", "layout.py", "structs.py", "intrinsics.py", "build.py", "hash.py"):
        monkeypatch.setattr(Path, "read_bytes", lambda path, n=changed: read(path) + (b"#" if path.name == n else b""))
        assert runtime.source_hash() != before, changed
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path).replace(b"\n", b"\r\n"))
    assert runtime.source_hash() == before


def test_a_body_that_would_need_pythons_runtime_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    (tmp_path / "bad_native.py").write_text(
        "from xdpsim.memory.native import native\n\n\n@native\ndef allocates(a):\n    return len([a, a])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("xdpsim.memory.build.NATIVE_MODULES", ("bad_native",))
    with pytest.raises(XdpsimBug, match="the native runtime would lack"):
        build_bitcode(tmp_path / "x.bc", tmp_path / "ir")
    del REGISTRY["allocates"]


def wrong_here() -> list[str]:
    """Helper cases and recorded rows that the interpreter gets wrong in this process."""
    from tests.helpers.test_calls import answer, expected
    from tests.helpers.test_xdp_test_run import MAKERS, RUN, lacks
    from tests.support.helper_cases import GROUPS, cases
    from tests.support.replay import replay

    wrong = [
        c.name for group in GROUPS for c in cases(group)[::3] if answer(c, "interpreter") != expected(group)[c.name]
    ]
    for row in RUN[::4]:
        if not lacks(row):
            found = replay(row, MAKERS["interpreter"])
            if (found.value, found.meta) != (row.value, row.out_meta) or not row.left(found.data):
                wrong.append(row.name)
    return wrong


@pytest.mark.golden
def test_helpers_and_maps_as_python_do_what_linux_does() -> None:
    code = "import json; from tests.memory.test_native import wrong_here as w; print(json.dumps(w()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **python_runtime())
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == []


def test_an_unknown_runtime_is_refused() -> None:
    code = "from xdpsim import Sim; Sim().load_insns('r0 = 2; exit', 'XDP').run(bytes(64))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **surrounding(XDPSIM_RUNTIME="fast"))
    assert "XDPSIM_RUNTIME=fast: expected native or python" in done.stderr


def test_the_python_runtime_has_no_jit() -> None:
    code = "from xdpsim import Sim; Sim(engine='jit')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **python_runtime())
    assert "engine jit needs the native runtime" in done.stderr


def test_intrinsics_of_both_kinds_have_the_same_names() -> None:
    pytest.importorskip("numba")
    from xdpsim.memory.intrinsics import INTRINSIC_IMPLEMENTATIONS

    assert INTRINSIC_IMPLEMENTATIONS.keys() == raw.INTRINSICS.keys()
