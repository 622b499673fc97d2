"""Why a program was refused, for people: Linux's message, the source line, the way there, the registers, a remedy."""

from __future__ import annotations

import errno
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xdpsim.isa.disasm import disasm
from xdpsim.isa.rows import Family
from xdpsim.verifier.env import ENOTSUPP
from xdpsim.verifier.history import NO_ENTRY, previous
from xdpsim.verifier.log import reg_text
from xdpsim.verifier.regtypes import NOT_INIT
from xdpsim.verifier.remedies import remedy

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.loader.model import Line, ProgramSpec
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.main import Verdict
    from xdpsim.verifier.state import State

MOST_STEPS, MOST_LOOKED = 8, 10_000
"""Branches before the refusal that are told, and insns looked back at to find them."""
_STEPS = (Family.BRANCH, Family.CALL_LOCAL, Family.EXIT, Family.MAY_GOTO)


@dataclass(frozen=True)
class Explanation:
    """One refusal. `slot` is -1 where it is about no insn; `place` is "file:line: text" of it where the object says so.

    `path` lists the branches on the way there, the last ones if there are many; `registers` the state of those that the
    insn uses, as Linux prints them.
    """

    errno: int
    message: str
    slot: int = -1
    insn: str = ""
    place: str = ""
    path: tuple[str, ...] = ()
    registers: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def errno_name(self) -> str:
        """EACCES, EINVAL ..."""
        return "ENOTSUPP" if self.errno == ENOTSUPP else errno.errorcode.get(self.errno, str(self.errno))

    def as_json(self) -> dict[str, Any]:
        """Fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Explanation:
        """What as_json() gave."""
        return cls(**{**kept, "path": tuple(kept["path"]), "registers": tuple(kept["registers"])})

    def lines(self) -> list[str]:
        """The details below the message."""
        told = []
        if self.slot >= 0:
            told.append(f"at insn {self.slot} ({self.insn})" + (f", {self.place}" if self.place else ""))
        if self.path:
            told.append("on the path " + "; ".join(self.path))
        if self.registers:
            told.append("where " + " ".join(self.registers))
        if self.remedy:
            told.append(self.remedy)
        return told


def explain(verdict: Verdict) -> Explanation:
    """Gather what is known at the point of the refusal."""
    env = verdict.env
    message = verdict.message or _silent(verdict.errno)
    if env is None or not env.insn_processed:
        slot = _slot_named(message)
        insn = env.code[slot] if env is not None and 0 <= slot < len(env.code) else None
        text = disasm(insn) if insn is not None else ""
        return Explanation(verdict.errno, message, slot if text else -1, text, remedy=remedy(message))
    slot = verdict.insn_idx
    insn = env.code[slot] if 0 <= slot < len(env.code) else None
    return Explanation(
        verdict.errno,
        message,
        slot if insn is not None else -1,
        disasm(insn) if insn is not None else "",
        place_of(env.spec, slot),
        _path(env),
        _registers(env, insn),
        remedy(message),
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


def line_at(spec: ProgramSpec, slot: int) -> Line | None:
    """The source line that an insn belongs to."""
    found = None
    for line in spec.lines:
        if line.slot > slot:
            break
        found = line
    return found


def place_of(spec: ProgramSpec, slot: int) -> str:
    """`file:line: text` of an insn, empty where the object does not say."""
    line = line_at(spec, slot)
    if line is None:
        return ""
    text = line.text.strip()
    return f"{line.file}:{line.line}" + (f": {text}" if text else "")


def _path(env: Env) -> tuple[str, ...]:
    """The last branches, calls and returns before the insn at which the walk stopped, oldest first."""
    told: list[str] = []
    state: State | None = env.cur
    idx, looked = env.cur.insn_idx, 0
    while state is not None and len(told) < MOST_STEPS and looked < MOST_LOOKED:
        end = len(state.jmp_history)
        while True:
            looked += 1
            before, end = previous(state, idx, end)
            if before == NO_ENTRY or not 0 <= before < len(env.code) or len(told) == MOST_STEPS:
                break
            insn = env.code[before]
            if insn is not None and insn.family in _STEPS:
                told.append(_step_text(env.spec, before, insn, idx))
            idx = before
        idx, state = _before(env, state, idx, told)
    return tuple(told[::-1])


def _before(env: Env, state: State, idx: int, told: list[str]) -> tuple[int, State | None]:
    """Step from the first insn of a state to the last of its parent."""
    last = state.parent.last_insn_idx if state.parent is not None else -1
    if last < 0 or last == idx:
        return idx, state.parent
    insn = env.code[last]
    if insn is not None and insn.family in _STEPS and len(told) < MOST_STEPS:
        told.append(_step_text(env.spec, last, insn, idx))
    return last, state.parent


def _step_text(spec: ProgramSpec, slot: int, insn: Insn, to: int) -> str:
    line = line_at(spec, slot)
    place = f" [{line.file}:{line.line}]" if line is not None else ""
    if insn.family is Family.CALL_LOCAL:
        return f"{slot} calls {to}{place}"
    if insn.family is Family.EXIT:
        return f"{slot} returns to {to}{place}"
    return f"{slot} ({disasm(insn)}) {'not taken' if to == slot + 1 else 'taken'}{place}"


def _registers(env: Env, insn: Insn | None) -> tuple[str, ...]:
    if insn is None:
        return ()
    wanted = range(1, 6) if insn.family in (Family.CALL_HELPER, Family.CALL_KFUNC, Family.CALL_LOCAL) else ()
    numbers = sorted({*wanted} or {insn.dst, *({insn.src} if insn.opcode & 8 or insn.opcode & 7 in (1, 3) else ())})
    if insn.family is Family.EXIT:
        numbers = [0]
    frame = env.cur.frames[env.cur.curframe]
    told = []
    for number in numbers:
        reg = frame.regs[number] if number < len(frame.regs) else None
        if reg is not None and reg.type != NOT_INIT:
            told.append(f"R{number}={reg_text(reg, frame.frameno)}")
    return tuple(told)
