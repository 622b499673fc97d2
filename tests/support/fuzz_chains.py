"""Programs that chain packet helpers and that Linux's verifier takes: sizes are constants, buffers lie on the stack."""

from __future__ import annotations

import random

from tests.support.fuzz_things import address, imm64, slot
from xdpsim.isa.decode import decode
from xdpsim.isa.insn import Code

MAPS = (
    {"type": "ARRAY", "key_size": 4, "value_size": 8, "max_entries": 4},
    {"type": "HASH", "key_size": 4, "value_size": 8, "max_entries": 3},
    {"type": "DEVMAP", "key_size": 4, "value_size": 4, "max_entries": 4},
    {"type": "PERCPU_ARRAY", "key_size": 4, "value_size": 8, "max_entries": 2},
    {"type": "LPM_TRIE", "key_size": 8, "value_size": 8, "max_entries": 4, "flags": 1},
    {"type": "XSKMAP", "key_size": 4, "value_size": 4, "max_entries": 4},
    {"type": "DEVMAP", "key_size": 4, "value_size": 4, "max_entries": 4},
)
_BUFFER, _KEY, _OTHER = -64, -72, -136
"""On the stack: 64 bytes, a key, 64 other bytes."""
_DELTAS = (
    -512,
    -257,
    -256,
    -255,
    -64,
    -44,
    -40,
    -14,
    -8,
    -4,
    -2,
    -1,
    0,
    1,
    2,
    4,
    8,
    14,
    20,
    32,
    40,
    46,
    60,
    100,
    255,
    256,
    1500,
)
_BIG = (-0x80000000, -0x10000, -4096, 3000, 4096, 0x7FFFFFFF)
_OFFSETS = (
    0,
    1,
    6,
    12,
    13,
    14,
    20,
    23,
    26,
    30,
    34,
    40,
    46,
    54,
    60,
    64,
    100,
    128,
    1000,
    1500,
    4000,
    0xFFFF,
    0x10000,
    -1,
)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 14, 20, 32, 40, 63, 64)
_WORDS = (0, 1, 2, 3, 4, 7, 8, 0xFF, 0x100, 0xFFFF, 0x10000, 0x7FFFFFFF, -1, -2, -0x80000000)


class Chain:
    """One program. r6 is the context, r7 mixes every result, r8 is the last result."""

    def __init__(self, rng: random.Random, *, has_frags: bool = False) -> None:
        self.rng = rng
        self.devices = 6 if has_frags else 2  # Linux lets no map of devices serve programs of both sorts
        self.steps = (
            *(self.adjust,) * 6, *(self.load_bytes,) * 4, *(self.store_bytes,) * 4, self.csum_diff, self.csum_diff,
            self.length, self.span, self.redirect, self.redirect_map, *(self.map_value,) * 3, self.update, self.delete,
            self.fib, self.number,
        )  # fmt: skip

    def make(self) -> Code:
        """Three to eight calls between a prologue that fills the stack and an end that tells what came of them."""
        rng = self.rng
        out = slot(0xBF, 6, 1) + slot(0xB7, 7, imm=rng.choice(_WORDS)) + slot(0xB7, 8)
        for at in range(_OTHER, 0, 8):
            out += slot(0x7A, 10, 0, at, rng.choice((0, 0x01020304, -1, rng.getrandbits(31))))
        for _ in range(rng.randrange(3, 9)):
            out += rng.choice(self.steps)() + self.mix()
        return decode(out + self.end())

    def mix(self) -> bytes:
        return slot(0x27, 7, imm=31) + slot(0xAF, 7, 0) + slot(0xBF, 8, 0)

    def end(self) -> bytes:
        """r7 and the buffer, folded, go into the array; the verdict is the last result, r7's lower bits or XDP_PASS."""
        out = b"".join(slot(0x79, 1, 10, at) + slot(0x27, 7, imm=33) + slot(0xAF, 7, 1) for at in range(_BUFFER, 0, 8))
        out += slot(0x62, 10, 0, _KEY) + self.lookup(0) + slot(0x15, 0, 0, 1) + slot(0x7B, 0, 7)
        verdict = (slot(0xB7, imm=2), slot(0xBF, 0, 7) + slot(0x57, imm=7), slot(0xBF, 0, 8))
        return out + self.rng.choice(verdict) + slot(0x95)

    def scalar(self, reg: int, values: tuple[int, ...]) -> bytes:
        """A constant, or at times what no verifier knows."""
        if self.rng.random() < 0.1:
            return slot(0xBF, reg, self.rng.choice((7, 8))) + slot(0x57, reg, imm=self.rng.choice((63, 255, 2047)))
        return slot(0xB7, reg, imm=self.rng.choice(values))

    def buffer(self, reg: int) -> tuple[bytes, int]:
        """An address on the stack and how many bytes lie behind it."""
        at = self.rng.choice((_BUFFER, _OTHER))
        skip = self.rng.choice((0, 0, 0, 1, 4, 13))
        return address(reg, 10, at + skip), 64 - skip

    def adjust(self) -> bytes:
        """bpf_xdp_adjust_head, _meta or _tail."""
        deltas = _BIG if self.rng.random() < 0.1 else _DELTAS
        return slot(0xBF, 1, 6) + self.scalar(2, deltas) + slot(0x85, imm=self.rng.choice((44, 54, 65)))

    def bytes_call(self, helper: int) -> bytes:
        where, room = self.buffer(3)
        size = self.rng.choice([n for n in _SIZES if n <= room])
        return slot(0xBF, 1, 6) + self.scalar(2, _OFFSETS) + where + slot(0xB7, 4, imm=size) + slot(0x85, imm=helper)

    def load_bytes(self) -> bytes:
        return self.bytes_call(189)

    def store_bytes(self) -> bytes:
        return self.bytes_call(190)

    def csum_diff(self) -> bytes:
        out = b""
        for reg in (1, 3):
            where, room = self.buffer(reg)
            if self.rng.random() < 0.2:
                out += slot(0xB7, reg) + slot(0xB7, reg + 1)
            else:
                out += where + slot(0xB7, reg + 1, imm=self.rng.randrange(room // 4 + 1) * 4)
        return out + self.scalar(5, _WORDS) + slot(0x85, imm=28)

    def length(self) -> bytes:
        return slot(0xBF, 1, 6) + slot(0x85, imm=188)

    def span(self) -> bytes:
        """The distance of two of the context's pointers."""
        first, second = self.rng.choice(((4, 0), (0, 8), (4, 8)))
        return slot(0x61, 0, 6, first) + slot(0x61, 1, 6, second) + slot(0x1F, 0, 1)

    def redirect(self) -> bytes:
        return self.scalar(1, (0, 1, 2, 99, -1)) + self.scalar(2, (0, 0, 0, 1, 8)) + slot(0x85, imm=23)

    def redirect_map(self) -> bytes:
        flags = self.rng.choice((0, 1, 2, 3, 3, 4, 8, 24, 9))
        return (
            imm64(1, self.rng.choice((self.devices, self.devices, 5)), 1)
            + self.scalar(2, _WORDS)
            + slot(0xB7, 3, imm=flags)
            + slot(0x85, imm=51)
        )

    def key(self, number: int) -> bytes:
        """A key at r2; of the trie its first word is the prefix length."""
        words = (0, 1, 2, 3, 4, -1) if number != 4 else (0, 8, 24, 32, 32, 33)
        rest = slot(0x62, 10, 0, _KEY + 4, self.rng.choice((0, 0x0A, 0x0A0A, -1))) if number == 4 else b""
        return slot(0x62, 10, 0, _KEY, self.rng.choice(words)) + rest

    def lookup(self, number: int) -> bytes:
        return imm64(1, number, 1) + address(2, 10, _KEY) + slot(0x85, imm=1)

    def map_value(self) -> bytes:
        """Look up; add to the value that is there; r0 is what it was, or 77."""
        number = self.rng.choice((0, 0, 1, 1, 3, 4))
        use = slot(0xB7, 1, imm=self.rng.choice(_WORDS)) + slot(
            0xDB, 0, 1, 0, self.rng.choice((0, 1, 0x41, 0xA1, 0xE1))
        )
        use += slot(0x79, 0, 0, 0)
        skip = slot(0x55, 0, 0, 2) + slot(0xB7, imm=77) + slot(0x05, off=len(use) // 8)
        return self.key(number) + self.lookup(number) + skip + use

    def update(self) -> bytes:
        number = self.rng.choice((0, 1, 1, 1, 3, 4))
        where, _ = address(3, 10, self.rng.choice((_BUFFER, _OTHER))), 64
        flags = self.rng.choice((0, 0, 1, 2, 3))
        head = self.key(number) + imm64(1, number, 1) + address(2, 10, _KEY)
        return head + where + slot(0xB7, 4, imm=flags) + slot(0x85, imm=2)

    def delete(self) -> bytes:
        number = self.rng.choice((0, 1, 1, 3, 4))
        return self.key(number) + imm64(1, number, 1) + address(2, 10, _KEY) + slot(0x85, imm=3)

    def fib(self) -> bytes:
        """bpf_fib_lookup over what is in the buffer, with a family that may be one; its size may be wrong."""
        rng = self.rng
        at = rng.choice((_BUFFER, _OTHER))
        out = slot(0x72, 10, 0, at, rng.choice((2, 2, 10, 10, 0, 7))) + slot(
            0x62, 10, 0, at + 8, rng.choice((1, 1, 0, 99))
        )
        out += slot(0xBF, 1, 6) + address(2, 10, at) + slot(0xB7, 3, imm=rng.choice((64, 64, 64, 63, 1)))
        return out + slot(0xB7, 4, imm=rng.choice((0, 0, 1, 2, 3, 4, 8, 32, 64, -1))) + slot(0x85, imm=69)

    def number(self) -> bytes:
        """Random number, time in three forms, CPU."""
        return slot(0x85, imm=self.rng.choice((5, 7, 8, 118, 125)))
