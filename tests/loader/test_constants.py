"""Variables, and sizes of maps, that a user sets before the object is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clang import compile_c
from tests.support.elf_writer import OBJECT, ElfWriter
from xdpsim.errors import InputError
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object
from xdpsim.loader.options import LoadOptions

SOURCE = """
const volatile __u32 limit = 5; static volatile const __u8 small = 1; volatile __u64 total; int shared = 3;
volatile const __u32 __config_mtu SEC(".rodata.config") = 1500; const volatile char name[8] = "eth0";
struct conf { __u16 port; __u8 mac[6]; struct { __u32 a, b; } inner; } conf = { 80, {1}, {2, 3} };
struct { __uint(type, 1); __uint(max_entries, 16); __type(key, __u32); __type(value, __u64); } table SEC(".maps");
static int f1(void) { static volatile int twice = 1; return twice++; }
static __noinline int f2(void) { static volatile int twice SEC(".data.two") = 1; return twice++; }
SEC("xdp") int f(struct xdp_md *c) { __u32 k = 0; bpf_map_lookup_elem(&table, &k);
    return limit + small + total + shared + __config_mtu + name[0] + conf.port + conf.inner.b + f1() + f2(); }
"""


def load(directory: Path, constants: dict[str, object], *flags: str) -> Object:
    return load_object(compile_c(SOURCE, directory, *flags), "f.o", LoadOptions(constants=constants))


def content(loaded: Object, section: str) -> bytes:
    raw = next(m.initial for m in loaded.maps if m.name == section)
    assert raw is not None
    return raw


def test_values_by_type(tmp_path: Path) -> None:
    before = load(tmp_path, {})
    given = {"limit": "0x10", "small": 255, "total": 2**64 - 1, "mtu": 9000, "name": "wlan0", "table": "1000"}
    given |= {"conf": {"port": 443}, "f1.twice": 7, "conf.inner.b": 9, "conf.mac": "02:00:00:00:00:01"}
    after = load(tmp_path, given)
    assert content(after, ".rodata.config") == (9000).to_bytes(4, "little")
    assert content(after, ".bss") == b"\xff" * 8
    assert (2**4).to_bytes(4, "little") in content(after, ".rodata")
    assert b"wlan0\0\0\0" in content(after, ".rodata")
    conf = (443).to_bytes(2, "little") + bytes.fromhex("020000000001") + b"\2\0\0\0\x09\0\0\0"
    assert conf in content(after, ".data")
    assert content(after, ".data.two") == content(before, ".data.two")
    assert next(m.max_entries for m in after.maps if m.name == "table") == 1000


def test_a_name_in_two_sections() -> None:
    elf = ElfWriter()
    elf.program("main", "xdp")
    for name in (".data", ".data.two"):
        elf.symbol("twice", elf.section(name, bytes(4)), 0, 4, OBJECT)
    with pytest.raises(InputError, match=r"2 variables have that name\n  say which: \.data:twice, \.data\.two:twice"):
        load_object(elf.build(), "f.o", LoadOptions(constants={"twice": 1}))
    after = load_object(elf.build(), "f.o", LoadOptions(constants={".data.two:twice": 1}))
    assert (content(after, ".data"), content(after, ".data.two")) == (bytes(4), b"\1\0\0\0")


def test_values_without_types(tmp_path: Path) -> None:
    data = load_object(
        compile_c('volatile __u32 limit = 5; SEC("xdp") int f(void *c) { return limit; }', tmp_path, "-g0"),
        "f.o",
        LoadOptions(constants={"limit": -1}),
    )
    assert content(data, ".data") == b"\xff" * 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"limit": 2**32}, r"f\.o: constant limit: 4294967296, expected 0 to 4294967295"),
        ({"small": -1}, "constant small: -1, expected 0 to 255"),
        ({"nope": 1}, "constant nope: no variable and no map is called that\n  variables: "),
        ({"conf.nope": 1}, r"constant conf\.nope: no such field"),
        ({"table": 0}, "map table: 0 entries, expected 1 to 4294967295"),
        ({"table": "many"}, "map table: 'many' entries"),
        ({"name": "far too long"}, "constant name: text of 12 bytes, expected at most 8"),
    ],
)
def test_refused(tmp_path: Path, given: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(tmp_path, given)
