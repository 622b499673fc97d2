"""How a helper is declared: one row that says what a signature cannot, one body.

Verifier, engines, version check and reference docs read the row. Names, first kernels and the program types that may
call a helper are in helpers/ids.py; argument and return kinds are the kernel's words (enum bpf_arg_type and
bpf_return_type in include/linux/bpf.h).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from xdpsim.errors import XdpsimBug
from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.memory.native import NativeFunction, native


class Arg(Enum):
    """Kinds of arguments; MEM and its relatives are followed by the argument that holds their size."""

    ANYTHING = "ARG_ANYTHING"
    CONST_MAP_PTR = "ARG_CONST_MAP_PTR"
    MAP_KEY = "ARG_PTR_TO_MAP_KEY"
    MAP_VALUE = "ARG_PTR_TO_MAP_VALUE"
    MAP_VALUE_OR_NULL = "ARG_PTR_TO_MAP_VALUE | PTR_MAYBE_NULL"
    CTX = "ARG_PTR_TO_CTX"
    MEM = "ARG_PTR_TO_MEM"
    MEM_OR_NULL = "ARG_PTR_TO_MEM | PTR_MAYBE_NULL"
    UNINIT_MEM = "ARG_PTR_TO_UNINIT_MEM"
    SIZE = "ARG_CONST_SIZE"
    SIZE_OR_ZERO = "ARG_CONST_SIZE_OR_ZERO"
    UNINIT_MEM_OR_NULL = "ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_UNINIT"
    CONST_STR = "ARG_PTR_TO_CONST_STR"
    FIXED_MEM_16 = "ARG_PTR_TO_FIXED_SIZE_MEM, 16 bytes"
    FIXED_MEM_20 = "ARG_PTR_TO_FIXED_SIZE_MEM, 20 bytes"
    FIXED_MEM_40 = "ARG_PTR_TO_FIXED_SIZE_MEM, 40 bytes"
    FIXED_MEM_4_WRITE = "ARG_PTR_TO_FIXED_SIZE_MEM | MEM_WRITE, 4 bytes"
    FIXED_MEM_8_UNINIT = "ARG_PTR_TO_FIXED_SIZE_MEM | MEM_UNINIT, 8 bytes"
    ALLOC_SIZE_OR_ZERO = "ARG_CONST_ALLOC_SIZE_OR_ZERO"
    FUNC = "ARG_PTR_TO_FUNC"
    STACK_OR_NULL = "ARG_PTR_TO_STACK | PTR_MAYBE_NULL"
    SPIN_LOCK = "ARG_PTR_TO_SPIN_LOCK"
    TIMER = "ARG_PTR_TO_TIMER"
    DYNPTR = "ARG_PTR_TO_DYNPTR"
    UNINIT_DYNPTR = "ARG_PTR_TO_DYNPTR | MEM_UNINIT"
    RINGBUF_MEM = "ARG_PTR_TO_RINGBUF_MEM"
    UNINIT_MAP_VALUE = "ARG_PTR_TO_MAP_VALUE | MEM_UNINIT"
    KPTR_XCHG_DEST = "ARG_KPTR_XCHG_DEST"
    BTF_ID = "ARG_PTR_TO_BTF_ID"
    BTF_ID_OR_NULL = "ARG_PTR_TO_BTF_ID | PTR_MAYBE_NULL"
    PERCPU_BTF_ID = "ARG_PTR_TO_PERCPU_BTF_ID"
    MEM_WRITE = "ARG_PTR_TO_MEM | MEM_WRITE"
    SOCK_COMMON = "ARG_PTR_TO_SOCK_COMMON"
    BTF_ID_SOCK_COMMON = "ARG_PTR_TO_BTF_ID_SOCK_COMMON"


class Ret(Enum):
    """Kinds of results."""

    INTEGER = "RET_INTEGER"
    VOID = "RET_VOID"
    MAP_VALUE_OR_NULL = "RET_PTR_TO_MAP_VALUE_OR_NULL"
    RINGBUF_MEM_OR_NULL = "RET_PTR_TO_RINGBUF_MEM_OR_NULL"
    DYNPTR_MEM_OR_NULL = "RET_PTR_TO_DYNPTR_MEM_OR_NULL"
    MEM_OR_BTF_ID = "RET_PTR_TO_MEM_OR_BTF_ID"
    BTF_ID = "RET_PTR_TO_BTF_ID"
    BTF_ID_OR_NULL = "RET_PTR_TO_BTF_ID_OR_NULL"
    SOCKET_OR_NULL = "RET_PTR_TO_SOCKET_OR_NULL"
    TCP_SOCK_OR_NULL = "RET_PTR_TO_TCP_SOCK_OR_NULL"
    SOCK_COMMON_OR_NULL = "RET_PTR_TO_SOCK_COMMON_OR_NULL"


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
    """All five argument registers are passed on, whatever `args` says (trace_printk)."""

    @property
    def writes_memory(self) -> bool:
        """Whether it writes through a pointer that the program gives it."""
        return not _WRITTEN.isdisjoint(self.args)

    @property
    def arity(self) -> int:
        """How many argument registers the body takes."""
        return 5 if self.variadic else len(self.args)


_WRITTEN = frozenset(
    {Arg.MEM_WRITE, Arg.UNINIT_MEM, Arg.UNINIT_MEM_OR_NULL, Arg.FIXED_MEM_4_WRITE, Arg.FIXED_MEM_8_UNINIT}
)
KFUNCS: dict[str, Helper] = {}
"""Kernel functions that programs call by name; their rows are like those of helpers, with id 0."""

ANY_TYPE = "*"
HELPERS: dict[tuple[int, str], Helper] = {}
"""Rows by (helper id, program type); type "*" serves every type that has no row of its own."""


def helper_for(helper_id: int, program_type: str) -> Helper | None:
    """The row that a program of this type gets; None where xdpsim has none."""
    return HELPERS.get((helper_id, program_type)) or HELPERS.get((helper_id, ANY_TYPE))


def declare(row: Helper, programs: tuple[str, ...] = (ANY_TYPE,)) -> None:
    """Register a row; the number and the name must agree with the kernel's table."""
    known = HELPERS_BY_ID.get(row.id)
    if known is None or known.name != row.name:
        raise XdpsimBug(f"helper {row.id} is {known.name if known else 'unknown'} in Linux, not {row.name}")
    for program_type in programs:
        if (row.id, program_type) in HELPERS:
            raise XdpsimBug(f"helper {row.name} is declared twice for {program_type}")
        HELPERS[row.id, program_type] = row


def native_helper(
    helper_id: int,
    *,
    args: tuple[Arg, ...],
    returns: Ret,
    moves_packet: bool = False,
    programs: tuple[str, ...] = (ANY_TYPE,),
    name: str = "",
) -> Callable[[Callable[..., int | None]], NativeFunction]:
    """Declare a helper whose body is a native function; `name` where the body's own name differs."""

    def register(function: Callable[..., int | None]) -> NativeFunction:
        body = native(function)
        declare(Helper(helper_id, name or body.name, args, returns, body, moves_packet), programs)
        return body

    return register


def helper(
    helper_id: int,
    *,
    args: tuple[Arg, ...],
    returns: Ret,
    moves_packet: bool = False,
    programs: tuple[str, ...] = (ANY_TYPE,),
    variadic: bool = False,
) -> Callable[[Body], Body]:
    """Declare a helper whose body is plain Python over the machine: for what is rare or slow anyway."""

    def register(function: Body) -> Body:
        row = Helper(helper_id, function.__name__, args, returns, function, moves_packet, variadic=variadic)
        declare(row, programs)
        return function

    return register


def kfunc(
    *,
    args: tuple[Arg, ...],
    returns: Ret,
    moves_packet: bool = False,
    control: Control = Control.NONE,
    variadic: bool = False,
) -> Callable[[Body], Body]:
    """Declare a kernel function whose body is plain Python over the machine."""

    def register(function: Body) -> Body:
        if function.__name__ in KFUNCS:
            raise XdpsimBug(f"kfunc {function.__name__} is declared twice")
        row = Helper(0, function.__name__, args, returns, function, moves_packet, control, variadic)
        KFUNCS[row.name] = row
        return function

    return register
