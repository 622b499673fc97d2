"""Walks a program along the insns of Linux's verifier log and tells StackLiveness what each reads and writes.

For programs of `stack_program` only: 8-byte accesses through r10, through r6, which is main's r10 everywhere, and
through r7, whose value Linux logs behind the insn. So no verifier is needed to know which slot an insn touches, and
what the analysis says can be compared with the lines that Linux logs of it.
"""

from __future__ import annotations

import re

from tests.support.first_passes import first_passes, spec_of
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import Family
from xdpsim.verifier.env import LOG_LEVEL2, Env
from xdpsim.verifier.stack_live import StackLiveness
from xdpsim.verifier.state import Frame, State
from xdpsim.verifier.subprogs import subprog_at

_INSN = re.compile(r"(\d+): \([0-9a-f]{2}\) ")
_SAFE = re.compile(r"(?:from (\d+) to )?\d+: safe")
_POINTER = re.compile(r"R7=fp(?:\[(\d)\])?(-\d+)")
_FROM = re.compile(r"from (\d+) to \d+:")


def liveness_lines(log: str) -> list[str]:
    """What a log at level 2 says of stack slots."""
    return [line for line in log.splitlines() if line.startswith("(")]


class Replay:
    """The walk of one program as Linux made it; `run` gives the lines that our analysis logs on the way."""

    def __init__(self, code: Code) -> None:
        self.env = Env(spec_of(code), (), None, log_level=LOG_LEVEL2)
        first_passes(self.env)
        self.env.log.clear()
        self.live = self.env.stack_live = StackLiveness(self.env)
        self.env.cur = self.state_of(((-1, 0),))
        self.branches: list[tuple[int, tuple[tuple[int, int], ...]]] = []
        self.popped = False
        self.pointer: re.Match[str] | None = None

    def run(self, log: str) -> list[str]:
        """Follow the log from its first state on."""
        for line in log[log.index("\n0: R1=ctx()") :].splitlines():
            self.pointer = _POINTER.search(line) or self.pointer
            if match := _SAFE.match(line):
                if match[1] and self.popped:
                    self.pop(int(match[1]))
                self.end_path()
            elif match := _FROM.match(line):
                if self.popped:
                    self.pop(int(match[1]))
            elif match := _INSN.match(line):
                self.step(int(match[1]))
        return liveness_lines("".join(self.env.log))

    @staticmethod
    def state_of(calls: tuple[tuple[int, int], ...]) -> State:
        """A state of frames (call site, number of the function)."""
        state = State()
        state.frames = [Frame(callsite, at, number) for at, (callsite, number) in enumerate(calls)]
        state.curframe = len(calls) - 1
        return state

    def calls(self) -> tuple[tuple[int, int], ...]:
        return tuple((frame.callsite, frame.subprogno) for frame in self.env.cur.frames)

    def end_path(self) -> None:
        self.live.update(self.env.cur)
        self.popped = True

    def pop(self, slot: int) -> None:
        """Go on with the branch that was put off at `slot` last."""
        while self.branches[-1][0] != slot:
            self.branches.pop()
        self.env.cur = self.state_of(self.branches.pop()[1])
        self.live.reset_callchain()
        self.popped = False

    def step(self, slot: int) -> None:
        insn, live = self.env.code[slot], self.live
        assert insn is not None
        live.reset_write_marks(slot)
        if insn.family is Family.BRANCH:
            self.branches.append((slot, self.calls()))
        elif insn.family is Family.LOAD:
            frame, spi = self.place(insn, insn.src)
            live.mark_read(frame, slot, 1 << spi)
        elif insn.family in (Family.STORE_REG, Family.STORE_IMM):
            frame, spi = self.place(insn, insn.dst)
            live.mark_write(frame, 1 << spi)
        elif insn.family is Family.CALL_LOCAL:
            self.env.cur = self.state_of((*self.calls(), (slot, subprog_at(self.env, slot + 1 + insn.imm))))
            live.reset_callchain()
        elif insn.family is Family.EXIT and self.env.cur.curframe:
            live.update(self.env.cur)
            self.env.cur = self.state_of(self.calls()[:-1])
        live.commit_write_marks()
        if insn.family is Family.EXIT and self.ends(slot):
            self.end_path()

    def ends(self, slot: int) -> bool:
        """Whether the exit at `slot` was that of main, which holds all slots before the first function's."""
        return slot < self.env.subprogs[1].start

    def place(self, insn: Insn, register: int) -> tuple[int, int]:
        """Frame and slot of an access."""
        here = self.env.cur.curframe
        if register != 7:
            return here if register == 10 else 0, -insn.off // 8 - 1
        match = self.pointer
        assert match
        return int(match[1]) if match[1] else here, -int(match[2]) // 8 - 1
