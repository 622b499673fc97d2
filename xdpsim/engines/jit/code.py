"""From a program to code that runs: compiled for this machine's CPU or taken from the user's cache, and bound.

Code holds no address, so one process's code serves another. Its place in the cache is named by all that decides it: the
program, its maps' shapes, what is known of it, the sources, LLVM and the CPU. A damaged entry is built anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count
from typing import Any

from xdpsim.engines.jit.control import RESOLVE
from xdpsim.engines.jit.module import CALL, ENTRY, RUN_BATCH, Module, called_rows
from xdpsim.engines.jit.needs import BLOCK_COUNTS, NUMBER
from xdpsim.engines.jit.python_calls import PythonCalls
from xdpsim.engines.kernel_reads import KERNEL_READ
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.resolve import imm64_value
from xdpsim.isa.decode import encode_all
from xdpsim.maps.map import Map
from xdpsim.memory import runtime
from xdpsim.memory.cache import cache_dir, keep_newest, read_checked, sources_hash, write_checked
from xdpsim.memory.native import REGISTRY

_library_numbers = count()
"""LLJIT library names cannot be reused."""
_PASSES = (
    *("always_inliner", "sroa", "instruction_combine", "simplify_cfg"),
    *("new_gvn", "instruction_combine", "simplify_cfg"),
)
"""What makes good code of ours: LLVM's O1 takes five times as long for code that is no faster."""
_FOLDERS = ("engines", "engines/jit", "verifier", "helpers", "progtypes", "isa", "btf", "maps", "memory")
_PREFIX = "program-"
_MOST_ENTRIES = 1000


@dataclass(frozen=True)
class Compiled:
    """Object code with what has to be bound when it is loaded, and what its runner has to know."""

    image: bytes
    natives: list[str]
    python: list[str]
    maps: dict[str, int]
    addresses: dict[str, int]
    callable: list[int]
    caught_by: int | None
    checks_time: bool
    reads_in_place: bool
    blocks: list[tuple[int, ...]]
    """Those that the code counts."""

    def encode(self) -> bytes:
        """As the cache holds it."""
        about = {name: value for name, value in asdict(self).items() if name != "image"}
        return json.dumps(about).encode() + b"\0" + self.image

    @staticmethod
    def decode(stored: bytes) -> Compiled:
        """The reverse."""
        about, _, image = stored.partition(b"\0")
        return Compiled(image=image, **json.loads(about))


def compiled(program: LoadedProgram, budget: int, *, counts_blocks: bool = False) -> Compiled:
    """The program's code, from the cache where it is there."""
    path = cache_dir() / f"{_PREFIX}{_key(program, budget, counts_blocks)}"
    stored = read_checked(path)
    if stored is not None:
        return Compiled.decode(stored)
    module = Module(program, budget, counts_blocks=counts_blocks)
    needs = module.needs
    made = Compiled(
        compile_ir(module.text),
        sorted(needs.natives),
        sorted(needs.python),
        needs.maps,
        needs.addresses,
        list(module.callable),
        module.caught_by,
        module.used.sees_world,
        program.facts.verified and not program.facts.writes_packet and not (needs.python or module.leaves),
        needs.blocks,
    )
    write_checked(path, made.encode())
    keep_newest(_PREFIX, _MOST_ENTRIES)
    return made


@cache
def _surroundings() -> str:
    """All that decides compiled code beside the program."""
    import llvmlite
    import llvmlite.binding as llvm

    cpu = f"{llvm.get_host_cpu_name()} {runtime.cpu_features()} {llvm.get_default_triple()}"
    return f"{sources_hash(_FOLDERS)} {llvmlite.__version__} {llvm.llvm_version_info} {cpu} {_PASSES}"


def _key(program: LoadedProgram, budget: int, counts_blocks: bool) -> str:
    spec = program.spec
    made = hashlib.sha256(_surroundings().encode())
    rows = {row.name for row in called_rows(program)}
    for piece in (
        *(encode_all(spec.code), spec.type, spec.attach_type, spec.kfuncs, sorted(spec.poisoned), sorted(rows)),
        *(program.facts, budget, counts_blocks, [_shape(made) for made in program.maps]),
        [(sub.name, sub.slot, sub.type_id) for sub in spec.subprograms],
        program.btf.raw if program.btf is not None else b"",
    ):
        data = piece if isinstance(piece, bytes) else repr(piece).encode()
        made.update(f"{len(data)} ".encode() + data)
    return made.hexdigest()[:40]


def _shape(made: Map) -> tuple[object, ...]:
    spec, header = made.spec, made.header
    sizes = (spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags, spec.read_only)
    return (*sizes, header.value_stride, header.cpu_stride, header.bucket_mask)


def compile_ir(text: str) -> bytes:
    """Object code for this machine's CPU, at codegen level 1: higher ones cost time and gain nothing here."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = runtime.target_machine(opt=1)
    module = llvm.parse_assembly(text)
    module.triple = llvm.get_default_triple()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes = llvm.create_new_module_pass_manager()
    for name in _PASSES:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module, builder)
    return bytes(machine.emit_object(module))


def load_code(made: Compiled, program: LoadedProgram, python: PythonCalls, counts: int) -> Any:
    """Load object code with its counters at address `counts`.

    The library that comes back has the exported addresses by name and keeps the code alive.
    """
    import llvmlite.binding as llvm

    builder = llvm.JITLibraryBuilder().add_object_img(made.image)
    for symbol in (RUN_BATCH, ENTRY, CALL):
        builder.export_symbol(symbol)
    for symbol, address in (_bindings(made, program, python) | {BLOCK_COUNTS: counts}).items():
        builder.import_symbol(symbol, address)
    return builder.link(runtime.jit_compiler(), f"xdpsim_program_{next(_library_numbers)}")


def _bindings(made: Compiled, program: LoadedProgram, python: PythonCalls) -> dict[str, int]:
    """The address behind each symbol that the code refers to."""
    code = program.spec.code
    found = {symbol: REGISTRY[symbol.removeprefix(runtime.SYMBOL_PREFIX)].address for symbol in made.natives}
    rows = {f"python_{row.name}": row for row in (*called_rows(program), KERNEL_READ)} if made.python else {}
    found |= {symbol: python.address(symbol, None if symbol == RESOLVE else rows[symbol]) for symbol in made.python}
    found |= {symbol: program.maps[index].header_address for symbol, index in made.maps.items()}
    for symbol, slot in made.addresses.items():
        insn = code[slot]
        assert insn is not None
        found[symbol] = imm64_value(program, slot, insn)
    return found | {NUMBER: program.number} | runtime.libc_symbols()
