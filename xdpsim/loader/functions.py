"""What the instructions of each function refer to: calls, function addresses, maps, data, things of the kernel.

Which functions there are is symbols.py's, joining them link.py's. Follows bpf_program__record_reloc() of libbpf, which
looks at the instruction and not at the relocation's number, except that a call may go to a function of any section.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from xdpsim.bits import M32, signed
from xdpsim.errors import InputError
from xdpsim.isa.decode import decode
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import Family, Imm64
from xdpsim.loader.core.relocate import Patched
from xdpsim.loader.elf import RELOCATION_TYPES, UNDEFINED, Elf, Relocation, Section
from xdpsim.loader.linux.externs import Blocked, Externs

SLOT = 8
MAX_SLOTS = 1 << 20  # the kernel walks at most a million insns of one program
MAX_WALKED = 1 << 18  # functions met while programs of prog arrays look for their callers
ADDR_SPACE_CAST = (0xBF, 1)  # opcode and off of a register move that converts an arena pointer


@dataclass(frozen=True, slots=True)
class Function:
    """A function: `offset` and `size` in bytes of its section."""

    name: str
    section: Section
    offset: int
    size: int
    is_local: bool

    @property
    def slots(self) -> int:
        """Its length in slots."""
        return self.size // SLOT


@dataclass(frozen=True, slots=True)
class Reference:
    """What the insn at `slot` (of its function) refers to: a function, a map by its index in the object, a kfunc."""

    slot: int
    function: Function | None = None
    map_index: int = -1
    kfunc: str = ""


@dataclass(frozen=True)
class Body:
    """A function's code with map references filled in; `references` still hold the functions to be placed.

    `blocked` is why it cannot run: slot and reason; `poisoned` says which insns became calls that fail, and why.
    """

    function: Function
    code: Code
    references: tuple[Reference, ...]
    blocked: tuple[tuple[int, str], ...]
    poisoned: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataPlaces:
    """Where maps are in the object: `maps` by section and offset of their symbol, `data` by section."""

    maps: dict[tuple[int, int], int]
    data: dict[int, int]
    unsupported: dict[int, str]
    """Section index -> why nothing in it can be referred to."""


Patcher = Callable[[Function, list[Insn | None]], Patched]
"""Applies the CO-RE relocations of a function to its code."""


def no_relocations(function: Function, code: list[Insn | None]) -> Patched:
    """The Patcher of an object without CO-RE."""
    return Patched()


class Reader:
    """Reads functions on demand and remembers them; programs share the functions that they call."""

    def __init__(
        self,
        elf: Elf,
        functions: Sequence[Function],
        places: DataPlaces,
        externs: Externs,
        patch: Patcher = no_relocations,
    ) -> None:
        self.elf, self.places, self.externs, self.patch = elf, places, externs, patch
        self.by_place = {(f.section.index, f.offset): f for f in reversed(functions)}
        self.bodies: dict[Function, Body] = {}
        self.walked = 0

    def body(self, function: Function) -> Body:
        """The function's code and references; InputError names function, insn, what was found and expected."""
        if function not in self.bodies:
            self.bodies[function] = self._read(function)
        return self.bodies[function]

    def maps_of(self, function: Function) -> set[int]:
        """Indexes of the maps that a function and those that it reaches refer to."""
        seen, todo, found = {function}, [function], set[int]()
        while todo:
            self.walked += 1
            if self.walked > MAX_WALKED:
                raise InputError(f"{function.name}: its functions and those of the programs before it are too many")
            for reference in self.body(todo.pop()).references:
                found |= {reference.map_index} - {-1}
                if reference.function is not None and reference.function not in seen:
                    seen.add(reference.function)
                    todo.append(reference.function)
        return found

    def _read(self, function: Function) -> Body:
        raw = function.section.data[function.offset : function.offset + function.size]
        casts = [s for s in range(function.slots) if _is_cast(raw, s)]
        if casts:
            return Body(function, (), (), ((casts[0], "addr_space_cast (arena pointers) is not supported"),))
        if function.slots > MAX_SLOTS:
            raise InputError(f"{function.name}: {function.slots} insns, expected at most {MAX_SLOTS}")
        try:
            code = list(decode(raw))
        except InputError as err:
            raise InputError(f"{function.name}: {err.message}", hint=err.hint) from err
        patched = self.patch(function, code)
        body = Body(function, (), (), (), patched.poisoned)
        references: list[Reference] = []
        blocked = patched.blocked
        relocations = self._relocations(function)
        for slot, insn in enumerate(code):
            relocation = relocations.get(slot)
            if insn is None and relocation is not None:
                raise _bad(function, slot, "a relocation of the second slot of an LD_IMM64")
            if insn is None or slot in body.poisoned or not (relocation or _needs_relocation(insn)):
                continue
            try:
                code[slot], reference = self._refer(body, slot, insn, relocation)
            except Blocked as why:
                blocked.append((slot, str(why)))
                continue
            if reference is not None:
                references.append(reference)
        return replace(body, code=tuple(code), references=tuple(references), blocked=tuple(blocked))

    def _relocations(self, function: Function) -> dict[int, Relocation]:
        """By slot of the function."""
        rows = self.elf.relocations.get(function.section.index, ())
        first = bisect_left(rows, function.offset, key=_offset)
        last = bisect_left(rows, function.offset + function.size, key=_offset)
        return {(row.offset - function.offset) // SLOT: row for row in rows[first:last]}

    def _refer(self, body: Body, slot: int, insn: Insn, at: Relocation | None) -> tuple[Insn, Reference | None]:
        function = body.function
        if at is not None and at.type not in RELOCATION_TYPES:
            known = ", ".join(str(number) for number in sorted(RELOCATION_TYPES))
            raise _bad(function, slot, f"relocation type {at.type}, expected one of {known}")
        if at is not None and at.symbol.section == UNDEFINED:
            return self._external(body, slot, insn, at)
        if insn.family is Family.CALL_LOCAL:
            return insn, Reference(slot, self._callee(function, slot, insn, at))
        if at is None and insn.family is Family.CALL_KFUNC:
            raise Blocked(f"call of kernel function {insn.imm} by its number is not supported")
        if at is None:
            raise _bad(function, slot, f"an LD_IMM64 of kind {insn.op} without a relocation")
        if insn.family is not Family.LD_IMM64:
            raise _bad(
                function,
                slot,
                f"a relocation ({_shown(at)}) of {insn.op or insn.family.value}, "
                "expected a call of a function or an LD_IMM64",
            )
        return self._address(function, slot, insn, at)

    def _external(self, body: Body, slot: int, insn: Insn, at: Relocation) -> tuple[Insn, Reference | None]:
        """Something that the object only names."""
        if insn.family in (Family.CALL_LOCAL, Family.CALL_KFUNC):
            changed, name, poison = self.externs.call(insn, at.symbol)
            if poison:
                body.poisoned[slot] = poison
                return changed, None
            return changed, Reference(slot, kfunc=name)
        if insn.family is not Family.LD_IMM64:
            raise _bad(
                body.function, slot, f"a relocation ({_shown(at)}) of {insn.op or insn.family.value}, expected a call"
            )
        return self.externs.load(insn, at.symbol), None

    def _address(self, function: Function, slot: int, insn: Insn, at: Relocation) -> tuple[Insn, Reference]:
        """LD_IMM64 of a function, a map or a variable."""
        if at.symbol.section < UNDEFINED:
            raise _bad(function, slot, f"refers to {_shown(at)}, which is in no section")
        section = self.elf.sections[at.symbol.section]
        offset = at.symbol.value + insn.imm
        if section.index in self.places.unsupported:
            raise Blocked(f"{_shown(at)}: {self.places.unsupported[section.index]}")
        if section.executable:
            target = self._at(function, slot, section, offset, _shown(at))
            return _as(insn, Imm64.FUNC, 0, 0), Reference(slot, target)
        if (section.index, offset) in self.places.maps:
            index = self.places.maps[section.index, offset]
            return _as(insn, Imm64.MAP_FD, index, 0), Reference(slot, map_index=index)
        if section.index not in self.places.data:
            raise _bad(
                function,
                slot,
                f"refers to {_shown(at)} at offset {offset} of section {section.name!r}, "
                "expected a map, a variable or a function",
            )
        if not 0 <= offset <= section.size:
            raise _bad(
                function, slot, f"refers to offset {offset} of section {section.name!r}, expected 0 to {section.size}"
            )
        index = self.places.data[section.index]
        return _as(insn, Imm64.MAP_VALUE, index, offset), Reference(slot, map_index=index)

    def _callee(self, function: Function, slot: int, insn: Insn, at: Relocation | None) -> Function:
        if at is None:
            offset = function.offset + (slot + 1 + insn.imm) * SLOT
            return self._at(function, slot, function.section, offset, "a call")
        if at.symbol.section < UNDEFINED or not self.elf.sections[at.symbol.section].executable:
            raise _bad(function, slot, f"calls {_shown(at)}, expected a function")
        offset = at.symbol.value + (insn.imm + 1) * SLOT
        return self._at(function, slot, self.elf.sections[at.symbol.section], offset, f"a call of {_shown(at)}")

    def _at(self, function: Function, slot: int, section: Section, offset: int, what: str) -> Function:
        target = self.by_place.get((section.index, offset))
        if target is None:
            raise _bad(
                function,
                slot,
                f"{what} leads to byte {offset} of section {section.name!r}, expected the start of a function",
            )
        return target


def _bad(function: Function, slot: int, found: str) -> InputError:
    return InputError(f"{function.name}: insn {slot}: {found}")


def _shown(at: Relocation) -> str:
    return repr(at.symbol.name) if at.symbol.name else f"symbol {at.symbol.index}"


def _needs_relocation(insn: Insn) -> bool:
    """Numbers in these come from outside the insn; a local call may do without, inside its section."""
    if insn.family is Family.LD_IMM64:
        return insn.op not in (Imm64.VALUE.name, Imm64.BTF_ID.name)
    return insn.family in (Family.CALL_LOCAL, Family.CALL_KFUNC)


def _offset(row: Relocation) -> int:
    return row.offset


def _is_cast(raw: bytes, slot: int) -> bool:
    return (raw[slot * SLOT], int.from_bytes(raw[slot * SLOT + 2 : slot * SLOT + 4], "little")) == ADDR_SPACE_CAST


def _as(insn: Insn, kind: Imm64, imm: int, next_imm: int) -> Insn:
    return replace(insn, src=kind.value, op=kind.name, imm=imm, next_imm=signed(next_imm & M32, 32))
