"""An Env in front of its first insn, for tests that ask one function of the verifier."""

from __future__ import annotations

from typing import Any

from xdpsim.btf.types import Btf
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import ProgramSpec
from xdpsim.verifier.env import ALL_CAPS, Env
from xdpsim.verifier.state import CONTEXT, Frame


def env_of(
    asm: str,
    *,
    type: str = "XDP",
    licence: str = "GPL",
    btf: Btf | None = None,
    caps: frozenset[str] = ALL_CAPS,
    **more: Any,
) -> Env:
    """The program `asm` of a type, with R1 the context."""
    spec = ProgramSpec("main", "", type, 0, assemble(asm), (), (), licence)
    env = Env(spec, (), btf, caps=caps, **more)
    env.cur.frames.append(Frame(-1, 0, 0))
    env.regs[1] = CONTEXT
    return env
