"""Which registers may still be read from each slot on: what two states at one slot may differ in.

Follows compute_live_registers and compute_insn_live_regs of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.verifier.callinfo import call_summary
from xdpsim.verifier.env import LOG_LEVEL2, Env
from xdpsim.verifier.insn_text import insn_text

_ALL = 0x7FF
_R0, _CALLER_SAVED = 1, 0x3F


def compute(env: Env) -> None:
    """Set `aux.live_regs_before` of every slot: bit i stands for Ri."""
    uses = [_use_def(env, insn) for insn in env.code]
    live = [0] * len(env.code)
    changed = True
    while changed:
        changed = False
        for subprog in env.subprogs[:-1]:
            for slot in subprog.postorder:
                after = 0
                for target in env.successors[slot]:
                    after |= live[target]
                use, define = uses[slot]
                before = after & ~define | use
                if before != live[slot]:
                    live[slot] = before
                    changed = True
    for aux, before in zip(env.aux, live, strict=True):
        aux.live_regs_before = before
    if env.log_level & LOG_LEVEL2:
        _print(env)


def _use_def(env: Env, insn: Insn | None) -> tuple[int, int]:
    """Registers that an insn reads and those that it sets, as bits."""
    if insn is None:
        return _ALL, 0
    family, dst, src = insn.family, 1 << insn.dst, 1 << insn.src
    if family in (Family.ALU, Family.BRANCH):
        return (dst | src if insn.uses_reg else dst), (dst if family is Family.ALU else 0)
    if family in (Family.MOV, Family.MOVSX, Family.ADDR_SPACE_CAST):
        return (src if insn.uses_reg or family is not Family.MOV else 0), dst
    if family in (Family.LOAD, Family.LOAD_SX, Family.LOAD_ACQUIRE):
        return src, dst
    if family in (Family.STORE_REG, Family.STORE_RELEASE):
        return dst | src, 0
    if family is Family.ATOMIC:
        return _atomic(insn, dst, src)
    if family in (Family.CALL_HELPER, Family.CALL_LOCAL, Family.CALL_KFUNC):
        summary = call_summary(env, insn)
        return ((2 << summary.params) - 2 if summary else _CALLER_SAVED & ~_R0), _CALLER_SAVED
    return {
        Family.NEG: (dst, dst),
        Family.ENDIAN: (dst, dst),
        Family.STORE_IMM: (dst, 0),
        Family.LD_IMM64: (0, dst),
        Family.JUMP: (0, 0),
        Family.MAY_GOTO: (0, 0),
        Family.EXIT: (_R0, 0),
    }.get(family, (_ALL, 0))


def _atomic(insn: Insn, dst: int, src: int) -> tuple[int, int]:
    if insn.op == "cmpxchg":
        return _R0 | dst | src, _R0
    return dst | src, src if ATOMIC[insn.op].fetch else 0


def _print(env: Env) -> None:
    env.verbose("Live regs before insn:\n")
    for slot, insn in enumerate(env.code):
        if insn is None:
            continue
        aux = env.aux[slot]
        scc = f"{aux.scc:3d} " if aux.scc else "    "
        regs = "".join(str(number) if aux.live_regs_before >> number & 1 else "." for number in range(10))
        env.verbose(f"{scc}{slot:3d}: {regs} {insn_text(env, insn)}\n")
