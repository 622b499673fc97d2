"""Types of registers that each kind of helper argument takes, and the check of one register against them.

Follows compatible_reg_types, check_reg_type() and check_func_arg_reg_off() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from typing import Any

from xdpsim.helpers.kinds import Arg
from xdpsim.verifier import btf_types, kptr, log, region, regtypes
from xdpsim.verifier.env import Env
from xdpsim.verifier.map_rules import func_name
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_DYNPTR,
    CONST_PTR_TO_MAP,
    DYNPTR_TYPES,
    MEM_ALLOC,
    MEM_PERCPU,
    MEM_RCU,
    MEM_RDONLY,
    MEM_RINGBUF,
    NON_OWN_REF,
    OBJ_RELEASE,
    PTR_MAYBE_NULL,
    PTR_TO_ARENA,
    PTR_TO_BTF_ID,
    PTR_TO_BUF,
    PTR_TO_CTX,
    PTR_TO_FUNC,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_STACK,
    PTR_TO_TCP_SOCK,
    PTR_TO_XDP_SOCK,
    PTR_TRUSTED,
    SCALAR_VALUE,
)
from xdpsim.verifier.state import Reg

_SOCKETS = (PTR_TO_SOCK_COMMON, PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK)
_MEMORY = (
    *(PTR_TO_STACK, PTR_TO_PACKET, PTR_TO_PACKET_META, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE),
    *(PTR_TO_MEM, PTR_TO_MEM | MEM_RINGBUF, PTR_TO_BUF, PTR_TO_BTF_ID | PTR_TRUSTED),
)
COMPATIBLE: dict[str, tuple[int, ...]] = {
    "ARG_PTR_TO_MAP_KEY": _MEMORY,
    "ARG_PTR_TO_MAP_VALUE": _MEMORY,
    "ARG_PTR_TO_MEM": _MEMORY,
    "ARG_CONST_SIZE": (SCALAR_VALUE,),
    "ARG_CONST_SIZE_OR_ZERO": (SCALAR_VALUE,),
    "ARG_CONST_ALLOC_SIZE_OR_ZERO": (SCALAR_VALUE,),
    "ARG_CONST_MAP_PTR": (CONST_PTR_TO_MAP,),
    "ARG_PTR_TO_CTX": (PTR_TO_CTX,),
    "ARG_PTR_TO_SOCK_COMMON": _SOCKETS,
    "ARG_PTR_TO_BTF_ID_SOCK_COMMON": (*_SOCKETS, PTR_TO_BTF_ID, PTR_TO_BTF_ID | PTR_TRUSTED),
    "ARG_PTR_TO_SOCKET": (PTR_TO_SOCKET,),
    "ARG_PTR_TO_BTF_ID": (PTR_TO_BTF_ID, PTR_TO_BTF_ID | PTR_TRUSTED, PTR_TO_BTF_ID | MEM_RCU),
    "ARG_PTR_TO_SPIN_LOCK": (PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC),
    "ARG_PTR_TO_RINGBUF_MEM": (PTR_TO_MEM | MEM_RINGBUF,),
    "ARG_PTR_TO_PERCPU_BTF_ID": (
        PTR_TO_BTF_ID | MEM_PERCPU,
        PTR_TO_BTF_ID | MEM_PERCPU | MEM_RCU,
        PTR_TO_BTF_ID | MEM_PERCPU | PTR_TRUSTED,
    ),
    "ARG_PTR_TO_FUNC": (PTR_TO_FUNC,),
    "ARG_PTR_TO_STACK": (PTR_TO_STACK,),
    "ARG_PTR_TO_CONST_STR": (PTR_TO_MAP_VALUE,),
    "ARG_PTR_TO_TIMER": (PTR_TO_MAP_VALUE,),
    "ARG_KPTR_XCHG_DEST": (PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC),
    "ARG_PTR_TO_DYNPTR": (PTR_TO_STACK, CONST_PTR_TO_DYNPTR),
}
"""By kind of argument the types that fit, in the order in which the refusal names them."""


_OWN_OBJECTS = (PTR_TO_BTF_ID | MEM_ALLOC, PTR_TO_BTF_ID | MEM_ALLOC | MEM_PERCPU)
"""Pointers to objects of the program's own; Linux takes others, such as one that may be NULL, for a bug of its own."""


class Kind:
    """A kind of argument, made for the walk: its flags as bits, what fits, the kernel type of a BTF pointer."""

    __slots__ = ("base", "btf_type", "flags", "is_memory", "size", "types")

    def __init__(self, base: str, flags: int = 0, size: int = 0, btf_type: str = "") -> None:
        self.base, self.flags, self.size = base, flags, size
        self.types = COMPATIBLE.get(base, ())
        self.is_memory = self.types is _MEMORY
        self.btf_type = "sock_common" if base == "ARG_PTR_TO_BTF_ID_SOCK_COMMON" else btf_type


def kind_of(arg: Arg, btf_type: str = "") -> Kind:
    """The kind of a prototype's argument."""
    flags = sum(getattr(regtypes, name) for name in arg.flags)
    return Kind(arg.base, flags, arg.size, btf_type)


def check_reg_type(env: Env, regno: int, kind: Kind, func_id: int, kptr_field: Any = None) -> None:
    """Refuse a register whose type the argument does not take.

    `kptr_field` is where bpf_kptr_xchg puts the pointer, None for its first argument and for all other helpers.
    """
    reg: Reg = env.regs[regno]
    given, flags = reg.type, kind.flags
    found = given & ~(flags & (MEM_RDONLY | PTR_MAYBE_NULL))
    if kind.base == "ARG_PTR_TO_MEM":
        found &= ~DYNPTR_TYPES
    if kptr_field is not None and found & MEM_ALLOC:
        found &= ~(MEM_ALLOC | MEM_PERCPU)
    if found not in kind.types:
        expected = ", ".join(log.type_str(other) for other in kind.types)
        env.fail(errno.EACCES, f"R{regno} type={log.type_str(given)} expected={expected}")
    if given & BASE_MASK != PTR_TO_BTF_ID:
        return
    if kind.is_memory:
        if not flags & MEM_RDONLY:
            name = func_name(func_id).partition("#")[0]
            what = f"memory pointed by R{regno} type={log.type_str(given)}"
            env.fail(errno.EACCES, f"{name}() may write into {what}")
        return
    if given & MEM_ALLOC:
        if given not in _OWN_OBJECTS:
            env.fail(errno.EFAULT, "verifier bug: invalid PTR_TO_BTF_ID register for type match")
        if kptr_field is not None:
            kptr.map_kptr_match_type(env, kptr_field, reg, regno)
    elif not given & MEM_PERCPU:
        _check_struct(env, reg, regno, kind, kptr_field)


def _check_struct(env: Env, reg: Reg, regno: int, kind: Kind, kptr_field: Any) -> None:
    """A pointer to a kernel struct: of the right type, and not NULL where the argument does not take that."""
    is_release = kind.flags & OBJ_RELEASE
    if reg.type & PTR_MAYBE_NULL and (is_release or not kind.flags & PTR_MAYBE_NULL):
        env.fail(errno.EACCES, f"Possibly NULL pointer passed to helper arg{regno}")
    if kptr_field is not None:
        kptr.map_kptr_match_type(env, kptr_field, reg, regno)
        return
    btf, type_id = reg.extra
    kernel, wanted = btf_types.kernel_struct(env, kind.btf_type)
    is_strict = bool(is_release) and kind.base != "ARG_PTR_TO_BTF_ID_SOCK_COMMON"
    if not btf_types.struct_ids_match(env, btf, type_id, reg.off, kernel, wanted, is_strict):
        text = f"R{regno} is of type {btf.types[type_id].name} but {kind.btf_type} is expected"
        env.fail(errno.EACCES, text)


_ANY_OFFSET = frozenset(
    {
        *(PTR_TO_STACK, PTR_TO_PACKET, PTR_TO_PACKET_META, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE),
        *(PTR_TO_MEM, PTR_TO_MEM | MEM_RDONLY, PTR_TO_MEM | MEM_RINGBUF, PTR_TO_BUF, PTR_TO_BUF | MEM_RDONLY),
        *(PTR_TO_ARENA, SCALAR_VALUE),
    }
)
_FIXED_OFFSET = frozenset(
    PTR_TO_BTF_ID | flags
    for flags in (
        *(0, MEM_ALLOC, PTR_TRUSTED, MEM_RCU),
        *(MEM_ALLOC | NON_OWN_REF, MEM_ALLOC | NON_OWN_REF | MEM_RCU),
    )
)


def check_func_arg_reg_off(env: Env, reg: Reg, regno: int, flags: int = 0, is_dynptr: bool = False) -> None:
    """Refuse an offset that a pointer of its type may not have as an argument with these flags."""
    kind = reg.type
    if flags & OBJ_RELEASE:
        if is_dynptr and kind == PTR_TO_STACK:
            return
        if reg.off:
            text = f"R{regno} must have zero offset when passed to release func or trusted arg to kfunc"
            env.fail(errno.EINVAL, text)
        region.check_ptr_off_reg(env, reg, regno, False)
    elif kind not in _ANY_OFFSET:
        region.check_ptr_off_reg(env, reg, regno, kind in _FIXED_OFFSET)
