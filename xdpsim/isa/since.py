"""The Linux version that each instruction needs: from its operation's row, or from the table of families below.

No kernel was asked for these: they are read from kernel history.
"""

from __future__ import annotations

from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ALU, ATOMIC, BRANCH, JMP32, Family, Imm64

FIRST = "3.18"
"""eBPF itself."""
JMP32_SINCE = "5.1"
STORE_IMM_TO_CONTEXT = "6.3"
"""Stores of constants to the context: before, only registers could be stored there."""
FAMILY_SINCE: dict[Family, str] = {
    Family.MOVSX: "6.6",
    Family.LOAD_SX: "6.6",
    Family.ADDR_SPACE_CAST: "6.9",
    Family.MAY_GOTO: "6.9",
    Family.LOAD_ACQUIRE: "6.15",
    Family.STORE_RELEASE: "6.15",
    Family.CALL_LOCAL: "4.16",
    Family.CALL_KFUNC: "5.13",
}
OP_SINCE: dict[tuple[Family, str], str] = {
    (Family.ENDIAN, "bswap"): "6.6",
    (Family.JUMP, "gotol"): "6.6",
    (Family.LD_IMM64, Imm64.MAP_VALUE.name): "5.2",
    (Family.LD_IMM64, Imm64.BTF_ID.name): "5.10",
    (Family.LD_IMM64, Imm64.FUNC.name): "5.13",
    (Family.LD_IMM64, Imm64.MAP_IDX.name): "5.14",
    (Family.LD_IMM64, Imm64.MAP_IDX_VALUE.name): "5.14",
}


def insn_since(insn: Insn) -> str:
    """The first Linux that takes the instruction."""
    if insn.family is Family.ALU:
        return ALU[insn.op].since
    if insn.family is Family.BRANCH:
        return JMP32_SINCE if insn.opcode & 7 == JMP32 else BRANCH[insn.op].since
    if insn.family is Family.ATOMIC:
        return ATOMIC[insn.op].since
    return OP_SINCE.get((insn.family, insn.op)) or FAMILY_SINCE.get(insn.family, FIRST)
