"""What would have been right, for messages whose remedy depends on more than their words: the registers, the way there.

Each rule is a pattern of Linux's message and a function that makes one sentence of it, or "" where it has nothing to
say; remedies.py has a sentence for all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from xdpsim.helpers.capabilities import capability_for
from xdpsim.helpers.ids import HELPERS_BY_NAME, HELPERS_OF_TYPE
from xdpsim.isa.rows import LDX, Family
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.verifier.places import callee_at, spot
from xdpsim.verifier.regtypes import (
    CONST_PTR_TO_MAP,
    NOT_INIT,
    PTR_TO_MAP_VALUE,
    PTR_TO_PACKET_META,
    PTR_TO_STACK,
    SCALAR_VALUE,
    base,
)
from xdpsim.verifier.remedies import remedy
from xdpsim.verifier.state import REF_LOCK_MASK
from xdpsim.verifier.trail import Origin, releases

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Reg

Rule = Callable[["Env", "re.Match[str]"], str]
MOST_TYPES = 4
STACK_BYTES = 512
_WHOLE = 1 << 63


def advice(env: Env, message: str) -> str:
    """One sentence on what would have been right; empty where nothing better can be said than the message."""
    for pattern, rule in _COMPILED:
        found = pattern.search(message)
        if found is not None and (made := rule(env, found)):
            return made
    return remedy(message)


def _reg(env: Env, number: int) -> Reg:
    return env.cur.frames[env.cur.curframe].regs[number]


def _range(reg: Reg) -> str:
    """The values that a number, or the variable part of a pointer, may have."""
    num = reg.num
    if num.smin == num.smax:
        return f"is {num.smin}"
    if num.smin >= 0 or num.umax < _WHOLE:
        return f"may be {num.umin} to {num.umax}"
    return "may be anything" if num.smin == -_WHOLE else f"may be {num.smin} to {num.smax}"


def _packet(env: Env, found: re.Match[str]) -> str:
    off, size, number, own = int(found[1]), int(found[2]), int(found[3]), int(found[4])
    reg, is_meta = _reg(env, number), base(_reg(env, number).type) == PTR_TO_PACKET_META
    start, end = ("data_meta", "data") if is_meta else ("data", "data_end")
    if off < 0:
        return f"the access begins before {start}"
    proven = int(found[5])
    if own:
        rest = f"; {proven} bytes behind it are proven" if proven else ", not with another pointer of the packet"
        return (
            f"R{number} is {start} plus an offset that varies (it {_range(reg)}): compare this very pointer plus "
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
        return f"the offset {_range(reg)}: make it unsigned, or check that it is not below zero"
    if most < 0:
        return f"the value has {size} bytes, the access ends at byte {off + width}"
    return f"the offset {_range(reg)}: check that it is at most {most} before it is added"


def _accessed(env: Env) -> Reg | None:
    """The register through which the current insn reaches memory."""
    insn = env.code[env.insn_idx]
    if insn is None or insn.family in (Family.CALL_HELPER, Family.CALL_KFUNC, Family.CALL_LOCAL):
        return None
    return _reg(env, insn.src if insn.opcode & 7 == LDX else insn.dst)


def _null(env: Env, found: re.Match[str]) -> str:
    number = int(found[1])
    slot = Origin(env, number).slot
    callee = callee_at(env, slot) if slot >= 0 else ""
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


def _leak(env: Env, found: re.Match[str]) -> str:
    slot = int(found[2])
    freed = {"bpf_ringbuf_reserve": "bpf_ringbuf_submit or bpf_ringbuf_discard"}.get(callee_at(env, slot), "")
    way = f", with {freed}," if freed else ""
    return f"release what {spot(env, slot)} acquired{way} on every path to the end: this one does not"


def _locked(env: Env, found: re.Match[str]) -> str:
    held = [ref.insn for ref in env.cur.refs if ref.kind & REF_LOCK_MASK]
    return f"unlock before this: the lock was taken by {spot(env, held[-1])}" if held else ""


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


def _helper(env: Env, found: re.Match[str]) -> str:
    known = HELPERS_BY_NAME.get(found[1])
    if known is None:
        return ""
    if known.id in HELPERS_OF_TYPE.get(env.prog_type, ()):
        capability = capability_for(known.id, env.prog_type)
        need = f"CAP_{capability.upper()}" if capability not in {"", *env.caps} else "another attach type"
        return f"{found[1]} needs {need} in programs of type {env.prog_type}"
    types = [name for name, helpers in HELPERS_OF_TYPE.items() if known.id in helpers]
    if not types:
        return f"no program of a network type may call {found[1]}"
    more = f" and {len(types) - MOST_TYPES} more types" if len(types) > MOST_TYPES else ""
    return f"{found[1]} is not for {env.prog_type}: {', '.join(types[:MOST_TYPES])}{more} may call it"


def _size(env: Env, found: re.Match[str]) -> str:
    """The size of a memory argument may be zero or too large; where no register is named, a map may have no keys."""
    first = _reg(env, 1)
    if found[1] is None:
        if base(first.type) == CONST_PTR_TO_MAP and not first.extra[0].spec.key_size:
            spec = first.extra[0].spec
            return f"map {spec.name} ({spec.type}) has no keys: this helper does not work on it"
        return ""
    number = int(found[1])
    reg, buffer = _reg(env, number), _reg(env, number - 1)
    if reg.type != SCALAR_VALUE:
        return ""
    room = -buffer.off if base(buffer.type) == PTR_TO_STACK and buffer.off < 0 else 0
    most = f" and at most {room}" if room else ""
    return f"the size in R{number} {_range(reg)}: check that it is at least 1{most} before the call"


def _unbounded(env: Env, found: re.Match[str]) -> str:
    number = int(found[1])
    reg = _reg(env, number)
    if reg.type == NOT_INIT:
        return ""
    if reg.type != SCALAR_VALUE:
        return f"the offset in R{number} {_range(reg)}: bound it from both sides before it is added to the pointer"
    slot = Origin(env, number).slot
    source = f", it comes from {spot(env, slot)}" if slot >= 0 else ""
    return f"R{number} {_range(reg)}{source}: bound it from both sides before it is used as an offset or a size"


def _returned(env: Env, found: re.Match[str]) -> str:
    number, low, high = int(found[1]), found[2], found[3]
    reg = _reg(env, number)
    slot = Origin(env, number).slot
    source = f", from {spot(env, slot)}" if slot >= 0 else ""
    wanted = low if low == high else f"a value from {low} to {high}"
    told = f"R{number} {_range(reg)}{source}" if reg.type == SCALAR_VALUE else f"R{number} holds a pointer"
    return f"return {wanted}: {told}"


def _deep(env: Env, found: re.Match[str]) -> str:
    names = [f"{sub.name or f'function {at}'} {sub.stack_depth}" for at, sub in enumerate(env.subprogs[:-1])]
    return (
        f"the functions of one chain of calls share 512 bytes (here {', '.join(names)}): "
        "move large buffers to a per-CPU array"
    )


_RULES: tuple[tuple[str, Rule], ...] = (
    (r"invalid access to packet, off=(-?\d+) size=(\d+), R(\d+)\(id=(\d+),off=-?\d+,r=(\d+)\)", _packet),
    (r"invalid access to map value, value_size=(\d+) off=(-?\d+) size=(\d+)", _map_value),
    (r"R(\d+) invalid mem access '\w+_or_null\w*'", _null),
    (r"R(\d+) invalid mem access 'scalar'", _dead_pointer),
    (r"R(\d+) !read_ok", _no_value),
    (r"invalid (read from|write to) stack R\d+ off=(-?\d+) size=(\d+)", _stack),
    (r"Unreleased reference id=(\d+) alloc_insn=(\d+)", _leak),
    (r"bpf_spin_lock-ed region|while holding a lock", _locked),
    (r"invalid bpf_context access off=(-?\d+) size=(\d+)", _context),
    (r"program of this type cannot use helper (\w+)#", _helper),
    (r"(?:R(\d+) )?invalid zero-sized read", _size),
    (r"R(\d+) (?:unbounded memory access|min value is negative)", _unbounded),
    (r"register R(\d+) has .* should have been in \[(-?\d+), (-?\d+)\]", _returned),
    (r"combined stack size of \d+ calls", _deep),
)
_COMPILED = [(re.compile(pattern), rule) for pattern, rule in _RULES]
