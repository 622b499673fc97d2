"""Soundness of the verifier: what the interpreter holds at an insn lies inside a state that was walked there.

    walked = record(spec, maps, btf)             # every state of the walk, before each insn
    watch = Watch(sim, lambda program: walked)   # an observer of the interpreter
    sim.engine.observer = watch
    prog.run(packet)
    assert not watch.problems

A state that a kept one covers is not walked on, and the numbers in it that nobody needs precise may be others than
those of the kept state. So a program is walked without that first; then all of a state counts. Where that takes too
long, or where a loop is closed by it, registers and stack slots count that may still be read, and in a pruned walk of
numbers only the precise ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.soundness_inside import Inside, Looked, Running, stack_top
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.verifier import prune
from xdpsim.verifier.env import ALL_CAPS, Env
from xdpsim.verifier.equal import NOT_EXACT
from xdpsim.verifier.main import Verdict, verify
from xdpsim.verifier.state import State
from xdpsim.verifier.subprogs import number_of
from xdpsim.verifier.walk import STEPS, Step

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.engines.protocol import LoadedProgram
    from xdpsim.isa.insn import Insn
    from xdpsim.loader.model import ProgramSpec
    from xdpsim.maps.spec import MapSpec
    from xdpsim.sim.sim import Sim

MOST_WALKED = 20_000
"""Insns after which a walk without pruning is given up."""
_MOST_PROBLEMS = 3
_ALL_REGS = 0x3FF


class TooLong(Exception):
    """A walk without pruning does not end in time."""


@dataclass
class Walked:
    """The states of one walk by insn; `verdict` is the walk's."""

    verdict: Verdict
    states: dict[int, list[State]]
    looked: Looked
    env: Env

    @property
    def count(self) -> int:
        """How many different states there are."""
        return sum(map(len, self.states.values()))


@dataclass
class _Recorder:
    prunes: bool
    limit: int
    states: dict[int, list[State]] = field(default_factory=dict)
    seen: set[tuple[object, ...]] = field(default_factory=set)
    hits: int = 0
    steps: int = 0

    def see(self, env: Env, idx: int) -> None:
        """Keep the state before an insn, unless just this one was kept before."""
        self.steps += 1
        if self.limit and self.steps > self.limit:
            raise TooLong
        state = env.cur
        if state.speculative:
            return
        key = (idx, *(frame.callsite for frame in state.frames))
        parts = (id(part) for frame in state.frames for held in (frame.regs, frame.stack) for part in (*held, frame))
        key += tuple(parts)
        if key in self.seen:
            return
        self.seen.add(key)
        kept = state.copy()
        kept.insn_idx = idx
        self.states.setdefault(idx, []).append(kept)

    def equal(self, original: Callable[..., bool], env: Env, old: State, cur: State, exact: int) -> bool:
        """states_equal(), which finds nothing equal that is only so because numbers do not matter."""
        if not self.prunes and exact == NOT_EXACT:
            return False
        found = original(env, old, cur, exact)
        self.hits += found
        return found


@contextmanager
def _watching(recorder: _Recorder) -> Iterator[None]:
    """Let every step of a walk pass by the recorder. Costs nothing at other times."""
    steps, compare = dict(STEPS), prune.states_equal

    def recorded(step: Step) -> Step:
        def run(env: Env, insn: Insn, idx: int) -> int | None:
            recorder.see(env, idx)
            return step(env, insn, idx)

        return run

    def equal(env: Env, old: State, cur: State, exact: int) -> bool:
        return recorder.equal(compare, env, old, cur, exact)

    STEPS.update({family: recorded(step) for family, step in steps.items()})
    prune.states_equal = equal
    try:
        yield
    finally:
        STEPS.update(steps)
        prune.states_equal = compare


def record(
    spec: ProgramSpec,
    maps: Sequence[MapSpec],
    btf: Btf | None,
    *,
    limit: int = MOST_WALKED,
    **options: Any,
) -> Walked:
    """Verify a program and keep every state; without pruning if that ends within `limit` insns."""
    for prunes in (False, True):
        recorder = _Recorder(prunes, 0 if prunes else limit)
        try:
            with _watching(recorder):
                verdict = verify(spec, maps, btf, **options)
        except TooLong:
            continue
        if verdict.accepted or prunes:
            break
    assert verdict.env is not None
    looked = Looked(everything=not recorder.hits, numbers=not (prunes and recorder.hits))
    return Walked(verdict, recorder.states, looked, verdict.env)


class Watch:
    """An observer: compares what the program holds with the states that were walked at each insn.

    `walks` gives the walk of a program, None for one that is not compared.
    """

    def __init__(self, sim: Sim, walks: Callable[[LoadedProgram], Walked | None]) -> None:
        assert isinstance(sim.engine, InterpreterEngine)
        self.cpu, self.walks = sim.engine.cpu, walks
        self.problems: list[str] = []
        self.insns = 0
        self._sites: dict[int, int] = {}
        self._entries: dict[int, int] = {}
        self._depth = self._last = 0

    def __call__(self, program: LoadedProgram, slot: int) -> None:
        cpu = self.cpu
        depth = len(cpu.frames)
        if depth > self._depth or depth == cpu.base:
            self._sites[depth], self._entries[depth] = self._last, slot
        self._depth, self._last = depth, slot
        walked = self.walks(program)
        if walked is None or len(self.problems) >= _MOST_PROBLEMS:
            return
        self.insns += 1
        self._check(program, slot, walked)

    def _check(self, program: LoadedProgram, slot: int, walked: Walked) -> None:
        cpu, depth = self.cpu, len(self.cpu.frames)
        first = self._outermost(walked.env, depth)
        sites = [self._sites[n] for n in range(first + 1, depth + 1)]
        held: list[list[int | None]] = [[None, *cpu.frames[n].saved] for n in range(first, depth)]
        held.append([*cpu.regs])
        frames = [Running(regs, stack_top(cpu, first + n)) for n, regs in enumerate(held)]
        inside = Inside(cpu, program, walked.env, frames)
        states = walked.states.get(slot, [])
        why = []
        for place, state in enumerate(states):
            if [frame.callsite for frame in state.frames[1:]] != sites:
                continue
            problem = _outside(inside, state, walked)
            if not problem:
                states.insert(0, states.pop(place))
                return
            why.append(problem)
        told = "; ".join(why[:4]) or f"of {len(states)} states none has the calls {sites}"
        self.problems.append(f"{program.spec.name}: insn {slot}: in none of {len(why)} states: {told}")

    def _outermost(self, env: Env, depth: int) -> int:
        """The frame that a walk began with: the main function's, or that of the last global function."""
        base = self.cpu.base
        for number in range(depth, base, -1):
            subprog = env.subprogs[number_of(env, self._entries[number])]
            if subprog.is_global:
                return number
        return base


def _outside(inside: Inside, state: State, walked: Walked) -> str:
    """What does not fit, or empty."""
    looked, env = walked.looked, walked.env
    if not looked.everything:
        env.stack_live.query_init(state)
    for number, frame in enumerate(state.frames):
        live, alive = _ALL_REGS, [True] * len(frame.stack)
        if not looked.everything:
            live = env.aux[state.insn_of_frame(number)].live_regs_before
            mask = env.stack_live.alive_mask(number)
            alive = [bool(mask >> spi & 1) for spi in range(len(frame.stack))]
        if problem := inside.frame(number, frame, live, alive, looked):
            return problem
    return inside.links(state.frames) if looked.everything else ""
