"""Finds, compiles and loads the native runtime, or runs its Python twins when XDPSIM_RUNTIME=python.

The package carries LLVM bitcode named after the hash of all runtime sources. At first use it is compiled for this
machine's CPU into one object in the user's cache; later processes load that object. In a source tree whose bitcode
is stale, the bitcode is built first where numba is there.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from xdpsim.errors import InputError, Unsupported, XdpsimBug
from xdpsim.memory import raw
from xdpsim.memory.cache import cache_dir, read_checked, write_checked
from xdpsim.memory.native import NativeFunction, install_linker, python_twin
from xdpsim.memory.native_modules import NATIVE_MODULES

SYMBOL_PREFIX = "xdpsim_"
BITCODE_DIR = Path(__file__).with_name("bitcode")


@cache
def is_python() -> bool:
    """Whether the runtime runs as Python (XDPSIM_RUNTIME=python) instead of native code."""
    chosen = os.environ.get("XDPSIM_RUNTIME", "native")
    if chosen not in ("native", "python"):
        raise InputError(f"XDPSIM_RUNTIME={chosen}: expected native or python")
    return chosen == "python"


class _RuntimeLinker:
    """Binds native functions to the loaded object, or to their Python twins."""

    def __init__(self) -> None:
        self._addresses: dict[str, int] = {}

    def bind(self, function: NativeFunction) -> Callable[..., int]:
        if is_python():
            return python_twin(function)
        words = [ctypes.c_uint64] * (function.arity + 1)
        bound: Callable[..., int] = ctypes.PYFUNCTYPE(*words)(self.address_of(function))
        return bound

    def address_of(self, function: NativeFunction) -> int:
        """The native address; with the Python runtime a number that the call intrinsics know."""
        if not is_python():
            return _library().address(SYMBOL_PREFIX + function.name)
        target = self._addresses.get(function.name)
        if target is None:
            target = self._addresses[function.name] = 0x1000 + len(self._addresses)
            raw.bind_target(target, function)
        return target


install_linker(_RuntimeLinker())


def ensure() -> None:
    """Build, compile and load whatever is missing now, so that later uses are quick."""
    if not is_python():
        _library()


class _Library:
    """The loaded object; keeps LLVM's owner of the code alive."""

    def __init__(self, library: Any, compiler: Any) -> None:
        self._library, self._compiler = library, compiler

    def address(self, symbol: str) -> int:
        try:
            return int(self._library[symbol])
        except KeyError:
            raise XdpsimBug(f"the native runtime has no function {symbol.removeprefix(SYMBOL_PREFIX)}") from None


@cache
def _library() -> _Library:
    import llvmlite.binding as llvm

    compiler = jit_compiler()
    symbols, image = _object_image(bitcode_path().read_bytes())
    builder = llvm.JITLibraryBuilder().add_object_img(image)
    for name, address in libc_symbols().items():
        builder.import_symbol(name, address)
    for symbol in symbols:
        builder.export_symbol(symbol)
    return _Library(builder.link(compiler, "xdpsim_runtime"), compiler)


def target_machine(opt: int = 2) -> Any:
    """LLVM's description of this machine's CPU, for code that runs in this process."""
    import llvmlite.binding as llvm

    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=cpu_features(), opt=opt, reloc="pic", codemodel="small", jit=True
    )


@cache
def cpu_features() -> str:
    """This CPU's feature string as LLVM spells it; empty where LLVM cannot tell."""
    import llvmlite.binding as llvm

    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:
        return ""


def libc_symbols() -> dict[str, int]:
    """The functions that LLVM may call for memory intrinsics; ctypes knows where they are on every system."""
    move = ctypes.cast(ctypes.memmove, ctypes.c_void_p).value
    fill = ctypes.cast(ctypes.memset, ctypes.c_void_p).value
    assert move
    assert fill
    return {"memmove": move, "memcpy": move, "memset": fill}


@cache
def jit_compiler() -> Any:
    """The process's one loader of object code."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_lljit_compiler(target_machine())


def _object_image(bitcode: bytes) -> tuple[list[str], bytes]:
    """Exported symbols and the object code for this CPU, from the cache where it is there."""
    import llvmlite
    import llvmlite.binding as llvm

    versions = f"{llvmlite.__version__} {llvm.llvm_version_info} {llvm.get_host_cpu_name()} {cpu_features()}"
    key = hashlib.sha256(bitcode + versions.encode()).hexdigest()[:32]
    path = cache_dir() / f"runtime-{key}.o"
    stored = read_checked(path)
    if stored is None:
        _say("xdpsim: compiling the native runtime for this machine, once ...")
        module = llvm.parse_bitcode(bitcode)
        module.triple = llvm.get_default_triple()
        exported = (f for f in module.functions if not f.is_declaration and f.linkage == llvm.Linkage.external)
        symbols = sorted(function.name for function in exported)
        stored = "\n".join(symbols).encode() + b"\0" + target_machine().emit_object(module)
        write_checked(path, stored)
        _say("")
    names, _, image = stored.partition(b"\0")
    return names.decode().split("\n"), image


def source_hash() -> str:
    """Hash of everything that decides the bitcode: the runtime sources, their layouts and the builder."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    builders = ("memory/build.py", "memory/intrinsics.py", "memory/layout.py", "memory/structs.py", "memory/native.py")
    modules = (module.removeprefix("xdpsim.").replace(".", "/") + ".py" for module in NATIVE_MODULES)
    for name in (*builders, *modules):
        digest.update(name.encode() + b"\0" + (package / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]


def bitcode_path() -> Path:
    """The bitcode that fits the sources; builds it in a source tree with numba, says what to do without."""
    name = f"runtime-{source_hash()}.bc"
    for folder in (BITCODE_DIR, cache_dir()):
        if (folder / name).exists():
            return folder / name
    if importlib.util.find_spec("numba") is None:
        raise Unsupported(
            "the native runtime does not fit the sources, and numba is not there to build it",
            hint="run: pip install numba (or pip install -e '.[dev]'), or set XDPSIM_RUNTIME=python for a slow run",
        )
    folder = BITCODE_DIR if os.access(BITCODE_DIR.parent, os.W_OK) else cache_dir()
    build(folder / name)
    return folder / name


def build(target: Path) -> None:
    """Build the bitcode at `target` and remove what older sources left beside it. Needs numba."""
    from xdpsim.memory.build import build_bitcode

    target.parent.mkdir(parents=True, exist_ok=True)
    build_bitcode(target, cache_dir() / "ir", lambda n, of, name: _say(f"xdpsim: building the runtime {n}/{of} {name}"))
    _say("")
    for other in target.parent.glob("runtime-*.bc"):
        if other != target:
            other.unlink(missing_ok=True)


def _say(text: str) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


if __name__ == "__main__":
    ensure()
