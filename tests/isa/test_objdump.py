"""Listings of llvm-objdump and bpftool, read back into the instructions that they show."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from xdpsim.errors import InputError
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import decode, encode_all
from xdpsim.isa.objdump import assemble_listing
from xdpsim.loader.elf import read_elf

OBJDUMP = shutil.which("llvm-objdump-19")
OBJECTS = sorted((Path(__file__).parents[2] / "programs").glob("*.o"))
HEAD = "\nx.o:\tfile format elf64-bpf\n\nDisassembly of section xdp:\n\n0000000000000000 <main>:\n"


@pytest.mark.parametrize(
    ("clang", "ours"),
    [
        ("r2 = *(u32 *)(r1 + 0x4)", "r2 = *(u32 *)(r1 +4)"),
        ("w2 = *(u32 *)(r1 - 0x8)", "r2 = *(u32 *)(r1 -8)"),
        ("*(u8 *)(r10 - 0x1) = w3", "*(u8 *)(r10 -1) = r3"),
        ("r4 = *(s16 *)(r5 + 0x2)", "r4 = *(s16 *)(r5 +2)"),
        ("if r2 < 0x5 goto +0x3 <main+0x70>", "if r2 < 5 goto pc+3"),
        ("if w2 s>= -0x5 goto -0x3 <main>", "if w2 s>= -5 goto pc-3"),
        ("gotol +0x10 <main+0x90>", "gotol pc+16"),
        ("r1 <<= 0x20", "r1 <<= 32"),
        ("r1 = 0x1122334455667788 ll", "r1 = 0x1122334455667788 ll"),
        ("lock *(u64 *)(r0 + 0x8) += r7", "lock *(u64 *)(r0 +8) += r7"),
        ("lock *(u32 *)(r0 + 0x8) |= w7", "lock *(u32 *)(r0 +8) |= r7"),
        ("r2 = atomic_fetch_add((u64 *)(r7 + 0x8), r2)", "r2 = atomic64_fetch_add((u64 *)(r7 +8), r2)"),
        ("w2 = atomic_fetch_xor((u32 *)(r7 + 0x8), w2)", "r2 = atomic_fetch_xor((u32 *)(r7 +8), r2)"),
        ("r2 = xchg_64(r1 + 0x8, r2)", "r2 = atomic64_xchg((u64 *)(r1 +8), r2)"),
        ("w0 = cmpxchg32_32(r1 - 0x8, w0, w2)", "r0 = atomic_cmpxchg((u32 *)(r1 -8), r0, r2)"),
        ("call -0x1", "call pc-1"),
        ("call 0x1", "call 1"),
        ("w1 = -w1", "w1 = -w1"),
        ("exit", "exit"),
    ],
)
def test_a_statement_of_clang(clang: str, ours: str) -> None:
    assert assemble_listing(f"{HEAD}       0:\t{clang}\n") == {"xdp": assemble(ours)}


def test_raw_bytes_count_where_they_stand() -> None:
    listing = f"{HEAD}       0:\t85 10 00 00 0a 00 00 00\tcall 0xa\n       1:\t95 00 00 00 00 00 00 00\texit\n"
    assert assemble_listing(listing)["xdp"] == decode(bytes.fromhex("851000000a000000 9500000000000000"))


def test_a_listing_of_bpftool() -> None:
    listing = """int pass(struct xdp_md * ctx):
; void *data = (void *)(long)ctx->data;
   0: (bf) r6 = r1
   1: (18) r1 = map[id:7]
   3: (18) r2 = map[id:8][0]+16
   5: (85) call bpf_map_lookup_elem#278208
   6: (15) if r0 == 0x0 goto pc+1
   7: (61) r0 = *(u32 *)(r0 +0)
   8: (95) exit
"""
    ours = """r6 = r1; r1 = map[7]; r2 = map_value[8]+16; call 1; if r0 == 0 goto pc+1; r0 = *(u32 *)(r0 +0); exit"""
    assert assemble_listing(listing, helpers={"bpf_map_lookup_elem": 1}) == {"": assemble(ours)}


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("", "no instruction in the listing"),
        ("  0: (b7) r0 = nonsense", "r0 = nonsense"),
        ("  0:\t<unknown>", "line 1: '<unknown>': the disassembler did not know this instruction"),
    ],
)
def test_what_is_no_listing(listing: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        assemble_listing(listing)


@pytest.mark.skipif(OBJDUMP is None, reason="llvm-objdump-19 is not installed")
@pytest.mark.parametrize("options", [[], ["-r"], ["--mattr=+alu32"], ["--no-show-raw-insn"]], ids=" ".join)
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_every_object_of_ours(path: Path, options: list[str]) -> None:
    assert OBJDUMP is not None
    listing = subprocess.run([OBJDUMP, "-d", *options, str(path)], capture_output=True, text=True, check=True).stdout
    elf = read_elf(path.read_bytes())
    for name, code in assemble_listing(listing).items():
        section = elf.named(name)
        assert section is not None
        expected = section.data
        if "--no-show-raw-insn" in options:  # a call of a function in its own section reads like one of a helper
            slots = (bytes(expected[at : at + 8]) for at in range(0, len(expected), 8))
            expected = b"".join(b"\x85\0" + s[2:] if s[:2] == b"\x85\x10" and s[7] < 0x80 else s for s in slots)
        assert encode_all(code) == expected
