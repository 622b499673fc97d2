"""Objects that clang makes: what libbpf makes of them, and whether the running kernel takes what we make of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.clang import bpffs, bpftool, compile_c
from xdpsim.errors import InputError, Unsupported
from xdpsim.isa.decode import encode_all
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object, ProgramSpec
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_MMAPABLE, BPF_F_RDONLY_PROG, MAP_TYPES
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.btf import load_btf
from xdpsim.sysbpf.maps import KernelMap, MapDefinition, create_map
from xdpsim.sysbpf.programs import ProgramDefinition, load_program
from xdpsim.sysbpf.syscall import Fd, available

live = pytest.mark.skipif(bool(reason := available()), reason=reason)

EVERYTHING = """
struct key { __u32 prefixlen; __be32 addr; };
struct { __uint(type, 11); __uint(max_entries, 16); __uint(map_flags, 1); __type(key, struct key);
         __type(value, __u64); } lpm SEC(".maps");
struct { __uint(type, 6); __uint(max_entries, 4); __type(key, __u32); __type(value, __u64); } percpu SEC(".maps");
struct { __uint(type, 14); __uint(max_entries, 4); __uint(key_size, 4); __uint(value_size, 4); } ports SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 5000); } ring SEC(".maps");
struct inner { __uint(type, 2); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); }
    in1 SEC(".maps"), in2 SEC(".maps");
struct { __uint(type, 12); __uint(max_entries, 2); __type(key, __u32); __type(value, __u32);
         __array(values, struct inner); } outer SEC(".maps") = { .values = { &in1, [1] = &in2 } };
int second(struct xdp_md *ctx);
struct { __uint(type, 3); __uint(max_entries, 4); __uint(key_size, 4); __array(values, int (struct xdp_md *)); }
    jumps SEC(".maps") = { .values = { [2] = &second } };
__u32 limit = 10; __u64 total; static volatile __u32 hits; const volatile __u32 conf = 5;
static volatile const __u32 table[3] = { 1, 2, 3 }; int custom SEC(".data.mine") = 3;
static __noinline int sub(int x) { hits += x; return x * 3 + table[x & 1]; }
__noinline int global(int y) { return sub(y) + conf; }
__hidden __noinline int hidden(int y) { return sub(y) - conf; }
static int step(__u32 i, void *c) { hits++; return 0; }
SEC("xdp") int first(struct xdp_md *ctx) {
    __u32 k = 0; struct key kk = { 32, 1 }; __u64 *v = bpf_map_lookup_elem(&percpu, &k);
    if (v) *v += 1;
    total++; custom++;
    bpf_loop(3, step, 0, 0);
    if (bpf_map_lookup_elem(&outer, &k) || bpf_map_lookup_elem(&lpm, &kk)) k++;
    return global(limit + k) > 5 ? 2 : 1;
}
SEC("xdp") int second(struct xdp_md *ctx) {
    bpf_tail_call(ctx, &jumps, 1); return hidden(ctx->ingress_ifindex) > 2 ? 2 : 1; }
SEC("xdp.frags") int third(struct xdp_md *ctx) { static __u64 seen; return seen++ & 1 ? 2 : 1; }
SEC("tc") int fourth(void *ctx) { return sub(1); }
"""

EVENT_MAPS = ("PERF_EVENT_ARRAY", "RINGBUF", "USER_RINGBUF")  # their value type is that of the events


def kernel_map(spec: MapSpec, btf: Fd | None) -> KernelMap:
    """The map as the kernel makes it from our definition."""
    inner = kernel_map(spec.inner, btf).fd if spec.inner else None
    typed = btf if (spec.key_type or spec.value_type) and spec.type not in EVENT_MAPS else None
    definition = MapDefinition(
        type=MAP_TYPES[spec.type].id,
        key_size=spec.key_size,
        value_size=spec.value_size,
        max_entries=spec.max_entries,
        flags=spec.flags,
        inner=inner,
        btf=typed,
        key_type=spec.key_type if typed else 0,
        value_type=spec.value_type if typed else 0,
    )
    return create_map(definition, 2)


def kernel_program(spec: ProgramSpec, maps: list[KernelMap], btf: Fd | None) -> Fd:
    """The kernel's verdict on our relocated instructions with our line and function information."""
    code = tuple(
        replace(row, imm=maps[row.imm].fd.number) if row is not None and row.op in ("MAP_FD", "MAP_VALUE") else row
        for row in spec.code
    )
    return load_program(
        ProgramDefinition(
            type=PROG_TYPES[spec.type].id,
            code=encode_all(code),
            name=spec.name,
            attach_type=spec.attach_type,
            licence=spec.licence,
            btf=btf,
            func_info=spec.func_info,
            line_info=spec.line_info,
        )
    )


def accepted(loaded: Object) -> list[str]:
    """Names of the programs that the kernel takes; tried are those without anything that only engines know."""
    btf = load_btf(loaded.btf.raw) if loaded.btf else None
    maps = [kernel_map(spec, btf) for spec in loaded.maps]
    names = []
    for spec in loaded.programs.values():
        if not (spec.unsupported or spec.kfuncs or spec.poisoned):
            kernel_program(spec, maps, btf).close()
            names.append(spec.name)
    return names


@live
@pytest.mark.parametrize("flags", [(), ("-mcpu=v4",), ("-O1", "-mcpu=v3")], ids=["default", "v4", "O1"])
def test_the_kernel_takes_programs_maps_and_types(tmp_path: Path, flags: tuple[str, ...]) -> None:
    loaded = load_object(compile_c(EVERYTHING, tmp_path, *flags), "prog.o")
    assert sorted(accepted(loaded)) == ["first", "fourth", "second", "third"]
    for program in loaded.programs.values():
        assert program.func_info
        assert program.line_info
        assert {line.slot for line in program.lines} >= {s.slot for s in program.subprograms}


def pinned(name: str) -> str:
    """The file that libbpf pins a map of prog.o to: the plain data sections are called after the object."""
    return f"{'prog' if name in ('.data', '.rodata', '.bss') else ''}{name.replace('.', '_')}"


@live
def test_maps_are_those_that_libbpf_makes(tmp_path: Path) -> None:
    loaded = load_object(compile_c(EVERYTHING, tmp_path), "prog.o")
    with bpffs(tmp_path) as fs:
        bpftool("prog", "loadall", str(tmp_path / "prog.o"), str(fs / "p"), "pinmaps", str(fs / "m"))
        assert {p.name for p in (fs / "p").iterdir()} == set(loaded.programs)
        theirs = {p.name: json.loads(bpftool("-j", "map", "show", "pinned", str(p))) for p in (fs / "m").iterdir()}
    names = {m.name: m for m in loaded.maps}
    assert {pinned(name) for name in names} == set(theirs)
    for name, ours in names.items():
        row = theirs[pinned(name)]
        assert row["type"].upper() == ours.type
        assert (row["bytes_key"], row["bytes_value"], row["max_entries"]) == (
            ours.key_size,
            ours.value_size,
            ours.max_entries,
        )
        # Older libbpf maps all global data into user space, newer only where a variable is not static.
        # The kernel itself makes a DEVMAP read-only for programs.
        ignored = BPF_F_MMAPABLE | (BPF_F_RDONLY_PROG if ours.type == "DEVMAP" else 0)
        assert row["flags"] & ~ignored == ours.flags & ~ignored
        assert bool(row["frozen"]) == ours.read_only


@live
def test_programs_are_those_that_libbpf_makes(tmp_path: Path) -> None:
    loaded = load_object(compile_c(EVERYTHING, tmp_path), "prog.o")
    with bpffs(tmp_path) as fs:
        bpftool("prog", "loadall", str(tmp_path / "prog.o"), str(fs / "p"))
        btf = load_btf(loaded.btf.raw) if loaded.btf else None
        maps = [kernel_map(spec, btf) for spec in loaded.maps]
        for name, spec in loaded.programs.items():
            with kernel_program(spec, maps, btf) as mine:
                bpftool("prog", "pin", "id", str(prog_id(mine)), str(fs / f"mine_{name}"))
                dumps = [
                    ("prog", "dump", "xlated", "pinned", str(fs / p), "linum") for p in (f"p/{name}", f"mine_{name}")
                ]
                texts = [bpftool(*arguments) for arguments in dumps]
            assert without_ids(texts[1]) == without_ids(texts[0])


def prog_id(fd: Fd) -> int:
    """The kernel's number of a program."""
    for line in Path(f"/proc/self/fdinfo/{fd.number}").read_text().splitlines():
        if line.startswith("prog_id"):
            return int(line.split()[1])
    raise AssertionError("no prog_id")


def without_ids(text: str) -> list[str]:
    """A dump without map ids and addresses, which differ from load to load."""
    return [re.sub(r"map\[id:\d+\]|bpf_prog_[0-9a-f]{16}|0x[0-9a-f]{9,}", "-", line) for line in text.splitlines()]


def test_what_clang_makes(tmp_path: Path) -> None:
    loaded = load_object(compile_c(EVERYTHING, tmp_path), "prog.o")
    first = loaded.programs["first"]
    assert sorted(s.name for s in first.subprograms) == ["first", "global", "step", "sub"]
    assert loaded.programs["third"].frags
    assert loaded.map_values == {"outer": {0: "in1", 1: "in2"}, "jumps": {2: "second"}}
    line = next(row for row in first.lines if "total++" in row.text)
    assert (line.file.endswith("prog.c"), line.text) == (True, "total++; custom++;")
    names = {m.name: m for m in loaded.maps}
    assert names["ring"].max_entries == 8192
    assert names["lpm"].btf is not None
    assert names["lpm"].btf.type_name(names["lpm"].key_type) == "struct key"


EXOTIC = """
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *, __u32 *, int *) __attribute__((section(".ksyms")));
extern const void bpf_prog_active __attribute__((section(".ksyms")));
extern int CONFIG_HZ __attribute__((section(".kconfig")));
struct task { int pid; } __attribute__((preserve_access_index));
struct { __u32 type, key_size, value_size, max_entries, map_flags; } old SEC("maps") = { 2, 4, 8, 1, 0 };
SEC("xdp") int good(struct xdp_md *c) { return 2; }
SEC("xdp") int kfunc(struct xdp_md *c) { __u32 h = 0; int t; bpf_xdp_metadata_rx_hash(c, &h, &t); return h ? 2 : 1; }
SEC("xdp") int ksym(struct xdp_md *c) { return *(int *)&bpf_prog_active ? 2 : 1; }
SEC("xdp") int kconfig(struct xdp_md *c) { return CONFIG_HZ > 5 ? 2 : 1; }
SEC("xdp") int legacy(struct xdp_md *c) { __u32 k = 0; return bpf_map_lookup_elem(&old, &k) ? 2 : 1; }
SEC("kprobe/foo") int core(struct task *t) { return t->pid; }
SEC("whatever/x") int odd(struct xdp_md *c) { return 2; }
"""


def test_exotic_programs_are_blocked_by_name_and_line_or_not_at_all(tmp_path: Path) -> None:
    loaded = load_object(compile_c(EXOTIC, tmp_path), "prog.o")
    found = {name: p.unsupported for name, p in loaded.programs.items()}
    assert [found[n] for n in ("good", "kfunc", "kconfig", "legacy", "core")] == [""] * 5
    assert loaded.programs["kfunc"].kfuncs == ("bpf_xdp_metadata_rx_hash",)
    assert "prog.c:" in found["ksym"]
    assert "address of 'bpf_prog_active', a kernel symbol that is not known here" in found["ksym"]
    assert list(loaded.programs["core"].poisoned.values()) == [
        "poisoned CO-RE relocation of struct task.pid (field byte offset): not in the shipped types of Linux 6.18"
    ]
    assert "missing BPF prog type, check ELF section name 'whatever/x'" in found["odd"]


@live
def test_the_kernel_takes_types_of_objects_with_externs(tmp_path: Path) -> None:
    assert accepted(load_object(compile_c(EXOTIC, tmp_path), "prog.o")) == ["good", "kconfig", "legacy"]


def test_maps_of_events_keep_the_type_of_the_events(tmp_path: Path) -> None:
    source = """
struct event { __u64 when; __u32 what; };
struct { __uint(type, 27); __uint(max_entries, 4096); __type(value, struct event); } ring SEC(".maps");
struct { __uint(type, 4); __type(key, int); __type(value, struct event); } perf SEC(".maps");
struct { __uint(type, 4); __type(key, int); __type(value, int); } plain SEC(".maps");
SEC("xdp") int f(struct xdp_md *c) { return 2; }
"""
    loaded = load_object(compile_c(source, tmp_path), "f.o")
    found = {
        m.name: (m.key_size, m.value_size, m.key_type, m.btf.type_name(m.value_type)) for m in loaded.maps if m.btf
    }
    assert found == {
        "ring": (0, 0, 0, "struct event"),
        "perf": (4, 4, 0, "struct event"),
        "plain": (4, 4, 0, "void"),
    }


def test_other_targets(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="big-endian eBPF"):
        load_object(compile_c('SEC("xdp") int f(void *c) { return 2; }', tmp_path, target="bpfeb"), "f.o")
    with pytest.raises(InputError, match=r"machine 62 \(x86-64\)"):
        load_object(compile_c("int f(void) { return 2; }", tmp_path, target="x86_64-linux-gnu"), "f.o")


def test_objects_without_btf(tmp_path: Path) -> None:
    source = '__u32 limit = 3; __noinline int sub(int x) { return x * limit; } SEC("xdp") int f(struct xdp_md *c) {'
    loaded = load_object(compile_c(source + " return sub(c->data); }", tmp_path, "-g0"), "f.o")
    assert (loaded.btf, loaded.maps[0].name, loaded.maps[0].flags) == (None, ".data", 0)
    assert [s.name for s in loaded.programs["f"].subprograms] == ["f", "sub"]


@live
def test_hand_made_objects_are_taken_too() -> None:
    from tests.support.elf_writer import sample

    assert accepted(load_object(sample(), "f.o")) == ["first", "second"]


PROGRAMS = sorted((Path(__file__).parents[2] / "programs").glob("*.o"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_the_programs_of_the_repository_load(path: Path) -> None:
    loaded = load_object(path.read_bytes(), path.name)
    assert loaded.programs
    assert {name: p.unsupported for name, p in loaded.programs.items()} == dict.fromkeys(loaded.programs, "")


@live
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_the_kernel_takes_the_programs_of_the_repository(path: Path) -> None:
    loaded = load_object(path.read_bytes(), path.name)
    assert accepted(loaded) == [n for n, p in loaded.programs.items() if not p.kfuncs]
