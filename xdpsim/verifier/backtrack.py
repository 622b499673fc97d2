"""One insn backwards: which registers and slots must be precise before it, given those that must be after it.

Follows backtrack_insn() of kernel/bpf/verifier.c. Masks are ints by frame: bit i of `regs[f]` is Ri,
of `slots[f]` spi i.
"""

from __future__ import annotations

from errno import EFAULT
from typing import TYPE_CHECKING

from xdpsim.errors import XdpsimBug
from xdpsim.isa.rows import Family
from xdpsim.verifier.callinfo import TAIL_CALL, calls_back_now
from xdpsim.verifier.history import (
    DST_REG_STACK,
    FRAMENO_MASK,
    SPI_MASK,
    SPI_SHIFT,
    SRC_REG_STACK,
    STACK_ACCESS,
    Entry,
)
from xdpsim.verifier.insn_text import insn_text
from xdpsim.verifier.state import MAX_FRAMES
from xdpsim.verifier.subprogs import subprog_at

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env

ARGS = 0b111110
FP = 10


class GiveUp(Exception):
    """Backtracking cannot follow this insn: everything has to be precise."""


class Wanted:
    """What must be precise, by frame."""

    __slots__ = ("frame", "regs", "slots")

    def __init__(self, frame: int) -> None:
        self.frame = frame
        self.regs = [0] * MAX_FRAMES
        self.slots = [0] * MAX_FRAMES

    def empty(self) -> bool:
        """Nothing is left to look for."""
        return not any(self.regs) and not any(self.slots)


def regs_text(mask: int) -> str:
    """Registers of a mask, "r0,r2"."""
    return ",".join(f"r{i}" for i in range(32) if mask >> i & 1)


def slots_text(mask: int) -> str:
    """Stack slots of a mask, "-8,-24"."""
    return ",".join(str(-8 * (i + 1)) for i in range(64) if mask >> i & 1)


def backtrack_insn(env: Env, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> None:
    """Undo the insn at `idx`; `after` is the insn that ran next, `entry` what the history notes of this one."""
    insn = env.code[idx]
    if insn is None:
        return
    frame = wanted.frame
    if env.log_level & 2:
        what = f"regs={regs_text(wanted.regs[frame])} stack={slots_text(wanted.slots[frame])}"
        env.verbose(f"mark_precise: frame{frame}: {what} before {idx}: {insn_text(env, insn)}\n")
    if entry is not None and entry[3]:
        _sync_linked(wanted, entry)
    undo = _UNDO.get(insn.family)
    if undo is not None and undo(env, insn, idx, after, entry, wanted):
        return
    if entry is not None and entry[3]:
        _sync_linked(wanted, entry)


def _sync_linked(wanted: Wanted, entry: Entry) -> None:
    """If one of the linked values must be precise, all must."""
    regs, slots = wanted.regs, wanted.slots
    for frame, place, is_reg in entry[3]:
        if (regs if is_reg else slots)[frame] >> place & 1:
            break
    else:
        return
    for frame, place, is_reg in entry[3]:
        (regs if is_reg else slots)[frame] |= 1 << place


# Each returns True when Linux is done with the insn before it looks at linked registers once more.


def _alu(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    regs, frame = wanted.regs, wanted.frame
    if not regs[frame] >> insn.dst & 1:
        return True
    if insn.uses_reg and insn.src != FP:
        regs[frame] |= 1 << insn.src
    return False


def _keeps(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    return True


def _mov(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    regs, frame = wanted.regs, wanted.frame
    if not regs[frame] >> insn.dst & 1:
        return True
    regs[frame] &= ~(1 << insn.dst)
    if insn.uses_reg and insn.src != FP:
        regs[frame] |= 1 << insn.src
    return False


def _load(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    frame = wanted.frame
    if not wanted.regs[frame] >> insn.dst & 1:
        return True
    wanted.regs[frame] &= ~(1 << insn.dst)
    if entry is None or not entry[2] & STACK_ACCESS:
        return True
    wanted.slots[entry[2] & FRAMENO_MASK] |= 1 << (entry[2] >> SPI_SHIFT & SPI_MASK)
    return False


def _store(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    if wanted.regs[wanted.frame] >> insn.dst & 1:
        raise GiveUp
    if entry is None or not entry[2] & STACK_ACCESS:
        return True
    frame, spi = entry[2] & FRAMENO_MASK, entry[2] >> SPI_SHIFT & SPI_MASK
    if not wanted.slots[frame] >> spi & 1:
        return True
    wanted.slots[frame] &= ~(1 << spi)
    if insn.family is not Family.STORE_IMM:
        wanted.regs[wanted.frame] |= 1 << insn.src
    return False


def _ld_imm(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    if not wanted.regs[wanted.frame] >> insn.dst & 1:
        return True
    wanted.regs[wanted.frame] &= ~(1 << insn.dst)
    return False


def _ld_packet(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    if not wanted.regs[wanted.frame] >> insn.dst & 1:
        return True
    raise GiveUp


def _branch(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    if not insn.uses_reg:
        return False
    regs, frame = wanted.regs, wanted.frame
    both = 1 << insn.dst | 1 << insn.src
    if not regs[frame] & both:
        return True
    flags = 0 if entry is None else entry[2]
    if not flags & SRC_REG_STACK:
        regs[frame] |= 1 << insn.src
    if not flags & DST_REG_STACK:
        regs[frame] |= 1 << insn.dst
    return False


def _call_local(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    regs, frame = wanted.regs, wanted.frame
    subprog = subprog_at(env, idx + insn.imm + 1)
    if env.subprogs[subprog].is_global:
        _need(not regs[frame] & ARGS, "global subprog unexpected regs")
        regs[frame] &= ~1
        return True
    # Linux itself gets here with too much wanted when a load beyond the packet ended the function (hidden_exit).
    if regs[frame] & ~ARGS:
        env.fail(EFAULT, f"verifier bug: static subprog unexpected regs {regs[frame]:x}")
    if wanted.slots[frame]:
        env.fail(EFAULT, f"verifier bug: static subprog leftover stack slots {wanted.slots[frame]:x}")
    if frame == 0:
        env.fail(EFAULT, "verifier bug: subprog exit from frame 0")
    regs[frame - 1] |= regs[frame] & ARGS
    regs[frame] = 0
    wanted.frame -= 1
    return True


def _call(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    regs, frame = wanted.regs, wanted.frame
    if idx != after - 1 and calls_back_now(env, insn):
        _need(not regs[frame] & ~ARGS and not wanted.slots[frame], "callback unexpected regs or stack slots")
        regs[frame] = 0
        wanted.frame -= 1
        return True
    regs[frame] &= ~1
    _need(not regs[frame] & ARGS, "backtracking call unexpected regs")
    if insn.imm == TAIL_CALL and insn.family is Family.CALL_HELPER and idx != after - 1:
        _enter(wanted)
    return False


def _exit(env: Env, insn: Insn, idx: int, after: int, entry: Entry | None, wanted: Wanted) -> bool:
    regs, frame = wanted.regs, wanted.frame
    if after >= 0 and env.aux[after].calls_callback:
        regs[frame] &= ~ARGS
    _need(not regs[frame] & ARGS, "backtracking exit unexpected regs")
    before = env.code[after - 1] if after >= 1 else None
    is_call = before is not None and before.family is Family.CALL_LOCAL
    r0_wanted = is_call and regs[frame] & 1
    regs[frame] &= ~1
    _enter(wanted)
    if r0_wanted:
        regs[frame + 1] |= 1
    return True


def _enter(wanted: Wanted) -> None:
    """Back into a function that returned."""
    _need(wanted.frame < MAX_FRAMES - 1, "subprog enter from the deepest frame")
    wanted.frame += 1


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise XdpsimBug(f"verifier: {what}")


_UNDO = {
    Family.ALU: _alu,
    Family.NEG: _keeps,
    Family.ENDIAN: _keeps,
    Family.MOV: _mov,
    Family.MOVSX: _mov,
    Family.ADDR_SPACE_CAST: _mov,
    Family.LOAD: _load,
    Family.LOAD_SX: _load,
    Family.LOAD_ACQUIRE: _load,
    Family.STORE_IMM: _store,
    Family.STORE_REG: _store,
    Family.STORE_RELEASE: _store,
    Family.ATOMIC: _store,
    Family.LD_IMM64: _ld_imm,
    Family.LD_PACKET: _ld_packet,
    Family.BRANCH: _branch,
    Family.CALL_LOCAL: _call_local,
    Family.CALL_HELPER: _call,
    Family.CALL_KFUNC: _call,
    Family.EXIT: _exit,
}
