"""A decoded instruction. Programs are tuples indexed by slot, as Linux counts them; LD_IMM64's second slot is None."""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.isa.rows import WIDTHS, Family


@dataclass(frozen=True, slots=True)
class Insn:
    """One instruction with its meaning looked up: `family` picks the reader's function, `op` the row inside it.

    `bits` is 64 or 32 for ALU, NEG, MOV, BRANCH; for MOVSX the width of the result, for ENDIAN the swapped width.
    `uses_reg` says that the second operand is the source register rather than `imm`.
    """

    opcode: int
    dst: int
    src: int
    off: int  # signed 16 bits
    imm: int  # signed 32 bits
    family: Family
    op: str = ""
    bits: int = 64
    uses_reg: bool = False
    next_imm: int = 0  # LD_IMM64 only, signed 32 bits

    @property
    def slots(self) -> int:
        """How many 8-byte slots it fills: 2 for LD_IMM64, else 1."""
        return 2 if self.family is Family.LD_IMM64 else 1

    @property
    def width(self) -> int:
        """Bytes that a load, a store or an atomic touches."""
        return WIDTHS[self.opcode & 0x18]

    @property
    def imm64(self) -> int:
        """LD_IMM64's value, unsigned."""
        return (self.next_imm & 0xFFFF_FFFF) << 32 | self.imm & 0xFFFF_FFFF

    @property
    def jump_offset(self) -> int:
        """Slots to skip after this one, for JUMP, BRANCH, MAY_GOTO (gotol keeps it in `imm`)."""
        return self.imm if self.family is Family.JUMP and self.op == "gotol" else self.off


Code = tuple[Insn | None, ...]
"""A program indexed by slot."""
