"""Which classic filters Linux takes: bpf_check_classic() of net/core/filter.c, rule by rule.

Each refusal names the instruction and the rule; Linux itself says EINVAL and nothing else.
"""

from __future__ import annotations

from xdpsim.errors import InputError
from xdpsim.isa.classic import AD_OFF, MAX_INSNS, MEMWORDS, ClassicCode, ClassicInsn, ClassicOp, Form, targets
from xdpsim.isa.classic_asm import disasm_classic

_ALL_WORDS = (1 << MEMWORDS) - 1
_SHIFTS, _DIVISIONS = ("lsh", "rsh"), ("div", "mod")


def check_classic(code: ClassicCode) -> None:
    """InputError, naming instruction and rule, where SO_ATTACH_FILTER answers EINVAL."""
    if not 1 <= len(code) <= MAX_INSNS:
        raise InputError(f"classic filter of {len(code)} insns: expected 1 to {MAX_INSNS}")
    for at, insn in enumerate(code):
        op = insn.op
        if op is None:
            raise InputError(f"insn {at}: unknown code {insn.code:#06x}: expected one that filter.rst lists")
        problem = _problem(code, at, insn, op)
        if problem:
            raise _refusal(at, insn, problem)
    last = code[-1].op
    if last is None or last.name != "ret":
        raise _refusal(len(code) - 1, code[-1], "the last insn must be a ret")
    _check_memory(code)


def _problem(code: ClassicCode, at: int, insn: ClassicInsn, op: ClassicOp) -> str:
    """What is wrong with one instruction by itself; empty when nothing is."""
    left = len(code) - at - 1
    if op.form is Form.NUMBER and op.name in _DIVISIONS and insn.k == 0:
        return "division by zero: expected k other than 0"
    if op.form is Form.NUMBER and op.name in _SHIFTS and insn.k >= 32:
        return f"shift by {insn.k}: expected 0 to 31"
    if op.form is Form.MEMORY and insn.k >= MEMWORDS:
        return f"there is no M[{insn.k}]: expected M[0] to M[{MEMWORDS - 1}]"
    if op.form is Form.ABSOLUTE and insn.k >= AD_OFF and insn.ancillary is None:
        return f"no ancillary load at SKF_AD_OFF + {insn.k - AD_OFF}: expected 0, 4, 8 to 60"
    if op.name == "ja" and insn.k >= left:
        return f"jumps {insn.k} insns ahead, out of the filter: expected below {left}"
    if op.branch and max(insn.jt, insn.jf) >= left:
        return f"jumps {max(insn.jt, insn.jf)} insns ahead, out of the filter: expected below {left}"
    return ""


def _check_memory(code: ClassicCode) -> None:
    """No word of M[] may be loaded that some way leaves unset (check_load_and_stores)."""
    known = [_ALL_WORDS] * len(code)
    now = 0
    for at, insn in enumerate(code):
        op = insn.op
        assert op is not None
        now &= known[at]
        if op.name in ("st", "stx"):
            now |= 1 << insn.k
        elif op.form is Form.MEMORY and not now >> insn.k & 1:
            raise _refusal(at, insn, f"M[{insn.k}] is not set on every way here")
        elif op.branch or op.name == "ja":
            for target in targets(insn, at):
                known[target] &= now
            now = _ALL_WORDS  # what follows is reached by jumps only, and they leave their own mark


def _refusal(at: int, insn: ClassicInsn, problem: str) -> InputError:
    return InputError(f"insn {at} ({disasm_classic(insn, at)}): {problem}")
