"""Spills and fills that a compiler puts round calls which an older kernel would let destroy r1 to r5.

Where a call is put in place of (bpf_get_smp_processor_id, some kfuncs), its registers survive and the pairs go, with
the stack that only they use. Follows mark_fastcall_patterns and remove_fastcall_spills_fills of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.verifier.callinfo import call_summary
from xdpsim.verifier.env import Env, Subprog

SPILLS = "fastcall_spills_num"
"""Note of a call: how many pairs round it go."""
_CALLER_SAVED, _MOST_PAIRS, _FP = 0x3F, 6, 10


def mark(env: Env) -> None:
    """Set `aux.fastcall_pattern` of the pairs and each function's `fastcall_stack_off`, the offset where they start."""
    for subprog, following in zip(env.subprogs, env.subprogs[1:], strict=False):
        slots = range(subprog.start, following.start)
        insns = [insn for insn in env.code[subprog.start : following.start] if insn is not None and _is_spill(insn)]
        lowest = min((insn.off for insn in insns), default=0)
        for slot in slots:
            insn = env.code[slot]
            if insn is not None and insn.family in (Family.CALL_HELPER, Family.CALL_KFUNC):
                _mark_call(env, subprog, slot, insn, min(lowest, 0))


def _is_spill(insn: Insn) -> bool:
    return insn.family is Family.STORE_REG and insn.width == 8 and insn.dst == _FP


def _is_fill(insn: Insn) -> bool:
    return insn.family is Family.LOAD and insn.width == 8 and insn.src == _FP


def _mark_call(env: Env, subprog: Subprog, slot: int, call: Insn, lowest: int) -> None:
    summary = call_summary(env, call)
    if summary is None:
        return
    clobbered = (2 << summary.params) - 1 - summary.is_void
    wanted, pairs, off = _CALLER_SAVED & ~clobbered, 0, lowest
    for distance in range(1, _MOST_PAIRS + 1):
        register = _pair(env, slot, distance, off)
        if not wanted & register:
            break
        wanted &= ~register
        env.aux[slot - distance].fastcall_pattern = env.aux[slot + distance].fastcall_pattern = 1
        pairs, off = distance, off + 8
    if not pairs:
        return
    if summary.fastcall:
        env.aux[slot].notes[SPILLS] = pairs
    else:
        subprog.keep_fastcall_stack = True
    subprog.fastcall_stack_off = min(subprog.fastcall_stack_off, off)


def _pair(env: Env, slot: int, distance: int, off: int) -> int:
    """The register, as a bit, that is spilled to and filled from `off` at that distance round `slot`; 0 for none."""
    if slot - distance < 0 or slot + distance >= len(env.code):
        return 0
    spill, fill = env.code[slot - distance], env.code[slot + distance]
    if spill is None or fill is None or not _is_spill(spill) or not _is_fill(fill):
        return 0
    return 1 << spill.src if spill.src == fill.dst and spill.off == fill.off == off else 0


def drop_pairs(env: Env) -> None:
    """After the walk: functions whose pairs go need less stack."""
    for subprog, following in zip(env.subprogs, env.subprogs[1:], strict=False):
        goes = any(SPILLS in aux.notes for aux in env.aux[subprog.start : following.start])
        if goes and not subprog.keep_fastcall_stack:
            subprog.stack_depth = -subprog.fastcall_stack_off
