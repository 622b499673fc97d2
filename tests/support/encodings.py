"""Which of a grid of single-slot encodings Linux takes: asked of the running kernel, recorded as a golden file.

A refusal counts only when the verifier's words speak of the encoding; a program refused for what it *does*
(an uninitialised register, a bad pointer) has an encoding that Linux takes.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support import rawbpf
from xdpsim.errors import InputError
from xdpsim.isa.decode import SLOT, decode

GOLDEN = Path(__file__).parents[1] / "golden" / "linux-6.18" / "encodings.json"

OFFS = (0, 1, 8, 16, 32, -1)
# (dst, src, off, imm) in the order of the golden file's columns.
SAMPLE: tuple[tuple[int, int, int, int], ...] = (
    *itertools.product(
        (1,),
        (0, 1, 2, 3, 10, 11),
        OFFS,
        (0, 1, 16, 31, 32, 63, 64, 0x50, 0xA1, 0xE1, 0xF1, 0x100, 0x110, 0x10000, -1),
    ),
    *itertools.product((0, 10, 11), (0, 1, 2), OFFS, (0, 1, 16, 0x100)),
)

ACCEPTED = "."
UNDECIDED = "?"  # refused before the encoding is looked at: no such jump target, no such BTF id
# Words of kernel/bpf/verifier.c (patterns) that refuse an encoding, each with its letter in the golden file.
REFUSALS: dict[str, str] = {
    "unknown opcode": "u",
    "uses reserved fields": "r",
    "invalid may_goto imm": "m",
    "invalid atomic opcode": "a",
    "invalid atomic operand size": "w",
    "invalid bpf_ld_imm64 insn": "l",
    "unrecognized bpf_ld_imm64 insn": "l",
    r"R\d+ is invalid": "g",
    "invalid shift": "s",
    "div by zero": "d",
    "insn can only convert between address space": "c",
}
TOO_EARLY = ("jump out of range", "call to invalid destination", "last insn is not", "btf_id", "BTF", "kernel func")
CALL, LD_IMM64, MOV_REG64 = 0x85, 0x18, 0xBF


@functools.cache
def _some_map() -> int:
    return rawbpf.array_map(8)


@functools.cache
def _arena() -> int:
    return rawbpf.arena_map()


def program_round(opcode: int, dst: int, src: int, off: int, imm: int, next_imm: int = 0) -> tuple[bytes, int]:
    """A program that leads the verifier to one slot, with registers, a map and jump targets for it; and its index."""
    start = b"".join(SLOT.pack(0xB7, reg, 0, 0) for reg in (0, 2, 3, 4, 5, 7, 8, 9))
    start += SLOT.pack(0xBF, 1 << 4 | 6, 0, 0)  # r6 = r1, the context that LD_ABS reads
    start += SLOT.pack(0xB7, 1, 0, 1)
    wide = opcode == LD_IMM64
    if wide and src in (1, 2):
        imm = _some_map()
    if opcode == MOV_REG64 and off == 1:  # an addr_space_cast needs a program with an arena
        start += SLOT.pack(LD_IMM64, 1 << 4, 0, _arena()) + bytes(8) + SLOT.pack(0xB7, 0, 0, 0)
    # The branch keeps what follows `goto` reachable; the insn before it is where a jump of -1 lands.
    start += SLOT.pack(0x15, 2, 1 + wide, 1)
    nothing, end = SLOT.pack(0xB7, 0, 0, 0), SLOT.pack(0x95, 0, 0, 0)
    if opcode == CALL and src == 1 and 0 < imm < 1000:
        rest = nothing * (imm - 1) + end + nothing + end  # the subprogram begins behind the first exit
    else:
        rest = nothing * (300 if opcode & 7 in (5, 6) else 40) + end
    insn = SLOT.pack(opcode, src << 4 | dst, off, imm) + (SLOT.pack(0, 0, 0, next_imm) if wide else b"")
    return start + insn + rest, len(start) // 8


def kernel_letter(opcode: int, dst: int, src: int, off: int, imm: int) -> str:
    """ACCEPTED, UNDECIDED, or the letter of the words with which the running kernel refuses the encoding."""
    program, _ = program_round(opcode, dst, src, off, imm)
    answer = rawbpf.load(program, prog_type="SOCKET_FILTER", log_level=1)
    if answer.accepted:
        os.close(answer.fd)
        return ACCEPTED
    for line in answer.log.splitlines():
        for words, letter in REFUSALS.items():
            if re.search(words, line):
                return letter
    return UNDECIDED if any(words in answer.log for words in TOO_EARLY) else ACCEPTED


def our_verdict(opcode: int, dst: int, src: int, off: int, imm: int) -> str:
    """Empty when `decode` takes the encoding, else its message."""
    try:
        decode(SLOT.pack(opcode, src << 4 | dst, off, imm) + bytes(8 * (opcode == 0x18)))
    except InputError as error:
        return error.message
    return ""


def golden_rows() -> Iterator[tuple[int, str]]:
    """(opcode, one letter per column of SAMPLE) for the 256 opcodes, as Linux 6.18 answered."""
    recorded = json.loads(GOLDEN.read_text())
    for opcode in range(256):
        runs = re.findall(r"(\D)(\d+)", recorded["opcodes"][f"{opcode:02x}"])
        yield opcode, "".join(letter * int(count) for letter, count in runs)


def record() -> None:
    """Write the golden file from the running kernel; a run of equal letters is a letter and a count."""
    rows = {}
    for opcode in range(256):
        row = "".join(kernel_letter(opcode, *fields) for fields in SAMPLE)
        rows[f"{opcode:02x}"] = "".join(f"{letter}{len(list(run))}" for letter, run in itertools.groupby(row))
    letters = {ACCEPTED: "accepted", UNDECIDED: "undecided"} | {letter: words for words, letter in REFUSALS.items()}
    columns = "tests/support/encodings.py SAMPLE: dst, src, off, imm"
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps({"columns": columns, "letters": letters, "opcodes": rows}, indent=1) + "\n")
