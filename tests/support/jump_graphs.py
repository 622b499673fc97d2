"""Random programs that are nothing but control flow: good ones, and ones that a verifier must refuse."""

from __future__ import annotations

import random

from xdpsim.isa.decode import SLOT

_HELPERS = (1, 2, 5, 7, 8, 12, 44, 130, 181)
_MOV, _JUMP, _GOTOL, _CALL, _EXIT, _MAY_GOTO, _LD_IMM64 = 0xB7, 0x05, 0x06, 0x85, 0x95, 0xE5, 0x18
_BRANCHES = (0x15, 0x25, 0xA5, 0x56, 0x1D)
_FUNC = 4


def jump_graph(rng: random.Random) -> bytes:
    """Raw code of 1 to 20 slots. Most jumps go to near slots, some out of the program; some calls meet no function."""
    return _Graph(rng).make()


class _Graph:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.slots: list[bytes] = []
        self.count = rng.randrange(1, 18)
        self.wild = rng.choice((0.0, 0.0, 0.1))

    def make(self) -> bytes:
        kinds = (self.mov, self.branch, self.jump, self.gotol, self.exit, self.call, self.helper, self.may_goto)
        weights = (28, 24, 10, 3, 7, 7, 6, 2)
        while len(self.slots) < self.count:
            if self.rng.random() < 0.08:
                self.wide()
            else:
                self.slots.append(self.rng.choices(kinds, weights)[0]())
        if self.rng.random() < 0.9:
            self.slots.append(self.rng.choice((self.exit, self.exit, self.jump))())
        return b"".join(self.slots)

    def distance(self) -> int:
        """From the slot that comes next, within the program as far as it is known."""
        here, rng = len(self.slots) + 1, self.rng
        if rng.random() < self.wild:
            return rng.randrange(-self.count - 3, self.count + 3)
        ahead = max(self.count - here, 0)
        return rng.randrange(-here, 0) if rng.random() < 0.2 else rng.randrange(min(ahead, 4) + 1)

    def mov(self) -> bytes:
        return SLOT.pack(_MOV, self.rng.randrange(10), 0, self.rng.randrange(4))

    def branch(self) -> bytes:
        opcode = self.rng.choice(_BRANCHES)
        regs = self.rng.randrange(10) | (self.rng.randrange(10) << 4 if opcode & 8 else 0)
        return SLOT.pack(opcode, regs, self.distance(), 0 if opcode & 8 else 3)

    def jump(self) -> bytes:
        return SLOT.pack(_JUMP, 0, self.distance(), 0)

    def gotol(self) -> bytes:
        return SLOT.pack(_GOTOL, 0, 0, self.distance())

    def exit(self) -> bytes:
        return SLOT.pack(_EXIT, 0, 0, 0)

    def call(self) -> bytes:
        return SLOT.pack(_CALL, 1 << 4, 0, self.distance())

    def helper(self) -> bytes:
        return SLOT.pack(_CALL, 0, 0, self.rng.choice(_HELPERS))

    def may_goto(self) -> bytes:
        return SLOT.pack(_MAY_GOTO, 0, self.distance(), 0)

    def wide(self) -> None:
        """LD_IMM64 of a number or of a function's address."""
        source = _FUNC << 4 if self.rng.random() < 0.2 else 0
        self.slots += [SLOT.pack(_LD_IMM64, source | self.rng.randrange(10), 0, self.distance()), SLOT.pack(0, 0, 0, 0)]
