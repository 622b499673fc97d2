"""Kinds of arguments and results of helpers, in the kernel's words (enum bpf_arg_type, bpf_return_type of bpf.h).

A kind is a base type and flags (PTR_MAYBE_NULL, MEM_UNINIT, MEM_WRITE ...). Each combination that some helper of Linux
6.18 uses has a member here.
"""

from __future__ import annotations

from enum import Enum


class Arg(Enum):
    """Kinds of arguments; those of memory without a `size` are followed by the argument that holds their size."""

    ANYTHING = "ARG_ANYTHING"
    CONST_MAP_PTR = "ARG_CONST_MAP_PTR"
    MAP_KEY = "ARG_PTR_TO_MAP_KEY"
    MAP_VALUE = "ARG_PTR_TO_MAP_VALUE"
    MAP_VALUE_OR_NULL = "ARG_PTR_TO_MAP_VALUE | PTR_MAYBE_NULL"
    UNINIT_MAP_VALUE = "ARG_PTR_TO_MAP_VALUE | MEM_UNINIT | MEM_WRITE"
    CTX = "ARG_PTR_TO_CTX"
    CTX_OR_NULL = "ARG_PTR_TO_CTX | PTR_MAYBE_NULL"
    MEM = "ARG_PTR_TO_MEM"
    MEM_RDONLY = "ARG_PTR_TO_MEM | MEM_RDONLY"
    MEM_RDONLY_OR_NULL = "ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RDONLY"
    MEM_WRITE = "ARG_PTR_TO_MEM | MEM_WRITE"
    MEM_WRITE_OR_NULL = "ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_WRITE"
    UNINIT_MEM = "ARG_PTR_TO_MEM | MEM_UNINIT | MEM_WRITE"
    UNINIT_MEM_OR_NULL = "ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_UNINIT | MEM_WRITE"
    FIXED_MEM_16 = "ARG_PTR_TO_MEM | MEM_FIXED_SIZE | MEM_RDONLY", 16
    FIXED_MEM_20 = "ARG_PTR_TO_MEM | MEM_FIXED_SIZE | MEM_RDONLY", 20
    FIXED_MEM_40 = "ARG_PTR_TO_MEM | MEM_FIXED_SIZE | MEM_RDONLY", 40
    FIXED_MEM_4_WRITE = "ARG_PTR_TO_MEM | MEM_FIXED_SIZE | MEM_WRITE | MEM_ALIGNED", 4
    FIXED_MEM_8_UNINIT = "ARG_PTR_TO_MEM | MEM_FIXED_SIZE | MEM_UNINIT | MEM_WRITE | MEM_ALIGNED", 8
    SIZE = "ARG_CONST_SIZE"
    SIZE_OR_ZERO = "ARG_CONST_SIZE_OR_ZERO"
    ALLOC_SIZE_OR_ZERO = "ARG_CONST_ALLOC_SIZE_OR_ZERO"
    CONST_STR = "ARG_PTR_TO_CONST_STR"
    FUNC = "ARG_PTR_TO_FUNC"
    STACK_OR_NULL = "ARG_PTR_TO_STACK | PTR_MAYBE_NULL"
    SPIN_LOCK = "ARG_PTR_TO_SPIN_LOCK"
    TIMER = "ARG_PTR_TO_TIMER"
    DYNPTR = "ARG_PTR_TO_DYNPTR"
    DYNPTR_RDONLY = "ARG_PTR_TO_DYNPTR | MEM_RDONLY"
    DYNPTR_RINGBUF_RELEASE = "ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_RINGBUF | OBJ_RELEASE"
    UNINIT_DYNPTR = "ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_LOCAL | MEM_UNINIT | MEM_WRITE"
    UNINIT_DYNPTR_RINGBUF = "ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_RINGBUF | MEM_UNINIT | MEM_WRITE"
    RINGBUF_MEM = "ARG_PTR_TO_RINGBUF_MEM | OBJ_RELEASE"
    KPTR_XCHG_DEST = "ARG_KPTR_XCHG_DEST"
    BTF_ID = "ARG_PTR_TO_BTF_ID"
    BTF_ID_OR_NULL = "ARG_PTR_TO_BTF_ID | PTR_MAYBE_NULL"
    BTF_ID_OR_NULL_RELEASE = "ARG_PTR_TO_BTF_ID | PTR_MAYBE_NULL | OBJ_RELEASE"
    PERCPU_BTF_ID = "ARG_PTR_TO_PERCPU_BTF_ID"
    SOCKET_OR_NULL = "ARG_PTR_TO_SOCKET | PTR_MAYBE_NULL"
    SOCK_COMMON = "ARG_PTR_TO_SOCK_COMMON"
    BTF_ID_SOCK_COMMON = "ARG_PTR_TO_BTF_ID_SOCK_COMMON"
    BTF_ID_SOCK_COMMON_OR_NULL = "ARG_PTR_TO_BTF_ID_SOCK_COMMON | PTR_MAYBE_NULL"
    BTF_ID_SOCK_COMMON_RELEASE = "ARG_PTR_TO_BTF_ID_SOCK_COMMON | OBJ_RELEASE"

    base: str
    """The kernel's name without flags."""
    flags: frozenset[str]
    size: int
    """Bytes of memory of a fixed size, else 0."""

    def __init__(self, words: str, size: int = 0) -> None:
        self.base, *flags = words.split(" | ")
        self.flags, self.size = frozenset(flags), size

    @property
    def words(self) -> str:
        """As it stands in the kernel's source, with the size where it is fixed."""
        words = self.value if isinstance(self.value, str) else self.value[0]
        return f"{words}, {self.size} bytes" if self.size else words


class Ret(Enum):
    """Kinds of results."""

    INTEGER = "RET_INTEGER"
    VOID = "RET_VOID"
    MAP_VALUE = "RET_PTR_TO_MAP_VALUE"
    MAP_VALUE_OR_NULL = "RET_PTR_TO_MAP_VALUE | PTR_MAYBE_NULL"
    RINGBUF_MEM_OR_NULL = "RET_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RINGBUF"
    DYNPTR_MEM_OR_NULL = "RET_PTR_TO_MEM | PTR_MAYBE_NULL"
    MEM_OR_BTF_ID = "RET_PTR_TO_MEM_OR_BTF_ID | MEM_RDONLY"
    MEM_OR_BTF_ID_OR_NULL = "RET_PTR_TO_MEM_OR_BTF_ID | PTR_MAYBE_NULL | MEM_RDONLY"
    BTF_ID = "RET_PTR_TO_BTF_ID"
    BTF_ID_TRUSTED = "RET_PTR_TO_BTF_ID | PTR_TRUSTED"
    BTF_ID_OR_NULL = "RET_PTR_TO_BTF_ID | PTR_MAYBE_NULL"
    SOCKET_OR_NULL = "RET_PTR_TO_SOCKET | PTR_MAYBE_NULL"
    TCP_SOCK_OR_NULL = "RET_PTR_TO_TCP_SOCK | PTR_MAYBE_NULL"
    SOCK_COMMON_OR_NULL = "RET_PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL"

    base: str
    flags: frozenset[str]

    def __init__(self, words: str) -> None:
        self.base, *flags = words.split(" | ")
        self.flags = frozenset(flags)
