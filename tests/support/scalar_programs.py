"""Programs that put two unknown numbers through arithmetic and comparisons, and what is known of them at each insn.

`random_program` writes one, `walk` follows it with xdpsim.verifier's transfer functions, `read_log` finds the same in a
level-2 log of the kernel's verifier. r6 and r7 hold the numbers, r8 constants of 64 bits.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import BRANCH, Family
from xdpsim.verifier import scalar_alu
from xdpsim.verifier.scalar import UNKNOWN, Scalar, Violated, const
from xdpsim.verifier.scalar_branch import branch_taken, refine, refine_same
from xdpsim.verifier.scalar_sync import sane
from xdpsim.verifier.scalar_text import scalar_text

_EDGES = (0, 1, 2, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 1000, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFE, 0x7FFFFFFF)
_WIDE = (1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - (1 << 31))
_SHIFTS = ("lsh", "rsh", "arsh")
_SYMBOLS = {
    "add": "+=",
    "sub": "-=",
    "mul": "*=",
    "div": "/=",
    "or": "|=",
    "and": "&=",
    "xor": "^=",
    "mod": "%=",
    "lsh": "<<=",
    "rsh": ">>=",
    "arsh": "s>>=",
}
_COMMON = ("add", "sub", "mul", "or", "and", "xor", "lsh", "rsh", "arsh")
NAMES = ("R6", "R7", "R8")


@dataclass
class Known:
    """What holds after each slot walked (`after`), where its branch is taken (`taken`), and contradictions met."""

    after: dict[int, dict[str, str]] = field(default_factory=dict)
    taken: dict[int, dict[str, str]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


def random_program(rng: random.Random, steps: int = 12) -> str:
    """The text of one program; every branch jumps to a place of its own."""
    lines = ["call 7", "r6 = r0", "call 7", "r7 = r0", "r0 = 0", "r8 = 0"]
    exits = 0
    for _ in range(rng.randint(2, steps)):
        line = _step(rng)
        if " goto " in line:
            exits += 1
            line += f"out{exits}"
        lines.append(line)
    lines.append("exit")
    for number in range(1, exits + 1):
        lines += [f"out{number}: r0 = {number}", "exit"]
    return "\n".join(lines)


def linked_program(rng: random.Random, steps: int = 18) -> str:
    """The text of one program as random_program writes them, with moves, constants added, spills and fills between."""
    head, *rest = random_program(rng, steps).split("r8 = 0\n", 1)
    lines = f"{head}r8 = 0\nr9 = 1\n*(u64 *)(r10 -8) = r9\n*(u64 *)(r10 -16) = r6\n{rest[0]}".split("\n")
    first, last = 9, lines.index("exit")
    for _ in range(rng.randint(2, 8)):
        lines.insert(rng.randint(first, last), _link(rng))
        last += 1
    return "\n".join(lines)


def _link(rng: random.Random) -> str:
    dst, src, slot = rng.randint(6, 9), rng.randint(6, 9), rng.choice((8, 16))
    return rng.choice(
        (
            f"r{dst} = r{src}",
            f"w{dst} = w{src}",
            f"r{dst} = (s32)r{src}",
            f"r{dst} = (s8)r{src}",
            f"w{dst} = (s16)w{src}",
            f"r{dst} += {rng.choice((1, 5, -3))}",
            f"w{dst} += 4",
            f"r{dst} -= 2",
            f"*(u64 *)(r10 -{slot}) = r{src}",
            f"*(u32 *)(r10 -{slot}) = r{src}",
            f"r{dst} = *(u64 *)(r10 -{slot})",
            f"r{dst} = *(u32 *)(r10 -{slot})",
        )
    )


def _step(rng: random.Random) -> str:
    bank = rng.choice("rrw")
    dst, src = rng.choice(((6, 7), (7, 6), (6, 8), (7, 8), (6, 6), (7, 7)) if rng.random() < 0.3 else ((6, 7), (7, 6)))
    kind = rng.random()
    if kind < 0.35:
        operand = f"{bank}{src}" if rng.random() < 0.4 else str(_number(rng))
        op = rng.choice([row.symbol for row in BRANCH.values()])
        return f"if {bank}{dst} {op} {operand} goto "
    if kind < 0.42:
        return f"r8 = {rng.choice(_WIDE) + rng.randint(-2, 2) & (1 << 64) - 1} ll"
    if kind < 0.50:
        return _cast(rng, dst)
    op = rng.choice(_COMMON) if rng.random() < 0.97 else rng.choice(("div", "mod"))
    if rng.random() < 0.4:
        return f"{bank}{dst} {_SYMBOLS[op]} {bank}{src}"
    number = rng.randrange(64 if bank == "r" else 32) if op in _SHIFTS else _number(rng)
    return f"{bank}{dst} {_SYMBOLS[op]} {number or 1}"


def _cast(rng: random.Random, dst: int) -> str:
    """A cast of one register: between two it would link them, and what is learned of one would hold of both."""
    choices = [f"r{dst} s>>= 63", f"w{dst} s>>= 31", f"w{dst} = w{dst}", f"r{dst} = -r{dst}", f"w{dst} = -w{dst}"]
    choices += [f"r{dst} = {op}{bits} r{dst}" for op in ("be", "le", "bswap") for bits in (16, 32, 64)]
    choices += [f"r{dst} = (s{bits})r{dst}" for bits in (8, 16, 32)]
    choices += [f"w{dst} = (s{bits})w{dst}" for bits in (8, 16)]
    return rng.choice(choices)


def _number(rng: random.Random) -> int:
    number = rng.choice(_EDGES) if rng.random() < 0.7 else rng.getrandbits(rng.randint(1, 31))
    return -number if rng.random() < 0.3 else number


def walk(code: Code) -> Known:
    """Follow the program along its fall-through path, as the verifier does first."""
    regs = {6: UNKNOWN, 7: UNKNOWN, 8: UNKNOWN}
    known = Known()
    for slot, insn in enumerate(code):
        if insn is None:
            continue
        if insn.family is Family.EXIT:
            break
        if insn.family is Family.BRANCH:
            if not _branch(known, slot, insn, regs):
                break
        elif insn.dst in regs:
            result = _result(insn, regs)
            _note(known, "alu", result)
            regs[insn.dst] = result
        known.after[slot] = _texts(regs)
    return known


def _branch(known: Known, slot: int, insn: Insn, regs: dict[int, Scalar]) -> bool:
    """Record what the branch tells; False when it is always taken."""
    a, b = regs[insn.dst], regs[insn.src] if insn.uses_reg else const(insn.imm)
    verdict = branch_taken(a, b, insn.op, insn.bits)
    if verdict >= 0:
        known.after[slot] = _texts(regs)
        return not verdict
    if insn.uses_reg and insn.dst == insn.src:
        taken, other = refine_same(a, insn.op, insn.bits)
        results = (taken, _again(taken), other, _again(other))
    else:
        results = refine(a, b, insn.op, insn.bits)
    for place, result in zip(("true_reg1", "true_reg2", "false_reg1", "false_reg2"), results, strict=True):
        _note(known, place, result)
    sides = []
    for first, second in (results[:2], results[2:]):
        side = regs | ({insn.src: second} if insn.uses_reg else {})
        sides.append(side | {insn.dst: first})
    known.taken[slot] = _texts(sides[0])
    regs.update(sides[1])
    return True


def _result(insn: Insn, regs: dict[int, Scalar]) -> Scalar:
    dst = regs[insn.dst]
    src = regs.get(insn.src, UNKNOWN) if insn.uses_reg else const(insn.imm)
    if insn.family is Family.LD_IMM64:
        return const(insn.imm64)
    if insn.family is Family.MOV:
        return src if insn.bits == 64 else scalar_alu.zext32(src)
    if insn.family is Family.MOVSX:
        return scalar_alu.movsx(src, insn.off, insn.bits)
    if insn.family is Family.ENDIAN:
        return scalar_alu.endian(dst, insn.op, insn.bits)
    if insn.family is Family.ALU and (ways := scalar_alu.forked(dst, src, insn.op)):
        dst = ways[0]
    return scalar_alu.ALU_TRANSFER["neg" if insn.family is Family.NEG else insn.op](dst, src, insn.bits)


def _again(result: Scalar) -> Scalar:
    """One register checked as the second operand too: given-up ranges may then contradict its known bits."""
    checked = sane(result)
    return UNKNOWN if checked is result else checked


def _note(known: Known, place: str, result: Scalar) -> None:
    if isinstance(result, Violated):
        known.violations.append(f"REG INVARIANTS VIOLATION ({place}): {result.why}")


def _texts(regs: dict[int, Scalar]) -> dict[str, str]:
    return {f"R{number}": scalar_text(value, 0, 0, precise=False) for number, value in regs.items()}


_STEP = re.compile(r"(\d+): \([0-9a-f]{2}\) .*?; (R.*)")
_FROM = re.compile(r"from (\d+) to (\d+): (R.*)")
_REG = re.compile(r"(R\d+)=(P?)(scalar\((?:[^()]|\([^()]*\))*\)|\S+)")
_VIOLATION = re.compile(r"REG INVARIANTS VIOLATION .*?var_off=\([^)]*\)")


def read_log(log: str) -> Known:
    """The same from the kernel's log, as far as it prints it: links and precision marks are left out.

    Where the verifier splits a number it walks the rest twice, and tells of the second walk later: that is left out.
    """
    known = Known(violations=_VIOLATION.findall(log))
    main, split = True, len(log)
    for line in log.splitlines():
        if found := _FROM.match(line):
            main, slot = False, int(found[1])
            if found[1] == found[2]:
                split = min(split, slot)
            elif slot < split:
                known.taken[slot] = _registers(found[3])
        elif main and (found := _STEP.match(line)):
            known.after[int(found[1])] = _registers(found[2])
    return known


def differences(ours: Known, kernel: Known) -> list[str]:
    """Where both say something else of a number; empty when they agree in all that the kernel prints."""
    found = []
    for place, printed, walked in (("after", kernel.after, ours.after), ("taken", kernel.taken, ours.taken)):
        for slot, registers in printed.items():
            for name, text in registers.items() if slot > 5 else ():
                if (got := walked.get(slot, {}).get(name)) != text:
                    found.append(f"{place} {slot}: {name} is {text} for Linux, {got} for us")
    if kernel.taken.keys() != ours.taken.keys():
        found.append(f"open branches: {sorted(kernel.taken)} for Linux, {sorted(ours.taken)} for us")
    if sorted(kernel.violations) != sorted(ours.violations):
        found.append(f"violations: {kernel.violations} for Linux, {ours.violations} for us")
    return found


def _registers(text: str) -> dict[str, str]:
    found = {name: re.sub(r"id=\d+([+-]\d+)?,?", "", value) for name, _, value in _REG.findall(text)}
    return {name: value for name, value in found.items() if name in NAMES}
