"""Programs that no verifier would let through: valid encodings that misuse pointers, calls and jumps."""

from __future__ import annotations

import random
from typing import Any

from tests.support.instructions import fitting, random_code
from tests.support.programs import random_program
from xdpsim.helpers import all as all_helpers
from xdpsim.helpers.ids import HELPERS_OF_TYPE
from xdpsim.helpers.rows import HELPERS, Control
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import SLOT, decode, encode_all
from xdpsim.isa.insn import Code
from xdpsim.memory.native import NativeFunction

MAPS: list[dict[str, Any]] = [
    {"type": "ARRAY", "key_size": 4, "value_size": 72, "max_entries": 1},
    {"type": "HASH", "key_size": 4, "value_size": 16, "max_entries": 4},
]
BUDGET = 2000
_POINTERS = """
r6 = r1
r7 = map[1]
r8 = map_value[0]
r9 = *(u32 *)(r1 +0)
r2 = r10
r2 += -16
r1 = r7
r3 = r2
r4 = 0
r5 = 8
"""
assert all_helpers.MODULES, "their import is what fills HELPERS"
CALLABLE = sorted(
    {
        number
        for (number, _), row in HELPERS.items()
        if row.control is Control.NONE and isinstance(row.body, NativeFunction) and number in HELPERS_OF_TYPE["XDP"]
    }
)
"""Helpers with native bodies, which both engines of ours call alike."""


def hostile_code(rng: random.Random) -> Code:
    """One program of one of three kinds."""
    kind = rng.randrange(3)
    if kind == 0:
        return random_code(rng, rng.randrange(1, 14))
    if kind == 1:
        return spoilt(rng)
    return with_pointers(rng)


def spoilt(rng: random.Random) -> Code:
    """A program that Linux would take, with a few fields changed."""
    raw = bytearray(encode_all(random_program(rng)))
    for _ in range(rng.randrange(1, 6)):
        slot = rng.randrange(len(raw) // 8)
        code = decode(bytes(raw))
        insn = code[slot]
        if insn is None or insn.slots == 2:
            continue
        off = rng.choice((insn.off, rng.randrange(-80, 80)))
        other = fitting(insn.opcode, rng.randrange(11), rng.randrange(11), off, insn.imm, 0)
        if other is not None:
            SLOT.pack_into(raw, slot * 8, other.opcode, other.src << 4 | other.dst, other.off, other.imm)
    return decode(bytes(raw))


def with_pointers(rng: random.Random) -> Code:
    """Pointers of every kind in registers, then small random steps and helper calls over them."""
    body = b"".join(_step(rng) for _ in range(rng.randrange(2, 16)))
    return assemble(_POINTERS) + decode(body + SLOT.pack(0x95, 0, 0, 0))


def _step(rng: random.Random) -> bytes:
    kind = rng.randrange(6)
    dst, src = rng.randrange(10), rng.randrange(11)
    if kind == 0:
        return SLOT.pack(0x85, 0, 0, rng.choice(CALLABLE))
    if kind == 1:
        return SLOT.pack(0xBF, src << 4 | dst, 0, 0)
    if kind == 2:
        return SLOT.pack(0x07, dst, 0, rng.choice((-8, 4, 8, 16, 64, -512, 1 << 20)))
    off = rng.choice((0, 4, -4, -8, 12, 8, 60, 64, -512))
    opcode = rng.choice((0x79, 0x61, 0x71, 0x81, 0x7B, 0x63, 0xDB, 0xC3))
    if kind == 5:
        opcode, off = rng.choice((0x15, 0x5D, 0xB5)), 1
    fields = fitting(opcode, dst, src, off, 0, 0)
    assert fields is not None
    return SLOT.pack(fields.opcode, fields.src << 4 | fields.dst, fields.off, fields.imm)
