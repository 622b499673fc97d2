"""A program out of the functions that it reaches: its main function first, each other once, calls made to fit.

Follows bpf_object__reloc_code() of libbpf: a function is appended when the walk first meets a call of it, then walked
itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from xdpsim.errors import InputError
from xdpsim.isa.insn import Code, Insn
from xdpsim.loader.functions import MAX_SLOTS, Function, Reader, Reference

# Functions that programs share multiply: what all programs of an object may take together. A function counts like
# FUNCTION_COST slots more, so that thousands of tiny ones are no way round it.
MAX_ALL_SLOTS = 1 << 20
FUNCTION_COST = 32


@dataclass(frozen=True, slots=True)
class Placed:
    """A function and the slot of the program where it starts."""

    function: Function
    slot: int


@dataclass(frozen=True)
class Linked:
    """A whole program. `blocked` is why it cannot run: slot (of the program) and reason, in order.

    CALL_KFUNC holds the index into `kfuncs`; `poisoned` says why libbpf made an insn a call that fails.
    """

    code: Code
    functions: tuple[Placed, ...]
    blocked: tuple[tuple[int, str], ...]
    kfuncs: tuple[str, ...] = ()
    poisoned: dict[int, str] = field(default_factory=dict)


class Linker:
    """Links programs of one object and keeps count of what they take together."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.all_slots = 0

    def link(self, main: Function, catcher: Function | None = None) -> Linked:
        """`main` with all that it reaches, and the function that catches what it throws; InputError when too large."""
        starts = self._place(main, catcher)
        code: list[Insn | None] = []
        blocked: list[tuple[int, str]] = []
        poisoned: dict[int, str] = {}
        kfuncs: dict[str, int] = {}
        for function, start in starts.items():
            body = self.reader.body(function)
            blocked.extend((start + slot, why) for slot, why in body.blocked)
            poisoned.update((start + slot, why) for slot, why in body.poisoned.items())
            code.extend(body.code or (None,) * function.slots)
            for reference in body.references if body.code else ():
                insn = code[start + reference.slot]
                assert insn is not None
                if reference.function is not None:
                    distance = starts[reference.function] - (start + reference.slot) - 1
                    code[start + reference.slot] = replace(insn, imm=distance)
                elif reference.kfunc:
                    number = kfuncs.setdefault(reference.kfunc, len(kfuncs))
                    code[start + reference.slot] = replace(insn, imm=number)
        placed = tuple(Placed(function, start) for function, start in starts.items())
        unread = any(not self.reader.body(function).code for function in starts)
        return Linked(() if unread else tuple(code), placed, tuple(sorted(blocked)), tuple(kfuncs), poisoned)

    def _references(self, main: Function, catcher: Function | None) -> tuple[Reference, ...]:
        """What the main function refers to, and last what catches its exceptions."""
        references = self.reader.body(main).references
        return (*references, Reference(0, catcher)) if catcher is not None else references

    def _place(self, main: Function, catcher: Function | None) -> dict[Function, int]:
        """Start slots in libbpf's order: depth first, in the order of the calls."""
        starts, end = {main: 0}, main.slots
        walk = [iter(self._references(main, catcher))]
        while walk:
            reference = next(walk[-1], None)
            if reference is None:
                walk.pop()
                continue
            target = reference.function
            if target is None or target in starts:
                continue
            starts[target] = end
            end += target.slots
            if end > MAX_SLOTS:
                raise InputError(f"{main.name}: more than {MAX_SLOTS} insns with the functions that it calls")
            walk.append(iter(self.reader.body(target).references))
        self.all_slots += end + FUNCTION_COST * len(starts)
        if self.all_slots > MAX_ALL_SLOTS:
            raise InputError(f"{main.name}: with it the programs take more than {MAX_ALL_SLOTS} insns together")
        return starts
