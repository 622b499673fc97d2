"""A program being written: its statements, and what the writer believes of registers and stack.

The belief only makes programs sensible; whether it is right is for the verifiers to say. A piece of program is a
`Chunk`: a function over a Builder, with the mistakes that it can be told to make. At most one of them is planned for a
program, so that every kind of rejection gets its share.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

ALL_TYPES = ("XDP", "SCHED_CLS", "SOCKET_FILTER", "CGROUP_SKB")
PACKET_TYPES = ("XDP", "SCHED_CLS", "CGROUP_SKB")
SKB_TYPES = ("SCHED_CLS", "SOCKET_FILTER", "CGROUP_SKB")
UNKNOWN = -1
_SCRATCH, _SAVED = (0, 1, 2, 3, 4, 5), (7, 8, 9)
_NOISE = 0.0005
_DEEPEST = 3


@dataclass(frozen=True)
class Val:
    """What a register or slot holds. `size`: proven bytes of memory, or the largest value of a number."""

    kind: str
    size: int = UNKNOWN
    tag: str = ""


NONE = Val("none")


@dataclass(frozen=True)
class Chunk:
    """One kind of piece."""

    name: str
    write: Callable[[Builder], None]
    weight: float
    types: tuple[str, ...]
    mistakes: tuple[str, ...]
    needs_ctx: bool


CHUNKS: dict[str, Chunk] = {}


def chunk(
    weight: float = 1.0,
    types: tuple[str, ...] = ALL_TYPES,
    mistakes: tuple[str, ...] = (),
    *,
    needs_ctx: bool = False,
) -> Callable[[Callable[[Builder], None]], Callable[[Builder], None]]:
    """Register a function that writes a piece."""

    def register(write: Callable[[Builder], None]) -> Callable[[Builder], None]:
        CHUNKS[write.__name__] = Chunk(write.__name__, write, weight, types, mistakes, needs_ctx)
        return write

    return register


@dataclass
class Shared:
    """What all functions of one program have in common."""

    labels: int = 0
    functions: list[list[str]] = field(default_factory=list)
    plan: str = ""
    made: bool = False
    """Whether the planned mistake has been made."""
    wants_btf: bool = False
    context: str = ""
    lacks_perfmon: bool = False
    signatures: dict[str, str] = field(default_factory=dict)
    """Of functions that are not `static int f(u64 a)`."""
    kinds: set[str] = field(default_factory=set)
    """Restrictions that hold for the whole program, such as "ld_abs" or "tail_call"."""


class Builder:
    """One function of a program."""

    def __init__(self, rng: random.Random, prog_type: str, shared: Shared, *, depth: int = 0) -> None:
        self.rng, self.type, self.shared, self.depth = rng, prog_type, shared, depth
        self.lines: list[str] = []
        self.regs: dict[int, Val] = dict.fromkeys(range(10), NONE)
        self.slots: dict[int, Val] = {}
        self.fail = "out"
        self.in_loop = self.holds = 0
        self.frame_bytes = 64
        self.pinned: set[int] = set()
        """Registers that pieces must leave alone: loop counters, references."""
        self.loop_pins: list[set[int]] = []
        self.is_callback = False
        self.calls_deep = 0

    # Randomness.

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def wrong(self, name: str) -> bool:
        """Whether to make this mistake here."""
        if self.shared.plan == name and not self.shared.made and self.chance(0.8):
            self.shared.made = True
            return True
        return self.chance(_NOISE)

    # Text.

    def emit(self, *texts: str) -> None:
        self.lines.extend(texts)

    def label(self) -> str:
        self.shared.labels += 1
        return f"l{self.shared.labels}"

    def here(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def failed(self, label: str, *texts: str) -> None:
        """What runs behind a label that only failed checks go to; nothing if there are none."""
        if any(line.endswith(f"goto {label}") for line in self.lines):
            self.here(label)
            self.emit(*texts)

    # Registers.

    def free(self, *keep: int, saved: bool | None = None) -> int:
        """A register to overwrite, rather one that holds nothing of use."""
        pool = _SAVED if saved else _SCRATCH if saved is False else _SCRATCH + _SAVED
        fit = [r for r in pool if r not in keep and r not in self.pinned]
        if not fit:
            fit = [r for r in _SCRATCH + _SAVED if r not in keep and r not in self.pinned] or [0]
        empty = [r for r in fit if self.regs[r].kind == "none"]
        return self.rng.choice(empty or fit)

    def find(self, *kinds: str) -> list[int]:
        return [r for r, val in self.regs.items() if val.kind in kinds]

    def set(self, reg: int, kind: str, size: int = UNKNOWN, tag: str = "") -> int:
        self.regs[reg] = Val(kind, size, tag)
        return reg

    def called(self, result: Val = NONE) -> None:
        """A call has been made: r1-r5 are gone."""
        for reg in range(1, 6):
            self.regs[reg] = NONE
        self.regs[0] = result

    def forget_packet(self) -> None:
        """Packet pointers do not outlive a change of the packet."""
        for places in (self.regs, self.slots):
            for place, val in places.items():
                if val.kind in ("pkt", "end"):
                    places[place] = NONE

    def ctx(self, reg: int = 1) -> None:
        """Put the context into a register, for a call."""
        self.emit(f"r{reg} = r6")

    @property
    def has_ctx(self) -> bool:
        return self.regs[6].kind == "ctx"

    # Slots of the stack, 8 bytes each.

    def slot(self) -> int:
        """An offset from r10 for 8 bytes; the deepest so far at most."""
        return -8 * self.rng.randrange(2, self.frame_bytes // 8 + 1)

    def numbers(self, off: int, size: int, *, value: int | None = None) -> None:
        """Fill `size` bytes of stack from `off` up with numbers, however."""
        at = off
        while at < off + size:
            fits = [w for w in (1, 2, 4, 8) if at % w == 0 and at + w <= off + size]
            width = self.rng.choice(fits[-2:])
            nums = self.find("num")
            if value is None and nums and self.chance(0.3):
                self.emit(f"*(u{width * 8} *)(r10 {at}) = r{self.rng.choice(nums)}")
            else:
                self.emit(f"*(u{width * 8} *)(r10 {at}) = {self.rng.randrange(4) if value is None else value}")
            at += width
        for place in range(off - off % 8, off + size, 8):
            self.slots.pop(place, None)

    # Control flow.

    def enter_loop(self) -> None:
        """From here on a later round may find other things: believe little, and leave pointers alone."""
        self.in_loop += 1
        for reg, val in self.regs.items():
            if (reg < 6 and self.chance(0.95)) or (val.kind == "num" and reg not in self.pinned):
                self.regs[reg] = NONE if reg < 6 else Val("num")
        self.slots = {off: Val("num") for off, val in self.slots.items() if val.kind == "num"}
        self.loop_pins.append({r for r in _SAVED if self.regs[r].kind not in ("none", "num")} - self.pinned)
        self.pinned |= self.loop_pins[-1]

    def leave_loop(self) -> None:
        """The end of what enter_loop began."""
        self.in_loop -= 1
        self.pinned -= self.loop_pins.pop()

    def snapshot(self) -> tuple[dict[int, Val], dict[int, Val]]:
        return dict(self.regs), dict(self.slots)

    def restore(self, held: tuple[dict[int, Val], dict[int, Val]]) -> None:
        self.regs, self.slots = dict(held[0]), dict(held[1])

    def merge(self, other: tuple[dict[int, Val], dict[int, Val]]) -> None:
        """Believe only what both paths have."""
        self.regs = {r: _join(val, other[0][r]) for r, val in self.regs.items()}
        self.slots = {o: _join(val, other[1][o]) for o, val in self.slots.items() if o in other[1]}

    def body(self, count: int) -> None:
        """Some random pieces, one level deeper."""
        if self.depth >= _DEEPEST:
            return
        self.depth += 1
        for _ in range(count):
            pick(self).write(self)
        self.depth -= 1


def _join(a: Val, b: Val) -> Val:
    if a == b:
        return a
    if a.kind == b.kind == "num":
        return Val("num", UNKNOWN if UNKNOWN in (a.size, b.size) else max(a.size, b.size))
    if a.kind == b.kind == "pkt":
        return Val("pkt", min(a.size, b.size))
    return NONE


def usable(prog_type: str) -> list[Chunk]:
    """The pieces that a type of program can have."""
    return [c for c in CHUNKS.values() if prog_type in c.types]


def pick(b: Builder) -> Chunk:
    """A random piece for the program's type."""
    fit = [c for c in usable(b.type) if b.has_ctx or not c.needs_ctx]
    return b.rng.choices(fit, [c.weight for c in fit])[0]
