"""What would have been right, for messages whose remedy depends on more than their words: the registers, the way there.

Each rule is a pattern of Linux's message and a function that makes one sentence of it, or "" where it has nothing to
say; remedies.py has a sentence for all others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xdpsim.isa.rows import LDX, Family
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier.advice_calls import CALL_RULES, Rule
from xdpsim.verifier.places import callee_at, range_text, reg_of, spot
from xdpsim.verifier.regtypes import NOT_INIT, PTR_TO_MAP_VALUE, PTR_TO_PACKET_META, SCALAR_VALUE, base
from xdpsim.verifier.remedies import remedy
from xdpsim.verifier.trail import Origin, releases

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Reg

STACK_BYTES = 512


def advice(env: Env, message: str) -> str:
    """One sentence on what would have been right; empty where nothing better can be said than the message."""
    for pattern, rule in _COMPILED:
        found = pattern.search(message)
        if found is not None and (made := rule(env, found)):
            return made
    return remedy(message)


def _packet(env: Env, found: re.Match[str]) -> str:
    off, size, number, own = int(found[1]), int(found[2]), int(found[3]), int(found[4])
    reg, is_meta = reg_of(env, number), base(reg_of(env, number).type) == PTR_TO_PACKET_META
    start, end = ("data_meta", "data") if is_meta else ("data", "data_end")
    if off < 0:
        return f"the access begins before {start}"
    proven = int(found[5])
    if own:
        rest = f"; {proven} bytes behind it are proven" if proven else ", not with another pointer of the packet"
        return (
            f"R{number} is {start} plus an offset that varies (it {range_text(reg)}): compare this very pointer plus "
            f"{off + size} with {end}{rest}"
        )
    known = f"only {proven} bytes are proven here" if proven else "nothing is proven on this path"
    return f"compare {start} + {off + size} with {end} before this access: {known}"


def _map_value(env: Env, found: re.Match[str]) -> str:
    size, off, width = int(found[1]), int(found[2]), int(found[3])
    reg = _accessed(env)
    if off < 0:
        return f"the access begins {-off} bytes before the value: check that the offset is not below zero"
    if reg is None or base(reg.type) != PTR_TO_MAP_VALUE or reg.num.smin == reg.num.smax:
        return f"the value has {size} bytes, the access ends at byte {off + width}"
    most = size - width - (off - reg.num.umax)
    if reg.num.smin < 0:
        return f"the offset {range_text(reg)}: make it unsigned, or check that it is not below zero"
    if most < 0:
        return f"the value has {size} bytes, the access ends at byte {off + width}"
    return f"the offset {range_text(reg)}: check that it is at most {most} before it is added"


def _accessed(env: Env) -> Reg | None:
    """The register through which the current insn reaches memory."""
    insn = env.code[env.insn_idx]
    if insn is None or insn.family in (Family.CALL_HELPER, Family.CALL_KFUNC, Family.CALL_LOCAL):
        return None
    return reg_of(env, insn.src if insn.opcode & 7 == LDX else insn.dst)


def _null(env: Env, found: re.Match[str]) -> str:
    number = int(found[1])
    slot = Origin(env, number).slot
    callee = callee_at(env, slot) if slot >= 0 else ""
    if slot < 0 and found[2].startswith("mem_"):
        return f"R{number} is an argument of a global function, which may be NULL: compare it, or tag it __arg_nonnull"
    what = f"R{number}, what {spot(env, slot)} returned," if callee else f"R{number}"
    return f"compare {what} with NULL before it is used"


def _dead_pointer(env: Env, found: re.Match[str]) -> str:
    number = int(found[1])
    origin = Origin(env, number)
    insn = env.code[origin.lost] if origin.lost >= 0 else None
    if insn is not None and origin.slot >= 0 and _was_pointer(env, origin.slot):
        what = spot(env, origin.lost)
        if releases(env, insn):
            return f"R{number} was released by {what}: do not use it behind that call"
        return f"{what} voids all packet pointers: load data and data_end again behind it, and compare again"
    if origin.slot >= 0:
        return f"R{number} is a number here, from {spot(env, origin.slot)}: memory is reached through pointers only"
    return ""


def _was_pointer(env: Env, slot: int) -> bool:
    """Whether the insn may have made a pointer that a call can void: a load of a context's field, or a call."""
    insn = env.code[slot]
    return insn is not None and insn.family in (Family.LOAD, Family.CALL_HELPER, Family.CALL_KFUNC)


def _stack(env: Env, found: re.Match[str]) -> str:
    off, size = int(found[2]), int(found[3])
    if off >= 0:
        return "this access is behind the end of the stack: check the index against the size of the variable"
    if found[1].startswith("read") and -STACK_BYTES <= off <= -size:
        return "write these bytes of the stack before they are read: nothing was written that deep yet"
    return f"the stack is the {STACK_BYTES} bytes below R10: this access is outside"


def _no_value(env: Env, found: re.Match[str]) -> str:
    number = int(found[1])
    slot = Origin(env, number).slot
    insn = env.code[env.insn_idx]
    if slot >= 0 and callee_at(env, slot) and number == 0:
        return f"{spot(env, slot)} returns nothing: R0 has no value behind it"
    if slot >= 0 and callee_at(env, slot):
        return f"{spot(env, slot)} leaves R1 to R5 without a value: keep it in R6 to R9, or on the stack, over the call"
    if number == 0 and insn is not None and insn.family is Family.EXIT:
        return "set the result on every path: this one leaves without a value in R0"
    return f"give R{number} a value on every path that leads here: this one does not"


def _context(env: Env, found: re.Match[str]) -> str:
    off, size = int(found[1]), int(found[2])
    row = PROG_TYPES[env.prog_type]
    insn = env.code[env.insn_idx]
    if row.context is None or insn is None:
        return ""
    named = next((field for field in row.context if field.offset <= off < field.end), None)
    if named is None:
        return f"{row.context.name} has no field at {off}, for programs of type {env.prog_type}"
    is_write, name = insn.opcode & 7 != LDX, f"{row.context.name}.{named.name}"
    sizes = named.sizes(write=is_write)
    verb = "write" if is_write else "read"
    if not sizes:
        rest = ", only read it" if is_write and named.readable else ""
        return f"programs of type {env.prog_type} may not {verb} {name}{rest}"
    if size not in sizes or off % size or off + size > named.end:
        return f"{verb} {name} by {' or '.join(map(str, sizes))} bytes, aligned"
    return f"programs of this type may {verb} {name} at other attach types only, or with more capabilities"


def _negative(env: Env, found: re.Match[str]) -> str:
    """What is added to a pointer may be below zero, or far away."""
    insn = env.code[env.insn_idx]
    if insn is None or insn.family is not Family.ALU or not insn.uses_reg:
        return ""
    number = insn.src if reg_of(env, insn.src).type == SCALAR_VALUE else insn.dst
    reg = reg_of(env, number)
    if reg.type != SCALAR_VALUE or reg.num.smin >= 0:
        return ""
    return f"R{number} {range_text(reg)}: make it unsigned, or check that it is not below zero, before it is added"


def _unbounded(env: Env, found: re.Match[str]) -> str:
    number = int(found[1])
    reg = reg_of(env, number)
    if reg.type == NOT_INIT:
        return ""
    if reg.type != SCALAR_VALUE:
        return f"the offset in R{number} {range_text(reg)}: bound it from both sides before it is added to the pointer"
    slot = Origin(env, number).slot
    source = f", it comes from {spot(env, slot)}" if slot >= 0 else ""
    return f"R{number} {range_text(reg)}{source}: bound it from both sides before it is used as an offset or a size"


_RULES: tuple[tuple[str, Rule], ...] = (
    (r"invalid access to packet, off=(-?\d+) size=(\d+), R(\d+)\(id=(\d+),off=-?\d+,r=(\d+)\)", _packet),
    (r"invalid access to map value, value_size=(\d+) off=(-?\d+) size=(\d+)", _map_value),
    (r"R(\d+) invalid mem access '(\w+_or_null\w*)'", _null),
    (r"R(\d+) invalid mem access 'scalar'", _dead_pointer),
    (r"R(\d+) !read_ok", _no_value),
    (r"invalid (read from|write to) stack R\d+ off=(-?\d+) size=(\d+)", _stack),
    (r"invalid bpf_context access off=(-?\d+) size=(\d+)", _context),
    (r"math between .* is not allowed|value -?\d+ makes .* be out of bounds", _negative),
    (r"R(\d+) (?:unbounded memory access|min value is negative)", _unbounded),
)
_COMPILED = [(re.compile(pattern), rule) for pattern, rule in (*_RULES, *CALL_RULES)]
