"""The passes of the verifier before the walk, over a program or over raw code, and what Linux logs of the same."""

from __future__ import annotations

import re

from xdpsim.isa.decode import encode_all
from xdpsim.isa.insn import Code
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.programs import ProgramDefinition, verifier_log
from xdpsim.verifier import check_cfg, func_info, live_regs, scc, subprogs
from xdpsim.verifier.env import ALL_CAPS, LOG_LEVEL2, Env, Refusal

END = "processed 0 insns"
"""How Linux goes on when it stopped before the walk."""


def spec_of(code: Code, type: str = "XDP", **fields: object) -> ProgramSpec:
    """A program of nothing but code."""
    return ProgramSpec("program", "program", type, 0, code, (Subprogram("program", 0),), (), "GPL", **fields)  # type: ignore[arg-type]


def first_passes(env: Env) -> None:
    """Everything up to the walk, in Linux's order; Refusal when a pass refuses."""
    func_info.check_early(env)
    subprogs.find_subprogs(env)
    subprogs.check_subprogs(env)
    func_info.check(env)
    check_cfg.check_cfg(env)
    scc.compute(env)
    live_regs.compute(env)
    check_cfg.mark_fastcall(env)


def our_log(spec: ProgramSpec, btf: object = None, caps: frozenset[str] = ALL_CAPS) -> tuple[int, str]:
    """The errno, 0 for none, and the log of these passes."""
    env = Env(spec, (), btf, caps=caps, log_level=LOG_LEVEL2)  # type: ignore[arg-type]
    try:
        first_passes(env)
    except Refusal as refusal:
        return refusal.errno, "".join(env.log)
    return 0, "".join(env.log)


def linux_log(code: Code | bytes, type: str = "XDP") -> tuple[int, str]:
    """What Linux says of the code, numbers that differ between machines masked."""
    raw = code if isinstance(code, bytes) else encode_all(code)
    error, log = verifier_log(ProgramDefinition(type=PROG_TYPES[type].id, code=raw), LOG_LEVEL2)
    return error, masked(log)


def masked(log: str) -> str:
    """Without addresses of maps and ids of kernel functions."""
    return re.sub(r"0xffff[0-9a-f]{12}\b", "MAP", re.sub(r"(call bpf_\w+#)\d+", r"\1N", log))


def agrees(ours: tuple[int, str], linux: tuple[int, str]) -> bool:
    """Whether Linux refuses in the same words, or gets as far with the same log."""
    error, log = ours[0], masked(ours[1])
    if error:
        return error == linux[0] and linux[1].startswith(log + END)
    return linux[1].startswith(log)
