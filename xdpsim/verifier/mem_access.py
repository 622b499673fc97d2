"""Loads and stores by kind of pointer: what may be touched, and what a load leaves in the register.

One function a kind; the stack is left to stack.py, kernel structs to btf_access.py, pointers kept in maps to kptr.py.
Follows check_mem_access() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES
from typing import TYPE_CHECKING

from xdpsim.bits import signed
from xdpsim.maps.types import BPF_F_RDONLY_PROG
from xdpsim.progtypes.socks import FLOW_KEYS_BYTES
from xdpsim.verifier.alignment import check_ptr_alignment
from xdpsim.verifier.btf_access import check_ptr_to_btf_access, check_ptr_to_map_access
from xdpsim.verifier.ctx_access import check_ctx_access, loaded_pointer
from xdpsim.verifier.env import Refusal
from xdpsim.verifier.kptr import check_map_kptr_access
from xdpsim.verifier.log import type_str
from xdpsim.verifier.region import (
    ACCESS_DIRECT,
    KEPT_POINTERS,
    check_map_access,
    check_map_access_type,
    check_mem_region,
    check_packet_access,
    check_ptr_off_reg,
    may_access_direct_pkt_data,
)
from xdpsim.verifier.regs import is_pointer
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    CONST_PTR_TO_MAP,
    MEM_RDONLY,
    PTR_MAYBE_NULL,
    PTR_TO_ARENA,
    PTR_TO_BTF_ID,
    PTR_TO_BUF,
    PTR_TO_CTX,
    PTR_TO_FLOW_KEYS,
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
    PTR_UNTRUSTED,
    SCALAR_VALUE,
)
from xdpsim.verifier.scalar import UNKNOWN, const
from xdpsim.verifier.scalar_alu import sign_extend_to, truncate
from xdpsim.verifier.scalar_sync import sane
from xdpsim.verifier.sock_access import check_sock_access
from xdpsim.verifier.stack import check_stack_read, check_stack_write, check_within_bounds
from xdpsim.verifier.state import Reg
from xdpsim.verifier.tnum import tnum_text

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.vmap import VMap

ENOTSUPP = 524
_LOADED: dict[tuple[bool, int, bool], Reg] = {
    (precise, size, is_ldsx): Reg(
        SCALAR_VALUE,
        UNKNOWN if size == 8 else (sign_extend_to if is_ldsx else truncate)(UNKNOWN, size),
        precise=precise,
    )
    for precise in (False, True)
    for size in (1, 2, 4, 8)
    for is_ldsx in (False, True)
}
"""What a load of unknown bytes leaves, by whether numbers are precise from the start, size, and sign extension."""


def check_mem_access(
    env: Env,
    insn_idx: int,
    regno: int,
    off: int,
    size: int,
    write: bool,
    value_regno: int,
    strict_alignment_once: bool = False,
    is_ldsx: bool = False,
) -> None:
    """`size` bytes at `off` behind the register are loaded into, or stored from, `value_regno`; -1: from nowhere."""
    regs: list[Reg] = env.cur.frames[env.cur.curframe].regs
    reg = regs[regno]
    kind = reg.type
    if size > 1 and (strict_alignment_once or kind == PTR_TO_STACK or env.strict_alignment):
        check_ptr_alignment(env, reg, off, size, True)
    access = _ACCESS.get(kind) or _ACCESS_OF_BASE.get(kind & BASE_MASK, _no_memory)
    access(env, reg, regno, off + reg.off, size, write, value_regno, is_ldsx)
    if kind == PTR_TO_STACK and size < 8 and value_regno >= 0 and not write:
        _cut_filled(regs, value_regno, size, is_ldsx)


def _no_memory(
    env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool
) -> None:
    _fail_type(env, reg, regno)


def _fail_type(env: Env, reg: Reg, regno: int) -> None:
    env.fail(EACCES, f"R{regno} invalid mem access '{type_str(reg.type)}'")


def _fail_write(env: Env, reg: Reg, regno: int) -> None:
    env.fail(EACCES, f"R{regno} cannot write into {type_str(reg.type)}")


def _check_leak(env: Env, value_regno: int, where: str) -> None:
    if value_regno >= 0 and is_pointer(env.regs[value_regno], env.allow_ptr_leaks):
        env.fail(EACCES, f"R{value_regno} leaks addr into {where}")


def _load_unknown(env: Env, value_regno: int, size: int, is_ldsx: bool) -> None:
    if value_regno >= 0:
        env.regs[value_regno] = _LOADED[not env.bpf_capable, size, is_ldsx]


def _cut_filled(regs: list[Reg], value_regno: int, size: int, is_ldsx: bool) -> None:
    """A number that was filled from the stack, as wide as the load is."""
    reg = regs[value_regno]
    if reg.type == SCALAR_VALUE:
        num = (sign_extend_to if is_ldsx else truncate)(reg.num, size)
        if num is not reg.num:
            regs[value_regno] = Reg(SCALAR_VALUE, sane(num), reg.off, reg.id, reg.ref, reg.precise)


def _map_key(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    if write:
        env.fail(EACCES, f"write to change key R{regno} not allowed")
    check_mem_region(env, reg, regno, off, size, reg.extra[0].spec.key_size, False)
    _load_unknown(env, value_regno, size, is_ldsx)


def _map_value(
    env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool
) -> None:
    if write:
        _check_leak(env, value_regno, "map")
    check_map_access_type(env, reg, off, size, write)
    check_map_access(env, regno, off, size, False, ACCESS_DIRECT)
    vmap: VMap = reg.extra[0]
    is_known = not reg.num.mask
    if vmap.record is not None and is_known:
        place = off + reg.num.value
        for field in vmap.record.fields:
            if field.offset == place and field.kind in KEPT_POINTERS:
                check_map_kptr_access(env, regno, value_regno, env.insn_idx, field)
                return
    if write or value_regno < 0:
        return
    if is_known and is_frozen(vmap):
        number = read_frozen(vmap, off + reg.num.smin, size, is_ldsx)
        env.regs[value_regno] = Reg(SCALAR_VALUE, const(number), precise=env.regs[value_regno].precise)
    else:
        _load_unknown(env, value_regno, size, is_ldsx)


def is_frozen(vmap: VMap) -> bool:
    """Whether loads of the map are constants: neither programs nor users can change it, and values have an address."""
    spec = vmap.spec
    is_read_only = bool(spec.flags & BPF_F_RDONLY_PROG or spec.read_only)
    return vmap.frozen and is_read_only and spec.type == "ARRAY"


def read_frozen(vmap: VMap, off: int, size: int, is_ldsx: bool) -> int:
    """The number at `off` of a map that never changes; Linux refuses, without a word, when it has several values."""
    if vmap.spec.max_entries != 1:
        raise Refusal(ENOTSUPP, "")
    initial = vmap.spec.initial or b""
    return int.from_bytes(initial[off : off + size].ljust(size, b"\0"), "little", signed=is_ldsx)


def _mem(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    kind = reg.type
    if kind & PTR_MAYBE_NULL:
        _fail_type(env, reg, regno)
    if write:
        if kind & MEM_RDONLY:
            _fail_write(env, reg, regno)
        _check_leak(env, value_regno, "mem")
    if not (kind & MEM_RDONLY and kind & PTR_UNTRUSTED):  # those are read by probing
        check_mem_region(env, reg, regno, off, size, reg.extra[0], False)
    if not write:
        _load_unknown(env, value_regno, size, is_ldsx)


def _ctx(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    if write:
        _check_leak(env, value_regno, "ctx")
    check_ptr_off_reg(env, reg, regno)
    field = check_ctx_access(env, off, size, write, is_ldsx)
    env.aux[env.insn_idx].ctx_field = field
    if not write and value_regno >= 0:
        pointer = loaded_pointer(env, field)
        if pointer is None:
            _load_unknown(env, value_regno, size, is_ldsx)
        else:
            env.regs[value_regno] = pointer


def _stack(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    check_within_bounds(env, regno, off, size, write=write)
    if write:
        check_stack_write(env, regno, off, size, value_regno, env.insn_idx)
    else:
        check_stack_read(env, regno, off, size, value_regno)


def _packet(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    if write:
        if not may_access_direct_pkt_data(env, None, True):
            env.fail(EACCES, "cannot write into packet")
        _check_leak(env, value_regno, "packet")
    check_packet_access(env, regno, off, size, False)
    if not write:
        _load_unknown(env, value_regno, size, is_ldsx)


def _flow_keys(
    env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool
) -> None:
    if write:
        _check_leak(env, value_regno, "flow keys")
    if off < 0 or off + size > FLOW_KEYS_BYTES:
        env.fail(EACCES, f"invalid access to flow keys off={off} size={size}")
    if not write:
        _load_unknown(env, value_regno, size, is_ldsx)


def _sock(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    if write:
        _fail_write(env, reg, regno)
    check_sock_access(env, reg, regno, off, size)
    _load_unknown(env, value_regno, size, is_ldsx)


def _btf_id(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    if reg.type & PTR_MAYBE_NULL:
        _fail_type(env, reg, regno)
    if check_ptr_to_btf_access(env, regno, off, size, write, value_regno):
        _load_unknown(env, value_regno, size, is_ldsx)


def _map_pointer(
    env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool
) -> None:
    if check_ptr_to_map_access(env, regno, off, size, write, value_regno):
        _load_unknown(env, value_regno, size, is_ldsx)


def _buf(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    if write and reg.type & MEM_RDONLY:
        _fail_write(env, reg, regno)
    check_buffer_access(env, reg, regno, off, size)
    if not write:
        _load_unknown(env, value_regno, size, is_ldsx)


def check_buffer_access(env: Env, reg: Reg, regno: int, off: int, size: int) -> None:
    """A buffer whose length only its owner knows: a known offset that is not negative."""
    num = reg.num
    if off < 0:
        kind = "rdonly" if reg.type & MEM_RDONLY else "rdwr"
        env.fail(EACCES, f"R{regno} invalid {kind} buffer access: off={off}, size={size}")
    if num.mask or num.value:
        var_off = tnum_text(num.value, num.mask)
        env.fail(EACCES, f"R{regno} invalid variable buffer offset: off={signed(off, 32)}, var_off={var_off}")


def _arena(env: Env, reg: Reg, regno: int, off: int, size: int, write: bool, value_regno: int, is_ldsx: bool) -> None:
    if not write:
        _load_unknown(env, value_regno, size, is_ldsx)


_Access = Callable[["Env", Reg, int, int, int, bool, int, bool], None]
_ACCESS: dict[int, _Access] = {
    PTR_TO_STACK: _stack,
    PTR_TO_PACKET: _packet,
    PTR_TO_PACKET_META: _packet,
    PTR_TO_CTX: _ctx,
    PTR_TO_MAP_VALUE: _map_value,
    PTR_TO_MAP_KEY: _map_key,
    PTR_TO_FLOW_KEYS: _flow_keys,
    PTR_TO_SOCKET: _sock,
    PTR_TO_SOCK_COMMON: _sock,
    PTR_TO_TCP_SOCK: _sock,
    PTR_TO_XDP_SOCK: _sock,
    CONST_PTR_TO_MAP: _map_pointer,
    PTR_TO_ARENA: _arena,
}
"""Kinds of pointers that are used as they are, without flags; one that may be null is none of them."""
_ACCESS_OF_BASE: dict[int, _Access] = {PTR_TO_MEM: _mem, PTR_TO_BTF_ID: _btf_id, PTR_TO_BUF: _buf}
