"""The jump history of a state: where execution did not go straight on, by which precision is traced back.

An entry is (insn, insn before, flags, linked registers). Follows push_jmp_history() and get_prev_insn_idx().
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import State

Entry = tuple[int, int, int, tuple["Linked", ...]]
Linked = tuple[int, int, bool]
"""A register or stack slot that shares an id: frame number, register number or spi, whether it is a register."""
MAX_LINKED = 6

FRAMENO_MASK, SPI_SHIFT, SPI_MASK = 0x7, 3, 0x3F
STACK_ACCESS, DST_REG_STACK, SRC_REG_STACK = 1 << 9, 1 << 10, 1 << 11
NO_ENTRY = -2


def push(env: Env, state: State, flags: int = 0, linked: tuple[Linked, ...] = ()) -> None:
    """Note the current insn; what was noted of it before is kept."""
    history = state.jmp_history
    if env.has_hist_entry:
        idx, prev, old_flags, _ = history[-1]
        history[-1] = (idx, prev, old_flags | flags, linked)
        return
    history.append((env.insn_idx, env.prev_insn_idx, flags, linked))
    env.has_hist_entry = True


def stack_flags(frameno: int, spi: int) -> int:
    """Flags of an insn that spills to or fills from a slot."""
    return STACK_ACCESS | spi << SPI_SHIFT | frameno


def entry_of(state: State, end: int, insn_idx: int) -> Entry | None:
    """What the history notes of `insn_idx`, if its first `end` entries end with it."""
    if end > 0:
        entry: Entry = state.jmp_history[end - 1]
        if entry[0] == insn_idx:
            return entry
    return None


def previous(state: State, insn_idx: int, end: int) -> tuple[int, int]:
    """The insn that ran before `insn_idx` and what is left of the history; NO_ENTRY where the state begins."""
    history = state.jmp_history
    if insn_idx == state.first_insn_idx and (end == 0 or (end == 1 and history[0][0] == insn_idx)):
        return NO_ENTRY, end
    if end and history[end - 1][0] == insn_idx:
        return history[end - 1][1], end - 1
    return insn_idx - 1, end
