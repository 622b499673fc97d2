"""Memory that a call is given: a pointer with a size that is constant, in the next register, or that of a type.

Follows check_helper_mem_access(), check_mem_size_reg() and check_mem_reg() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EACCES
from typing import TYPE_CHECKING, Any

from xdpsim.verifier.btf_access import check_ptr_to_btf_access
from xdpsim.verifier.ctx_access import converts_ctx_access
from xdpsim.verifier.log import type_str
from xdpsim.verifier.mem_access import check_buffer_access, check_mem_access
from xdpsim.verifier.nulls import non_null
from xdpsim.verifier.precision import mark_chain_precision
from xdpsim.verifier.region import (
    ACCESS_HELPER,
    check_map_access,
    check_map_access_type,
    check_mem_region,
    check_packet_access,
)
from xdpsim.verifier.regs import is_null
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    MEM_RDONLY,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_BUF,
    PTR_TO_CTX,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_STACK,
)
from xdpsim.verifier.stack import check_stack_range_initialized

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Reg

MAX_VAR_SIZ = 1 << 29


def check_helper_mem_access(env: Env, regno: int, access_size: int, write: bool, zero_ok: bool, meta: Any) -> None:
    """`access_size` bytes behind the register may be read (written); `meta` is the call's, None without raw mode."""
    reg: Reg = env.regs[regno]
    kind = reg.type & BASE_MASK
    if kind == PTR_TO_STACK:
        check_stack_range_initialized(env, regno, reg.off, access_size, zero_ok, write, meta)
    elif kind in (PTR_TO_PACKET, PTR_TO_PACKET_META):
        env.packet_given_to_write |= write
        check_packet_access(env, regno, reg.off, access_size, zero_ok)
    elif kind == PTR_TO_MAP_VALUE:
        check_map_access_type(env, reg, reg.off, access_size, write)
        check_map_access(env, regno, reg.off, access_size, zero_ok, ACCESS_HELPER)
    elif kind == PTR_TO_MAP_KEY:
        _check_writable(env, reg, regno, write)
        check_mem_region(env, reg, regno, reg.off, access_size, reg.extra[0].spec.key_size, False)
    elif kind == PTR_TO_MEM:
        _check_writable(env, reg, regno, write and bool(reg.type & MEM_RDONLY))
        check_mem_region(env, reg, regno, reg.off, access_size, reg.extra[0], zero_ok)
    elif kind == PTR_TO_BUF:
        _check_writable(env, reg, regno, write and bool(reg.type & MEM_RDONLY))
        check_buffer_access(env, reg, regno, reg.off, access_size)
    elif kind == PTR_TO_BTF_ID:
        check_ptr_to_btf_access(env, regno, reg.off, access_size, False, -1)
    else:
        _check_other(env, reg, regno, access_size, write, zero_ok)


def _check_writable(env: Env, reg: Reg, regno: int, is_bad: bool) -> None:
    if is_bad:
        env.fail(EACCES, f"R{regno} cannot write into {type_str(reg.type)}")


def _check_other(env: Env, reg: Reg, regno: int, access_size: int, write: bool, zero_ok: bool) -> None:
    """The context where helpers may read it as memory; no bytes at all behind a null pointer."""
    if reg.type & BASE_MASK == PTR_TO_CTX and not converts_ctx_access(env):
        if access_size == 0 and zero_ok:
            return
        if access_size == 0:
            env.fail(EACCES, "")
        check_mem_access(env, env.insn_idx, regno, access_size - 1, 1, write, -1)
        return
    if not (zero_ok and access_size == 0 and is_null(reg)):
        env.fail(EACCES, f"R{regno} type={type_str(reg.type)} expected={type_str(PTR_TO_STACK)}")


def check_mem_size_reg(env: Env, reg: Reg, regno: int, write: bool, zero_ok: bool, meta: Any) -> None:
    """The register before `regno` points to as many bytes as `regno` may say; R0 may be bounded by that (meta)."""
    num = reg.num
    meta.msize_max_value = num.umax
    if num.mask:
        meta = None  # the helper may fill only a part: nothing may be uninitialized
    if num.smin < 0:
        env.fail(EACCES, f"R{regno} min value is negative, either use unsigned or 'var &= const'")
    if num.umin == 0 and not zero_ok:
        env.fail(EACCES, f"R{regno} invalid zero-sized read: u64=[{num.umin},{num.umax}]")
    if num.umax >= MAX_VAR_SIZ:
        env.fail(EACCES, f"R{regno} unbounded memory access, use 'var &= const' or 'if (var < const)'")
    check_helper_mem_access(env, regno - 1, num.umax, write, zero_ok, meta)
    mark_chain_precision(env, regno)


def check_mem_reg(env: Env, reg: Reg, regno: int, mem_size: int) -> None:
    """The register is null or points to `mem_size` bytes that may be read and written."""
    if is_null(reg):
        return
    if reg.type & PTR_MAYBE_NULL:
        env.regs[regno] = non_null(reg)
    check_helper_mem_access(env, regno, mem_size, False, True, None)
    check_helper_mem_access(env, regno, mem_size, True, True, None)
    env.regs[regno] = reg
