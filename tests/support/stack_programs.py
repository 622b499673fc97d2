"""Random programs that store to, load from and branch over their stack, some in called functions."""

from __future__ import annotations

import random

from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Code


def stack_program(rng: random.Random) -> Code:
    """Main and up to two functions; main's r10 is r6 in all of them. All branches but a loop's go both ways."""
    count = rng.choice((0, 1, 1, 2))
    calls = [f"r1 = r6; call f{number}" for number in range(count)]
    looped = _body(rng, "n", count)
    if rng.random() < 0.4:
        looped = ["r8 = 0; again: r8 += 1", *looped, "if r8 < 3 goto again"]
    pieces = ["r6 = r10", *_body(rng, "m", count), *calls, *looped, "r0 = 0; exit"]
    for number in range(count):
        pieces += [f"f{number}: r6 = r1", *_body(rng, f"g{number}_", number), "r0 = 0; exit"]
    return assemble("; ".join(pieces))


def _body(rng: random.Random, prefix: str, callees: int) -> list[str]:
    """Statements with labels `prefix`N: accesses through r10, r6 and r7, branches forward, calls."""
    lines: list[str] = []
    open_labels: list[str] = []
    for number in range(rng.randrange(2, 9)):
        kind = rng.random()
        if kind < 0.6:
            lines.append(_access(rng, f"{prefix}v{number}", number))
        elif kind < 0.85:
            label = f"{prefix}{number}"
            lines.append(f"call 7; if r0 == {1000 + number} goto {label}")
            open_labels.append(label)
        elif callees:
            lines.append(f"r1 = r6; call f{rng.randrange(callees)}")
        if open_labels and rng.random() < 0.4:
            lines.append(f"{open_labels.pop()}: r4 = 0")
    return lines + [f"{label}: r4 = 0" for label in open_labels]


def _access(rng: random.Random, label: str, number: int) -> str:
    """A store or a load of 8 bytes; through r7 it goes to another slot on each of two paths."""
    off, base = -8 * rng.choice((1, 2, 3, 4, 33, 34)), rng.choice((10, 6))
    if rng.random() < 0.25:
        step = rng.choice((-8, -16, 8)) if off < -8 else -8
        before = f"call 7; r7 = r{base}; r7 += {off}; if r0 == {2000 + number} goto {label}; r7 += {step}; {label}: "
        return before + rng.choice((f"*(u64 *)(r7 +0) = {number}", "r3 = *(u64 *)(r7 +0)"))
    return f"*(u64 *)(r{base} {off}) = {number}" if rng.random() < 0.55 else f"r3 = *(u64 *)(r{base} {off})"
