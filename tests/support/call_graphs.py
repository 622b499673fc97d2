"""Random programs whose functions use so much stack, call each other so deep, and tail-call."""

from __future__ import annotations

import random

from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Code

_SIZES = (0, 8, 16, 24, 40, 56, 64, 72, 120, 136, 200, 248, 256, 264, 400, 512)


def call_graph(rng: random.Random) -> tuple[Code, list[int]]:
    """The code, and the bytes of stack of each function. A function calls later ones only, so none recurses."""
    count = rng.randrange(1, 9)
    deep = rng.random() < 0.3
    sizes = [rng.choice(_SIZES[:6] if deep else _SIZES) for _ in range(count)]
    callees: list[list[int]] = [[] for _ in range(count)]
    for number in range(1, count):
        for _ in range(rng.choice((1, 1, 2))):
            callees[number - 1 if deep else rng.randrange(number)].append(number)
    pieces = []
    for number, size in enumerate(sizes):
        lines = [f"*(u64 *)(r10 -{size}) = 0"] if size else []
        lines += [f"call f{callee}" for callee in callees[number]]
        pieces.append(f"f{number}: r0 = 0; " + "; ".join([*lines, "r0 = 0", "exit"]))
    return assemble("; ".join(pieces)), sizes
