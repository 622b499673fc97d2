"""Which stack slots may still be read from an insn on, for each chain of calls that leads to it.

The walk notes what every insn reads and writes; `update` carries it backwards along the control flow. A set of stack
slots is an int with bit i for spi i. Follows kernel/bpf/liveness.c: `may_read` only grows, `must_write` holds what
every visit wrote, `live` is what may be read at an insn or behind it, `written` what is surely written from there to
the end of the function, by which a caller learns what a call overwrites.
"""

from __future__ import annotations

from heapq import heappop, heappush

from xdpsim.verifier.env import LOG_LEVEL2, Env
from xdpsim.verifier.log import slots_text
from xdpsim.verifier.state import MAX_FRAMES, State
from xdpsim.verifier.subprogs import number_of

_M64 = (1 << 64) - 1
_OLD_BITS = (1 << 32) - 1
"""Linux 6.18 keeps the writes of earlier visits in 32 bits when it compares them: slots below fp-256 are not taken back
unless a slot above is.
"""
_NEW, _WRITES_NOTHING, _WRITES = 0, 1, 2


class _Masks:
    """Sets of slots of one frame, by insn counted from the start of the function."""

    __slots__ = ("dirty", "live", "may_read", "must_write", "written")

    def __init__(self, count: int) -> None:
        self.may_read, self.must_write = [0] * count, [0] * count
        self.live, self.written = [0] * count, [0] * count
        self.dirty: set[int] = set()
        """Insns whose may_read or must_write changed since the last update."""


class _Instance:
    """One function called through one chain of call sites; `frames[i]` is None until frame i is touched."""

    __slots__ = ("chain", "count", "dropped", "frames", "start", "state", "subprog", "updated")

    def __init__(self, chain: tuple[int, ...], start: int, count: int, subprog: int) -> None:
        self.chain, self.start, self.count, self.subprog = chain, start, count, subprog
        self.frames: list[_Masks | None] = [None] * len(chain)
        self.state = bytearray(count)
        self.updated = self.dropped = False

    def masks(self, frame: int) -> _Masks:
        found = self.frames[frame]
        if found is None:
            found = self.frames[frame] = _Masks(self.count)
        return found

    def note_read(self, frame: int, at: int, mask: int) -> None:
        masks = self.masks(frame)
        before = masks.may_read[at]
        if mask & ~before:
            masks.may_read[at] = before | mask
            masks.dirty.add(at)
            if (before | mask) & ~masks.live[at]:
                self.updated = True

    def note_writes(self, at: int, written: list[int]) -> None:
        """One visit of insn `at` wrote `written[frame]` of each frame: keep what all visits wrote."""
        first = self.state[at] == _NEW
        for frame in range(len(self.chain)):
            mask = written[frame]
            masks = self.frames[frame]
            if masks is None:
                if not mask or not first:
                    continue
                masks = self.masks(frame)
            before = masks.must_write[at] & _OLD_BITS
            if not first:
                mask &= before
            if mask != before:
                masks.must_write[at] = mask
                masks.dirty.add(at)
                self.updated = True
                if before & ~mask:
                    self.dropped = True
        self.state[at] = _WRITES if any(m is not None and m.must_write[at] for m in self.frames) else _WRITES_NOTHING


class StackLiveness:
    """The analysis of one program, kept at `env.stack_live`; methods are named as the functions of liveness.c."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.predecessors: list[list[int]] = [[] for _ in env.code]
        for slot, targets in enumerate(env.successors):
            for target in targets:
                self.predecessors[target].append(slot)
        self.position = {slot: at for subprog in env.subprogs for at, slot in enumerate(subprog.postorder)}
        self._instances: dict[tuple[int, ...], _Instance] = {}
        self._current: _Instance | None = None
        self._acc = [0] * MAX_FRAMES
        self._pending = False
        self._write_at = 0
        self._query: list[_Instance] = []
        self._query_at = 0

    def reset_callchain(self) -> None:
        """Forget the function instance of `env.cur`: its frames changed."""
        self._current = None

    def _running(self) -> _Instance:
        found = self._current
        if found is None:
            found = self._current = self._lookup(self.env.cur, self.env.cur.curframe)
        return found

    def _lookup(self, state: State, frameno: int) -> _Instance:
        """The instance of the function that runs in frame `frameno` of the state."""
        frames = state.frames
        start = self.env.subprogs[frames[frameno].subprogno].start
        return self._instance((*(frames[i + 1].callsite for i in range(frameno)), start), start)

    def _instance(self, chain: tuple[int, ...], start: int) -> _Instance:
        found = self._instances.get(chain)
        if found is None:
            number = number_of(self.env, start)
            found = _Instance(chain, start, self.env.subprogs[number + 1].start - start, number)
            self._instances[chain] = found
        return found

    def mark_read(self, frame: int, insn_idx: int, mask: int) -> None:
        """The insn may read these slots of the frame."""
        instance = self._current or self._running()
        instance.note_read(frame, insn_idx - instance.start, mask)

    def reset_write_marks(self, insn_idx: int) -> None:
        """Begin to note what the insn writes."""
        if self._current is None:
            self._running()
        self._write_at = insn_idx
        if self._pending:
            self._acc = [0] * MAX_FRAMES
            self._pending = False

    def mark_write(self, frame: int, mask: int) -> None:
        """The insn being noted writes these slots of the frame whole."""
        self._acc[frame] |= mask
        self._pending = True

    def commit_write_marks(self) -> None:
        """End of the insn: only what every visit of it writes counts as written."""
        instance = self._current
        if instance is None:
            return
        at = self._write_at - instance.start
        known = instance.state[at]
        if known == _WRITES_NOTHING:
            return
        if self._pending or known == _WRITES:
            instance.note_writes(at, self._acc)
        else:
            instance.state[at] = _WRITES_NOTHING

    def update(self, state: State) -> None:
        """Carry what was noted backwards, in every function that the state is in, innermost first."""
        self._current = None
        for frameno in range(state.curframe, -1, -1):
            instance = self._lookup(state, frameno)
            if instance.updated:
                self._update_instance(instance)
                instance.updated = instance.dropped = False

    def _update_instance(self, instance: _Instance) -> None:
        todo: list[tuple[int, _Masks, set[int]]] = []
        order = self.env.subprogs[instance.subprog].postorder
        for frame, masks in enumerate(instance.frames):
            if masks is None:
                continue
            slots = masks.dirty
            if instance.dropped:
                masks.written = [0] * instance.count
                slots = slots | {at for at, mask in enumerate(masks.must_write) if mask}
            start, position = instance.start, self.position
            todo.append((frame, masks, {position[at + start] for at in slots if at + start in position}))
            masks.dirty = set()
        sweeps, changed = 0, True
        while changed:
            sweeps += 1
            changed = False
            for number, (frame, masks, waiting) in enumerate(todo):
                following = _Sweep(self, instance, frame, masks, order).run(waiting)
                if following is not None:
                    changed = True
                todo[number] = (frame, masks, following or set())
        if self.env.log_level & LOG_LEVEL2:
            self.env.verbose(f"{_chain_text(instance)} live stack update done in {sweeps} iterations\n")
        if len(instance.chain) > 1:
            self._tell_caller(instance)

    def _tell_caller(self, instance: _Instance) -> None:
        """What the function reads and writes of its callers' frames, the call itself does."""
        callsite, frames = instance.chain[-2], instance.frames
        outer_start = self.env.subprogs[number_of(self.env, callsite)].start
        outer = self._instance((*instance.chain[:-2], outer_start), outer_start)
        at = callsite - outer.start
        written = [0] * MAX_FRAMES
        for frame in range(len(instance.chain) - 1):
            masks = frames[frame]
            if masks is not None:
                written[frame] = masks.written[0]
                outer.note_read(frame, at, masks.live[0])
        outer.note_writes(at, written)
        self._acc, self._pending, self._write_at = [0] * MAX_FRAMES, False, 0

    def query_init(self, state: State) -> None:
        """Ask about this state from now on."""
        self._query = [self._lookup(state, frameno) for frameno in range(state.curframe + 1)]
        self._query_at = state.insn_idx

    def alive_mask(self, frameno: int) -> int:
        """Slots of the frame that the asked-about state, or what its callers do after it, may read."""
        innermost = self._query[-1]
        mask = _live(innermost, self._query_at, frameno)
        for i in range(frameno, len(self._query) - 1):
            callsite = innermost.chain[i]
            after = callsite if self.env.aux[callsite].calls_callback else callsite + 1
            mask |= _live(self._query[i], after, frameno)
        return mask

    def slot_alive(self, frameno: int, spi: int) -> bool:
        """Whether slot `spi` of the frame is among them."""
        return bool(self.alive_mask(frameno) >> spi & 1)


def _live(instance: _Instance, slot: int, frameno: int) -> int:
    masks = instance.frames[frameno]
    return masks.live[slot - instance.start] if masks is not None else 0


class _Sweep:
    """One pass over a function in postorder, looking only at insns whose successors or own marks changed."""

    def __init__(
        self, owner: StackLiveness, instance: _Instance, frame: int, masks: _Masks, order: tuple[int, ...]
    ) -> None:
        self.owner, self.instance, self.frame, self.masks, self.order = owner, instance, frame, masks, order
        self.logs = bool(owner.env.log_level & LOG_LEVEL2)

    def run(self, waiting: set[int]) -> set[int] | None:
        """Recompute the insns at these places of the order; places for the next sweep, None when nothing changed."""
        heap, queued = sorted(waiting), set(waiting)
        following: set[int] = set()
        start, position, changed = self.instance.start, self.owner.position, False
        while heap:
            place = heappop(heap)
            slot = self.order[place]
            if not self.recompute(slot, slot - start):
                continue
            changed = True
            for before in self.owner.predecessors[slot]:
                where = position.get(before)
                if where is None:
                    continue
                if where <= place:
                    following.add(where)
                elif where not in queued:
                    queued.add(where)
                    heappush(heap, where)
        return following if changed else None

    def recompute(self, slot: int, at: int) -> bool:
        """What is live before one insn and written from it on; whether that changed."""
        targets = self.owner.env.successors[slot]
        if not targets:
            return False
        masks, start = self.masks, self.instance.start
        after, written = 0, _M64
        for target in targets:
            after |= masks.live[target - start]
            written &= masks.written[target - start]
        written |= masks.must_write[at]
        before = (after & ~masks.must_write[at]) | masks.may_read[at]
        if before == masks.live[at] and written == masks.written[at]:
            return False
        if self.logs:
            self.log(slot, at, before, written)
        masks.live[at], masks.written[at] = before, written
        return True

    def log(self, slot: int, at: int, live: int, written: int) -> None:
        masks, env = self.masks, self.owner.env
        told = masks.may_read[at] or masks.must_write[at] or at == 0 or env.aux[slot].prune_point
        if told:
            head = f"{_chain_text(self.instance)} frame {self.frame} insn {slot} "
            env.verbose(_change_text(head, "live", masks.live[at], live))
            env.verbose(_change_text(head, "written", masks.written[at], written))


def _change_text(head: str, name: str, old: int, new: int) -> str:
    if old == new:
        return ""
    gained, lost = new & ~old, old & ~new
    more = f"+{name} {slots_text(gained)} " if gained else ""
    less = f"-{name} {slots_text(lost)}" if lost else ""
    return f"{head}{more}{less}\n"


def _chain_text(instance: _Instance) -> str:
    return f"({','.join(map(str, instance.chain))})"
