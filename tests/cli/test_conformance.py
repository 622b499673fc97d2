"""The conformance plugin: programs of our own through the protocol of the bpf_conformance runner."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.support.elf_writer import ElfWriter, call_local
from tests.support.insn_cases import Case, case_name, load_cases
from tests.support.runtimes import surrounding
from xdpsim.conformance import main
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all

ENGINES = ("interpreter", "jit")
EVERY_NTH = 12
CASES = load_cases()[::EVERY_NTH]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def run(standard_input: str, *arguments: str) -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(standard_input))
        code = main(arguments)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


def spaced(text: str) -> str:
    """Instructions as the runner hands them over: hex bytes, a blank behind each."""
    return "".join(f"{byte:02x} " for byte in encode_all(assemble(text)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_our_cases(case: Case, engine: str, plugin) -> None:  # type: ignore[no-untyped-def]
    raw = encode_all(case.code).hex(" ") + "\n"
    assert plugin(raw, "", "--engine", engine) == Said(0, f"{case.r0:x}\n", "")


WITH_MEMORY = [
    ("the first word", "r0 = *(u32 *)(r1 +0); exit", "aa  bb  11 cc  dd  ", 0xCC11BBAA),
    ("its length", "r0 = r2; exit", "01 02 03", 3),
    ("the last byte", "r1 += r2; r0 = *(u8 *)(r1 -1); exit", "01 02 83", 0x83),
    ("no memory", "r0 = r1; r0 |= r2; exit", "", 0),
    (
        "sum of bytes",
        "r0 = 0; r2 += r1; l: r3 = *(u8 *)(r1 +0); r0 += r3; r1 += 1; if r1 < r2 goto l; exit",
        "0102fd",
        0x100,
    ),
    ("it may be written", "*(u16 *)(r1 +0) = 0x1234; r0 = *(u8 *)(r1 +1); exit", "0000", 0x12),
    ("an atomic on it", "r0 = 1; lock *(u64 *)(r1 +0) += r0; r0 = *(u64 *)(r1 +0); exit", "ff" * 8, 0),
    ("a subprogram gets it", "call f; exit; f: r0 = *(u8 *)(r1 +1); exit", "0042", 0x42),
    ("r0 is 64 bits wide", "r0 = -2; exit", "", 0xFFFF_FFFF_FFFF_FFFE),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("asm", "memory", "r0"), [row[1:] for row in WITH_MEMORY], ids=[row[0] for row in WITH_MEMORY])
def test_memory_behind_r1(asm: str, memory: str, r0: int, engine: str, plugin) -> None:  # type: ignore[no-untyped-def]
    assert plugin(spaced(asm), memory, "--engine", engine) == Said(0, f"{r0:x}\n", "")


def test_memory_may_be_left_out(plugin) -> None:  # type: ignore[no-untyped-def]
    assert plugin(spaced("r0 = 7; exit")) == Said(0, "7\n", "")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("asm", "code", "message"),
    [
        (
            "r0 = 0; r0 = *(u32 *)(r1 +2); exit",
            1,
            "insn 1 (r0 = *(u32 *)(r1 +2)): reads 4 bytes at map memory[0].value+2",
        ),
        ("l: call l; exit", 1, "insn 0 (call pc-1): calls nest deeper than 8 frames"),
        ("call 999; exit", 6, "program: insn 0 (call 999): no Linux up to 6.18 has helper 999"),
        ("r0 = *(u32 *)skb[0]; exit", 6, "program: insn 0 (r0 = *(u32 *)skb[0]): LD_ABS and LD_IND"),
    ],
)
def test_failures_say_why(asm: str, code: int, message: str, engine: str, plugin) -> None:  # type: ignore[no-untyped-def]
    said = plugin(spaced(asm), "00 01 02 03", "--engine", engine)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith(f"xdpsim: {message}")


@pytest.mark.parametrize(
    ("standard_input", "arguments", "message"),
    [
        ("95 00", (), "2 bytes of instructions: expected a multiple of 8"),
        ("95 zz", (), "standard input: non-hexadecimal number found"),
        ("9500000000000000", ("0x1",), "memory: non-hexadecimal number found"),
        ("ff00000000000000", (), "insn 0 (ff00000000000000): unknown opcode ff"),
        ("", (), "standard input: no instructions"),
        ("95", ("--elf",), "expected an ELF object"),
    ],
)
def test_bad_input(standard_input: str, arguments: tuple[str, ...], message: str, plugin) -> None:  # type: ignore[no-untyped-def]
    said = plugin(standard_input, *arguments)
    assert (said.code, said.out) == (3, "")
    assert message in said.err


def elf_with(text: bytes, main_at: int, callee_at: int, call_offset: int, name: str = "main") -> str:
    elf = ElfWriter()
    section = elf.code(".text", text)
    callee = elf.symbol("twice", section, callee_at, 16)
    elf.symbol(name, section, main_at, 24)
    elf.relocate(section, call_offset, callee, 10)
    return elf.build().hex()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_object(engine: str, plugin) -> None:  # type: ignore[no-untyped-def]
    twice = encode_all(assemble("r0 = *(u8 *)(r1 +0); r0 += r0; exit"))
    start = encode_all(assemble("call pc+0; r0 += 1; exit"))[8:]
    image = elf_with(twice + call_local() + start, len(twice), 0, len(twice))
    assert plugin(image, "15", "--elf", "--engine", engine) == Said(0, "2b\n", "")


def test_an_object_without_main(plugin) -> None:  # type: ignore[no-untyped-def]
    said = plugin(elf_with(call_local() + bytes.fromhex("9500000000000000"), 0, 8, 0, "entry"), "--elf")
    assert (said.code, said.err) == (3, "xdpsim: elf: no function 'main' in section .text\n")


def test_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "xdpsim.conformance", "aa  bb  ", "--engine", "jit"]
    asm = spaced("r0 = *(u8 *)(r1 +1); exit")
    done = subprocess.run(command, input=asm, capture_output=True, text=True, check=False, **surrounding())
    assert (done.returncode, done.stdout, done.stderr) == (0, "bb\n", "")
