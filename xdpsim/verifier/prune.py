"""Kept states: is the current one covered by an earlier one, is it worth keeping, is it an endless loop.

Follows is_state_visited() and what it calls in kernel/bpf/verifier.c, heuristics included: how many insns Linux walks
depends on them.
"""

from __future__ import annotations

from errno import EINVAL
from typing import TYPE_CHECKING

from xdpsim.bits import M32
from xdpsim.isa.rows import Family
from xdpsim.verifier import history, scc_visits
from xdpsim.verifier.equal import (
    EXACT,
    NOT_EXACT,
    RANGE_WITHIN,
    Ids,
    regs_exact,
    same_contents,
    states_equal,
)
from xdpsim.verifier.log import print_linfo, state_text
from xdpsim.verifier.precision import mark_all_imprecise, propagate_precision
from xdpsim.verifier.regs import same_callsites
from xdpsim.verifier.regtypes import SCALAR_VALUE
from xdpsim.verifier.slots import is_spill, spi_of
from xdpsim.verifier.state import EMPTY_SLOT, ITER, UNINIT, Reg, Slot, State

if TYPE_CHECKING:
    from xdpsim.verifier.env import Aux, Env

COMPLEXITY_LIMIT_STATES = 64
ITER_ACTIVE = 1
"""Of an iterator in a stack slot: extra[2] is its state (0 invalid, 1 active, 2 drained), extra[3] its depth."""
HIT, MISS, SKIP = range(3)


def bucket_of(env: Env, state: State, insn_idx: int) -> list[State]:
    """Where Linux keeps states of this insn and callsite; others may lie there too."""
    callsite = state.frames[state.curframe].callsite
    place = ((insn_idx ^ callsite) & M32) % len(env.code)
    found = env.explored.get(place)
    if found is None:
        found = env.explored[place] = []
    return found


def find_prev_entry(env: Env, cur: State, insn_idx: int) -> State | None:
    """The nearest state on the way to `cur` that stood at `insn_idx` with the same calls."""
    for state in reversed(bucket_of(env, env.cur, insn_idx)):
        if (
            state.insn_idx == insn_idx
            and state.branches
            and same_callsites(state, cur)
            and state.dfs_depth < cur.dfs_depth
        ):
            return state
    return None


def widen_imprecise(env: Env, old: State, cur: State) -> None:
    """Forget numbers that changed from one round of a loop to the next and that nothing rests on."""
    ids = Ids(env.id_gen)
    for frameno, before in enumerate(old.frames[: old.curframe + 1]):
        now = cur.frames[frameno]
        for regno in range(11):
            now.regs[regno] = _widened(env, before.regs[regno], now.regs[regno], ids)
        for spi, slot in enumerate(before.stack):
            if is_spill(slot) and spi < len(now.stack) and is_spill(now.stack[spi]):
                wide = _widened(env, slot.reg, now.stack[spi].reg, ids)
                if wide is not now.stack[spi].reg:
                    now.stack[spi] = Slot(now.stack[spi].kinds, wide)


def _widened(env: Env, before: Reg, now: Reg, ids: Ids) -> Reg:
    if before.type != SCALAR_VALUE or now.type != SCALAR_VALUE:
        return now
    if before.precise or now.precise or regs_exact(before, now, ids):
        return now
    return env.unknown


def _clean(env: Env, state: State) -> None:
    """A state that nothing will change any more forgets what no path from it reads."""
    env.stack_live.query_init(state)
    state.cleaned = True
    for frameno in range(state.curframe + 1):
        frame = state.frames[frameno]
        live = env.aux[state.insn_of_frame(frameno)].live_regs_before
        for regno in range(10):
            if not live >> regno & 1:
                frame.regs[regno] = UNINIT
        for spi in range(len(frame.stack)):
            if not env.stack_live.slot_alive(frame.frameno, spi):
                frame.stack[spi] = EMPTY_SLOT


def _clean_finished(env: Env, states: list[State], insn_idx: int, cur: State) -> None:
    for state in reversed(states):
        if state.branches or state.insn_idx != insn_idx or state.cleaned or not same_callsites(state, cur):
            continue
        if not scc_visits.is_incomplete(env, state):
            _clean(env, state)


def is_state_visited(env: Env, insn_idx: int) -> bool:
    """Whether an earlier state covers the current one; if not, it may be kept as the new parent of what follows."""
    cur, aux = env.cur, env.aux[insn_idx]
    force_new = env.test_state_freq or aux.force_checkpoint or len(cur.jmp_history) > 40
    add_new = force_new or (
        env.jmps_processed - env.prev_jmps_processed >= 2 and env.insn_processed - env.prev_insn_processed >= 8
    )
    states = bucket_of(env, cur, insn_idx)
    if states:
        _clean_finished(env, states, insn_idx, cur)
        evicted: list[State] = []
        for state in reversed(states):
            if state.insn_idx != insn_idx:
                continue
            result, loop = _compare(env, state, cur, insn_idx)
            if result == HIT:
                _take_hit(env, state, cur, insn_idx, loop)
                _evict(env, states, evicted)
                return True
            if state.branches and not force_new and _is_tight_loop(env):
                add_new = False
            if add_new:
                state.misses += 1
            keep = 64 if aux.force_checkpoint and state.branches > 0 else 3
            if state.misses > state.hits * keep + keep:
                evicted.append(state)
        env.max_states_per_insn = max(env.max_states_per_insn, len(states))
        too_many = not env.bpf_capable and len(states) > COMPLEXITY_LIMIT_STATES
        _evict(env, states, evicted)
        if too_many:
            return False
    if add_new:
        _keep(env, states, cur, insn_idx)
    return False


def _is_tight_loop(env: Env) -> bool:
    return env.jmps_processed - env.prev_jmps_processed < 20 and env.insn_processed - env.prev_insn_processed < 100


def _compare(env: Env, state: State, cur: State, insn_idx: int) -> tuple[int, bool]:
    """HIT or MISS, and whether the hit closes a loop whose marks are not complete."""
    if state.branches:
        return _compare_on_path(env, state, cur, insn_idx, env.aux[insn_idx])
    loop = scc_visits.is_incomplete(env, state)
    return (HIT if states_equal(env, state, cur, RANGE_WITHIN if loop else NOT_EXACT) else MISS), loop


def _compare_on_path(env: Env, state: State, cur: State, insn_idx: int, aux: Aux) -> tuple[int, bool]:
    """`state` lies on the way to `cur`: an iteration that converges, or an endless loop."""
    frame = state.frames[state.curframe]
    if frame.in_async_callback_fn and frame.async_entry_cnt != cur.frames[cur.curframe].async_entry_cnt:
        return SKIP, False
    if aux.is_iter_next:
        if states_equal(env, state, cur, RANGE_WITHIN) and _iterates(cur):
            return HIT, True
        return SKIP, False
    insn = env.code[insn_idx]
    if (
        insn is not None
        and insn.family is Family.MAY_GOTO
        and state.may_goto_depth != cur.may_goto_depth
        and states_equal(env, state, cur, RANGE_WITHIN)
    ):
        return HIT, True
    if aux.calls_callback:
        return (HIT if states_equal(env, state, cur, RANGE_WITHIN) else SKIP), False
    if (
        _maybe_looping(state, cur)
        and states_equal(env, state, cur, EXACT)
        and not _iter_depths_differ(state, cur)
        and state.may_goto_depth == cur.may_goto_depth
        and state.callback_unroll_depth == cur.callback_unroll_depth
    ):
        _refuse_loop(env, state, cur, insn_idx)
    return SKIP, False


def _iterates(cur: State) -> bool:
    pointer = cur.frames[cur.curframe].regs[1]
    slot = cur.frames[pointer.frameno].stack[spi_of(pointer.off + pointer.num.smin)]
    return bool(slot.reg.extra[2] == ITER_ACTIVE)


def _maybe_looping(old: State, cur: State) -> bool:
    """A cheap look at the running frame's registers before the whole comparison."""
    if old.curframe != cur.curframe:
        return False
    before, now = old.frames[old.curframe].regs, cur.frames[cur.curframe].regs
    for a, b in zip(before, now, strict=True):
        if a is not b and not (same_contents(a, b) and a.id == b.id and a.ref == b.ref):
            return False
    return True


def _iter_depths_differ(old: State, cur: State) -> bool:
    for frame, now in zip(old.frames, cur.frames, strict=True):
        for spi, slot in enumerate(frame.stack):
            if slot.kinds[0] != ITER or slot.reg.extra[2] != ITER_ACTIVE:
                continue
            if now.stack[spi].reg.extra[3] != slot.reg.extra[3]:
                return True
    return False


def _refuse_loop(env: Env, state: State, cur: State, insn_idx: int) -> None:
    print_linfo(env, insn_idx, "; ")
    env.note(f"infinite loop detected at insn {insn_idx}")
    env.note("cur state:" + state_text(env, cur, cur.curframe, True).rstrip("\n"))
    env.fail(EINVAL, "old state:" + state_text(env, state, cur.curframe, True).rstrip("\n"))


def _take_hit(env: Env, state: State, cur: State, insn_idx: int, loop: bool) -> None:
    """The current state is covered: what was precise in the earlier one must have been on this way too."""
    state.hits += 1
    if env.aux[env.insn_idx].jmp_point:
        history.push(env, cur)
    propagate_precision(env, state, cur)
    if loop:
        backedge = cur.copy()
        backedge.equal_state = state
        backedge.insn_idx = insn_idx
        scc_visits.add_backedge(env, state, backedge)


def _evict(env: Env, states: list[State], evicted: list[State]) -> None:
    for state in evicted:
        states.remove(state)
        state.in_free_list = True
        env.free_list_size += 1
        env.explored_size -= 1
        maybe_free(env, state)


def maybe_free(env: Env, state: State) -> None:
    """Linux frees a state that was given up once nothing refers to it; the count of kept states follows."""
    if state.in_free_list and not state.branches and not scc_visits.is_incomplete(env, state):
        state.in_free_list = False
        env.free_list_size -= 1


def _keep(env: Env, states: list[State], cur: State, insn_idx: int) -> None:
    env.total_states += 1
    env.explored_size += 1
    scc_visits.update_peak(env)
    env.prev_jmps_processed, env.prev_insn_processed = env.jmps_processed, env.insn_processed
    if env.bpf_capable:
        mark_all_imprecise(cur)
    kept = cur.copy()
    kept.insn_idx = insn_idx
    scc_visits.enter(env, kept)
    cur.parent = kept
    cur.first_insn_idx = insn_idx
    cur.dfs_depth = kept.dfs_depth + 1
    cur.jmp_history = []
    states.append(kept)


def update_branch_counts(env: Env, state: State | None) -> None:
    """A path ended: states on its way with no other paths left are finished."""
    is_kept = False
    while state is not None:
        state.branches -= 1
        if state.branches:
            return
        scc_visits.leave(env, state)
        if is_kept:
            maybe_free(env, state)
        state, is_kept = state.parent, True
