"""Map definitions of old loaders, their prog arrays and maps of maps, and programs whose symbols say little."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support.clang import compile_c
from tests.support.elf_writer import EXIT, LOCAL, NOTYPE, OBJECT, BtfWriter, ElfWriter, insn, ld_imm64
from xdpsim.errors import InputError
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object
from xdpsim.loader.options import LoadOptions
from xdpsim.maps.spec import MapSpec


def load(elf: ElfWriter, **options: object) -> Object:
    return load_object(elf.build(), "f.o", LoadOptions(**options))  # type: ignore[arg-type]


def legacy(*records: tuple[int, ...], kind: int = OBJECT, sized: bool = True, section: str = "maps") -> ElfWriter:
    """An object with one map for each record of words, called m0, m1 ..., and a program that uses m0."""
    elf = ElfWriter()
    xdp = elf.program("main", "xdp", ld_imm64(1) + EXIT)
    raw = [struct.pack(f"<{len(r)}I", *r) for r in records]
    maps, at = elf.section(section, b"".join(raw)), 0
    for number, data in enumerate(raw):
        symbol = elf.symbol(f"m{number}", maps, at, len(data) if sized else 0, kind)
        if not number:
            elf.relocate(xdp, 0, symbol)
        at += len(data)
    return elf


def numbers(spec: MapSpec) -> tuple[object, ...]:
    return spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags


def test_a_section_of_maps_below_another_name() -> None:
    loaded = load(legacy((2, 4, 8, 1), (2, 4, 16, 1), section="lirc_mode2/maps"))
    assert [m.name for m in loaded.maps] == ["m0", "m1"]


@pytest.mark.parametrize("length", [16, 20, 24, 28, 32, 36, 40, 280])
def test_lengths(length: int) -> None:
    words = ((1, 4, 8, 100, 1) + (0,) * 65)[: length // 4]
    loaded = load(legacy(words, words))
    flags = 1 if length > 16 else 0
    assert [numbers(m) for m in loaded.maps] == [("HASH", 4, 8, 100, flags)] * 2
    code = loaded.programs["main"].code
    assert code[0] is not None
    assert (code[0].op, code[0].imm, loaded.programs["main"].unsupported) == ("MAP_FD", 0, "")


def test_symbols_without_type_and_size_end_where_the_next_begins() -> None:
    loaded = load(legacy((2, 4, 8, 1, 0), (2, 4, 16, 1, 0), kind=NOTYPE, sized=False))
    assert [(m.name, m.value_size) for m in loaded.maps] == [("m0", 8), ("m1", 16)]


def test_a_section_for_each_map() -> None:
    elf = ElfWriter()
    elf.program("main", "xdp")
    elf.section("maps/ports", struct.pack("<6I", 2, 4, 8, 7, 0, 2) + bytes(256))
    (spec,) = load(elf).maps
    assert (spec.name, spec.max_entries, spec.pinning) == ("ports", 7, 2)


@pytest.mark.parametrize(
    ("words", "pinning", "numa"),
    [
        ((2, 4, 4, 1, 0, 7, 2, 0, 0), 2, 0),
        ((2, 4, 4, 1, 0, 7, 2), 2, 0),
        ((2, 4, 4, 1, 4, 0, 1), 0, 1),
        ((2, 4, 4, 1, 0, 1) + (0,) * 64, 1, 0),
    ],
    ids=["iproute2", "old-iproute2", "samples", "gobpf"],
)
def test_what_follows_the_flags(words: tuple[int, ...], pinning: int, numa: int) -> None:
    (spec,) = load(legacy(words)).maps
    assert (spec.pinning, spec.numa_node) == (pinning, numa)


@pytest.mark.parametrize(
    ("elf", "words"),
    [
        (legacy((99, 4, 4, 1, 0)), "map m0: type 99, expected 1 to 33"),
        (legacy((2, 4, 4)), "map m0: 12 bytes at offset 0 of section 'maps', expected at least 16"),
        (legacy((2, 4, 4, 1, 0, 0, 0, 0, 0, 5)), "40 bytes with content behind byte 36, expected zeros"),
        (legacy((12, 4, 4, 1, 0, 1, 0, 1, 0)), "map m0: holds m0, a map of maps"),
    ],
)
def test_refused(elf: ElfWriter, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(elf)


def test_maps_of_maps_by_id_as_iproute2_makes_them() -> None:
    loaded = load(legacy((12, 4, 4, 3, 0, 0, 0, 42, 0), (2, 4, 8, 1, 0, 42, 0, 0, 2)))
    assert loaded.maps[0].inner == loaded.maps[1]
    assert loaded.map_values == {"m0": {2: "m1"}}


def test_maps_of_maps_by_place_as_the_kernel_samples_make_them() -> None:
    loaded = load(legacy((2, 4, 8, 1, 0, 0, 0), (2, 4, 16, 1, 0, 0, 0), (13, 4, 4, 3, 0, 0, 0), (12, 4, 4, 3, 0, 1, 0)))
    assert [m.inner for m in loaded.maps] == [None, None, loaded.maps[0], loaded.maps[1]]
    with pytest.raises(InputError, match="map m0: holds m1, a map of maps"):
        load(legacy((12, 4, 4, 1, 0, 1, 0), (12, 4, 4, 1, 0, 0, 0)))


def test_types_of_legacy_maps() -> None:
    elf, btf = legacy((1, 4, 8, 1, 0)), BtfWriter()
    key, value = btf.int("u32", 4), btf.int("u64", 8)
    btf.struct("____btf_map_m0", 16, ("key", key, 0), ("value", value, 64))
    elf.section(".BTF", btf.build(), flags=0)
    (spec,) = load(elf).maps
    assert (spec.key_type, spec.value_type) == (key, value)


def tails(**symbol: int) -> ElfWriter:
    """iproute2's way: prog array 7 (of no size), programs in sections 7/0 and 0x7/2."""
    elf = ElfWriter()
    main = elf.program("main", "xdp", ld_imm64(2) + EXIT)
    maps = elf.section("maps", struct.pack("<9I", 3, 4, 4, 0, 0, 7, 2, 0, 0))
    elf.relocate(main, 0, elf.symbol("jumps", maps, 0, 36, OBJECT))
    for name, section in (("first", "7/0"), ("third", "0x7/2")):
        elf.symbol(name, elf.code(section, EXIT), 0, **({"size": 16} | symbol))
    return elf


@pytest.mark.parametrize("symbol", [{}, {"kind": NOTYPE, "size": 0}], ids=["typed", "untyped"])
def test_sections_that_name_a_slot_fill_the_prog_array(symbol: dict[str, int]) -> None:
    loaded = load(tails(**symbol))
    assert loaded.map_values == {"jumps": {0: "first", 2: "third"}}
    assert loaded.maps[0].max_entries == 3
    assert {n: (p.type, p.unsupported) for n, p in loaded.programs.items()} == dict.fromkeys(
        ("main", "first", "third"), ("XDP", "")
    )


def test_a_prog_array_of_no_size_that_nothing_fills_has_one_slot() -> None:
    assert load(legacy((3, 4, 4, 0, 0))).maps[0].max_entries == 1


def test_a_slot_far_away_does_not_make_a_huge_map() -> None:
    elf = tails()
    elf.program("far", "7/2147483647")
    with pytest.raises(InputError, match="map jumps: has no size, and slot 2147483647, expected at most 65535"):
        load(elf)


def test_an_event_array_of_no_size_has_a_slot_for_each_cpu() -> None:
    assert load(legacy((4, 4, 4, 0, 0)), cpus=6).maps[0].max_entries == 6


def test_functions_without_type_and_size() -> None:
    elf = ElfWriter()
    section = elf.code("xdp", EXIT + insn(0xB7) + EXIT)
    elf.symbol("first", section, 0, 0, NOTYPE)
    elf.symbol("LBB0_1", section, 8, 0, NOTYPE, LOCAL)
    elf.symbol("second", section, 16, 0, NOTYPE)
    elf.code("tc", EXIT)
    programs = load(elf).programs
    assert {n: (p.type, len(p.code)) for n, p in programs.items()} == {
        "first": ("XDP", 2),
        "second": ("XDP", 3),
        "tc": ("SCHED_CLS", 2),
    }


def test_functions_without_a_size_end_where_the_next_begins() -> None:
    elf = ElfWriter()
    section = elf.code("xdp", EXIT + insn(0xB7) + EXIT)
    elf.symbol("second", section, 16, 0)
    elf.symbol("first", section, 0, 0)
    assert {n: len(p.code) for n, p in load(elf).programs.items()} == {"first": 2, "second": 3}


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("xdp_fw_prog", "XDP"),
        ("xdp/lb", "XDP"),
        ("prog", "XDP"),
        ("classifier_main", "SCHED_CLS"),
        ("tc/from_lxc", "SCHED_CLS"),
        ("socket1", "SOCKET_FILTER"),
        ("cgroup/connect4_x", "CGROUP_SOCK_ADDR"),
        ("from-netdev", ""),
    ],
)
def test_names_of_sections_that_old_loaders_knew(section: str, kind: str) -> None:
    elf = ElfWriter()
    elf.program("main", section)
    assert load(elf).programs["main"].type == kind


def test_types_that_the_user_gives() -> None:
    elf = ElfWriter()
    for name, section in (("a", "from-netdev"), ("b", "xdp"), ("c", "1/2")):
        elf.program(name, section)
    assert [p.type for p in load(elf, type="tc").programs.values()] == ["SCHED_CLS", "XDP", "SCHED_CLS"]
    assert [p.type for p in load(elf, type={"b": "SCHED_ACT"}).programs.values()] == ["", "SCHED_ACT", ""]
    assert load(elf, type={"a": "xdp.frags"}).programs["a"].frags
    with pytest.raises(InputError, match=r"f\.o: type of z: no such program\n  there are a, b, c"):
        load(elf, type={"z": "xdp"})
    with pytest.raises(InputError, match=r"f\.o: type: 'xpd' is no program type"):
        load(elf, type="xpd")


def test_text_alone() -> None:
    elf = ElfWriter()
    text = elf.code(".text", EXIT + insn(0x85, src=1, imm=-3) + EXIT)
    elf.symbol("leaf", text, 0, 16)
    elf.symbol("main", text, 16, 24)
    assert [(n, p.type) for n, p in load(elf, type="xdp").programs.items()] == [("main", "XDP")]


REAL = """
struct bpf_map_def { __u32 type, key_size, value_size, max_entries, map_flags; };
struct bpf_elf_map { __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx; };
struct RECORD SEC("maps") counts = { 2, 4, 8, 4, 0 };
struct RECORD SEC("maps") jumps = { 3, 4, 4, 2, 0 };
static __u32 seen SEC(".bss.own"); static __u32 limit SEC(".data.own") = 5;
static __noinline int leaf(int x) { return x * 2 + seen++; }
SEC("xdp") int one(struct xdp_md *c) { __u32 k = 1; __u64 *v = bpf_map_lookup_elem(&counts, &k);
    if (v) __sync_fetch_and_add(v, 1);
    bpf_tail_call(c, &jumps, 0); return leaf(c->data_end - c->data) > limit ? 2 : 1; }
SEC("xdp") int two(struct xdp_md *c) { return leaf(3); }
"""


@pytest.mark.parametrize("record", ["bpf_map_def", "bpf_elf_map"])
@pytest.mark.parametrize("flags", [("-g0",), ("-mcpu=v1",), ("-mcpu=v2",), ("-mcpu=v3",), ("-mcpu=v4",)], ids="".join)
def test_what_clang_makes_of_them(tmp_path: Path, record: str, flags: tuple[str, ...]) -> None:
    loaded = load_object(compile_c(REAL, tmp_path, f"-DRECORD={record}", *flags), "f.o")
    assert {n: p.unsupported for n, p in loaded.programs.items()} == {"one": "", "two": ""}
    assert {m.name: m.type for m in loaded.maps} == {
        "counts": "ARRAY",
        "jumps": "PROG_ARRAY",
        ".bss.own": "ARRAY",
        ".data.own": "ARRAY",
    }
    assert [s.name for s in loaded.programs["one"].subprograms] == ["one", "leaf"]
