"""Numbers that are copies of one another, or differ by a constant: what a branch says of one holds for all.

Follows collect_linked_regs() and sync_linked_regs() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.verifier.history import MAX_LINKED, Linked
from xdpsim.verifier.regtypes import SCALAR_VALUE
from xdpsim.verifier.scalar import numbers
from xdpsim.verifier.scalar_alu import zext32
from xdpsim.verifier.scalar_arith import plus
from xdpsim.verifier.scalar_sync import synced
from xdpsim.verifier.slots import is_spill
from xdpsim.verifier.state import BPF_ADD_CONST, BPF_ADD_CONST32, Reg, Slot

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import State

ID_MASK = ~BPF_ADD_CONST


def collect(env: Env, state: State, reg_id: int, found: list[Linked]) -> None:
    """Add every live register and every spill with that id; those that find no room lose theirs."""
    wanted = reg_id & ID_MASK
    for frameno in range(state.curframe, -1, -1):
        frame = state.frames[frameno]
        regs = frame.regs
        at = env.insn_idx if frameno == state.curframe else state.frames[frameno + 1].callsite
        live = env.aux[at].live_regs_before
        for regno in range(10):
            reg = regs[regno]
            if not live >> regno & 1:
                continue
            if reg.type == SCALAR_VALUE and reg.id & ID_MASK == wanted and not _add(found, (frameno, regno, True)):
                regs[regno] = Reg(SCALAR_VALUE, reg.num, reg.off, 0, reg.ref, reg.precise)
        for spi, slot in enumerate(frame.stack):
            reg = slot.reg
            if not is_spill(slot) or reg.type != SCALAR_VALUE or reg.id & ID_MASK != wanted:
                continue
            if not _add(found, (frameno, spi, False)):
                unlinked = Reg(SCALAR_VALUE, reg.num, reg.off, 0, reg.ref, reg.precise)
                frame.stack[spi] = Slot(slot.kinds, unlinked)


def _add(found: list[Linked], entry: Linked) -> bool:
    if len(found) == MAX_LINKED:
        return False
    found.append(entry)
    return True


def sync(state: State, known: Reg, at: Linked, found: list[Linked]) -> None:
    """Give what is known of the register at `at` to the others of its id."""
    wanted = known.id & ID_MASK
    for entry in found:
        frameno, place, is_reg = entry
        frame = state.frames[frameno]
        reg = frame.regs[place] if is_reg else frame.stack[place].reg
        if reg.type != SCALAR_VALUE or entry == at or reg.id & ID_MASK != wanted:
            continue
        if (reg.id ^ known.id) & BPF_ADD_CONST == BPF_ADD_CONST:
            continue  # one distance is of words, the other of low halves: they tell nothing of each other
        if not (reg.id | known.id) & BPF_ADD_CONST or reg.off == known.off:
            made = known
        else:
            num = plus(known.num, reg.off - known.off)
            num = zext32(num) if (reg.id | known.id) & BPF_ADD_CONST32 else synced(numbers(num))
            made = Reg(SCALAR_VALUE, num, reg.off, reg.id, known.ref, known.precise)
        if is_reg:
            frame.regs[place] = made
        else:
            frame.stack[place] = Slot(frame.stack[place].kinds, made)
