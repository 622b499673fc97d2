"""What the functions of one module share: its setting, what its text refers to, and the names that all agree on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdpsim.engines.contexts import NativeContext
from xdpsim.helpers.rows import Helper
from xdpsim.isa.insn import Insn
from xdpsim.isa.rows import Family
from xdpsim.memory.structs import FAULT, RUN_STATE

if TYPE_CHECKING:
    from xdpsim.engines.jit.function import FunctionEmitter

BLOCK_COUNTS = "block_counts"
"""Symbol of the words that count how often blocks run."""
NUMBER = "program_number"
"""Symbol whose address is the program's number."""
FAULT_CODE = RUN_STATE.offset("fault") + FAULT.offset("code")
SIGNATURE = "(ptr %state, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5)"
"""Of all functions of all programs, so that each can jump into each."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all functions of a program: its context, its budget, what it has, the emitters by family."""

    context: NativeContext
    budget: int
    makes_tail_calls: bool
    context_copy: Helper | None
    """The kernel function by which the program has a copy of its context, if it has."""
    is_alone: bool
    """Nothing but its main function runs: no subprogram, callback, other program or helper in Python."""
    counts_blocks: bool
    emitters: Mapping[Family, Callable[[FunctionEmitter, int, Insn], bool]]


class Needs:
    """What the module's text refers to, to be bound when its object code is loaded; shared by its functions."""

    def __init__(self) -> None:
        self.natives: dict[str, int] = {}
        """Arity by symbol of native runtime functions."""
        self.python: dict[str, Helper | None] = {}
        """Rows of helpers in Python by symbol; None for the trampoline that makes programs ready."""
        self.maps: dict[str, int] = {}
        """Index of the map whose header a symbol stands for."""
        self.addresses: dict[str, int] = {}
        """Slot of the LD_IMM64 whose value a symbol stands for."""
        self.context_loads: set[tuple[int, Family]] = set()
        self.context_fields: set[str] = set()
        """What is read of the context at known offsets."""
        self.blocks: list[tuple[int, ...]] = []
        """Blocks that are counted: number n has words 2 n (how often it ran) and 2 n + 1 (how often it jumped)."""
        self.checks = False
        """Some access or argument is checked: that looks at the packet's limits, the stack's and the context."""
        self.faults = False
        """Some way through the program ends in a fault."""
        self.pays = False
        """Some jump or call pays out of the budget."""
        self.stack = False
        """Some function has a stack frame that is looked at, or that others count from."""


def loader_symbol(width: int, family: Family) -> str:
    """Name of the function that loads context fields of `width` bytes."""
    return f"@context_{family.name.lower()}_{width}"


def function_symbol(entry: int) -> str:
    """Symbol of the function whose first slot is `entry`."""
    return f"f{entry}"
