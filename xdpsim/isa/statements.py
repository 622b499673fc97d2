"""From the parts of one assembler statement to the fields of one instruction; a function for each kind of statement.

`isa.grammar` finds the parts. A target stays text for `isa.asm` to resolve. What the fields must not be (a shift
by 64, an atomic on one byte) is left to `isa.decode`, which judges every encoding anyway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from xdpsim.bits import M64, signed
from xdpsim.isa import rows
from xdpsim.isa.disasm import IMM64_WORDS
from xdpsim.isa.rows import ALU, ATOMIC, BRANCH, SIZE_CODES, Imm64


class Mistake(Exception):
    """What a statement should have been; `isa.asm` adds where it stands."""


@dataclass(frozen=True, slots=True)
class Fields:
    """An instruction before its target is known. `target` is `pc+N` or a name, and fills the field `target_in`."""

    opcode: int
    dst: int = 0
    src: int = 0
    off: int = 0
    imm: int = 0
    next_imm: int = 0
    target: str = ""
    target_in: str = ""


@dataclass(frozen=True, slots=True)
class Names:
    """Numbers of helpers and of maps, by name."""

    helpers: Mapping[str, int]
    maps: Mapping[str, int]


Parts = Mapping[str, str]
_REG_BIT = 8


def _reg(text: str, bits: int = 64) -> int:
    letter = "r" if bits == 64 else "w"
    if text[0] != letter:
        raise Mistake(f"expected {letter}{text[1:]} for {text}: here operands are {bits} bits wide")
    if int(text[1:]) > 10:
        raise Mistake(f"expected a register {letter}0 to {letter}10 for {text}")
    return int(text[1:])


def _width(text: str) -> int:
    return 64 if text[0] == "r" else 32


def _number(text: str) -> int:
    negative, digits = text.startswith("-"), text.lstrip("+-")
    value = int(digits, 16 if digits[:2].lower() == "0x" else 10)
    return -value if negative else value


def _imm(text: str, bits: int = 64) -> int:
    """A signed 32-bit immediate. `bits` of 32 or less: 0xffffffff means the same as -1, so it may be written."""
    value = _number(text)
    if -(2**31) <= value < (2**32 if bits <= 32 else 2**31):
        return signed(value, 32)
    raise Mistake(f"expected an immediate of {-(2**31)} to {2**31 - 1} for {text}, or 'rN = {text} ll' before it")


def _off(text: str) -> int:
    value = _number(text) if text else 0
    if not -(2**15) <= value < 2**15:
        raise Mistake(f"expected an offset of {-(2**15)} to {2**15 - 1} for {text}")
    return value


def _size(parts: Parts) -> int:
    return SIZE_CODES[int(parts["size"]) // 8]


def _operand(parts: Parts, bits: int) -> tuple[int, int, int]:
    """The register bit, src and imm of a second operand."""
    text = parts["second"]
    if text[0] in "rw":
        return _REG_BIT, _reg(text, bits), 0
    return 0, 0, _imm(text, bits)


def alu(parts: Parts, names: Names) -> Fields:
    """`r1 += r2`, `w1 s/= 5`."""
    row, bits = ALU_BY_SYMBOL[parts["symbol"]], _width(parts["dst"])
    form, src, imm = _operand(parts, bits)
    opcode = _alu_class(bits) | row.code | form
    return Fields(opcode, _reg(parts["dst"], bits), src, row.off, imm)


def _alu_class(bits: int) -> int:
    return rows.ALU64 if bits == 64 else rows.ALU32


def mov(parts: Parts, names: Names) -> Fields:
    """`r1 = r2`, `w1 = 5`, `r1 = (s8)r2`."""
    bits = _width(parts["dst"])
    form, src, imm = _operand(parts, bits)
    off = int(parts["from"] or 0)
    return Fields(_alu_class(bits) | rows.MOV_CODE | form, _reg(parts["dst"], bits), src, off, imm)


def neg(parts: Parts, names: Names) -> Fields:
    """`r1 = -r1`."""
    bits = _width(parts["dst"])
    _same(parts, "second")
    return Fields(_alu_class(bits) | rows.NEG_CODE, _reg(parts["dst"], bits))


def endian(parts: Parts, names: Names) -> Fields:
    """`r1 = be16 r1`, `r1 = bswap32 r1`."""
    _same(parts, "second")
    order = {"le": rows.ALU32, "be": rows.ALU32 | _REG_BIT, "bswap": rows.ALU64}[parts["order"]]
    return Fields(rows.END_CODE | order, _reg(parts["dst"]), imm=int(parts["size"]))


def _same(parts: Parts, second: str) -> None:
    if parts["dst"] != parts[second]:
        raise Mistake(f"expected {parts['dst']} for {parts[second]}: this operation changes one register in place")


def addr_space_cast(parts: Parts, names: Names) -> Fields:
    """`r1 = addr_space_cast(r2, 0, 1)`."""
    imm = signed(_number(parts["to"]) << 16 | _number(parts["from_space"]) & 0xFFFF, 32)
    opcode = rows.ALU64 | rows.MOV_CODE | _REG_BIT
    return Fields(opcode, _reg(parts["dst"]), _reg(parts["src"]), rows.ADDR_SPACE_CAST_OFF, imm)


def load(parts: Parts, names: Names) -> Fields:
    """`r1 = *(u32 *)(r2 +4)`, `r1 = *(s8 *)(r2 +0)`."""
    mode = rows.MODE_MEMSX if parts["kind"] == "s" else rows.MODE_MEM
    return Fields(rows.LDX | mode | _size(parts), _reg(parts["dst"]), _reg(parts["base"]), _off(parts["off"]))


def store(parts: Parts, names: Names) -> Fields:
    """`*(u32 *)(r1 +4) = r2`, or a number."""
    if parts["second"][0] in "rw":
        opcode = rows.STX | rows.MODE_MEM | _size(parts)
        return Fields(opcode, _reg(parts["base"]), _reg(parts["second"]), _off(parts["off"]))
    imm = _imm(parts["second"], int(parts["size"]))
    return Fields(rows.ST | rows.MODE_MEM | _size(parts), _reg(parts["base"]), 0, _off(parts["off"]), imm)


def _atomic(parts: Parts, imm: int, src: str) -> Fields:
    opcode = rows.STX | rows.MODE_ATOMIC | _size(parts)
    return Fields(opcode, _reg(parts["base"]), _reg(src), _off(parts["off"]), imm)


def lock(parts: Parts, names: Names) -> Fields:
    """`lock *(u64 *)(r1 +0) += r2`."""
    name = ALU_BY_SYMBOL[parts["symbol"]].name
    if name not in ATOMIC:
        raise Mistake(f"expected one of {' '.join(ALU[op].symbol for op in ATOMIC if op in ALU)} after lock")
    return _atomic(parts, ATOMIC[name].imm, parts["src"])


def fetch(parts: Parts, names: Names) -> Fields:
    """`r1 = atomic64_fetch_add((u64 *)(r2 +0), r1)`, xchg, cmpxchg."""
    name = parts["op"]
    if name not in ATOMIC or not ATOMIC[name].fetch:
        raise Mistake(f"expected one of {', '.join(op for op, row in ATOMIC.items() if row.fetch)} for {name}")
    if parts["size"] != ("64" if parts["wide"] else "32"):
        raise Mistake("expected atomic_ with a u32 and atomic64_ with a u64")
    compares = name == "cmpxchg"
    if compares != bool(parts["expected"]) or parts["dst"] != ("r0" if compares else parts["src"]):
        raise Mistake("expected 'r1 = atomic_fetch_add(..., r1)' or 'r0 = atomic_cmpxchg(..., r0, r1)'")
    return _atomic(parts, ATOMIC[name].imm, parts["src"])


def load_acquire(parts: Parts, names: Names) -> Fields:
    """`r1 = load_acquire((u64 *)(r2 +0))`."""
    opcode = rows.STX | rows.MODE_ATOMIC | _size(parts)
    off = _off(parts["off"])
    return Fields(opcode, _reg(parts["dst"]), _reg(parts["base"]), off, rows.ATOMIC_LOAD_ACQUIRE)


def store_release(parts: Parts, names: Names) -> Fields:
    """`store_release((u64 *)(r1 +0), r2)`."""
    return _atomic(parts, rows.ATOMIC_STORE_RELEASE, parts["src"])


def ld_packet(parts: Parts, names: Names) -> Fields:
    """`r0 = *(u8 *)skb[12]`, `r0 = *(u8 *)skb[r1 + 12]`."""
    mode, src = (rows.MODE_IND, _reg(parts["src"])) if parts["src"] else (rows.MODE_ABS, 0)
    return Fields(rows.LD | mode | _size(parts), 0, src, 0, _imm(parts["imm"]))


def ld_imm64(parts: Parts, names: Names) -> Fields:
    """`r1 = 0x1122334455667788 ll`."""
    value = _number(parts["imm"])
    if not -(2**63) <= value <= M64:
        raise Mistake(f"expected 64 bits for {parts['imm']}")
    return _wide(parts["dst"], Imm64.VALUE, signed(value, 32), signed(value >> 32, 32))


def ld_special(parts: Parts, names: Names) -> Fields:
    """`r1 = map[0]`, `r1 = map_value[counts]+8`, `r1 = func[label]`."""
    kind = _IMM64_KINDS.get(parts["word"])
    if kind is None:
        raise Mistake(f"expected one of {', '.join(_IMM64_KINDS)} before [ for {parts['word']}")
    what, next_imm = parts["what"], _imm(parts["plus"]) if parts["plus"] else 0
    if re.fullmatch(NUMBER, what):
        return _wide(parts["dst"], kind, _imm(what), next_imm)
    if kind is Imm64.FUNC:
        return _wide(parts["dst"], kind, 0, next_imm, target=what)
    if what not in names.maps:
        raise Mistake(f"expected the number or the name of a map for {what}; names: {_known(names.maps)}")
    return _wide(parts["dst"], kind, names.maps[what], next_imm)


def _wide(dst: str, kind: Imm64, imm: int, next_imm: int, target: str = "") -> Fields:
    opcode = rows.LD | rows.MODE_IMM | SIZE_CODES[8]
    return Fields(opcode, _reg(dst), kind.value, 0, imm, next_imm, target, "imm" if target else "")


def goto(parts: Parts, names: Names) -> Fields:
    """`goto label`, `gotol pc+70000`, `may_goto pc+2`."""
    opcode, where = {
        "goto": (rows.JMP | rows.JA_CODE, "off"),
        "gotol": (rows.JMP32 | rows.JA_CODE, "imm"),
        "may_goto": (rows.JMP | rows.JCOND_CODE, "off"),
    }[parts["word"]]
    return Fields(opcode, target=parts["target"], target_in=where)


def branch(parts: Parts, names: Names) -> Fields:
    """`if r1 s> 0x5 goto pc+3`."""
    row, bits = BRANCH_BY_SYMBOL[parts["symbol"]], _width(parts["dst"])
    # Linux prints the immediate as 32 bits without a sign, in 64-bit comparisons too.
    second = parts["second"]
    form, src, imm = (0, 0, _imm(second, 32)) if second[:2] == "0x" else _operand(parts, bits)
    opcode = (rows.JMP if bits == 64 else rows.JMP32) | row.code | form
    return Fields(opcode, _reg(parts["dst"], bits), src, 0, imm, target=parts["target"], target_in="off")


def call_number(parts: Parts, names: Names) -> Fields:
    """`call 1`, `call bpf_map_lookup_elem#1`, `call kfunc name#70000`."""
    src = 2 if parts["kfunc"] else 0
    return Fields(rows.JMP | rows.CALL_CODE, 0, src, _off(parts["off"]), _imm(parts["imm"]))


def call_name(parts: Parts, names: Names) -> Fields:
    """`call bpf_map_lookup_elem` by the given names, else `call label` or `call pc+5`."""
    name = parts["target"]
    if name in names.helpers:
        return Fields(rows.JMP | rows.CALL_CODE, imm=names.helpers[name])
    return Fields(rows.JMP | rows.CALL_CODE, src=1, target=name, target_in="imm")


def end(parts: Parts, names: Names) -> Fields:
    """`exit`."""
    return Fields(rows.JMP | rows.EXIT_CODE, off=_off(parts["off"]))


def _known(names: Mapping[str, int]) -> str:
    return ", ".join(names) or "none"


ALU_BY_SYMBOL = {row.symbol: row for row in ALU.values()}
BRANCH_BY_SYMBOL = {row.symbol: row for row in BRANCH.values()}
_IMM64_KINDS = {word: Imm64[name] for name, word in IMM64_WORDS.items() if name != Imm64.VALUE.name}
NUMBER = r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)"
