"""The checked-in objects are what their sources say, and the generated header and presets are up to date."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / "programs"
NAMES = ("counter", "dnsfilter", "firewall", "lb", "ratelimit")
SECOND = ("ct_firewall", "decap", "dynptr_parse", "flow_cache", "flow_export", "nat64", "option_walk", "parser_chain",
          "syncookie", "vlan_rewrite")  # fmt: skip
BIG = ("classifier", "l4lb")
ALL = tuple(sorted(NAMES + SECOND + BIG))
COMPARED = (".text", "xdp", "xdp.frags", ".rodata", ".maps", ".BTF", ".BTF.ext", "license")
CLANG = "clang-19"


def compiler_differs() -> str:
    """Empty where the compiler that README.md names is at hand, else why the objects cannot be compared."""
    if shutil.which(CLANG) is None or shutil.which("llvm-strip-19") is None:
        return "clang-19 or llvm-strip-19 is not installed"
    said = subprocess.run([CLANG, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    version = said.partition(" (")[0]
    return "" if f"built with {version}." in (PROGRAMS / "README.md").read_text() else f"built with another {said}"


def contents(data: bytes) -> dict[str, object]:
    """Bytes of the sections that matter, and relocations as (offset, type, symbol)."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.relocation import RelocationSection

    elf = ELFFile(io.BytesIO(data))
    symbols = elf.get_section_by_name(".symtab")
    found: dict[str, object] = {}
    for section in elf.iter_sections():
        if section.name in COMPARED:
            found[section.name] = section.data()
        elif isinstance(section, RelocationSection):
            found[section.name] = [
                (row["r_offset"], row["r_info_type"], symbols.get_symbol(row["r_info_sym"]).name)
                for row in section.iter_relocations()
            ]
    return found


def test_every_source_has_its_object_and_preset() -> None:
    assert sorted(path.stem for path in PROGRAMS.glob("*.c")) == list(ALL)
    assert sorted(path.stem for path in PROGRAMS.glob("*.o")) == list(ALL)
    assert sorted(path.stem for path in (PROGRAMS / "presets").glob("*.json")) == list(ALL)


@pytest.mark.parametrize("name", ALL)
def test_the_object_is_what_the_source_compiles_to(name: str, tmp_path: Path) -> None:
    if reason := compiler_differs():
        pytest.skip(reason)
    subprocess.run([sys.executable, PROGRAMS / "build.py", "--out", tmp_path, name], check=True, capture_output=True)
    assert contents((PROGRAMS / f"{name}.o").read_bytes()) == contents((tmp_path / f"{name}.o").read_bytes())


def test_the_mistakes_are_what_their_source_compiles_to(tmp_path: Path) -> None:
    if reason := compiler_differs():
        pytest.skip(reason)
    build = [sys.executable, PROGRAMS / "build.py", "--out", tmp_path, "mistakes/mistakes"]
    subprocess.run(build, check=True, capture_output=True)
    assert contents((PROGRAMS / "mistakes/mistakes.o").read_bytes()) == contents((tmp_path / "mistakes.o").read_bytes())


@pytest.mark.parametrize("name", ALL)
def test_the_object_has_btf_but_neither_dwarf_nor_the_builders_paths(name: str) -> None:
    data = (PROGRAMS / f"{name}.o").read_bytes()
    assert {".BTF", ".BTF.ext"} < contents(data).keys()
    assert contents(data).keys() & {"xdp", "xdp.frags"}
    assert b".debug_info" not in data
    assert f"\0programs/{name}.c\0".encode() in data
    assert str(PROGRAMS).encode() not in data


@pytest.mark.parametrize("script", ["make_header.py", "make_presets.py"])
def test_what_is_generated_is_current(script: str) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAMS / script, "--check"], cwd=PROGRAMS.parent, env=_environment(), text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_headers_compile_and_have_the_kernels_layout(tmp_path: Path) -> None:
    if shutil.which(CLANG) is None:
        pytest.skip("clang-19 is not installed")
    sizes = {"xdp_md": 24, "__sk_buff": 192, "ethhdr": 14, "vlan_hdr": 4, "iphdr": 20, "ipv6hdr": 40, "frag_hdr": 8,
             "tcphdr": 20, "udphdr": 8, "icmphdr": 8, "icmp6hdr": 8, "arphdr": 8, "dnshdr": 12, "in6_addr": 16,
             "gre_base_hdr": 4, "rtphdr": 12, "rtp_ext_hdr": 4, "flow": 40, "bpf_spin_lock": 4, "bpf_timer": 16,
             "bpf_dynptr": 16}  # fmt: skip
    checks = [f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");' for name, size in sizes.items()]
    offset = "__builtin_offsetof(struct __sk_buff, hwtstamp) == 184"
    source = tmp_path / "headers.c"
    source.write_text("\n".join(["#include <xdpsim/flow.h>", *checks, f'_Static_assert({offset}, "hwtstamp");', ""]))
    flags = ["-target", "bpf", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable", "-I", PROGRAMS / "include"]
    subprocess.run([CLANG, *flags, "-c", source, "-o", tmp_path / "headers.o"], check=True)


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(PROGRAMS.parent)}
