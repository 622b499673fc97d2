"""Where an insn of a program is, as people say it: source lines, the insn as text with the names that it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdpsim.isa.disasm import disasm
from xdpsim.isa.rows import Family
from xdpsim.verifier.insn_text import helper_name

if TYPE_CHECKING:
    from xdpsim.loader.model import Line, ProgramSpec
    from xdpsim.verifier.env import Env


def line_at(spec: ProgramSpec, slot: int) -> Line | None:
    """The source line that an insn belongs to."""
    found = None
    for line in spec.lines:
        if line.slot > slot:
            break
        found = line
    return found


def insn_at(env: Env, slot: int) -> str:
    """The insn as text with the names of what it calls and refers to; empty where there is none."""
    insn = env.code[slot] if 0 <= slot < len(env.code) else None
    if insn is None:
        return ""
    kfuncs, maps = env.spec.kfuncs, env.maps
    return disasm(
        insn,
        helper_name=helper_name,
        kfunc_name=lambda number: kfuncs[number] if 0 <= number < len(kfuncs) else str(number),
        map_name=lambda index: maps[index].spec.name if 0 <= index < len(maps) else str(index),
    )


def callee_at(env: Env, slot: int) -> str:
    """The name of what a call calls; empty for other insns."""
    insn = env.code[slot] if 0 <= slot < len(env.code) else None
    if insn is not None and insn.family is Family.CALL_HELPER:
        return helper_name(insn.imm)
    if insn is not None and insn.family is Family.CALL_KFUNC and 0 <= insn.imm < len(env.spec.kfuncs):
        return env.spec.kfuncs[insn.imm]
    if insn is not None and insn.family is Family.CALL_LOCAL:
        target = slot + 1 + insn.imm
        return next((sub.name for sub in env.spec.subprograms if sub.slot == target), f"function@{target}")
    return ""


def spot(env: Env, slot: int) -> str:
    """`bpf_map_lookup_elem at insn 5 (file.c:31)`, for calls; other insns as `insn 5 (file.c:31)`."""
    line, callee = line_at(env.spec, slot), callee_at(env, slot)
    place = f" ({line.file}:{line.line})" if line is not None else ""
    return f"{callee} at insn {slot}{place}" if callee else f"insn {slot}{place}"
