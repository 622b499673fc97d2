"""How a helper is declared: one row that says what a signature cannot, one body.

Engines and reference docs read the row. Names, first kernels and the program types that may call a helper are in
helpers/ids.py, argument and return kinds in the prototypes (protos.py), from which the row takes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from xdpsim.errors import XdpsimBug
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.proto_rows import ANY_TYPE
from xdpsim.helpers.protos import row_for
from xdpsim.memory.native import NativeFunction, native


class Control(Enum):
    """Helpers that are control flow: the engines do them themselves."""

    NONE = "none"
    TAIL_CALL = "tail_call"
    THROW = "throw"


class BadArgument(Exception):
    """A Python body met argument `number` (1 to 5) that no verified program can pass: the program ends in a fault."""

    def __init__(self, number: int) -> None:
        super().__init__(f"argument {number}")
        self.number = number


Body = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper. A native body takes (run state, arguments...), a Python body (machine, arguments...)."""

    id: int
    name: str
    args: tuple[Arg, ...]
    returns: Ret
    body: NativeFunction | Body | None
    moves_packet: bool = False
    control: Control = Control.NONE
    variadic: bool = False
    """All five argument registers are passed on, whatever `args` says (trace_printk, get_branch_snapshot)."""
    copies_context: bool = False
    """What it returns is a copy of the context: native code asks for it again when a packet has moved."""
    redirects: bool = False
    """It may leave a redirect target."""
    only_arguments: bool = False
    """It looks at its arguments and at maps, not at the packet, its context or the clock."""

    @property
    def writes_memory(self) -> bool:
        """Whether it writes through a pointer that the program gives it."""
        return any("MEM_WRITE" in kind.flags and kind.base == "ARG_PTR_TO_MEM" for kind in self.args)

    @property
    def arity(self) -> int:
        """How many argument registers the body takes."""
        return 5 if self.variadic else len(self.args)


KFUNCS: dict[str, Helper] = {}
"""Kernel functions that programs call by name; their rows are like those of helpers, with id 0."""

HELPERS: dict[tuple[int, str], Helper] = {}
"""Rows by (helper id, program type); type "*" serves every type that has no row of its own."""


def helper_for(helper_id: int, program_type: str) -> Helper | None:
    """The row that a program of this type gets; None where xdpsim has none."""
    return HELPERS.get((helper_id, program_type)) or HELPERS.get((helper_id, ANY_TYPE))


def declare(
    helper_id: int,
    name: str,
    body: NativeFunction | Body | None,
    programs: tuple[str, ...] = (ANY_TYPE,),
    *,
    control: Control = Control.NONE,
    variadic: bool = False,
    redirects: bool = False,
    only_arguments: bool = False,
) -> None:
    """Register the body that serves programs of these types; the name must be the kernel's for that number."""
    for program_type in programs:
        proto = row_for(helper_id, program_type)
        if proto.name != name:
            raise XdpsimBug(f"helper {helper_id} is {proto.name} in Linux, not {name}")
        if (helper_id, program_type) in HELPERS:
            raise XdpsimBug(f"helper {name} is declared twice for {program_type}")
        row = Helper(helper_id, name, proto.args, proto.returns, body, proto.moves_packet, control, variadic)
        HELPERS[helper_id, program_type] = replace(row, redirects=redirects, only_arguments=only_arguments)


def native_helper(
    helper_id: int,
    *,
    programs: tuple[str, ...] = (ANY_TYPE,),
    name: str = "",
    redirects: bool = False,
    only_arguments: bool = False,
) -> Callable[[Callable[..., int | None]], NativeFunction]:
    """Declare a helper whose body is a native function; `name` where the body's own name differs."""

    def register(function: Callable[..., int | None]) -> NativeFunction:
        body = native(function)
        declare(*(helper_id, name or body.name, body, programs), redirects=redirects, only_arguments=only_arguments)
        return body

    return register


def helper(
    helper_id: int, *, programs: tuple[str, ...] = (ANY_TYPE,), variadic: bool = False
) -> Callable[[Body], Body]:
    """Declare a helper whose body is plain Python over the machine: for what is rare or slow anyway."""

    def register(function: Body) -> Body:
        declare(helper_id, function.__name__, function, programs, variadic=variadic)
        return function

    return register


def kfunc(
    *,
    args: tuple[Arg, ...],
    returns: Ret,
    moves_packet: bool = False,
    control: Control = Control.NONE,
    variadic: bool = False,
    copies_context: bool = False,
) -> Callable[[Body], Body]:
    """Declare a kernel function whose body is plain Python over the machine."""

    def register(function: Body) -> Body:
        if function.__name__ in KFUNCS:
            raise XdpsimBug(f"kfunc {function.__name__} is declared twice")
        row = Helper(0, function.__name__, args, returns, function, moves_packet, control, variadic, copies_context)
        KFUNCS[row.name] = row
        return function

    return register
