"""Control flow of a program: functions, what each can reach, and basic blocks. The ground of `check_cfg`.

Works on any decoded program, accepted or not: a jump that leaves the program goes to `STRAY`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import Family

STRAY = -1
"""Where execution goes that leaves the program."""


def successors(code: Code, slot: int) -> tuple[int, ...]:
    """Slots that may follow `slot` in its function; a call is followed by the slot behind it, exit by none."""
    insn = code[slot]
    if insn is None:
        return (STRAY,)
    following = _inside(code, slot + insn.slots)
    if insn.family is Family.EXIT:
        return ()
    if insn.family is Family.JUMP:
        return (_inside(code, slot + 1 + insn.jump_offset),)
    if insn.family in (Family.BRANCH, Family.MAY_GOTO):
        return (following, _inside(code, slot + 1 + insn.off))
    return (following,)


def _inside(code: Code, slot: int) -> int:
    return slot if 0 <= slot < len(code) and code[slot] is not None else STRAY


def call_target(code: Code, slot: int, insn: Insn) -> int:
    """The first slot of the function that a CALL_LOCAL enters."""
    return _inside(code, slot + 1 + insn.imm)


@dataclass(frozen=True)
class Function:
    """The slots that can be reached from `entry` without entering another function, in order."""

    code: Code
    entry: int
    slots: tuple[int, ...]

    @cached_property
    def leaders(self) -> tuple[int, ...]:
        """First slots of basic blocks, in order."""
        found = {self.entry}
        for slot in self.slots:
            after = successors(self.code, slot)
            insn = self.code[slot]
            if len(after) != 1 or (insn is not None and insn.family is Family.JUMP):
                found.update(target for target in after if target != STRAY)
        return tuple(sorted(found))

    @cached_property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Basic blocks as runs of slots, in order of their first slot."""
        leaders, result, current = set(self.leaders), [], list[int]()
        for slot in self.slots:
            if current and (slot in leaders or successors(self.code, current[-1]) != (slot,)):
                result.append(tuple(current))
                current = []
            current.append(slot)
        return (*result, tuple(current)) if current else tuple(result)


def function_at(code: Code, entry: int) -> Function:
    """The function that starts at `entry`."""
    seen, left = {entry}, [entry]
    while left:
        for target in successors(code, left.pop()):
            if target != STRAY and target not in seen:
                seen.add(target)
                left.append(target)
    return Function(code, entry, tuple(sorted(seen)))


def functions(code: Code, callbacks: Iterable[int] = ()) -> dict[int, Function]:
    """Every function that the program can enter by calls, and the `callbacks`; the main one first, by entry slot."""
    found: dict[int, Function] = {}
    left = [*callbacks, 0]
    while left:
        entry = left.pop()
        if entry in found or entry == STRAY or not code:
            continue
        found[entry] = function_at(code, entry)
        for slot in found[entry].slots:
            insn = code[slot]
            if insn is not None and insn.family is Family.CALL_LOCAL:
                left.append(call_target(code, slot, insn))
    return found
