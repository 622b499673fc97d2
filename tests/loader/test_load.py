"""Objects made by hand: what is loaded from them, and what damaged ones are told. Needs no compiler."""

from __future__ import annotations

import struct

import pytest

from tests.support.elf_writer import (
    EXEC,
    EXIT,
    LOCAL,
    NOTYPE,
    OBJECT,
    BtfWriter,
    ElfWriter,
    call_local,
    insn,
    ld_imm64,
    map_definition,
    sample,
)
from xdpsim.errors import InputError, Unsupported
from xdpsim.isa.insn import Code
from xdpsim.isa.rows import Family
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Line, Object, Subprogram


def load(elf: ElfWriter) -> Object:
    return load_object(elf.build(), "f.o")


def calls(code: Code) -> list[int]:
    """Slots that local calls lead to."""
    return [i + 1 + row.imm for i, row in enumerate(code) if row is not None and row.family is Family.CALL_LOCAL]


def test_the_sample() -> None:
    loaded = load_object(sample(), "dir/f.o")
    first = loaded.programs["first"]
    assert (loaded.name, loaded.licence, list(loaded.programs)) == ("dir/f.o", "GPL", ["first", "second"])
    assert (first.type, first.section, first.licence, first.unsupported) == ("XDP", "xdp", "GPL", "")
    assert first.subprograms == (Subprogram("first", 0, 5), Subprogram("helper", 9), Subprogram("leaf", 12))
    assert calls(first.code) == [9, 12]
    loads = [(row.op, row.imm, row.next_imm) for row in first.code if row and row.family is Family.LD_IMM64]
    assert loads == [("MAP_FD", 0, 0), ("MAP_VALUE", 1, 4), ("MAP_VALUE", 2, 0)]
    assert first.lines[1] == Line(6, "prog.c", 11, 1, "return 2;")
    assert (first.func_info, first.line_info) == ((), ())
    assert [(m.name, m.type, m.value_size, m.initial, m.flags) for m in loaded.maps] == [
        ("counts", "ARRAY", 8, None, 0),
        (".data", "ARRAY", 8, b"\x07\0\0\0\x08\0\0\0", 0x400),
        (".bss", "ARRAY", 8, bytes(8), 0x400),
    ]
    assert loaded.programs["second"].type == "SCHED_CLS"


def test_each_function_is_appended_once_in_the_order_of_the_calls() -> None:
    elf = ElfWriter()
    main = call_local() + call_local() + call_local() + EXIT
    text = elf.code(".text", EXIT + EXIT + call_local(-7) + EXIT + EXIT)
    xdp = elf.code("xdp", main + EXIT)
    a, b = elf.symbol("a", text, 0, 16), elf.symbol("b", text, 16, 16)
    c = elf.symbol("c", text, 32, 24)
    elf.symbol("unreached", text, 56, 16)
    elf.symbol("main", xdp, 0, len(main))
    elf.symbol("other", xdp, len(main), 16)
    for slot, symbol in enumerate((c, b, c)):
        elf.relocate(xdp, slot * 8, symbol, 10)
    elf.relocate(text, 32, a, 10)
    text_call = bytes(call_local(-1))
    elf.sections[text - 1][3] = EXIT + EXIT + text_call + EXIT + EXIT
    loaded = load(elf)
    names = [(s.name, s.slot) for s in loaded.programs["main"].subprograms]
    assert names == [("main", 0), ("c", 5), ("a", 8), ("b", 10)]
    assert calls(loaded.programs["main"].code) == [5, 10, 5, 8]
    assert len(loaded.programs["other"].code) == 2


def test_calls_into_other_sections_and_function_addresses() -> None:
    elf = ElfWriter()
    main = ld_imm64(2) + call_local() + EXIT
    xdp, tc = elf.code("xdp", main), elf.program("other", "tc")
    elf.symbol("main", xdp, 0, len(main))
    elf.relocate(xdp, 0, 1)
    elf.relocate(xdp, 16, 1, 10)
    code = load(elf).programs["main"].code
    assert tc
    assert code[0] is not None
    assert (code[0].op, code[0].imm, calls(code)) == ("FUNC", 4, [5])


def test_self_recursion_keeps_its_target() -> None:
    elf = ElfWriter()
    elf.program("main", "xdp", call_local(-1) + EXIT)
    assert calls(load(elf).programs["main"].code) == [0]


@pytest.mark.parametrize(
    ("section", "kind", "frags"),
    [("xdp", "XDP", False), ("xdp.frags", "XDP", True), ("tc", "SCHED_CLS", False), ("?xdp/devmap", "XDP", False),
     ("socket", "SOCKET_FILTER", False), ("cgroup_skb/egress", "CGROUP_SKB", False), ("fentry/x", "TRACING", False)],
)  # fmt: skip
def test_section_names(section: str, kind: str, frags: bool) -> None:
    elf = ElfWriter()
    elf.program("main", section)
    program = load(elf).programs["main"]
    assert (program.type, program.frags, program.unsupported) == (kind, frags, "")


def test_a_section_that_means_nothing_blocks_its_program_only() -> None:
    elf = ElfWriter()
    elf.program("odd", "mine/own")
    elf.program("good", "xdp")
    programs = load(elf).programs
    assert programs["odd"].type == ""
    assert programs["odd"].unsupported.startswith(
        "f.o:odd: missing BPF prog type, check ELF section name 'mine/own': say it with type=, or use xdp,"
    )
    assert programs["good"].unsupported == ""


def test_static_functions_outside_text_are_programs_unless_something_calls_them() -> None:
    elf = ElfWriter()
    section = elf.code("xdp", EXIT + EXIT + EXIT + call_local(-5) + EXIT)
    elf.symbol("called", section, 16, 16, bind=LOCAL)
    elf.symbol("alone", section, 0, 16, bind=LOCAL)
    elf.symbol("main", section, 32, 40)
    elf.symbols[3] = elf.symbols[3][:16] + struct.pack("<Q", 40)
    programs = load(elf).programs
    assert list(programs) == ["alone", "main"]
    assert [s.name for s in programs["main"].subprograms] == ["main", "called"]


def test_address_space_casts_block_the_program() -> None:
    elf = ElfWriter()
    elf.program("main", "xdp", insn(0xBF, 1, 2, 1, 1) + EXIT)
    program = load(elf).programs["main"]
    assert (program.code, program.unsupported) == (
        (),
        "f.o:main: insn 0: addr_space_cast (arena pointers) is not supported",
    )


def test_address_space_casts_in_a_function_block_its_callers() -> None:
    elf = ElfWriter()
    cast = insn(0xBF, 1, 2, 1, 1) + EXIT
    text = elf.code(".text", cast + call_local() + EXIT)
    caster = elf.symbol("caster", text, 0, len(cast))
    middle = elf.symbol("middle", text, len(cast), 24)
    xdp = elf.code("xdp", call_local() + call_local() + EXIT)
    elf.symbol("main", xdp, 0, 32)
    elf.relocate(xdp, 0, caster, 10)
    elf.relocate(xdp, 8, middle, 10)
    elf.relocate(text, len(cast), caster, 10)
    program = load(elf).programs["main"]
    assert program.code == ()
    assert "addr_space_cast (arena pointers) is not supported" in program.unsupported


def with_maps(**numbers: int) -> ElfWriter:
    elf, btf = ElfWriter(), BtfWriter()
    elf.program("main", "xdp")
    elf.symbol("m", elf.section(".maps", bytes(8 * len(numbers))), 0, 8 * len(numbers), OBJECT)
    btf.datasec(".maps", 0, (map_definition(btf, "m", **numbers), 0, 8 * len(numbers)))
    elf.section(".BTF", btf.build(), flags=0)
    return elf


def test_map_numbers() -> None:
    numbers = {"type": 9, "key_size": 6, "value_size": 16, "max_entries": 100, "map_flags": 2}
    numbers |= {"pinning": 1, "numa_node": 1}
    (spec,) = load(
        with_maps(type=9, key_size=6, value_size=16, max_entries=100, map_flags=2, pinning=1, numa_node=1)
    ).maps
    assert (spec.name, spec.type, spec.key_size, spec.value_size, spec.max_entries) == ("m", "LRU_HASH", 6, 16, 100)
    assert (spec.flags, spec.pinning, spec.numa_node) == (2, 1, 1)


@pytest.mark.parametrize(("entries", "rounded"), [(1, 4096), (4096, 4096), (5000, 8192), (12288, 16384), (0, 4096)])
def test_rings_are_whole_pages(entries: int, rounded: int) -> None:
    assert load(with_maps(type=27, max_entries=entries)).maps[0].max_entries == rounded


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"type": 0}, "f.o: map m: type 0, expected 1 to"),
        ({"type": 1000}, "f.o: map m: type 1000"),
        ({"type": 1, "colour": 3}, "f.o: map m: field 'colour': is not known here"),
    ],
)
def test_maps_refused(numbers: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(with_maps(**numbers))


def code_with(raw: bytes, *relocations: tuple[int, str, int], undefined: bool = False) -> ElfWriter:
    """A program of `raw` in xdp, with data, and relocations (offset, symbol, type)."""
    elf = ElfWriter()
    xdp = elf.program("main", "xdp", raw)
    data = elf.section(".data", bytes(8))
    other = elf.section("notes", bytes(8))
    numbers = {"main": 1, "v": elf.symbol("v", data, 0, 8, OBJECT), "far": elf.symbol("far", data, 64, 8, OBJECT)}
    numbers |= {"note": elf.symbol("note", other, 0, 8, OBJECT), "abs": elf.symbol("abs", 0xFFF1, 0, 0, OBJECT)}
    for offset, name, kind in relocations:
        elf.relocate(xdp, offset, numbers[name], kind)
    return elf


@pytest.mark.parametrize(
    ("elf", "words"),
    [
        (code_with(EXIT, (0, "v", 1)), r"f.o:main: insn 0: a relocation \('v'\) of mov, expected a call"),
        (code_with(ld_imm64(1) + EXIT, (8, "v", 1)), "f.o:main: insn 1: a relocation of the second slot"),
        (code_with(ld_imm64(1) + EXIT, (0, "v", 9)), "insn 0: relocation type 9, expected one of 1, 2, 3, 4, 10"),
        (code_with(ld_imm64(1) + EXIT, (0, "far", 1)), "refers to offset 64 of section '.data', expected 0 to 8"),
        (code_with(ld_imm64(1, -8) + EXIT, (0, "v", 1)), "refers to offset -8 of section '.data'"),
        (
            code_with(ld_imm64(1) + EXIT, (0, "note", 1)),
            "refers to 'note' at offset 0 of section 'notes'",
        ),
        (code_with(ld_imm64(1) + EXIT, (0, "abs", 1)), "refers to 'abs', which is in no section"),
        (code_with(ld_imm64(1, 8) + EXIT, (0, "main", 1)), "leads to byte 8 of section 'xdp', expected the start"),
        (code_with(call_local(5) + EXIT), "insn 0: a call leads to byte 48 of section 'xdp', expected the start"),
        (code_with(call_local() + EXIT, (0, "v", 10)), "insn 0: calls 'v', expected a function"),
        (code_with(ld_imm64(1, 3, src=1) + EXIT), "an LD_IMM64 of kind MAP_FD without a relocation"),
        (code_with(ld_imm64(1, 3, src=4) + EXIT), "an LD_IMM64 of kind FUNC without a relocation"),
        (code_with(insn(0xFF) + EXIT), r"f.o:main: insn 0 \(ff00000000000000\): unknown opcode ff"),
        (code_with(EXIT, (4, "v", 1)), "entry 0 at offset 4, expected a multiple of 8 below 16"),
        (code_with(EXIT, (16, "v", 1)), "entry 0 at offset 16, expected a multiple of 8 below 16"),
        (code_with(ld_imm64(1) + EXIT, (0, "v", 1), (0, "v", 1)), "entry 1 is the second at offset 0"),
    ],
)
def test_relocations_refused(elf: ElfWriter, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(elf)


def symbol_object(**change: int) -> ElfWriter:
    elf = ElfWriter()
    section = elf.code("xdp", EXIT)
    fields = {"section": section, "value": 0, "size": 16, "kind": 2, "bind": 1} | change
    elf.symbol("main", **fields)
    return elf


@pytest.mark.parametrize(
    ("elf", "words"),
    [
        (symbol_object(value=8), r"symbol 1 \('main'\): ends at byte 24 of section 'xdp', which has 16"),
        (symbol_object(size=0, value=16), "0 bytes at offset 16, expected multiples of 8"),
        (symbol_object(size=12), "12 bytes at offset 0, expected multiples of 8"),
        (symbol_object(kind=NOTYPE, value=12), "at byte 12 of section 'xdp', expected a multiple of 8 below 16"),
        (symbol_object(section=77), "in section 77, expected one below 4"),
        (symbol_object(section=3), "a function in section '.strtab', which is not executable"),
    ],
)
def test_symbols_refused(elf: ElfWriter, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(elf)


def test_two_programs_of_one_name() -> None:
    elf = ElfWriter()
    elf.program("main", "xdp")
    elf.program("main", "tc")
    with pytest.raises(InputError, match="two programs are called 'main'"):
        load(elf)


def patched(offset: int, layout: str, value: int) -> bytes:
    data = bytearray(sample())
    struct.pack_into(layout, data, offset, value)
    return bytes(data)


def section_field(index: int, offset: int, value: int, layout: str = "<Q") -> bytes:
    (table,) = struct.unpack_from("<Q", sample(), 40)
    return patched(table + 64 * index + offset, layout, value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "f.o: begins with nothing, expected an ELF object"),
        (b"\xd4\xc3\xb2\xa1 a capture", "f.o: begins with d4 c3 b2 a1, expected an ELF object"),
        (sample()[:40], "elf header: 40 bytes, expected at least 64"),
        (patched(4, "B", 1), "class 1, expected 2"),
        (patched(18, "<H", 62), r"machine 62 \(x86-64\), expected 247 \(bpf\)\n  build with clang -target bpf"),
        (patched(16, "<H", 2), "type 2, expected 1"),
        (patched(58, "<H", 40), "e_shentsize 40, expected 64"),
        (patched(60, "<H", 60000), "60000 section headers at byte"),
        (patched(62, "<H", 99), "e_shstrndx 99"),
        (patched(40, "<Q", 2**63), "section headers at byte 9223372036854775808"),
        (section_field(1, 32, 2**40), "section 1: ends at byte"),
        (section_field(2, 24, 64), "section 2: begins at byte 64, inside section 1|inside section 2"),
        (section_field(6, 32, 2**40), "section 6: 1099511627776 bytes without content"),
        (section_field(1, 8, 0x800 | 6), "section 1: is compressed"),
        (section_field(1, 4, 0x6FFFFFF6, "<I"), "section 1: type 0x6ffffff6"),
        (section_field(1, 0, 2**31, "<I"), "section 1: name at string offset 2147483648"),
    ],
)  # fmt: skip
def test_headers_that_lie(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_object(data, "f.o")


def test_big_endian_objects_are_unsupported() -> None:
    with pytest.raises(Unsupported, match=r"f\.o: elf header: big-endian eBPF\n  build with clang -target bpfel"):
        load_object(patched(5, "B", 2), "f.o")


def test_maps_need_btf() -> None:
    elf = ElfWriter()
    elf.program("main", "xdp")
    elf.section(".maps", bytes(32))
    with pytest.raises(InputError, match=r"section '\.maps': needs BTF, which is missing\n  build with clang -g"):
        load(elf)


def test_a_long_name_is_refused_and_flags_are_read() -> None:
    elf = ElfWriter()
    elf.program("main" * 2000, "xdp")
    with pytest.raises(InputError, match="a name of 8000 bytes, expected at most 4096"):
        load(elf)
    assert EXEC == 4


def test_functions_that_programs_share_do_not_multiply_without_end() -> None:
    elf = ElfWriter()
    count = 1000
    tiny = [call_local(1 if i < count - 1 else -1) + insn(0x95) for i in range(count)]
    text = elf.code(".text", b"".join(tiny))
    xdp = elf.code("xdp", (call_local() + insn(0x95)) * count)
    for i in range(count):
        elf.symbol(f"f{i}", text, i * 16, 16)
    for i in range(count):
        elf.symbol(f"p{i}", xdp, i * 16, 16)
        elf.relocate(xdp, i * 16, 1, 10)
    with pytest.raises(InputError, match="with it the programs take more than 1048576 insns together"):
        load(elf)
