"""Every eBPF instruction, declared once: its encoding and its meaning. Follows RFC 9669; what Linux adds says so.

Assembler, disassembler, decoder, interpreter, JIT and verifier read these rows. A meaning takes unsigned words of
`bits` bits and returns any int; the caller wraps it to `bits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from xdpsim.bits import signed

# Instruction classes: the low three bits of the opcode (RFC 9669 section 3).
LD, LDX, ST, STX, ALU32, JMP, JMP32, ALU64 = range(8)

# Size field of loads and stores, with its width in bytes (RFC 9669 table 12).
WIDTHS: dict[int, int] = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
SIZE_CODES: dict[int, int] = {width: code for code, width in WIDTHS.items()}

# Mode field of loads and stores (RFC 9669 table 11).
MODE_IMM, MODE_ABS, MODE_IND, MODE_MEM, MODE_MEMSX, MODE_ATOMIC = 0x00, 0x20, 0x40, 0x60, 0x80, 0xC0


class Family(Enum):
    """Kinds of instruction that every reader treats with one function each."""

    __hash__ = object.__hash__  # members are singletons, and dicts of them are asked at every insn

    ALU = "alu"  # dst = dst op (src | imm), one operation of ALU
    NEG = "neg"
    MOV = "mov"
    MOVSX = "movsx"
    ENDIAN = "endian"  # to_le, to_be, bswap
    ADDR_SPACE_CAST = "addr_space_cast"  # Linux 6.9, arenas
    LOAD = "load"
    LOAD_SX = "load_sx"
    STORE_IMM = "store_imm"
    STORE_REG = "store_reg"
    ATOMIC = "atomic"
    LOAD_ACQUIRE = "load_acquire"  # Linux 6.15
    STORE_RELEASE = "store_release"  # Linux 6.15
    LD_IMM64 = "ld_imm64"
    LD_PACKET = "ld_packet"  # legacy LD_ABS and LD_IND
    JUMP = "jump"  # ja and gotol
    BRANCH = "branch"  # one operation of BRANCH
    MAY_GOTO = "may_goto"  # Linux 6.9
    CALL_HELPER = "call_helper"
    CALL_LOCAL = "call_local"
    CALL_KFUNC = "call_kfunc"
    CALL_REG = "call_reg"  # callx: compilers emit it, no Linux accepts it, so no decoded instruction has it
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class AluOp:
    """dst = meaning(dst, src, bits). `signed_off` is the offset field that selects this signed variant."""

    name: str
    code: int
    symbol: str
    meaning: Callable[[int, int, int], int]
    off: int = 0
    since: str = "3.18"


ALU: dict[str, AluOp] = {
    op.name: op
    for op in (
        AluOp("add", 0x00, "+=", lambda d, s, n: d + s),
        AluOp("sub", 0x10, "-=", lambda d, s, n: d - s),
        AluOp("mul", 0x20, "*=", lambda d, s, n: d * s),
        AluOp("div", 0x30, "/=", lambda d, s, n: d // s if s else 0),
        AluOp("sdiv", 0x30, "s/=", lambda d, s, n: _sdiv(signed(d, n), signed(s, n)), off=1, since="6.6"),
        AluOp("or", 0x40, "|=", lambda d, s, n: d | s),
        AluOp("and", 0x50, "&=", lambda d, s, n: d & s),
        AluOp("lsh", 0x60, "<<=", lambda d, s, n: d << (s & (n - 1))),
        AluOp("rsh", 0x70, ">>=", lambda d, s, n: d >> (s & (n - 1))),
        AluOp("mod", 0x90, "%=", lambda d, s, n: d % s if s else d),
        AluOp("smod", 0x90, "s%=", lambda d, s, n: _smod(signed(d, n), signed(s, n)), off=1, since="6.6"),
        AluOp("xor", 0xA0, "^=", lambda d, s, n: d ^ s),
        AluOp("arsh", 0xC0, "s>>=", lambda d, s, n: signed(d, n) >> (s & (n - 1))),
    )
}
NEG_CODE, MOV_CODE, END_CODE = 0x80, 0xB0, 0xD0
MOVSX_OFFS = (8, 16, 32)  # off of a MOV that sign-extends: the bits it starts from; since 6.6
# off of an addr_space_cast, and its two forms: destination space in the upper, source space in the lower half.
ADDR_SPACE_CAST_OFF, ADDR_SPACE_CAST_IMMS = 1, (0x0001, 0x1_0000)


def _sdiv(d: int, s: int) -> int:
    """Signed division rounding towards zero; a zero divisor gives zero (RFC 9669 section 4.1)."""
    if s == 0:
        return 0
    quotient = abs(d) // abs(s)
    return -quotient if (d < 0) != (s < 0) else quotient


def _smod(d: int, s: int) -> int:
    """Signed remainder with the dividend's sign; a zero divisor keeps the dividend."""
    if s == 0:
        return d
    remainder = abs(d) % abs(s)
    return -remainder if d < 0 else remainder


@dataclass(frozen=True, slots=True)
class BranchOp:
    """Jump when meaning(dst, src, bits) is true."""

    name: str
    code: int
    symbol: str
    meaning: Callable[[int, int, int], bool]
    since: str = "3.18"


BRANCH: dict[str, BranchOp] = {
    op.name: op
    for op in (
        BranchOp("jeq", 0x10, "==", lambda d, s, n: d == s),
        BranchOp("jgt", 0x20, ">", lambda d, s, n: d > s),
        BranchOp("jge", 0x30, ">=", lambda d, s, n: d >= s),
        BranchOp("jset", 0x40, "&", lambda d, s, n: d & s != 0),
        BranchOp("jne", 0x50, "!=", lambda d, s, n: d != s),
        BranchOp("jsgt", 0x60, "s>", lambda d, s, n: signed(d, n) > signed(s, n)),
        BranchOp("jsge", 0x70, "s>=", lambda d, s, n: signed(d, n) >= signed(s, n)),
        BranchOp("jlt", 0xA0, "<", lambda d, s, n: d < s, since="4.14"),
        BranchOp("jle", 0xB0, "<=", lambda d, s, n: d <= s, since="4.14"),
        BranchOp("jslt", 0xC0, "s<", lambda d, s, n: signed(d, n) < signed(s, n), since="4.14"),
        BranchOp("jsle", 0xD0, "s<=", lambda d, s, n: signed(d, n) <= signed(s, n), since="4.14"),
    )
}
JA_CODE, CALL_CODE, EXIT_CODE, JCOND_CODE = 0x00, 0x80, 0x90, 0xE0
CALLX = 0x8D


@dataclass(frozen=True, slots=True)
class AtomicOp:
    """*addr = meaning(old, src); `fetch` puts the old value into src (cmpxchg: compares with r0, old into r0)."""

    name: str
    imm: int
    fetch: bool
    meaning: Callable[[int, int], int]
    since: str = "5.12"


ATOMIC: dict[str, AtomicOp] = {
    op.name: op
    for op in (
        AtomicOp("add", 0x00, False, lambda old, s: old + s, since="3.18"),
        AtomicOp("or", 0x40, False, lambda old, s: old | s),
        AtomicOp("and", 0x50, False, lambda old, s: old & s),
        AtomicOp("xor", 0xA0, False, lambda old, s: old ^ s),
        AtomicOp("fetch_add", 0x01, True, lambda old, s: old + s),
        AtomicOp("fetch_or", 0x41, True, lambda old, s: old | s),
        AtomicOp("fetch_and", 0x51, True, lambda old, s: old & s),
        AtomicOp("fetch_xor", 0xA1, True, lambda old, s: old ^ s),
        AtomicOp("xchg", 0xE1, True, lambda old, s: s),
        AtomicOp("cmpxchg", 0xF1, True, lambda old, s: s),
    )
}
ATOMIC_LOAD_ACQUIRE, ATOMIC_STORE_RELEASE = 0x100, 0x110


class Imm64(Enum):
    """What the src field of LD_IMM64 says its two immediates are (RFC 9669 table 13; names as in linux/bpf.h)."""

    VALUE = 0
    MAP_FD = 1
    MAP_VALUE = 2  # imm: map, next_imm: offset into its first value
    BTF_ID = 3
    FUNC = 4  # address of a subprogram, imm: offset in slots
    MAP_IDX = 5
    MAP_IDX_VALUE = 6
