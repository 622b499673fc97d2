"""Loops being walked: for each way into a strongly connected component, the states that closed a cycle.

Precision marks of states in a loop are complete only when all its paths are. Follows maybe_enter_scc(),
add_scc_backedge() and maybe_exit_scc() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.errors import XdpsimBug
from xdpsim.verifier.precision import mark_all_precise, propagate_precision

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import State

CallChain = tuple[tuple[int, ...], int]
MAX_ROUNDS = 64


class Visit:
    """One way into a component: the state that entered it, and those found equal to an earlier one inside."""

    __slots__ = ("backedges", "count", "entry")

    def __init__(self) -> None:
        self.entry: State | None = None
        self.backedges: list[State] = []
        self.count = 0


def call_chain(env: Env, state: State) -> CallChain | None:
    """Calls that lead to the outermost frame inside a component, and its number; None outside of all."""
    sites: list[int] = []
    for frameno in range(state.curframe + 1):
        insn_idx = state.insn_of_frame(frameno)
        scc = env.aux[insn_idx].scc
        if scc:
            return tuple(sites), scc
        sites.append(insn_idx)
    return None


def chain_text(chain: CallChain) -> str:
    """As Linux's log prints it."""
    return f"({''.join(f'{site},' for site in chain[0])}{chain[1]})"


def update_peak(env: Env) -> None:
    """The most states that were kept at once."""
    env.peak_states = max(env.peak_states, env.explored_size + env.free_list_size + env.num_backedges)


def enter(env: Env, state: State) -> None:
    """A state is kept: if nobody has entered its component by this way, it has."""
    if not env.has_scc or (chain := call_chain(env, state)) is None:
        return
    visit = env.scc_visits.get(chain)
    if visit is None:
        visit = env.scc_visits[chain] = Visit()
    if visit.entry is None:
        visit.entry = state
        if env.log_level & 2:
            env.verbose(f"SCC enter {chain_text(chain)}\n")


def add_backedge(env: Env, kept: State, backedge: State) -> None:
    """`backedge` was found equal to `kept`, inside a loop."""
    chain = call_chain(env, kept)
    visit = env.scc_visits.get(chain) if chain is not None else None
    if chain is None or visit is None:
        raise XdpsimBug(f"verifier: backedge outside of a component at insn {kept.insn_idx}")
    if env.log_level & 2:
        env.verbose(f"SCC backedge {chain_text(chain)}\n")
    visit.backedges.insert(0, backedge)
    visit.count += 1
    env.num_backedges += 1
    update_peak(env)


def leave(env: Env, state: State) -> None:
    """All paths from a kept state are walked: if it entered a component, marks go round until nothing changes."""
    if not env.has_scc or (chain := call_chain(env, state)) is None:
        return
    visit = env.scc_visits.get(chain)
    if visit is None:
        if not state.speculative:
            raise XdpsimBug(f"verifier: scc exit: no visit info for call chain {chain_text(chain)}")
        return
    if visit.entry is not state:
        return
    if env.log_level & 2:
        env.verbose(f"SCC exit {chain_text(chain)}\n")
    visit.entry = None
    env.num_backedges -= visit.count
    visit.count = 0
    update_peak(env)
    _propagate(env, visit)


def _propagate(env: Env, visit: Visit) -> None:
    changed, rounds = True, 0
    while changed:
        rounds += 1
        if rounds > MAX_ROUNDS + 1:
            if env.log_level & 2:
                env.verbose("propagate_backedges: too many iterations\n")
            for state in visit.backedges:
                mark_all_precise(env, state)
            break
        changed = False
        for state in visit.backedges:
            if state.equal_state is None:
                raise XdpsimBug("verifier: a backedge without the state that it equals")
            changed |= propagate_precision(env, state.equal_state, state)
    visit.backedges = []


def is_incomplete(env: Env, state: State) -> bool:
    """Whether marks of a kept state may still change because its loop is not walked to the end."""
    if not env.has_scc or (chain := call_chain(env, state)) is None:
        return False
    visit = env.scc_visits.get(chain)
    return visit is not None and bool(visit.backedges)
