"""Which functions an object has, and what the instructions of each refer to: calls, function addresses, maps, data.

Nothing is joined here (link.py does that). Follows bpf_object__add_programs() and bpf_program__record_reloc() of
libbpf, except that a call may go to a function of any section.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

from xdpsim.bits import M32, signed
from xdpsim.errors import InputError
from xdpsim.isa.decode import decode
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import Family, Imm64
from xdpsim.loader.elf import R_BPF_64_32, R_BPF_64_64, UNDEFINED, Elf, Relocation, Section, Symbol

SLOT = 8
MAX_SLOTS = 1 << 20  # the kernel walks at most a million insns of one program
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
    """What the insn at `slot` (of its function) refers to: a function, or a map by its index in the object."""

    slot: int
    function: Function | None = None
    map_index: int = -1


@dataclass(frozen=True)
class Body:
    """A function's code with map references filled in; `references` still hold the functions to be placed.

    `blocked` is why it cannot run: slot and reason.
    """

    function: Function
    code: Code
    references: tuple[Reference, ...]
    blocked: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class DataPlaces:
    """Where maps are in the object: `maps` by section and offset of their symbol, `data` by section."""

    maps: dict[tuple[int, int], int]
    data: dict[int, int]
    unsupported: dict[int, str]
    """Section index -> why nothing in it can be referred to."""


def find_functions(elf: Elf) -> tuple[Function, ...]:
    """All functions, by section and offset. InputError for one that is not inside its section."""
    found = []
    for symbol in elf.symbols:
        if symbol.type != "FUNC" or symbol.section <= UNDEFINED:
            continue
        section = elf.sections[symbol.section]
        where = f"symbol {symbol.index} ({symbol.name!r})"
        if not section.executable:
            raise InputError(f"{where}: a function in section {section.name!r}, which is not executable")
        if not symbol.name:
            raise InputError(f"{where}: a function in section {section.name!r}, expected a name")
        if symbol.value % SLOT or symbol.size % SLOT or not symbol.size:
            raise InputError(f"{where}: {symbol.size} bytes at offset {symbol.value}, expected multiples of {SLOT}")
        if symbol.value + symbol.size > section.size:
            raise InputError(
                f"{where}: ends at byte {symbol.value + symbol.size} of section {section.name!r}, "
                f"which has {section.size}"
            )
        found.append(Function(symbol.name, section, symbol.value, symbol.size, symbol.bind == "LOCAL"))
    _check_untyped(elf, found)
    return tuple(sorted(found, key=lambda f: (f.section.index, f.offset)))


def _check_untyped(elf: Elf, functions: list[Function]) -> None:
    """Code without any function symbol would vanish silently: assembler sources that forget .type."""
    typed = {f.section.index for f in functions}
    untyped = {s.section: s for s in reversed(elf.symbols) if s.type == "NOTYPE"}
    for section in elf.sections:
        if not section.executable or not section.size or section.index in typed:
            continue
        symbol = untyped.get(section.index)
        if symbol is not None:
            raise InputError(
                f"section {section.index} ({section.name!r}): symbol {symbol.name!r} has type NOTYPE, expected FUNC",
                hint=f"in assembler write .type {symbol.name},@function and .size",
            )


class Reader:
    """Reads functions on demand and remembers them; programs share the functions that they call."""

    def __init__(self, elf: Elf, functions: tuple[Function, ...], places: DataPlaces) -> None:
        self.elf, self.places = elf, places
        self.by_place = {(f.section.index, f.offset): f for f in reversed(functions)}
        self.bodies: dict[Function, Body] = {}

    def body(self, function: Function) -> Body:
        """The function's code and references; InputError names function, insn, what was found and expected."""
        if function not in self.bodies:
            self.bodies[function] = self._read(function)
        return self.bodies[function]

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
        references: list[Reference] = []
        blocked: list[tuple[int, str]] = []
        relocations = self._relocations(function)
        for slot, insn in enumerate(code):
            relocation = relocations.get(slot)
            if insn is None and relocation is not None:
                raise _bad(function, slot, "a relocation of the second slot of an LD_IMM64")
            if insn is None or not (relocation or _needs_relocation(insn)):
                continue
            try:
                found = self._refer(function, slot, insn, relocation)
            except _Blocked as why:
                blocked.append((slot, str(why)))
                continue
            code[slot] = found[0]
            references.append(found[1])
        return Body(function, tuple(code), tuple(references), tuple(blocked))

    def _relocations(self, function: Function) -> dict[int, Relocation]:
        """By slot of the function."""
        rows = self.elf.relocations.get(function.section.index, ())
        first = bisect_left(rows, function.offset, key=_offset)
        last = bisect_left(rows, function.offset + function.size, key=_offset)
        return {(row.offset - function.offset) // SLOT: row for row in rows[first:last]}

    def _refer(self, function: Function, slot: int, insn: Insn, at: Relocation | None) -> tuple[Insn, Reference]:
        if at is not None and at.symbol.section == UNDEFINED:
            raise _Blocked(_external(insn, at.symbol))
        if insn.family is Family.CALL_LOCAL:
            return insn, Reference(slot, self._callee(function, slot, insn, at))
        if at is None and insn.family is Family.CALL_KFUNC:
            raise _Blocked(f"call of kernel function {insn.imm} by its number is not supported")
        if at is None:
            raise _bad(function, slot, f"an LD_IMM64 of kind {insn.op} without a relocation")
        if insn.family is not Family.LD_IMM64:
            raise _bad(
                function,
                slot,
                f"a relocation ({_shown(at)}) of {insn.op or insn.family.value}, "
                "expected a call of a function or an LD_IMM64",
            )
        if at.type != R_BPF_64_64:
            raise _bad(function, slot, f"relocation type {at.type}, expected {R_BPF_64_64} (R_BPF_64_64)")
        if at.symbol.section < UNDEFINED:
            raise _bad(function, slot, f"refers to {_shown(at)}, which is in no section")
        section = self.elf.sections[at.symbol.section]
        offset = at.symbol.value + insn.imm
        if section.index in self.places.unsupported:
            raise _Blocked(f"{_shown(at)}: {self.places.unsupported[section.index]}")
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
        if at.type != R_BPF_64_32:
            raise _bad(function, slot, f"relocation type {at.type} of a call, expected {R_BPF_64_32} (R_BPF_64_32)")
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


class _Blocked(Exception):
    """Why an insn cannot be resolved although the object is well-formed."""


def _bad(function: Function, slot: int, found: str) -> InputError:
    return InputError(f"{function.name}: insn {slot}: {found}")


def _shown(at: Relocation) -> str:
    return repr(at.symbol.name) if at.symbol.name else f"symbol {at.symbol.index}"


def _external(insn: Insn, symbol: Symbol) -> str:
    if insn.family is not Family.LD_IMM64:
        return f"call of {symbol.name!r}, which is not in the object (a kfunc), is not supported"
    return f"address of {symbol.name!r}, which is not in the object (.ksyms or .kconfig), is not supported"


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
