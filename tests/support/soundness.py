"""Soundness of the verifier: what the interpreter holds at an insn lies inside a state that was walked there.

    walked = record(spec, maps, btf)             # soundness_walk.py: every state of the walk, before each insn
    watch = Watch(sim, lambda program: walked)   # an observer of the interpreter
    sim.engine.observer = watch
    prog.run(packet)
    assert not watch.problems

A state that a kept one covers is not walked on, and the numbers in it that nothing rests on may be others than those of
the kept state. So a program is walked without that first; then all of a state counts. Where that takes too long, or
where loops end by it, registers and stack slots count that may still be read; and in a pruned walk of numbers only
those that were found to matter at that insn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.support.soundness_inside import Inside, Running, stack_top
from tests.support.soundness_walk import ALL, Walk, Walked, record
from xdpsim.engines.interpreter.engine import InterpreterEngine
from xdpsim.verifier.subprogs import number_of

if TYPE_CHECKING:
    from xdpsim.engines.protocol import LoadedProgram
    from xdpsim.sim.sim import Sim
    from xdpsim.verifier.env import Env

__all__ = ["Walked", "Watch", "record"]
_MOST_PROBLEMS = 3


class Watch:
    """An observer: compares what the program holds with the states that were walked at each insn.

    `walks` gives the walk of a program, None for one that is not compared. After `most` comparisons with one state it
    looks no more, 0 for never.
    """

    def __init__(self, sim: Sim, walks: Callable[[LoadedProgram], Walked | None], most: int = 0) -> None:
        assert isinstance(sim.engine, InterpreterEngine)
        self.cpu, self.walks = sim.engine.cpu, walks
        self.problems: list[str] = []
        self.insns = self.compared = 0
        self._most = most
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
        if walked is None or len(self.problems) >= _MOST_PROBLEMS or (self._most and self.compared > self._most):
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
        walks, why = walked.states.get(slot, []), list[str]()
        begin = walked.found.get(slot, 0)
        for place in (*range(begin, len(walks)), *range(begin)):  # where it was last time, or the next round of a loop
            walk = walks[place]
            if [frame.callsite for frame in walk.state.frames[1:]] != sites:
                continue
            self.compared += 1
            problem = _outside(inside, walk, walked)
            if not problem:
                walked.found[slot] = place
                return
            why.append(problem)
        told = "; ".join(why[:4]) or f"of {len(walks)} states none has the calls {sites}"
        self.problems.append(f"{program.spec.name}: insn {slot}: in none of {len(why)} states: {told}")

    def _outermost(self, env: Env, depth: int) -> int:
        """The frame that a walk began with: the main function's, or that of the last global function."""
        base = self.cpu.base
        for number in range(depth, base, -1):
            if env.subprogs[number_of(env, self._entries[number])].is_global:
                return number
        return base


def _outside(inside: Inside, walk: Walk, walked: Walked) -> str:
    """What does not fit, or empty."""
    env, state = walked.env, walk.state
    if not walked.is_whole:
        env.stack_live.query_init(state)
    for number, frame in enumerate(state.frames):
        live, alive = ALL, ALL
        if not walked.is_whole:
            live = env.aux[state.insn_of_frame(number)].live_regs_before
            alive = env.stack_live.alive_mask(number)
        if problem := inside.registers(number, frame, live, walk.regs[number]):
            return problem
        if problem := inside.stack(number, frame, alive, walk.slots[number]):
            return problem
    return inside.links(state.frames) if walked.is_whole else ""
