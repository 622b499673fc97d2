"""What Linux's verifier log calls each kind of instruction: asked of the running kernel, recorded as a golden file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from tests.support import rawbpf
from tests.support.encodings import program_round
from tests.support.instructions import every_kind
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family, Imm64

GOLDEN = Path(__file__).parents[1] / "golden" / "linux-6.18" / "disasm.json"
_LINE = re.compile(r"(?:\d+: )?(\d+): \(([0-9a-f]{2})\) (.*?)\s*(?:; .*)?")
# The log shows these after they are resolved (map addresses, BTF ids of the machine), or not before.
_RESOLVED_FIRST = {Family.CALL_KFUNC}


def samples() -> list[Insn]:
    """The kinds of instruction that the log can be asked about."""
    return [
        insn
        for insn in every_kind()
        if insn.family not in _RESOLVED_FIRST and (insn.family is not Family.LD_IMM64 or insn.op == Imm64.VALUE.name)
    ]


def kernel_text(insn: Insn) -> str:
    """The running kernel's words for one instruction; empty when it is refused before it is shown."""
    program, slot = program_round(insn.opcode, insn.dst, insn.src, insn.off, insn.imm, insn.next_imm)
    answer = rawbpf.load(program, prog_type="SOCKET_FILTER", log_level=2)
    if answer.accepted:
        os.close(answer.fd)
    for line in answer.log.splitlines():
        match = _LINE.fullmatch(line)
        if match and (int(match[1]), int(match[2], 16)) == (slot, insn.opcode):
            return match[3]
    return ""


def fields(insn: Insn) -> list[int]:
    """Opcode, dst, src, off, imm, next_imm: how the golden file writes an instruction."""
    return [insn.opcode, insn.dst, insn.src, insn.off, insn.imm, insn.next_imm]


def golden_lines() -> list[tuple[list[int], str]]:
    """(fields, text) of each recorded instruction."""
    return [(entry[:-1], entry[-1]) for entry in json.loads(GOLDEN.read_text())]


def record() -> None:
    """Write the golden file from the running kernel."""
    entries = [[*fields(insn), text] for insn in samples() if (text := kernel_text(insn))]
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")
