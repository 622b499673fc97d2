"""`xdpsim inspect`: what it finds in our objects and in odd ones, as text, JSON, listing and graph."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Xdpsim
from tests.support.elf_writer import ElfWriter, sample
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.loader.load import load_object

OBJECTS = sorted(path.stem for path in (ROOT / "programs").glob("*.o"))
Write = Callable[..., Path]


def xdp(text: str) -> bytes:
    return encode_all(assemble(text))


def test_the_report_of_the_firewall(xdpsim: Xdpsim) -> None:
    ran = xdpsim("inspect", "programs/firewall.o")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("programs/firewall.o: licence Apache-2.0, BTF of ")
    assert lines[1] == "needs Linux 5.12 for atomic fetch_add"
    assert re.search(r"^  xdp_firewall: XDP, section xdp, attach XDP, \d+ insns$", ran.out, re.MULTILINE)
    assert re.search(r"^    functions: xdp_firewall at 0, decide at \d+$", ran.out, re.MULTILINE)
    assert re.search(
        r"^  blocked_v4 +LPM_TRIE +struct v4_prefix, 8 bytes +struct block, 8 bytes", ran.out, re.MULTILINE
    )
    assert "does not run" not in ran.out


@pytest.mark.parametrize("name", OBJECTS)
def test_json_agrees_with_the_loader(name: str, xdpsim: Xdpsim) -> None:
    source = load_object((ROOT / f"programs/{name}.o").read_bytes(), name)
    found = xdpsim("inspect", f"programs/{name}.o", "--json").json
    assert {row["name"] for row in found["maps"]} == {spec.name for spec in source.maps}
    assert [row["name"] for row in found["programs"]] == list(source.programs)
    for row in found["programs"]:
        spec = source.programs[row["name"]]
        assert row["slots"] == len(spec.code)
        assert row["insns"] == sum(insn is not None for insn in spec.code)
        assert set(row["maps"]) <= {known.name for known in source.maps}
        assert row["runs"] is (row["why_not"] is None)
    assert found["relocations"] == sum(row["relocations"] for row in found["sections"])


def test_odd_objects(xdpsim: Xdpsim, tmp_path: Path) -> None:
    path = tmp_path / "odd.o"
    path.write_bytes(sample())
    found = xdpsim("inspect", path, "--json").json
    programs = {row["name"]: row for row in found["programs"]}
    assert (programs["second"]["type"], programs["second"]["runs"]) == ("SCHED_CLS", False)
    assert "SCHED_CLS do not run yet" in programs["second"]["why_not"]
    assert found["licence"] == "GPL"
    assert programs["first"]["subprograms"] == [
        {"name": "first", "slot": 0},
        {"name": "helper", "slot": 9},
        {"name": "leaf", "slot": 12},
    ]


def test_a_section_that_names_no_type(xdpsim: Xdpsim, tmp_path: Path) -> None:
    elf = ElfWriter()
    elf.program("mine", "something/odd")
    path = tmp_path / "odd.o"
    path.write_bytes(elf.build())
    ran = xdpsim("inspect", path)
    assert ran.code == 0
    assert "  mine: no known type, section something/odd, 2 insns\n    does not run: " in ran.out
    assert "no licence, no BTF, 0 relocations" in ran.out
    (program,) = xdpsim("inspect", path, "--json").json["programs"]
    assert program["type"] is None
    assert "'something/odd'" in program["why_not"]


@pytest.mark.parametrize(
    ("asm", "needed", "what"),
    [
        ("r0 = 2; exit", "4.8", "program type XDP"),
        ("r0 = *(u32 *)(r1 +16); r0 = 2; exit", "4.16", "xdp_md.rx_queue_index"),
        ("w0 = 2; if w0 == 2 goto +0; exit", "5.1", "32-bit jumps"),
        ("r0 = 2; l: r0 += -1; if r0 != 0 goto l; exit", "5.3", "a loop"),
        ("r0 = 2; r0 s/= 2; exit", "6.6", "insn sdiv"),
        ("call 118; r0 = 2; exit", "5.6", "bpf_jiffies64"),
        ("r0 = 2; store_release((u64 *)(r10 -8), r0); exit", "6.15", "insn store_release"),
    ],
)
def test_the_kernel_needed(asm: str, needed: str, what: str, xdpsim: Xdpsim, obj: Write) -> None:
    found = xdpsim("inspect", obj(xdp=xdp(asm)), "--json").json
    assert found["kernel_needed"] == needed
    assert what in found["needed_for"]


def test_why_a_program_does_not_run(xdpsim: Xdpsim, obj: Write) -> None:
    path = obj(xdp=xdp("r0 = *(u32 *)skb[0]; exit"))
    refused = "rejected (EINVAL): BPF_LD_[ABS|IND] instructions not allowed for this program type"
    assert f"    does not run: xdp_main: {refused}" in xdpsim("inspect", path).out
    ran = xdpsim("inspect", path, "--no-verify")
    assert "    does not run: xdp_main: insn 0 (r0 = *(u32 *)skb[0]): LD_ABS and LD_IND" in ran.out


def test_linuxs_message_stays_on_one_line(xdpsim: Xdpsim, obj: Write) -> None:
    ran = xdpsim("inspect", obj(xdp=xdp("r2 = *(u32 *)(r1 +0); r0 = *(u8 *)(r2 +0); exit")))
    (line,) = (line for line in ran.out.splitlines() if "does not run" in line)
    assert "R2(id=0,off=0,r=0)" in line
    assert "R2 offset is outside of the packet" in line


@pytest.mark.parametrize("name", OBJECTS)
def test_a_listing_assembles_to_the_same_code(name: str, xdpsim: Xdpsim) -> None:
    source = load_object((ROOT / f"programs/{name}.o").read_bytes(), name)
    for row in xdpsim("inspect", f"programs/{name}.o", "--disasm", "--json").json["programs"]:
        numbers = {spec.name: index for index, spec in enumerate(source.maps)}
        again = assemble("\n".join(row["disasm"]), maps=numbers)
        assert encode_all(again) == encode_all(source.programs[row["name"]].code)


def test_labels_and_source_lines(xdpsim: Xdpsim) -> None:
    out = xdpsim("inspect", "programs/firewall.o", "--source").out
    for label in re.findall(r"// (L\d+)$", out, re.MULTILINE):
        assert f"\n{label}:\n" in out
    assert re.search(r"^; .*bpf_map_lookup_elem.* @ programs/firewall.c:\d+$", out, re.MULTILINE)
    assert re.search(r"^ +\d+: \(85\) call pc\+\d+  // decide$", out, re.MULTILINE)
    assert "; " not in xdpsim("inspect", "programs/firewall.o", "--disasm").out.partition("xdp_firewall:\n")[2]


def test_types(xdpsim: Xdpsim) -> None:
    out = xdpsim("inspect", "programs/firewall.o", "--btf").out
    assert re.search(
        r"^  \[\d+\] struct v4_prefix: 8 bytes\n      0: __u32 prefixlen\n      4: __be32 addr$", out, re.MULTILINE
    )
    assert xdpsim("inspect", "programs/firewall.o", "--btf", "--json").json["btf"][0].startswith("[1] ")


def test_control_flow_in_dot(xdpsim: Xdpsim) -> None:
    out = xdpsim("inspect", "programs/firewall.o", "--dot", "xdp_firewall").out
    assert out.startswith('digraph "xdp_firewall" {\n')
    assert out.endswith("}\n")
    boxes = set(re.findall(r"^    (b\d+_\d+) \[label=", out, re.MULTILINE))
    edges = re.findall(r"^ +(b\d+_\d+) -> (b\d+_\d+)(?: \[.*\])?;$", out, re.MULTILINE)
    assert edges
    assert {end for edge in edges for end in edge} <= boxes
    assert out.count("[style=dashed]") >= 1
    assert out.count('[label="taken"]') > 10
    assert out.count('"') % 2 == 0


def test_mistakes(xdpsim: Xdpsim, tmp_path: Path) -> None:
    ran = xdpsim("inspect", "programs/firewall.o", "--dot", "nobody")
    assert (ran.code, ran.out) == (2, "")
    assert "--dot nobody: programs/firewall.o has no such program\n  it has xdp_firewall" in ran.err
    assert xdpsim("inspect", tmp_path / "nowhere.o").code == 3
    (tmp_path / "text.o").write_text("hello")
    assert xdpsim("inspect", tmp_path / "text.o").code == 3
