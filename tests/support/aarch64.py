"""Programs compiled for aarch64 and run under qemu's user emulation: a harness, and a linker small enough for it.

All programs go into one LLVM module with the native runtime and a `_start` that runs one after the other on a run state
and writes what each left in r0, with its fault word. No compiler and no linker for aarch64 is needed.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from tests.support.corpus import Workbench
from xdpsim.engines.jit.module import Module
from xdpsim.engines.jit.needs import BLOCK_COUNTS, FAULT_CODE, NUMBER
from xdpsim.engines.limits import DEFAULT_BUDGET
from xdpsim.isa.insn import Code
from xdpsim.memory.runtime import bitcode_path
from xdpsim.memory.structs import RUN_STATE, STACK_BYTES

QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
TRIPLE = "aarch64-unknown-linux-gnu"
_BASE, _PAGE, _ALIGN = 0x400000, 0x1000, 64
_PASSES = ("sroa", "instruction_combine", "simplify_cfg", "new_gvn", "global_dead_code_eliminate")

_ASK = (0xAA0003E8, 0xAA0103E0, 0xAA0203E1, 0xAA0303E2, 0xD4000001, 0xD65F03C0)
"""ask(number, three arguments), a system call: x8 = x0, x0 to x2 = x1 to x3, svc, ret. There is no assembler here."""

_HARNESS = """
@state = internal global [{state} x i8] zeroinitializer, align 64
@out = internal global [{count} x [2 x i64]] zeroinitializer, align 64
@ask = internal constant [6 x i32] [{ask}], align 4
@table = internal constant [{count} x ptr] [{table}]
@{number} = global i8 0
@{counts} = global i8 0
define void @_start() noreturn {{
entry:
  %rs = ptrtoint ptr @state to i64
  %top = add i64 %rs, {top}
  %context = add i64 %rs, {context}
  br label %head
head:
  %n = phi i64 [ 0, %entry ], [ %next, %head ]
  store i64 %top, ptr getelementptr (i8, ptr @state, i64 {stack_low})
  store i64 {budget}, ptr getelementptr (i8, ptr @state, i64 {budget_at})
  store i32 0, ptr getelementptr (i8, ptr @state, i64 {fault})
  %place = getelementptr ptr, ptr @table, i64 %n
  %program = load ptr, ptr %place
  %r0 = call i64 %program(ptr @state, i64 %context, i64 0, i64 0, i64 0, i64 0)
  %code = load i32, ptr getelementptr (i8, ptr @state, i64 {fault})
  %wide = zext i32 %code to i64
  %left = getelementptr [2 x i64], ptr @out, i64 %n
  store i64 %r0, ptr %left
  %beside = getelementptr i64, ptr %left, i64 1
  store i64 %wide, ptr %beside
  %next = add i64 %n, 1
  %more = icmp ult i64 %next, {count}
  br i1 %more, label %head, label %done
done:
  call i64 @ask(i64 64, i64 1, ptr @out, i64 {bytes})
  call i64 @ask(i64 93, i64 0, ptr null, i64 0)
  unreachable
}}
define void @memset(ptr %to, i32 %byte, i64 %size) "no-builtins" {{
entry:
  %value = trunc i32 %byte to i8
  br label %head
head:
  %n = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp ult i64 %n, %size
  br i1 %more, label %body, label %done
body:
  %at = getelementptr i8, ptr %to, i64 %n
  store volatile i8 %value, ptr %at
  %next = add i64 %n, 1
  br label %head
done:
  ret void
}}
"""


def run_on_aarch64(programs: Sequence[Code], folder: Path) -> list[tuple[int, int]]:
    """r0 and the fault word of each program."""
    path = folder / "programs"
    path.write_bytes(link(_object(programs)))
    path.chmod(0o755)
    assert QEMU
    done = subprocess.run([QEMU, str(path)], capture_output=True, check=True)
    words = struct.unpack(f"<{2 * len(programs)}Q", done.stdout)
    return list(zip(words[::2], words[1::2], strict=True))


def _object(programs: Sequence[Code]) -> bytes:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    merged = llvm.parse_bitcode(bitcode_path().read_bytes())
    for number, module in enumerate(_modules(programs)):
        for function in module.functions:
            if not function.is_declaration:
                function.name = f"p{number}_{function.name}"
        merged.link_in(module)
    merged.link_in(llvm.parse_assembly(_harness(len(programs))))
    merged.triple = TRIPLE
    for function in merged.functions:
        if not function.is_declaration and function.name not in ("_start", "memset"):
            function.linkage = llvm.Linkage.internal
    for variable in merged.global_variables:
        if not variable.is_declaration:
            variable.linkage = llvm.Linkage.internal  # no table of addresses is needed for what is here
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu="cortex-a72", opt=1, reloc="static", codemodel="small"
    )
    passes = llvm.create_new_module_pass_manager()
    for name in _PASSES:
        getattr(passes, f"add_{name}_pass")()
    passes.run(merged, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1)))
    return bytes(machine.emit_object(merged))


def _modules(programs: Iterable[Code]) -> Iterable[Any]:
    import llvmlite.binding as llvm

    bench = Workbench("interpreter")
    for code in programs:
        yield llvm.parse_assembly(Module(bench.load(code), DEFAULT_BUDGET).text)


def _harness(count: int) -> str:
    names = [f"p{number}_entry" for number in range(count)]
    declared = "\n".join(f"declare i64 @{name}(ptr, i64, i64, i64, i64, i64)" for name in names)
    return declared + _HARNESS.format(
        state=RUN_STATE.size,
        count=count,
        ask=", ".join(f"i32 {word}" for word in _ASK),
        bytes=16 * count,
        table=", ".join(f"ptr @{name}" for name in names),
        number=NUMBER,
        counts=BLOCK_COUNTS,
        top=RUN_STATE.offset("stack") + STACK_BYTES,
        context=RUN_STATE.offset("xdp"),
        stack_low=RUN_STATE.offset("stack_low"),
        budget=DEFAULT_BUDGET,
        budget_at=RUN_STATE.offset("budget"),
        fault=FAULT_CODE,
    )


def link(image: bytes) -> bytes:
    """A static executable out of one object file: its sections one after the other, its relocations applied."""
    elf = ELFFile(io.BytesIO(image))
    sections = [s for s in elf.iter_sections() if s["sh_flags"] & 2 and s["sh_size"]]
    sections.sort(key=lambda section: section["sh_type"] == "SHT_NOBITS")
    places, at = {}, _BASE + _PAGE
    for section in sections:
        at = -(-at // _ALIGN) * _ALIGN
        places[section.name], at = at, at + section["sh_size"]
    end = at
    filled = max((places[s.name] + s["sh_size"] for s in sections if s["sh_type"] != "SHT_NOBITS"), default=at)
    memory = bytearray(filled - _BASE)
    for section in sections:
        if section["sh_type"] != "SHT_NOBITS":
            start = places[section.name] - _BASE
            memory[start : start + section["sh_size"]] = section.data()
    symbols = elf.get_section_by_name(".symtab")
    addresses = [_address(elf, symbol, places) for symbol in symbols.iter_symbols()]
    for section in elf.iter_sections():
        if section["sh_type"] == "SHT_RELA" and elf.get_section(section["sh_info"]).name in places:
            base = places[elf.get_section(section["sh_info"]).name]
            for entry in section.iter_relocations():
                target = addresses[entry["r_info_sym"]] + entry["r_addend"]
                _apply(memory, base + entry["r_offset"], entry["r_info_type"], target)
    start = next(a for a, s in zip(addresses, symbols.iter_symbols(), strict=True) if s.name == "_start")
    memory[:120] = _headers(start, filled - _BASE, end - _BASE)
    return bytes(memory)


def _headers(entry: int, file_bytes: int, memory_bytes: int) -> bytes:
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 183, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 7, 0, _BASE, _BASE, file_bytes, memory_bytes, _PAGE)


def _address(elf: ELFFile, symbol: Any, places: dict[str, int]) -> int:
    index = symbol["st_shndx"]
    if not isinstance(index, int):
        assert not symbol.name or index != "SHN_UNDEF", f"nothing defines {symbol.name}"
        return 0
    return places.get(elf.get_section(index).name, 0) + int(symbol["st_value"])


_LOW12 = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}
"""R_AARCH64_ADD_ABS_LO12_NC and the LDST<n>_ABS_LO12_NC: by how much the offset is scaled."""


def _apply(memory: bytearray, place: int, kind: int, target: int) -> None:
    """One relocation of the ELF for the Arm 64-bit architecture."""
    at = place - _BASE
    if kind == 257:  # R_AARCH64_ABS64
        memory[at : at + 8] = target.to_bytes(8, "little")
        return
    if kind == 261:  # R_AARCH64_PREL32
        memory[at : at + 4] = ((target - place) & 0xFFFF_FFFF).to_bytes(4, "little")
        return
    word = int.from_bytes(memory[at : at + 4], "little")
    if kind in (282, 283):  # R_AARCH64_JUMP26, CALL26
        word |= (target - place) >> 2 & 0x3FF_FFFF
    elif kind == 275:  # R_AARCH64_ADR_PREL_PG_HI21
        pages = (target >> 12) - (place >> 12)
        word |= (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
    elif kind in _LOW12:
        word |= (target & 0xFFF) >> _LOW12[kind] << 10
    else:
        raise AssertionError(f"relocation {kind}")
    memory[at : at + 4] = word.to_bytes(4, "little")
