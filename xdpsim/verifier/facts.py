"""What engines may build on without a full verification: which loads read the context, which map a call is given.

A forward data flow over the whole program: it follows context pointers and map pointers through registers, through
8-byte spills to the stack and into subprograms. What it says holds on every path; what it cannot follow it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from xdpsim.helpers.rows import helper_for
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.memory.structs import STACK_FRAME_BYTES
from xdpsim.verifier.cfg import STRAY, call_target, successors


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer that is known: `kind` is "ctx", "stack" or "map", `offset` its distance in bytes, `map` an index.

    Kind "in_stack" is what may be a pointer into the function's own stack, nobody knows where: a stack pointer moved by
    an unknown amount, or on one of several ways here. A register without an entry is no such pointer.
    """

    kind: str
    offset: int = 0
    map: int = 0


@dataclass(frozen=True)
class Facts:
    """What holds on every path. By slot: the context offset of each load or store through the context, the index of
    each call's map where it is one and the same.

    The rest is known of verified programs only. `dead` slots are never reached. `accesses` names what each load, store
    or atomic goes through: "context", "stack", "packet", "map_value", "memory" (proven to lie inside) or "kernel".
    `written_maps` are indexes of maps whose values a store or a call of the program may change. `writes_packet` is
    False when the packet leaves as it came.
    """

    context_offsets: dict[int, int] = field(default_factory=dict)
    call_maps: dict[int, int] = field(default_factory=dict)
    stack_bytes: int = 0
    """How far below r10 the program may reach: the lowest constant offset that it forms."""
    verified: bool = False
    dead: frozenset[int] = frozenset()
    accesses: dict[int, str] = field(default_factory=dict)
    written_maps: frozenset[int] | None = None
    writes_packet: bool = True


_STACK = ("stack", "in_stack")
_LOADS = (Family.LOAD, Family.LOAD_SX, Family.LOAD_ACQUIRE)

Values = dict[int | tuple[str, int], Pointer]
"""Known pointers by register number, and by ("stack", offset) for spilled ones."""


def find_facts(code: Code, program_type: str) -> Facts:
    """Run the data flow to its fixed point."""
    states: dict[int, Values] = {0: {1: Pointer("ctx"), 10: Pointer("stack")}}
    left = [0] if code else []
    while left:
        slot = left.pop()
        insn = code[slot]
        if insn is None:
            continue
        after = _step(insn, states[slot], program_type)
        targets = [(target, after) for target in successors(code, slot)]
        if insn.family is Family.CALL_LOCAL:
            arguments: Values = {r: p for r in range(1, 6) if (p := states[slot].get(r)) and p.kind not in _STACK}
            targets.append((call_target(code, slot, insn), {**arguments, 10: Pointer("stack")}))
        for target, values in targets:
            if target != STRAY and _merge(states, target, values):
                left.append(target)
    return _collect(code, states)


def _merge(states: dict[int, Values], slot: int, values: Values) -> bool:
    """Keep only what all ways to `slot` agree on; whether that changed anything."""
    old = states.get(slot)
    if old is None:
        states[slot] = dict(values)
        return True
    kept = Values()
    for place in old.keys() | values.keys():
        ways = old.get(place), values.get(place)
        if ways[0] is not None and ways[0] == ways[1]:
            kept[place] = ways[0]
        elif any(way is not None and way.kind in _STACK for way in ways):
            kept[place] = Pointer("in_stack")
    states[slot] = kept
    return kept != old


def _step(insn: Insn, before: Values, program_type: str) -> Values:
    values = dict(before)
    family, dst = insn.family, insn.dst
    source = before.get(insn.src)
    if family is Family.MOV and insn.bits == 64 and insn.uses_reg:
        _assign(values, dst, source)
    elif family is Family.ALU and insn.op == "add" and insn.bits == 64 and not insn.uses_reg and dst in before:
        _assign(values, dst, replace(before[dst], offset=before[dst].offset + insn.imm))
    elif family is Family.ALU and any(p and p.kind in _STACK for p in (before.get(dst), insn.uses_reg and source)):
        _assign(values, dst, Pointer("in_stack"))
    elif family is Family.LD_IMM64:
        is_map = insn.op in ("MAP_FD", "MAP_IDX")
        _assign(values, dst, Pointer("map", map=insn.imm) if is_map else None)
    elif family is Family.LOAD and source and source.kind == "stack" and insn.width == 8:
        _assign(values, dst, before.get(("stack", source.offset + insn.off)))
    elif family is Family.LOAD and source and source.kind == "in_stack" and insn.width == 8:
        _assign(values, dst, source if _holds_stack_pointer(before) else None)
    elif family is Family.STORE_REG or family is Family.STORE_IMM or family is Family.STORE_RELEASE:
        _spill(values, insn, before.get(dst), source)
    elif family in (Family.CALL_HELPER, Family.CALL_LOCAL, Family.CALL_KFUNC):
        for register in range(6):
            values.pop(register, None)
        if _may_write_stack(insn, before, program_type):
            _forget_stack(values)
    elif family is Family.ATOMIC:
        if ATOMIC[insn.op].fetch:
            _assign(values, 0 if insn.op == "cmpxchg" else insn.src, None)
        _spill(values, insn, before.get(dst), None)
    elif family not in (Family.BRANCH, Family.JUMP, Family.MAY_GOTO, Family.EXIT):
        _assign(values, dst, None)
    return values


def _assign(values: Values, register: int, pointer: Pointer | None) -> None:
    if pointer is None:
        values.pop(register, None)
    else:
        values[register] = pointer


def _spill(values: Values, insn: Insn, target: Pointer | None, source: Pointer | None) -> None:
    """A store: forget the spills that it may overwrite, remember a pointer stored whole."""
    if target is None or target.kind not in _STACK:
        return
    if target.kind == "in_stack":
        _forget_stack(values)
        return
    at = target.offset + insn.off
    for place in [place for place in values if isinstance(place, tuple) and at - 8 < place[1] < at + insn.width]:
        del values[place]
    if insn.family is Family.STORE_REG and insn.width == 8 and source:
        values["stack", at] = source


def _forget_stack(values: Values) -> None:
    """Something was written somewhere in the stack; a stack pointer may be there still, which must not be forgotten."""
    for place in [place for place in values if isinstance(place, tuple)]:
        if values[place].kind in _STACK:
            values[place] = Pointer("in_stack")
        else:
            del values[place]


def _holds_stack_pointer(values: Values) -> bool:
    return any(pointer.kind in _STACK for place, pointer in values.items() if isinstance(place, tuple))


def _may_write_stack(insn: Insn, before: Values, program_type: str) -> bool:
    """Whether a call gets a stack pointer through which it may overwrite spills; most helpers only read."""
    if not any(before[r].kind in _STACK for r in range(1, 6) if r in before):
        return False
    row = helper_for(insn.imm, program_type) if insn.family is Family.CALL_HELPER else None
    return row is None or row.writes_memory


def _collect(code: Code, states: dict[int, Values]) -> Facts:
    facts: dict[str, dict[int, int]] = {"context": {}, "maps": {}}
    lowest = 0
    for slot, values in states.items():
        insn = code[slot]
        if insn is None:
            continue
        for pointer in values.values():
            lowest = min(lowest, pointer.offset if pointer.kind == "stack" else 0)
        if _uses_unknown_place(insn, values):
            lowest = -STACK_FRAME_BYTES
        if insn.family is Family.CALL_HELPER and (given := values.get(1)) and given.kind == "map":
            facts["maps"][slot] = given.map
        through = values.get(insn.src if insn.family in _LOADS else insn.dst)
        if insn.opcode & 7 in (1, 2, 3) and through:
            if through.kind == "ctx":
                facts["context"][slot] = through.offset + insn.off
            elif through.kind == "stack":
                lowest = min(lowest, through.offset + insn.off)
    return Facts(facts["context"], facts["maps"], min(-lowest, STACK_FRAME_BYTES))


def _uses_unknown_place(insn: Insn, values: Values) -> bool:
    """Whether an access or a call goes through a pointer to nobody knows where in the stack."""
    if insn.family in (Family.CALL_HELPER, Family.CALL_LOCAL, Family.CALL_KFUNC):
        used = [values.get(register) for register in range(1, 6)]
    elif insn.opcode & 7 in (1, 2, 3):
        used = [values.get(insn.src if insn.family in _LOADS else insn.dst)]
    else:
        return False
    return any(pointer is not None and pointer.kind == "in_stack" for pointer in used)
