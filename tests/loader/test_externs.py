"""Kernel functions, kernel variables and the configuration: what an object only names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.clang import bpffs, bpftool, compile_c
from xdpsim.btf.linux618 import kfuncs
from xdpsim.errors import InputError
from xdpsim.isa.rows import Family
from xdpsim.loader.load import load_object
from xdpsim.loader.options import LoadOptions
from xdpsim.sysbpf.syscall import available
from xdpsim.versions import Linux

live = pytest.mark.skipif(bool(reason := available()), reason=reason)

HEAD = """
#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))
#define __weak __attribute__((weak))
enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };
"""
KCONFIG = """
extern int LINUX_KERNEL_VERSION __kconfig; extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_INET __kconfig; extern char CONFIG_NET __kconfig;
extern unsigned long CONFIG_HZ __kconfig; extern __u16 CONFIG_PAGE_SHIFT __kconfig;
extern char CONFIG_DEFAULT_TCP_CONG[5] __kconfig __weak; extern __u64 CONFIG_NOT_THERE __kconfig __weak;
extern _Bool LINUX_HAS_BPF_COOKIE __kconfig;
SEC("socket") int f(void *c) { return LINUX_KERNEL_VERSION + CONFIG_BPF_SYSCALL * 2 + CONFIG_INET * 3 + CONFIG_NET * 5
    + CONFIG_HZ * 7 + CONFIG_PAGE_SHIFT * 11 + CONFIG_DEFAULT_TCP_CONG[1] + CONFIG_NOT_THERE + LINUX_HAS_BPF_COOKIE; }
"""
LAYOUT = {
    "CONFIG_NOT_THERE": (8, 8, 0),
    "CONFIG_HZ": (0, 8, 250),
    "CONFIG_INET": (16, 4, 1),
    "LINUX_KERNEL_VERSION": (20, 4, 0x061200),
    "CONFIG_PAGE_SHIFT": (24, 2, 12),
    "CONFIG_BPF_SYSCALL": (26, 1, 1),
    "CONFIG_NET": (27, 1, ord("y")),
    "LINUX_HAS_BPF_COOKIE": (28, 1, 1),
    "CONFIG_DEFAULT_TCP_CONG": (29, 5, int.from_bytes(b"cubi\0", "little")),
}


def test_the_configuration_is_a_read_only_map(tmp_path: Path) -> None:
    loaded = load_object(compile_c(HEAD + KCONFIG, tmp_path), "f.o")
    (spec,) = loaded.maps
    assert (spec.name, spec.type, spec.value_size, spec.read_only, spec.flags) == (".kconfig", "ARRAY", 34, True, 0x480)
    assert spec.initial is not None
    found = {
        n: (at, size, int.from_bytes(spec.initial[at : at + size], "little")) for n, (at, size, _) in LAYOUT.items()
    }
    assert found == LAYOUT
    assert loaded.programs["f"].unsupported == ""


@live
def test_the_layout_is_that_of_libbpf(tmp_path: Path) -> None:
    loaded = load_object(compile_c(HEAD + KCONFIG, tmp_path), "f.o")
    with bpffs(tmp_path) as fs:
        bpftool("prog", "loadall", str(tmp_path / "prog.o"), str(fs / "p"), "pinmaps", str(fs / "m"))
        (path,) = (fs / "m").iterdir()
        shown = json.loads(bpftool("-j", "map", "dump", "pinned", str(path)))
    theirs = bytes(int(text, 16) for text in shown[0]["value"])
    ours = loaded.maps[0].initial
    assert ours is not None
    for name, (at, size, _) in LAYOUT.items():
        if name not in ("LINUX_KERNEL_VERSION", "CONFIG_DEFAULT_TCP_CONG"):
            assert ours[at : at + size] == theirs[at : at + size], name
    assert len(ours) == len(theirs)


def test_values_that_the_user_gives_and_other_kernels(tmp_path: Path) -> None:
    data = compile_c(HEAD + KCONFIG, tmp_path)
    options = LoadOptions(
        constants={"CONFIG_HZ": 1000, "CONFIG_INET": "m", "CONFIG_NOT_THERE": "0x10"}, linux=Linux("5.10.7")
    )
    raw = load_object(data, "f.o", options).maps[0].initial
    assert raw is not None
    assert [
        int.from_bytes(raw[at : at + size], "little") for at, size in ((0, 8), (8, 8), (16, 4), (20, 4), (28, 1))
    ] == [
        1000,
        16,
        2,
        0x050A07,
        0,
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CONFIG_PAGE_SHIFT", 65536, "extern CONFIG_PAGE_SHIFT: 65536, expected 0 to 65535"),
        ("CONFIG_HZ", "y", "extern CONFIG_HZ: is y, which needs type bool, char or enum libbpf_tristate"),
        ("CONFIG_HZ", "fast", "extern CONFIG_HZ: 'fast' does not fit its type unsigned long"),
        ("CONFIG_BPF_SYSCALL", "m", "extern CONFIG_BPF_SYSCALL: is m, which needs"),
    ],
)
def test_values_that_do_not_fit(tmp_path: Path, name: str, value: object, words: str) -> None:
    data = compile_c(HEAD + KCONFIG, tmp_path)
    with pytest.raises(InputError, match=words):
        load_object(data, "f.o", LoadOptions(constants={name: value}))


KSYMS = """
extern int bpf_dynptr_from_xdp(void *, __u64, void *) __ksym;
extern int bpf_xdp_ct_lookup___mine(void *, void *, __u32, void *, __u32) __ksym __weak;
extern void bpf_gone(int) __ksym __weak; extern void bpf_strong(int) __ksym;
extern const void gone_symbol __ksym __weak; extern const int some_symbol __ksym; extern int CONFIG_GONE __kconfig;
static __noinline int sub(void *c) { return bpf_xdp_ct_lookup___mine(c, c, 1, c, 2); }
SEC("xdp") int calls(void *c) { bpf_dynptr_from_xdp(c, 0, c); sub(c); return bpf_dynptr_from_xdp(c, 1, c); }
SEC("xdp") int weak(void *c) { if (bpf_gone) bpf_gone(1); return &gone_symbol ? 1 : 2; }
SEC("xdp") int poison(void *c) { bpf_gone(1); return 2; }
SEC("xdp") int there(void *c) { return bpf_xdp_ct_lookup___mine ? 2 : 1; }
SEC("xdp") int strong(void *c) { bpf_strong(1); return 2; }
SEC("xdp") int symbol(void *c) { return some_symbol; }
SEC("xdp") int config(void *c) { return CONFIG_GONE; }
"""


def test_kernel_functions(tmp_path: Path) -> None:
    programs = load_object(compile_c(HEAD + KSYMS, tmp_path), "f.o").programs
    calls = programs["calls"]
    assert calls.kfuncs == ("bpf_dynptr_from_xdp", "bpf_xdp_ct_lookup")
    assert [row.imm for row in calls.code if row and row.family is Family.CALL_KFUNC] == [0, 0, 1]
    assert programs["strong"].kfuncs == ("bpf_strong",)
    assert [n for n, p in programs.items() if p.unsupported] == ["symbol", "config"]
    assert "address of 'some_symbol', a kernel symbol that is not known here" in programs["symbol"].unsupported
    assert "extern CONFIG_GONE (strong): not set in the configuration of Linux 6.18" in programs["config"].unsupported


def test_weak_ones_that_are_not_there_are_zero_and_their_calls_poison(tmp_path: Path) -> None:
    programs = load_object(compile_c(HEAD + KSYMS, tmp_path), "f.o").programs
    addresses = {n: [r.imm64 for r in programs[n].code if r and r.family is Family.LD_IMM64] for n in ("weak", "there")}
    assert set(addresses["weak"]) == {0}
    assert addresses["there"][0] >> 32 == 0xFFFF_FFFF
    (slot,) = programs["poison"].poisoned
    insn = programs["poison"].code[slot]
    assert programs["poison"].poisoned[slot] == "call of weak kfunc bpf_gone, which Linux 6.18 does not have"
    assert insn is not None
    assert (insn.family, insn.imm) == (Family.CALL_HELPER, 2_002_000_000)


def test_the_names_of_kernel_functions() -> None:
    assert {"bpf_dynptr_from_xdp", "bpf_xdp_ct_lookup", "bpf_obj_new_impl"} <= kfuncs()
