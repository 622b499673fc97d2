"""Precision: which numbers of kept states a program's safety rests on, found by walking back through its history.

A kept state whose number is not precise equals any state with another number there. Follows
__mark_chain_precision() and its relatives in kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EFAULT
from typing import TYPE_CHECKING

from xdpsim.errors import XdpsimBug
from xdpsim.verifier.backtrack import ARGS, GiveUp, Wanted, backtrack_insn, regs_text, slots_text
from xdpsim.verifier.history import NO_ENTRY, entry_of, previous
from xdpsim.verifier.log import state_text
from xdpsim.verifier.regtypes import SCALAR_VALUE
from xdpsim.verifier.slots import is_scalar_spill, is_spill
from xdpsim.verifier.state import Reg, Slot

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Frame, State

MAIN_FUNC = -1
"""Callsite of the frame with which a walk begins (BPF_MAIN_FUNC)."""


def mark_chain_precision(env: Env, regno: int) -> None:
    """The value of register `regno` of the running frame matters: make everything precise that it was made of."""
    if not env.bpf_capable:
        return
    wanted = Wanted(env.cur.curframe)
    if env.cur.frames[wanted.frame].regs[regno].type != SCALAR_VALUE:
        env.fail(EFAULT, "verifier bug: backtracking misuse")
    wanted.regs[wanted.frame] = 1 << regno
    trace_back(env, env.cur, wanted)


def mark_stack_slot_precise(env: Env, frameno: int, spi: int) -> None:
    """As mark_chain_precision, for a number spilled to a stack slot."""
    if env.bpf_capable:
        wanted = Wanted(env.cur.curframe)
        wanted.slots[frameno] = 1 << spi
        trace_back(env, env.cur, wanted)


def trace_back(env: Env, start: State, wanted: Wanted) -> bool:
    """Walk back from the state `start` until nothing is wanted any more; whether a kept state changed."""
    if not env.bpf_capable or wanted.empty():
        return False
    state, last, first, after = start, start.insn_idx, start.first_insn_idx, -1
    skip_first, changed = True, False
    while True:
        if env.log_level & 2:
            where = f"last_idx {last} first_idx {first} subseq_idx {after}"
            env.verbose(f"mark_precise: frame{wanted.frame}: {where} \n")
        if last < 0:
            return _at_entry(state, wanted) or changed
        try:
            after, is_done = _through_state(env, state, last, after, wanted, skip_first)
        except GiveUp:
            mark_all_precise(env, start)
            return changed
        skip_first = False
        if is_done:
            return changed
        parent = state.parent
        if parent is None:
            break
        state = parent
        for frameno in range(wanted.frame, -1, -1):
            changed |= _mark_frame(env, state, frameno, wanted)
        if wanted.empty():
            return changed
        after, last, first = first, state.last_insn_idx, state.first_insn_idx
    if not wanted.empty():
        mark_all_precise(env, start)
    return changed


def _through_state(env: Env, state: State, last: int, after: int, wanted: Wanted, skip_first: bool) -> tuple[int, bool]:
    """Back from insn `last` to where the state begins; the insn behind it, and whether nothing is wanted now."""
    end, idx = len(state.jmp_history), last
    while True:
        if not skip_first:
            backtrack_insn(env, idx, after, entry_of(state, end, idx), wanted)
        skip_first = False
        if wanted.empty():
            return idx, True
        after = idx
        idx, end = previous(state, idx, end)
        if idx == NO_ENTRY:
            return after, False
        if not 0 <= idx < len(env.code):
            raise XdpsimBug(f"verifier: backtracking idx {idx}")


def _at_entry(state: State, wanted: Wanted) -> bool:
    """Where a walk began: only the arguments of a global function may still be wanted; whether one became precise."""
    frame = state.frames[0]
    is_global = state.curframe == 0 and frame.subprogno > 0 and frame.callsite == MAIN_FUNC
    if not is_global or any(wanted.slots) or wanted.regs[0] & ~ARGS:
        raise XdpsimBug(f"verifier: backtracking func entry reg_mask {wanted.regs[0]:x}")
    changed = False
    for regno in range(1, 6):
        reg = frame.regs[regno]
        if wanted.regs[0] >> regno & 1 and reg.type == SCALAR_VALUE:
            frame.regs[regno] = _precise(reg)
            changed = True
    return changed


def _precise(reg: Reg) -> Reg:
    return Reg(reg.type, reg.num, reg.off, reg.id, reg.ref, True, reg.frameno, reg.extra)


def _mark_frame(env: Env, state: State, frameno: int, wanted: Wanted) -> bool:
    """Make one frame's wanted values precise, and forget those that are already, or are no numbers."""
    frame = state.frames[frameno]
    changed = _mark_regs(frame, frameno, wanted) | _mark_slots(frame, frameno, wanted)
    if env.log_level & 2:
        what = f"regs={regs_text(wanted.regs[frameno])} stack={slots_text(wanted.slots[frameno])}"
        env.verbose(f"mark_precise: frame{frameno}: parent state {what}: ")
        env.verbose(state_text(env, state, frameno, True))
    return changed


def _mark_regs(frame: Frame, frameno: int, wanted: Wanted) -> bool:
    mask, changed = wanted.regs[frameno], False
    regno = 0
    while mask >> regno:
        if mask >> regno & 1:
            reg = frame.regs[regno]
            if reg.type != SCALAR_VALUE or reg.precise:
                wanted.regs[frameno] &= ~(1 << regno)
            else:
                frame.regs[regno] = _precise(reg)
                changed = True
        regno += 1
    return changed


def _mark_slots(frame: Frame, frameno: int, wanted: Wanted) -> bool:
    mask, changed = wanted.slots[frameno], False
    spi = 0
    while mask >> spi:
        if mask >> spi & 1:
            slot = frame.stack[spi]
            if not is_scalar_spill(slot) or slot.reg.precise:
                wanted.slots[frameno] &= ~(1 << spi)
            else:
                frame.stack[spi] = Slot(slot.kinds, _precise(slot.reg))
                changed = True
        spi += 1
    return changed


def mark_all_precise(env: Env, start: State) -> None:
    """All numbers of all states that led here are precise."""
    if env.log_level & 2:
        env.verbose(f"mark_precise: frame{start.curframe}: falling back to forcing all scalars precise\n")
    state = start.parent
    while state is not None:
        for frameno, frame in enumerate(state.frames):
            _force_frame(env, frameno, frame)
        state = state.parent


def _force_frame(env: Env, frameno: int, frame: Frame) -> None:
    loud = env.log_level & 2
    for regno in range(10):
        reg = frame.regs[regno]
        if reg.type == SCALAR_VALUE and not reg.precise:
            frame.regs[regno] = _precise(reg)
            if loud:
                env.verbose(f"force_precise: frame{frameno}: forcing r{regno} to be precise\n")
    for spi, slot in enumerate(frame.stack):
        if is_spill(slot) and slot.reg.type == SCALAR_VALUE and not slot.reg.precise:
            frame.stack[spi] = Slot(slot.kinds, _precise(slot.reg))
            if loud:
                env.verbose(f"force_precise: frame{frameno}: forcing fp{-8 * (spi + 1)} to be precise\n")


def mark_all_imprecise(state: State) -> None:
    """Forget what is precise: what follows will say so again."""
    for frame in state.frames:
        for regno in range(10):
            reg = frame.regs[regno]
            if reg.precise and reg.type == SCALAR_VALUE:
                frame.regs[regno] = Reg(SCALAR_VALUE, reg.num, reg.off, reg.id, reg.ref)
        for spi, slot in enumerate(frame.stack):
            reg = slot.reg
            if reg.precise and reg.type == SCALAR_VALUE and is_spill(slot):
                frame.stack[spi] = Slot(slot.kinds, Reg(SCALAR_VALUE, reg.num, reg.off, reg.id, reg.ref))


def propagate_precision(env: Env, old: State, cur: State) -> bool:
    """What is precise in the kept state `old` is in `cur`, which was found equal; whether a kept state changed."""
    wanted = Wanted(cur.curframe)
    for frameno in range(old.curframe, -1, -1):
        names = _collect_precise(old.frames[frameno], frameno, wanted)
        if names and env.log_level & 2:
            env.verbose(f"frame {frameno}: propagating {','.join(names)}\n")
        elif names:
            env.verbose("\n")
    return trace_back(env, cur, wanted)


def _collect_precise(frame: Frame, frameno: int, wanted: Wanted) -> list[str]:
    names = []
    for regno in range(10):
        reg = frame.regs[regno]
        if reg.precise and reg.type == SCALAR_VALUE:
            wanted.regs[frameno] |= 1 << regno
            names.append(f"r{regno}")
    for spi, slot in enumerate(frame.stack):
        if slot.reg.precise and is_scalar_spill(slot):
            wanted.slots[frameno] |= 1 << spi
            names.append(f"fp{-8 * (spi + 1)}")
    return names
