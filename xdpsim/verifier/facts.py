"""What engines may build on without a full verification: which loads read the context, which map a call is given.

A forward data flow over the whole program: it follows context pointers and map pointers through registers, through
8-byte spills to the stack and into subprograms. What it says holds on every path; what it cannot follow it leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from xdpsim.helpers.kinds import Arg
from xdpsim.helpers.rows import helper_for
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_RDONLY_PROG
from xdpsim.memory.structs import STACK_FRAME_BYTES
from xdpsim.verifier.cfg import STRAY, call_target, successors


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer that is known: `kind` is "ctx", "stack", "map", "value" or "func".

    `offset` is its distance in bytes, of a function its first slot; `map` an index. A "value" lies in a map's slot 0.

    Kind "in_stack" is what may be a pointer into the function's own stack, nobody knows where: a stack pointer moved by
    an unknown amount, or on one of several ways here. A register without an entry is no such pointer.
    """

    kind: str
    offset: int = 0
    map: int = 0
    was_spilled: bool = False
    """It came back from the stack, where a program that nobody verified may have overwritten it behind our back."""


@dataclass(frozen=True)
class Facts:
    """What an engine may rely on, by slot. Where a slot is missing nothing is proven of it, and it is checked."""

    context_offsets: dict[int, int] = field(default_factory=dict)
    """The context offset of a load or store that goes through the context."""
    call_maps: dict[int, int] = field(default_factory=dict)
    """The index of the map that a call is given in r1."""
    callbacks: dict[int, int] = field(default_factory=dict)
    """The first slot of the function that a call is given in r2."""
    stack_offsets: dict[int, int] = field(default_factory=dict)
    """The offset from r10 of an access that stays inside the function's own stack frame."""
    proven: frozenset[int] = frozenset()
    """Loads, stores and atomics that touch only what they may, by whatever pointer."""
    arguments: dict[int, frozenset[int]] = field(default_factory=dict)
    """The argument registers of a call that hold what the callee's row asks for."""
    stack_bytes: int = 0
    """How far below r10 the program may reach: the lowest constant offset that it forms."""
    verified: bool = False
    """From here on: of verified programs only, all of whose accesses and arguments are proven, and which end."""
    dead: frozenset[int] = frozenset()
    """Slots that are never reached."""
    accesses: dict[int, str] = field(default_factory=dict)
    """What each load, store or atomic goes through: "context", "stack", "packet", "map_value", "memory" (it lies in
    other memory, or in several of these), "map" (the kernel's struct of a map) or "kernel": loads of that give 0 where
    nothing is."""
    kernel_members: dict[int, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """The kernel structs, by name, and the offsets in them that a load reads by pointers that surely lead there."""
    written_maps: frozenset[int] | None = None
    """Indexes of maps whose values, or the values of maps in them, a store or a call of the program may change."""
    writes_packet: bool = True
    """False when the packet leaves as it came."""


MAP_STRUCT, KERNEL = "map", "kernel"
"""The kinds of Facts.accesses that are the kernel's memory."""
_INSIDE = frozenset({"stack", "packet", "map_value", "memory"})


def joined(code: Code, plain: Facts, verified: Facts) -> Facts:
    """What the data flow says of registers, with what the verifier has proven where it has accepted the program.

    Linux accepts atomics on memory of known extent only.
    """
    if not verified.verified:
        return plain
    proven = {slot for slot, what in verified.accesses.items() if what in _INSIDE}
    proven |= {slot for slot, insn in enumerate(code) if insn is not None and insn.family is Family.ATOMIC}
    return replace(
        verified,
        callbacks=plain.callbacks,
        stack_offsets=plain.stack_offsets,
        arguments=plain.arguments,
        stack_bytes=plain.stack_bytes,
        proven=frozenset(proven),
    )


_STACK = ("stack", "in_stack")
_LOADS = (Family.LOAD, Family.LOAD_SX, Family.LOAD_ACQUIRE)

Values = dict[int | tuple[str, int], Pointer]
"""Known pointers by register number, and by ("stack", offset) for spilled ones."""


def find_facts(code: Code, program_type: str, maps: Sequence[MapSpec] = (), callbacks: Iterable[int] = ()) -> Facts:
    """Run the data flow to its fixed point; `callbacks` are the first slots of functions that helpers call."""
    states: dict[int, Values] = {slot: {10: Pointer("stack")} for slot in callbacks}
    states |= {0: {10: Pointer("stack")} if 0 in states else {1: Pointer("ctx"), 10: Pointer("stack")}}
    left = list(states) if code else []
    while left:
        slot = left.pop()
        insn = code[slot]
        if insn is None:
            continue
        after = _step(slot, insn, states[slot], program_type)
        targets = [(target, after) for target in successors(code, slot)]
        if insn.family is Family.CALL_LOCAL:
            arguments: Values = {r: p for r in range(1, 6) if (p := states[slot].get(r)) and p.kind not in _STACK}
            targets.append((call_target(code, slot, insn), {**arguments, 10: Pointer("stack")}))
        for target, values in targets:
            if target != STRAY and _merge(states, target, values):
                left.append(target)
    return _Collector(code, program_type, maps, states).collect()


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
        elif ways[0] is not None and ways[1] is not None and _spilled(ways[0]) == _spilled(ways[1]):
            kept[place] = _spilled(ways[0])
        elif any(way is not None and way.kind in _STACK for way in ways):
            kept[place] = Pointer("in_stack")
    states[slot] = kept
    return kept != old


def _spilled(pointer: Pointer) -> Pointer:
    return replace(pointer, was_spilled=True)


def _reference(slot: int, insn: Insn) -> Pointer | None:
    if insn.op in ("MAP_FD", "MAP_IDX"):
        return Pointer("map", map=insn.imm)
    if insn.op in ("MAP_VALUE", "MAP_IDX_VALUE"):
        return Pointer("value", insn.next_imm & 0xFFFF_FFFF, insn.imm)
    return Pointer("func", slot + 1 + insn.imm) if insn.op == "FUNC" else None


def _step(slot: int, insn: Insn, before: Values, program_type: str) -> Values:
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
        _assign(values, dst, _reference(slot, insn))
    elif family is Family.LOAD and source and source.kind == "stack" and insn.width == 8:
        spilled = before.get(("stack", source.offset + insn.off))
        _assign(values, dst, _spilled(spilled) if spilled else None)
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


class _Collector:
    """Reads the facts off the states of the fixed point."""

    def __init__(self, code: Code, program_type: str, maps: Sequence[MapSpec], states: dict[int, Values]) -> None:
        self._code, self._type, self._maps, self._states = code, program_type, maps, states
        self._lowest = 0
        self._context: dict[int, int] = {}
        self._call_maps: dict[int, int] = {}
        self._callbacks: dict[int, int] = {}
        self._stack: dict[int, int] = {}
        self._proven: set[int] = set()
        self._arguments: dict[int, frozenset[int]] = {}

    def collect(self) -> Facts:
        """The facts."""
        for slot, values in self._states.items():
            insn = self._code[slot]
            if insn is None:
                continue
            self._note_stack(insn, values)
            if insn.family in (Family.CALL_HELPER, Family.CALL_KFUNC):
                self._note_call(slot, insn, values)
            through = values.get(insn.src if insn.family in _LOADS else insn.dst)
            if _is_access(insn) and through:
                self._note_access(slot, insn, through)
        return Facts(
            *(self._context, self._call_maps, self._callbacks, self._stack, frozenset(self._proven), self._arguments),
            stack_bytes=min(-self._lowest, STACK_FRAME_BYTES),
        )

    def _note_stack(self, insn: Insn, values: Values) -> None:
        for pointer in values.values():
            self._lowest = min(self._lowest, pointer.offset if pointer.kind == "stack" else 0)
        if _uses_unknown_place(insn, values):
            self._lowest = -STACK_FRAME_BYTES

    def _note_access(self, slot: int, insn: Insn, through: Pointer) -> None:
        offset = through.offset + insn.off
        if through.kind == "ctx":
            self._context[slot] = offset
        elif through.kind == "stack":
            self._lowest = min(self._lowest, offset)
            if not through.was_spilled and -STACK_FRAME_BYTES <= offset <= -insn.width:
                self._stack[slot] = offset
        elif insn.family is Family.ATOMIC and offset % insn.width:
            return
        elif (
            not through.was_spilled
            and through.kind == "value"
            and self._fits_value(through, insn.off, insn.width, insn.family not in _LOADS)
        ):
            self._proven.add(slot)

    def _fits_value(self, pointer: Pointer, offset: int, size: int, is_write: bool) -> bool:
        if not 0 <= pointer.map < len(self._maps):
            return False
        spec, start = self._maps[pointer.map], pointer.offset + offset
        is_writable = not (spec.read_only or spec.flags & BPF_F_RDONLY_PROG)
        return spec.type == "ARRAY" and 0 <= start <= spec.value_size - size and (is_writable or not is_write)

    def _note_call(self, slot: int, insn: Insn, values: Values) -> None:
        if (given := values.get(1)) and given.kind == "map" and given.offset == 0:
            self._call_maps[slot] = given.map
        if (function := values.get(2)) and function.kind == "func" and not function.was_spilled:
            self._callbacks[slot] = function.offset
        row = helper_for(insn.imm, self._type) if insn.family is Family.CALL_HELPER else None
        if row is not None:
            good = {n for n, kind in enumerate(row.args, start=1) if self._is_good(kind, values.get(n), slot)}
            self._arguments[slot] = frozenset(good)

    def _is_good(self, kind: Arg, given: Pointer | None, slot: int) -> bool:
        """Whether an argument is surely what its kind asks for."""
        if given is None or given.was_spilled:
            return False
        if kind is Arg.CONST_MAP_PTR or kind is Arg.CTX:
            return given.kind == ("map" if kind is Arg.CONST_MAP_PTR else "ctx") and given.offset == 0
        index = self._call_maps.get(slot, -1)
        if kind not in (Arg.MAP_KEY, Arg.MAP_VALUE) or not 0 <= index < len(self._maps):
            return False
        size = self._maps[index].key_size if kind is Arg.MAP_KEY else self._maps[index].value_size
        if given.kind == "stack":
            return -STACK_FRAME_BYTES <= given.offset <= -size
        return given.kind == "value" and self._fits_value(given, 0, size, is_write=False)


def _is_access(insn: Insn) -> bool:
    return insn.opcode & 7 in (1, 2, 3)


def _uses_unknown_place(insn: Insn, values: Values) -> bool:
    """Whether the stack may be reached where nobody knows: through a pointer that was moved, or by another function."""
    if insn.family in (Family.CALL_HELPER, Family.CALL_LOCAL, Family.CALL_KFUNC):
        given = [pointer for n in range(1, 6) if (pointer := values.get(n))]
        runs_code = insn.family is Family.CALL_LOCAL or any(pointer.kind == "func" for pointer in given)
        return any(p.kind == "in_stack" or (runs_code and p.kind == "stack") for p in given)
    pointer = values.get(insn.src if insn.family in _LOADS else insn.dst)
    return _is_access(insn) and pointer is not None and pointer.kind == "in_stack"
