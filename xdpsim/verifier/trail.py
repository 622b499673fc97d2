"""The way back from the insn at which the walk stopped: what ran before it, and where a register's value is from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xdpsim.helpers import kfunc_rows, protos
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.helpers.kfunc_rows import KFUNC_ROWS
from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.verifier.callinfo import moves_packet
from xdpsim.verifier.history import NO_ENTRY, previous

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import State

MOST_LOOKED = 10_000
"""Insns that are looked back at."""
FRAME_POINTER = 10
_CALLS = (Family.CALL_HELPER, Family.CALL_KFUNC)
_SETS_DST = frozenset(
    {
        Family.LOAD,
        Family.LOAD_SX,
        Family.LOAD_ACQUIRE,
        Family.LD_IMM64,
        Family.MOV,
        Family.MOVSX,
        Family.ADDR_SPACE_CAST,
    }
)


def walked_back(env: Env) -> Iterator[tuple[int, int]]:
    """Slots that ran before the current insn, the last one first, each with the slot that ran after it."""
    state: State | None = env.cur
    idx, looked = env.cur.insn_idx, 0
    while state is not None and looked < MOST_LOOKED:
        end = len(state.jmp_history)
        while looked < MOST_LOOKED:
            looked += 1
            before, end = previous(state, idx, end)
            if before == NO_ENTRY or not 0 <= before < len(env.code):
                break
            yield before, idx
            idx = before
        last = state.parent.last_insn_idx if state.parent is not None else -1
        if last >= 0 and last != idx:
            yield last, idx
            idx = last
        state = state.parent


def releases(env: Env, insn: Insn) -> bool:
    """Whether the call gives up a reference."""
    if insn.family is Family.CALL_HELPER:
        row = protos.proto_for(insn.imm, env.prog_type, env.attach_type) if insn.imm in HELPERS_BY_ID else None
        return row is not None and row.release_arg > 0
    named = insn.family is Family.CALL_KFUNC and 0 <= insn.imm < len(env.spec.kfuncs)
    kfunc = KFUNC_ROWS.get(env.spec.kfuncs[insn.imm]) if named else None
    return kfunc is not None and bool(kfunc.flags & kfunc_rows.RELEASE)


class Origin:
    """Where the value of a register is from: walk back and follow copies, spills, arithmetic and calls of functions.

    `slot` set it, -1 where nothing did; `lost` is the last call since then that voids pointers (it moves the packet, or
    releases something), -1 for none.
    """

    def __init__(self, env: Env, register: int) -> None:
        self.slot = self.lost = -1
        self._env, self._register, self._spill = env, register, 0
        self._depth = 0
        for slot, _ in walked_back(env):
            insn = env.code[slot]
            if insn is not None and self._step(slot, insn):
                break

    def _step(self, slot: int, insn: Insn) -> bool:
        """Whether the search is over."""
        family = insn.family
        if family is Family.EXIT:
            self._depth += 1
        elif family is Family.CALL_LOCAL:
            return self._leave(slot)
        elif self._depth:
            return False
        elif family in _CALLS:
            if self.lost < 0 and (moves_packet(self._env, insn) or releases(self._env, insn)):
                self.lost = slot
            return self._found(slot, self._register <= 5 and not self._spill)
        elif self._spill:
            self._unspill(insn)
        elif self._sets(insn):
            return self._follow(slot, insn)
        return False

    def _leave(self, slot: int) -> bool:
        """A call of a function: of one that has returned since, or of the one that runs."""
        if self._depth:
            self._depth -= 1
            return self._found(slot, not self._depth and self._register <= 5 and not self._spill)
        return not 1 <= self._register <= 5 or bool(self._spill)

    def _found(self, slot: int, is_it: bool) -> bool:
        if is_it:
            self.slot = slot
        return is_it

    def _unspill(self, insn: Insn) -> None:
        if insn.family is Family.STORE_REG and insn.dst == FRAME_POINTER and insn.off == self._spill:
            self._register, self._spill = insn.src, 0

    def _sets(self, insn: Insn) -> bool:
        if insn.family is Family.ATOMIC:
            fetched = 0 if insn.op == "cmpxchg" else insn.src
            return ATOMIC[insn.op].fetch and fetched == self._register
        if insn.family is Family.LD_PACKET:
            return self._register <= 5
        return insn.family in _SETS_DST and insn.dst == self._register

    def _follow(self, slot: int, insn: Insn) -> bool:
        if insn.family is Family.MOV and insn.uses_reg and insn.src != FRAME_POINTER:
            self._register = insn.src
            return False
        if insn.family is Family.LOAD and insn.src == FRAME_POINTER:
            self._spill = insn.off
            return False
        return self._found(slot, True)
