"""Insns that touch memory: loads, stores and atomics, their registers first and then the memory.

An insn must go through pointers of one kind on all paths, as Linux compiles it once. Follows check_load_mem(),
check_store_reg(), check_atomic() and save_aux_ptr_type() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EACCES, EINVAL
from typing import TYPE_CHECKING

from xdpsim.isa.rows import ATOMIC, Family
from xdpsim.verifier.log import type_str
from xdpsim.verifier.mem_access import check_mem_access
from xdpsim.verifier.regs import check_dst, check_src, is_pointer
from xdpsim.verifier.regtypes import (
    BASE_MASK,
    MEM_RDONLY,
    PTR_TO_ARENA,
    PTR_TO_BTF_ID,
    PTR_TO_CTX,
    PTR_TO_FLOW_KEYS,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_TCP_SOCK,
    PTR_TO_XDP_SOCK,
    PTR_UNTRUSTED,
)

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Reg

_SOCKETS = frozenset({PTR_TO_SOCKET, PTR_TO_SOCK_COMMON, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK})
_NEVER_ATOMIC = _SOCKETS | {PTR_TO_CTX, PTR_TO_PACKET, PTR_TO_PACKET_META, PTR_TO_FLOW_KEYS}
_COMPILED_APART = _SOCKETS | {PTR_TO_CTX, PTR_TO_BTF_ID, PTR_TO_ARENA}
"""Kinds of pointers for which Linux emits code of their own."""
_NOT_IN_ARENA = ("fetch_and", "fetch_or", "fetch_xor")
"""Atomics that the x86 compiler makes loops of, which cannot recover from a fault."""


def check_load_mem(env: Env, insn: Insn, strict_alignment_once: bool = False, may_mix_trust: bool = True) -> None:
    """dst = *(src + off); also for load_acquire."""
    kind = check_src(env, insn.src).type
    check_dst(env, insn.dst)
    is_ldsx = insn.family is Family.LOAD_SX
    width = insn.width
    check_mem_access(env, env.insn_idx, insn.src, insn.off, width, False, insn.dst, strict_alignment_once, is_ldsx)
    save_access_type(env, kind, may_mix_trust)


def check_store_reg(env: Env, insn: Insn, strict_alignment_once: bool = False) -> None:
    """*(dst + off) = src; also for store_release."""
    check_src(env, insn.src)
    kind = check_src(env, insn.dst).type
    check_mem_access(env, env.insn_idx, insn.dst, insn.off, insn.width, True, insn.src, strict_alignment_once)
    save_access_type(env, kind, False)


def check_store_imm(env: Env, insn: Insn) -> None:
    """*(dst + off) = imm."""
    kind = check_src(env, insn.dst).type
    check_mem_access(env, env.insn_idx, insn.dst, insn.off, insn.width, True, -1)
    save_access_type(env, kind, False)


def save_access_type(env: Env, kind: int, may_mix_trust: bool) -> None:
    """Note the kind of pointer that the insn goes through; refuse what cannot be compiled as one insn."""
    aux = env.aux[env.insn_idx]
    before = aux.access_type
    if before is None:
        aux.access_type = kind
        return
    if kind == before:
        return
    aux.notes.setdefault("accesses", {before}).add(kind)
    if not (kind & BASE_MASK in _COMPILED_APART or before & BASE_MASK in _COMPILED_APART):
        return
    bases = {kind & BASE_MASK, before & BASE_MASK}
    if not may_mix_trust or not bases <= {PTR_TO_MEM, PTR_TO_BTF_ID}:
        env.fail(EINVAL, "same insn cannot be used with different pointers")
    merged = PTR_TO_MEM if PTR_TO_MEM in bases else PTR_TO_BTF_ID
    aux.access_type = merged | (kind | before) & (PTR_UNTRUSTED | MEM_RDONLY)


def check_atomic(env: Env, insn: Insn) -> None:
    """One insn of the families ATOMIC, LOAD_ACQUIRE and STORE_RELEASE."""
    if insn.family is Family.LOAD_ACQUIRE:
        check_load_mem(env, insn, True, False)
        reg: Reg = env.regs[insn.src]
        if not _may_be_atomic(reg, insn):
            env.fail(EACCES, f"BPF_ATOMIC loads from R{insn.src} {type_str(reg.type)} is not allowed")
    elif insn.family is Family.STORE_RELEASE:
        check_store_reg(env, insn, True)
        _check_atomic_target(env, insn)
    else:
        _check_atomic_rmw(env, insn)


def _may_be_atomic(reg: Reg, insn: Insn) -> bool:
    if reg.type == PTR_TO_ARENA:
        return insn.op not in _NOT_IN_ARENA
    return reg.type not in _NEVER_ATOMIC


def _check_atomic_target(env: Env, insn: Insn) -> None:
    reg: Reg = env.regs[insn.dst]
    if not _may_be_atomic(reg, insn):
        env.fail(EACCES, f"BPF_ATOMIC stores into R{insn.dst} {type_str(reg.type)} is not allowed")


def _check_atomic_rmw(env: Env, insn: Insn) -> None:
    """Read, compute and write: memory is checked for a load, for what a fetch leaves in its register, and a store."""
    check_src(env, insn.src)
    check_src(env, insn.dst)
    if insn.op == "cmpxchg":
        _check_no_pointer(env, check_src(env, 0), 0)
    _check_no_pointer(env, env.regs[insn.src], insn.src)
    _check_atomic_target(env, insn)
    fetched = -1
    if ATOMIC[insn.op].fetch:
        fetched = 0 if insn.op == "cmpxchg" else insn.src
        check_dst(env, fetched)
        env.regs[fetched] = env.unknown
    width = insn.width
    check_mem_access(env, env.insn_idx, insn.dst, insn.off, width, False, -1, True)
    if fetched >= 0:
        check_mem_access(env, env.insn_idx, insn.dst, insn.off, width, False, fetched, True)
    if env.regs[insn.dst].type == PTR_TO_ARENA:
        save_access_type(env, PTR_TO_ARENA, False)
    check_mem_access(env, env.insn_idx, insn.dst, insn.off, width, True, -1, True)


def _check_no_pointer(env: Env, reg: Reg, regno: int) -> None:
    if is_pointer(reg, env.allow_ptr_leaks):
        env.fail(EACCES, f"R{regno} leaks addr into mem")
