"""What kind of call an insn is: whether it calls back, at once or later. Read from the rows of helpers and kfuncs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.isa.rows import Family
from xdpsim.verifier.callbacks import ASYNC_HELPERS, ASYNC_KFUNCS, SYNC_HELPERS, SYNC_KFUNCS

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env


def calls_sync_callback(env: Env, insn: Insn) -> bool:
    """Whether the callee calls a function of the program before it returns."""
    if insn.family is Family.CALL_HELPER:
        return insn.imm in SYNC_HELPERS
    return insn.family is Family.CALL_KFUNC and env.spec.kfuncs[insn.imm] in SYNC_KFUNCS


def calls_async_callback(env: Env, insn: Insn) -> bool:
    """Whether the callee has a function of the program called some time later."""
    if insn.family is Family.CALL_HELPER:
        return insn.imm in ASYNC_HELPERS
    return insn.family is Family.CALL_KFUNC and env.spec.kfuncs[insn.imm] in ASYNC_KFUNCS
