"""Why a program was refused, for people: Linux's message, the source line, the way there, the registers, a remedy."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from xdpsim.isa.rows import Family
from xdpsim.verifier.advice import advice
from xdpsim.verifier.env import ENOTSUPP
from xdpsim.verifier.log import reg_text
from xdpsim.verifier.places import insn_at, line_at
from xdpsim.verifier.regtypes import NOT_INIT
from xdpsim.verifier.remedies import remedy
from xdpsim.verifier.trail import Origin, walked_back

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.main import Verdict

MOST_STEPS = 8
"""Branches before the refusal that are told; the same one again and again counts once."""
INSTEAD, _LABEL = "instead", 9
_STEPS = (Family.BRANCH, Family.CALL_LOCAL, Family.EXIT, Family.MAY_GOTO)
_CALLS = (Family.CALL_HELPER, Family.CALL_KFUNC, Family.CALL_LOCAL)


@dataclass(frozen=True)
class Step:
    """An insn on the way, and what it did: `not taken`, `calls 17`, for a register where its value is from.

    `file` is empty and `line` 0 where the object does not say; `source` is the text of the line.
    """

    slot: int
    insn: str
    what: str
    file: str = ""
    line: int = 0
    column: int = 0
    source: str = ""
    times: int = 1

    @property
    def text(self) -> str:
        """All of it in a few words."""
        place = f" [{self.file}:{self.line}]" if self.file else ""
        often = f", {self.times} times" if self.times > 1 else ""
        return f"{self.slot} ({self.insn}) {self.what}{often}{place}"

    @property
    def told(self) -> str:
        """The same with the source line first."""
        often = f", {self.times:,} times" if self.times > 1 else ""
        insn = f"insn {self.slot} ({self.insn}) {self.what}{often}"
        return f"{self.file}:{self.line}  {self.source}   {insn}" if self.file else insn


@dataclass(frozen=True)
class Explanation:
    """One refusal. `slot` is -1 where it is about no insn; `file`, `line` and `source` where the object says so.

    `steps` are the branches on the way there, the last ones if there are many, the oldest first; `registers` the state
    of those that the insn uses, as Linux prints them; `origins` says of each which insn set it.
    """

    errno: int
    message: str
    slot: int = -1
    insn: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    source: str = ""
    steps: tuple[Step, ...] = ()
    registers: tuple[str, ...] = ()
    origins: tuple[Step, ...] = ()
    remedy: str = ""

    @property
    def errno_name(self) -> str:
        """EACCES, EINVAL ..."""
        return "ENOTSUPP" if self.errno == ENOTSUPP else errno.errorcode.get(self.errno, str(self.errno))

    @property
    def place(self) -> str:
        """`file:line: text` of the insn, empty where the object does not say."""
        return (f"{self.file}:{self.line}" + (f": {self.source}" if self.source else "")) if self.file else ""

    @property
    def path(self) -> tuple[str, ...]:
        """The steps as text."""
        return tuple(step.text for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Fields by name, with `place` and `path` as text besides."""
        return {**asdict(self), "place": self.place, "path": list(self.path)}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Explanation:
        """What as_json() gave."""
        fields = {name: kept[name] for name in cls.__dataclass_fields__}
        steps, origins = (tuple(Step(**row) for row in kept[name]) for name in ("steps", "origins"))
        return cls(**{**fields, "steps": steps, "origins": origins, "registers": tuple(kept["registers"])})

    def lines(self) -> list[str]:
        """The details below the message: where, with which registers, after which branches, and what instead."""
        return [f"{label.ljust(_LABEL)}{text}" for label, text in self._labelled()]

    def _labelled(self) -> Iterator[tuple[str, str]]:
        if self.slot >= 0:
            if self.file:
                yield "at", f"{self.file}:{self.line}  {self.source}"
            yield ("" if self.file else "at"), f"insn {self.slot}: {self.insn}"
        for at, register in enumerate(self.registers):
            yield ("" if at else "with"), register + self._origin_of(register)
        for at, step in enumerate(self.steps):
            yield ("" if at else "after"), step.told
        if self.remedy:
            yield INSTEAD, self.remedy

    def _origin_of(self, register: str) -> str:
        """Where a value is from, unless it says so itself: known numbers, the stack."""
        name, _, value = register.partition("=")
        origin = next((step for step in self.origins if step.what == name), None)
        if origin is None or re.match(r"P?(-?\d|fp)", value):
            return ""
        place = f", {origin.file}:{origin.line}" if origin.file else ""
        return f"   from insn {origin.slot} ({origin.insn}){place}"


def explain(verdict: Verdict) -> Explanation:
    """Gather what is known at the point of the refusal."""
    env = verdict.env
    message = verdict.message or _silent(verdict.errno)
    if env is None:
        return Explanation(verdict.errno, message, remedy=remedy(message))
    walked = env.insn_processed > 0
    slot = verdict.insn_idx if walked else _slot_named(message)
    text = insn_at(env, slot)
    if not text:
        return Explanation(verdict.errno, message, remedy=advice(env, message) if walked else remedy(message))
    here = _step(env, slot, "")
    seen = Explanation(
        verdict.errno, message, slot, text, here.file, here.line, here.column, here.source, remedy=remedy(message)
    )
    if not walked or message.startswith("combined stack size"):
        return seen if not walked else Explanation(verdict.errno, message, remedy=advice(env, message))
    insn = env.code[slot]
    numbers = _used(insn) if insn is not None else []
    return Explanation(
        *(verdict.errno, message, slot, text, here.file, here.line, here.column, here.source),
        _path(env),
        _registers(env, numbers),
        _origins(env, numbers),
        advice(env, message),
    )


def _slot_named(message: str) -> int:
    """The insn that a message of the first pass is about, -1 when it names none."""
    found = re.search(r"insn (\d+)", message)
    return int(found[1]) if found else -1


def _silent(number: int) -> str:
    """Linux refuses some programs without a word."""
    return {
        errno.EPERM: "the loader lacks a capability that this type of program needs",
        errno.E2BIG: "the program has no insns, or more than Linux takes",
        errno.EINVAL: "the attach type is none that this type of program can have",
    }.get(number, "Linux gives no reason")


def _step(env: Env, slot: int, what: str) -> Step:
    line = line_at(env.spec, slot)
    place = (line.file, line.line, line.column, line.text.strip()) if line is not None else ("", 0, 0, "")
    return Step(slot, insn_at(env, slot), what, *place)


def _path(env: Env) -> tuple[Step, ...]:
    """The last branches, calls and returns before the insn at which the walk stopped, oldest first."""
    told: list[Step] = []
    for slot, after in walked_back(env):
        insn = env.code[slot]
        if insn is None or insn.family not in _STEPS:
            continue
        step = _step(env, slot, _done(insn, slot, after))
        if told and (told[-1].slot, told[-1].what) == (slot, step.what):
            told[-1] = replace(step, times=told[-1].times + 1)
        elif len(told) == MOST_STEPS:
            break
        else:
            told.append(step)
    return tuple(told[::-1])


def _done(insn: Insn, slot: int, to: int) -> str:
    if insn.family is Family.CALL_LOCAL:
        return f"calls {to}"
    if insn.family is Family.EXIT:
        return f"returns to {to}"
    return "not taken" if to == slot + 1 else "taken"


def _used(insn: Insn) -> list[int]:
    """The registers that an insn uses."""
    if insn.family is Family.EXIT:
        return [0]
    wanted = range(1, 6) if insn.family in _CALLS else ()
    return sorted({*wanted} or {insn.dst, *({insn.src} if insn.opcode & 8 or insn.opcode & 7 in (1, 3) else ())})


def _registers(env: Env, numbers: list[int]) -> tuple[str, ...]:
    frame = env.cur.frames[env.cur.curframe]
    regs = {number: frame.regs[number] for number in numbers if number < len(frame.regs)}
    return tuple(f"R{n}={reg_text(reg, frame.frameno)}" for n, reg in regs.items() if reg.type != NOT_INIT)


def _origins(env: Env, numbers: list[int]) -> tuple[Step, ...]:
    """For each register the insn that set it, where there was one."""
    told = []
    for number in numbers:
        slot = Origin(env, number).slot if number < 10 else -1
        if slot >= 0:
            told.append(_step(env, slot, f"R{number}"))
    return tuple(told)
