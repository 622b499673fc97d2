"""Random programs over the whole scalar instruction set, made so that Linux accepts them: for comparing engines.

Each begins with registers and STACK_BYTES of stack filled from random words (half of the registers with values that a
verifier cannot know), and ends by folding r0 to r9 into one word and storing it and the stack into the value of map
index 0: an ARRAY map with 4-byte keys and one entry of VALUE_SIZE bytes. Pointers other than r10 occur at the end only.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from hypothesis import strategies as st

from xdpsim.isa.decode import SLOT, decode
from xdpsim.isa.insn import Code
from xdpsim.isa.rows import ALU, ALU32, ALU64, ATOMIC, BRANCH, JMP, JMP32, LDX, SIZE_CODES, ST, STX

STACK_BYTES = 64
VALUE_SIZE = 8 + STACK_BYTES
_REG, _MOV, _NEG, _END = 8, 0xB0, 0x80, 0xD0
_MEM, _MEMSX, _ATOMIC = 0x60, 0x80, 0xC0
_WORDS = (0, 1, 2, 7, 8, 31, 32, 63, 64, 127, 128, 255, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
          2**63 - 1, 2**63, 2**64 - 1, 2**64 - 2, 2**64 - 8, 0xFFFF_FFFF_8000_0000, 0x8000_0000_8000_0000)  # fmt: skip
_ALU_ROWS, _BRANCH_ROWS, _ATOMIC_ROWS = tuple(ALU.values()), tuple(BRANCH.values()), tuple(ATOMIC.values())
_SHIFTS, _DIVISIONS = ("lsh", "rsh", "arsh"), (0x30, 0x90)
_EXIT = SLOT.pack(0x95, 0, 0, 0)


def straight_line() -> st.SearchStrategy[Code]:
    """Programs without jumps."""
    return st.randoms(use_true_random=False).map(lambda rng: random_program(rng, branches=False))


def branching() -> st.SearchStrategy[Code]:
    """Programs with forward branches, bounded loops and a subprogram here and there."""
    return st.randoms(use_true_random=False).map(random_program)


def random_program(rng: random.Random, *, branches: bool = True) -> Code:
    """One program; the same state of `rng` gives the same program on every Python."""
    maker = _Maker(rng)
    body = [maker.fill_stack(STACK_BYTES), maker.fill_registers()]
    body += (
        [maker.segment() for _ in range(rng.randrange(2, 8))] if branches else [maker.straight(rng.randrange(5, 40))]
    )
    main = b"".join(body)
    if branches and rng.random() < 0.3:
        return maker.calls(main)
    return decode(main) + _FINISH


class _Maker:
    """Makes pieces of a program as raw bytes; `frozen` registers (loop counters) are read but not written."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.frozen: set[int] = set()
        self.stack_bytes = STACK_BYTES
        self.kinds: tuple[Callable[[], bytes], ...] = (
            *(self.alu,) * 9, *(self.move,) * 2, self.sign_extend, self.negate, self.endian, self.constant,
            *(self.load,) * 3, *(self.store,) * 3, *(self.atomic,) * 4, self.ordered,
        )  # fmt: skip

    def word(self) -> int:
        return self.rng.choice(_WORDS) if self.rng.random() < 0.5 else self.rng.getrandbits(64)

    def imm(self) -> int:
        return int(struct.unpack("<i", struct.pack("<I", self.word() & 0xFFFF_FFFF))[0])

    def reg(self) -> int:
        return self.rng.randrange(10)

    def target(self) -> int:
        while (reg := self.rng.randrange(10)) in self.frozen:
            pass
        return reg

    def place(self, width: int) -> int:
        """An aligned offset from r10 inside the stack that the program has filled."""
        return self.rng.randrange(self.stack_bytes // width) * width - self.stack_bytes

    def fill_stack(self, count: int) -> bytes:
        """In words of 32 bits, so that a load of 64 gives a value that the verifier does not know."""
        self.stack_bytes = count
        return b"".join(SLOT.pack(ST | _MEM | SIZE_CODES[4], 10, at, self.imm()) for at in range(-count, 0, 4))

    def fill_registers(self, registers: range = range(10)) -> bytes:
        return b"".join(
            SLOT.pack(LDX | _MEM | SIZE_CODES[8], 10 << 4 | reg, self.place(8), 0)
            if self.rng.random() < 0.5
            else self.constant(reg)
            for reg in registers
        )

    def constant(self, reg: int | None = None) -> bytes:
        low, high = self.imm(), self.imm()
        return SLOT.pack(0x18, self.target() if reg is None else reg, 0, low) + SLOT.pack(0, 0, 0, high)

    def alu(self) -> bytes:
        row, is64 = self.rng.choice(_ALU_ROWS), self.rng.random() < 0.5
        opcode, dst = (ALU64 if is64 else ALU32) | row.code, self.target()
        if self.rng.random() < 0.6:
            return SLOT.pack(opcode | _REG, self.reg() << 4 | dst, row.off, 0)
        imm = self.imm()
        if row.name in _SHIFTS:
            imm &= 63 if is64 else 31
        elif row.code in _DIVISIONS:
            imm = imm or 3
        return SLOT.pack(opcode, dst, row.off, imm)

    def move(self) -> bytes:
        opcode = self.rng.choice((ALU64, ALU32)) | _MOV
        if self.rng.random() < 0.5:
            return SLOT.pack(opcode | _REG, self.reg() << 4 | self.target(), 0, 0)
        return SLOT.pack(opcode, self.target(), 0, self.imm())

    def sign_extend(self) -> bytes:
        alu_class, bits = self.rng.choice(((ALU64, 8), (ALU64, 16), (ALU64, 32), (ALU32, 8), (ALU32, 16)))
        return SLOT.pack(alu_class | _MOV | _REG, self.reg() << 4 | self.target(), bits, 0)

    def negate(self) -> bytes:
        return SLOT.pack(self.rng.choice((ALU64, ALU32)) | _NEG, self.target(), 0, 0)

    def endian(self) -> bytes:
        order = self.rng.choice((ALU32, ALU32 | _REG, ALU64))
        return SLOT.pack(order | _END, self.target(), 0, self.rng.choice((16, 32, 64)))

    def load(self) -> bytes:
        mode, width = self.rng.choice(
            ((_MEM, 1), (_MEM, 2), (_MEM, 4), (_MEM, 8), (_MEMSX, 1), (_MEMSX, 2), (_MEMSX, 4))
        )
        return SLOT.pack(LDX | mode | SIZE_CODES[width], 10 << 4 | self.target(), self.place(width), 0)

    def store(self) -> bytes:
        width = self.rng.choice((1, 2, 4, 8))
        if self.rng.random() < 0.6:
            return SLOT.pack(STX | _MEM | SIZE_CODES[width], self.reg() << 4 | 10, self.place(width), 0)
        return SLOT.pack(ST | _MEM | SIZE_CODES[width], 10, self.place(width), self.imm())

    def atomic(self) -> bytes:
        row, width = self.rng.choice(_ATOMIC_ROWS), self.rng.choice((4, 8))
        if row.name == "cmpxchg" and 0 in self.frozen:
            return self.store()
        src = self.target() if row.fetch else self.reg()
        # A random r0 seldom equals what is stored: make it equal half of the time.
        at = self.place(width)
        hit = row.name == "cmpxchg" and self.rng.random() < 0.5
        before = SLOT.pack(LDX | _MEM | SIZE_CODES[width], 10 << 4, at, 0) if hit else b""
        # Linux 6.18 may forget to zero-extend r0 (tests/engines/test_random_programs.py), so programs do it themselves.
        after = SLOT.pack(ALU32 | _MOV | _REG, 0, 0, 0) if row.name == "cmpxchg" and width == 4 else b""
        return before + SLOT.pack(STX | _ATOMIC | SIZE_CODES[width], src << 4 | 10, at, row.imm) + after

    def ordered(self) -> bytes:
        """load_acquire or store_release."""
        width = self.rng.choice((1, 2, 4, 8))
        opcode = STX | _ATOMIC | SIZE_CODES[width]
        if self.rng.random() < 0.5:
            return SLOT.pack(opcode, 10 << 4 | self.target(), self.place(width), 0x100)
        return SLOT.pack(opcode, self.reg() << 4 | 10, self.place(width), 0x110)

    def straight(self, count: int) -> bytes:
        return b"".join(self.rng.choice(self.kinds)() for _ in range(count))

    def segment(self, depth: int = 0) -> bytes:
        """Some instructions, or a branch over some, or a choice of two, or a loop."""
        kind = self.rng.randrange(4 if depth < 2 else 1)
        if kind == 0:
            return self.straight(self.rng.randrange(1, 8))
        if kind == 3 and not self.frozen:
            return self.loop()
        inside = self.segment(depth + 1)
        if kind == 1:
            return self.branch(len(inside) // 8) + inside
        other = self.segment(depth + 1)
        count = len(other) // 8
        over = SLOT.pack(JMP, 0, count, 0) if self.rng.random() < 0.5 else SLOT.pack(JMP32, 0, 0, count)
        inside += over
        return self.branch(len(inside) // 8) + inside + other

    def branch(self, off: int) -> bytes:
        row = self.rng.choice(_BRANCH_ROWS)
        opcode, dst = self.rng.choice((JMP, JMP32)) | row.code, self.reg()
        if self.rng.random() < 0.6:
            return SLOT.pack(opcode | _REG, self.reg() << 4 | dst, off, 0)
        return SLOT.pack(opcode, dst, off, self.imm())

    def loop(self) -> bytes:
        """A body of 1 to 5 instructions, run 1 to 6 times by a counter that it cannot change."""
        counter = self.rng.randrange(6, 10)
        self.frozen.add(counter)
        body = self.straight(self.rng.randrange(1, 6))
        self.frozen.remove(counter)
        start = SLOT.pack(ALU64 | _MOV, counter, 0, self.rng.randrange(1, 7))
        step = SLOT.pack(ALU64 | ALU["add"].code, counter, 0, -1)
        again = SLOT.pack(JMP | BRANCH["jne"].code, counter, -(len(body) // 8) - 2, 0)
        return start + body + step + again

    def calls(self, main: bytes) -> Code:
        """A program that calls a subprogram behind `main`, whose r0 and r6 to r9 then go on into the end."""
        behind = self.fill_registers(range(1, 6)) + self.straight(3)
        call = SLOT.pack(0x85, 1 << 4, 0, len(behind) // 8 + len(_FINISH))
        inner = _Maker(self.rng)
        subprogram = inner.fill_stack(32) + inner.fill_registers(range(6, 10)) + inner.constant(0)
        subprogram += inner.straight(self.rng.randrange(1, 12)) + inner.segment(depth=1)
        return decode(main + call + behind) + _FINISH + decode(subprogram + _EXIT)


def _finish() -> Code:
    """r0 = r0 folded with r1 to r9; then map value = r0, stack; then exit with 0."""
    out = b""
    for reg in range(1, 10):
        out += SLOT.pack(ALU64 | ALU["mul"].code, 0, 0, 0x01000193)
        out += SLOT.pack(ALU64 | ALU["xor"].code | _REG, reg << 4, 0, 0)
    out += SLOT.pack(0x18, 2 << 4 | 1, 0, 0) + SLOT.pack(0, 0, 0, 0)
    out += SLOT.pack(STX | _MEM | SIZE_CODES[8], 0 << 4 | 1, 0, 0)
    for at in range(0, STACK_BYTES, 8):
        out += SLOT.pack(LDX | _MEM | SIZE_CODES[8], 10 << 4 | 2, at - STACK_BYTES, 0)
        out += SLOT.pack(STX | _MEM | SIZE_CODES[8], 2 << 4 | 1, 8 + at, 0)
    return decode(out + SLOT.pack(ALU64 | _MOV, 0, 0, 0) + _EXIT)


_FINISH = _finish()
