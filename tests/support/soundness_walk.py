"""Every state of a verifier's walk, before each insn, with the numbers in it that were found to matter.

The walk is watched from outside, by functions put in the place of some of the verifier's while it runs; at other times
that costs nothing. Precision is found by walking back from where a number matters: each step back is noted at the state
that was walked there, not only at those that are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xdpsim.isa.rows import Family
from xdpsim.verifier import precision, prune, scc_visits
from xdpsim.verifier.equal import NOT_EXACT
from xdpsim.verifier.main import Verdict, verify
from xdpsim.verifier.walk import STEPS, Step

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.isa.insn import Insn
    from xdpsim.loader.model import ProgramSpec
    from xdpsim.maps.spec import MapSpec
    from xdpsim.verifier.backtrack import Wanted
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import State

MOST_WALKED = 20_000
"""Insns after which a walk without pruning is given up."""
ALL = -1
"""As a set of registers or slots: all of them."""


class TooLong(Exception):
    """A walk without pruning does not end in time."""


class Walk:
    """One state before an insn. `regs` and `slots` hold, by frame, the sets of those whose numbers matter."""

    __slots__ = ("before", "regs", "slots", "state")

    def __init__(self, state: State, before: Walk | None) -> None:
        self.state, self.before = state, before
        self.regs, self.slots = [0] * len(state.frames), [0] * len(state.frames)

    def want(self, wanted: Wanted) -> None:
        """These numbers matter here."""
        for frameno in range(len(self.regs)):
            self.regs[frameno] |= wanted.regs[frameno]
            self.slots[frameno] |= wanted.slots[frameno]

    def want_all(self) -> bool:
        """All numbers matter; whether they did before."""
        if self.regs[0] == ALL:
            return True
        self.regs, self.slots = [ALL] * len(self.regs), [ALL] * len(self.slots)
        return False

    @property
    def key(self) -> tuple[object, ...]:
        """The same for states that say the same."""
        return id(self.state), *self.regs, *self.slots


@dataclass
class Walked:
    """The states of one walk by insn.

    `is_whole`: no state was left out because another covers it, so that everything in a state must hold. `has_numbers`:
    what was left out is covered number by number, so that all numbers that may still be read must hold.
    """

    verdict: Verdict
    states: dict[int, list[Walk]]
    is_whole: bool
    has_numbers: bool
    env: Env
    found: dict[int, int] = field(default_factory=dict)
    """By insn, the place of the state that fitted last: where to look first."""

    @property
    def count(self) -> int:
        """How many different states there are."""
        return sum(map(len, self.states.values()))


class _Waiting(list[Any]):
    """The walk's list of work: each state that is put off comes behind the state that put it off."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def append(self, entry: Any) -> None:
        state, following, at, _ = entry
        last = self.recorder.last
        if last is not None and following == at and self.recorder.env.code[at].family is Family.ALU:
            last = last.before  # a number that is -1 or 0 is split: the same insn, not one behind it
        self.recorder.ends[id(state)] = state, last
        super().append(entry)


class _Recorder:
    """Sees one walk."""

    def __init__(self, prunes: bool, limit: int) -> None:
        self.prunes, self.limit = prunes, limit
        self.walks: list[Walk] = []
        self.known: dict[tuple[object, ...], State] = {}
        self.hits = 0
        self.env: Any = None
        self.cur: State | None = None
        self.last: Walk | None = None
        self.ends: dict[int, tuple[State, Walk | None]] = {}
        """By id, a state that is not being walked, and the last walk on the way to it."""
        self.is_stepping = False
        self.back: Walk | None = None

    def see(self, env: Env, idx: int) -> None:
        """Keep the state before an insn."""
        if not isinstance(env.worklist, _Waiting):
            self.env = env
            env.worklist = _Waiting(self)
        if env.cur is not self.cur:
            self.cur, self.last = env.cur, self.end_of(env.cur)
        self.last = Walk(self._kept(env.cur, idx), self.last)
        self.walks.append(self.last)
        if self.limit and len(self.walks) > self.limit:
            raise TooLong

    def _kept(self, state: State, idx: int) -> State:
        """A copy, or the one that was made of the same registers and slots."""
        sites = tuple(frame.callsite for frame in state.frames)
        held = (id(part) for frame in state.frames for parts in (frame.regs, frame.stack) for part in parts)
        key = (idx, state.speculative, sites, *(len(frame.stack) for frame in state.frames), *held)
        kept = self.known.get(key)
        if kept is None:
            kept = self.known[key] = state.copy()
            kept.insn_idx = idx
        return kept

    def end_of(self, state: State) -> Walk | None:
        """The last walk on the way to a state."""
        return self.last if state is self.cur else self.ends.get(id(state), (None, None))[1]

    # In the place of the verifier's functions.

    def step(self, step: Step) -> Step:
        """One insn."""

        def run(env: Env, insn: Insn, idx: int) -> int | None:
            self.see(env, idx)
            self.is_stepping = True
            try:
                return step(env, insn, idx)
            finally:
                self.is_stepping = False

        return run

    def states_equal(self, original: Callable[..., bool]) -> Callable[..., bool]:
        """Without pruning nothing is equal that is only so because numbers do not matter."""

        def run(env: Env, old: State, cur: State, exact: int) -> bool:
            if not self.prunes and exact == NOT_EXACT:
                return False
            found = original(env, old, cur, exact)
            self.hits += found
            return found

        return run

    def add_backedge(self, original: Callable[..., None]) -> Callable[..., None]:
        """A copy of the current state that waits for the end of its loop."""

        def run(env: Env, kept: State, backedge: State) -> None:
            self.ends[id(backedge)] = backedge, self.end_of(env.cur)
            original(env, kept, backedge)

        return run

    def trace_back(self, original: Callable[..., bool]) -> Callable[..., bool]:
        """The way back begins: in front of the insn being walked, or behind the last one where a path ended."""

        def run(env: Env, start: State, wanted: Wanted) -> bool:
            self.back = self.end_of(start)
            if self.is_stepping and self.back is not None:
                self.back.want(wanted)
                self.back = self.back.before
            return original(env, start, wanted)

        return run

    def backtrack_insn(self, original: Callable[..., None]) -> Callable[..., None]:
        """One step back."""

        def run(env: Env, idx: int, after: int, entry: Any, wanted: Wanted) -> None:
            original(env, idx, after, entry, wanted)
            if env.code[idx] is None:  # the second half of a 64-bit load, which nobody walks
                return
            assert self.back is not None
            assert self.back.state.insn_idx == idx
            self.back.want(wanted)
            self.back = self.back.before

        return run

    def mark_all_precise(self, original: Callable[..., None]) -> Callable[..., None]:
        """Where the way back is lost, everything on it matters."""

        def run(env: Env, start: State) -> None:
            original(env, start)
            walk = self.end_of(start)
            while walk is not None and not walk.want_all():
                walk = walk.before

        return run


@contextmanager
def _watching(recorder: _Recorder) -> Iterator[None]:
    places = [(prune, "states_equal"), (scc_visits, "add_backedge"), (scc_visits, "mark_all_precise")]
    places += [(precision, name) for name in ("trace_back", "backtrack_insn", "mark_all_precise")]
    steps, originals = dict(STEPS), [getattr(module, name) for module, name in places]
    STEPS.update({family: recorder.step(step) for family, step in steps.items()})
    for (module, name), original in zip(places, originals, strict=True):
        setattr(module, name, getattr(recorder, name)(original))
    try:
        yield
    finally:
        STEPS.update(steps)
        for (module, name), original in zip(places, originals, strict=True):
            setattr(module, name, original)


def record(
    spec: ProgramSpec, maps: Sequence[MapSpec], btf: Btf | None, *, limit: int = MOST_WALKED, **options: Any
) -> Walked:
    """Verify a program and keep every state; without pruning if that ends within `limit` insns, 0 for with it."""
    for prunes in (False, True) if limit else (True,):
        recorder = _Recorder(prunes, 0 if prunes else limit)
        try:
            with _watching(recorder):
                verdict = verify(spec, maps, btf, **options)
        except TooLong:
            continue
        if verdict.accepted or prunes:
            break
    assert verdict.env is not None
    has_numbers = not (prunes and recorder.hits)
    return Walked(verdict, _by_insn(recorder.walks, has_numbers), not recorder.hits, has_numbers, verdict.env)


def _by_insn(walks: list[Walk], has_numbers: bool) -> dict[int, list[Walk]]:
    """The different states at each insn; all numbers count where no pruning has made some of them count less."""
    found: dict[int, dict[tuple[object, ...], Walk]] = {}
    for walk in walks:
        walk.before = None
        if walk.state.speculative:
            continue
        if has_numbers:
            walk.want_all()
        found.setdefault(walk.state.insn_idx, {}).setdefault(walk.key, walk)
    return {idx: list(unique.values()) for idx, unique in found.items()}
