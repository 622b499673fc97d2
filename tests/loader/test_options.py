"""What users say when they load: through `Sim.load`, on running programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clang import CORE, compile_c
from xdpsim import Sim
from xdpsim.errors import InputError, Unsupported

SOURCE = (
    CORE
    + """
struct { __uint(type, 7); __uint(max_entries, 8); __uint(key_size, 4); __uint(value_size, 1016); } stacks SEC(".maps");
struct { __uint(type, 4); __uint(key_size, 4); __uint(value_size, 4); } events SEC(".maps");
struct { __uint(type, 3); __uint(max_entries, 0); __uint(key_size, 4); __array(values, int (struct xdp_md *)); } jumps
    SEC(".maps");
const volatile __u32 verdict = 2;
struct sk_buff { unsigned int len; } __core;
extern int LINUX_KERNEL_VERSION __attribute__((section(".kconfig")));
SEC("from-netdev") int f(struct xdp_md *c) { return verdict; }
SEC("xdp") int old(struct xdp_md *c) { return LINUX_KERNEL_VERSION < 0x50a00 ? 1 : 2; }
SEC("xdp") int where(struct xdp_md *c) { return field(((struct sk_buff *)0)->len, BYTE_OFFSET); }
SEC("xdp") int trace(struct xdp_md *c) { __u32 k = 0; bpf_tail_call(c, &jumps, 0);
    return bpf_map_lookup_elem(&stacks, &k) || bpf_map_lookup_elem(&events, &k) ? 1 : 2; }
"""
)
LEN_AT = 112


@pytest.fixture
def source(tmp_path: Path) -> bytes:
    return compile_c(SOURCE, tmp_path)


def test_types_and_constants(source: bytes) -> None:
    plain = Sim().load(source)
    with pytest.raises(Unsupported, match="missing BPF prog type, check ELF section name 'from-netdev'"):
        plain["f"]
    assert Sim().load(source, type="xdp")["f"].run(bytes(64)).value == 2
    assert Sim().load(source, type={"f": "XDP"}, set={"verdict": "1"})["f"].run(bytes(64)).value == 1
    with pytest.raises(InputError, match="constant verdicts: no variable and no map is called that"):
        Sim().load(source, set={"verdicts": 1})


def test_the_version_of_linux(source: bytes) -> None:
    assert [Sim(linux=linux).load(source)["old"].run(bytes(64)).value for linux in ("5.4", "6.18")] == [1, 2]


def test_types_of_the_kernel(source: bytes) -> None:
    assert Sim().load(source)["where"].run(bytes(64)).value == LEN_AT
    if Path("/sys/kernel/btf/vmlinux").exists():
        assert Sim().load(source, btf="host")["where"].run(bytes(64)).value % 4 == 0
    with pytest.raises(InputError, match="/nowhere: No such file"):
        Sim().load(source, btf="/nowhere")


def test_maps_of_a_type_that_is_not_there_spoil_nothing_else(source: bytes) -> None:
    loaded = Sim().load(source, type="xdp")
    assert "stacks" not in loaded.maps
    assert loaded["f"].run(bytes(64)).value == 2
    with pytest.raises(
        Unsupported, match=r"trace: insn \d+ \(.*prog\.c:\d+\): map stacks: maps of type STACK_TRACE are"
    ):
        loaded["trace"]


def test_sizes_that_loaders_fill_in(source: bytes) -> None:
    maps = {m.name: m.max_entries for m in Sim(cpus=3).load(source).source.maps}
    assert (maps["events"], maps["jumps"]) == (3, 1)
