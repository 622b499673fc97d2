"""Kernel functions by name: their ids in the running kernel's BTF, which is what BPF_PROG_LOAD wants in a call.

The kernel's BTF holds over a hundred thousand types, of which only the functions matter: it is walked, not parsed.
Follows include/uapi/linux/btf.h.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import replace
from pathlib import Path

from xdpsim.btf.rows import Kind
from xdpsim.errors import Unsupported
from xdpsim.isa.insn import Code
from xdpsim.isa.rows import Family

_VMLINUX = Path("/sys/kernel/btf/vmlinux")
_HEADER = struct.Struct("=HBBIIIII")
_TYPE = struct.Struct("=III")
_FIXED: dict[int, int] = {Kind.INT: 4, Kind.ARRAY: 12, Kind.VAR: 4, Kind.DECL_TAG: 4}
_EACH: dict[int, int] = {
    Kind.STRUCT: 12,
    Kind.UNION: 12,
    Kind.ENUM: 8,
    Kind.FUNC_PROTO: 8,
    Kind.DATASEC: 12,
    Kind.ENUM64: 12,
}


@functools.cache
def function_ids() -> dict[bytes, int]:
    """The BTF id of every function of the running kernel."""
    try:
        raw = _VMLINUX.read_bytes()
    except OSError as err:
        raise Unsupported(f"kernel functions: {_VMLINUX}: {err.strerror}") from err
    _, _, _, header, type_off, type_len, str_off, str_len = _HEADER.unpack_from(raw)
    types = raw[header + type_off :][:type_len]
    strings = raw[header + str_off :][:str_len]
    behind, each = ([table.get(kind, 0) for kind in range(32)] for table in (_FIXED, _EACH))
    found, at, type_id = dict[bytes, int](), 0, 1
    while at < len(types):
        name, info, _ = _TYPE.unpack_from(types, at)
        kind = info >> 24 & 31
        if kind == Kind.FUNC:
            found[strings[name : strings.index(b"\0", name)]] = type_id
        at += _TYPE.size + behind[kind] + each[kind] * (info & 0xFFFF)
        type_id += 1
    return found


def bind_kfuncs(code: Code, names: tuple[str, ...]) -> Code:
    """The code with the running kernel's ids in its calls of kernel functions; Unsupported, by name, for others."""
    if not names:
        return code
    return tuple(
        replace(insn, imm=_id_of(names[insn.imm]), off=0) if insn and insn.family is Family.CALL_KFUNC else insn
        for insn in code
    )


def _id_of(name: str) -> int:
    found = function_ids().get(name.encode())
    if found is None:
        raise Unsupported(f"kernel function {name}: the running kernel has none of that name")
    return found
