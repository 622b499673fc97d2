"""Dynptrs as arguments of helpers, kernel functions and global functions.

Follows process_dynptr_func() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno

from xdpsim.verifier import mem_access
from xdpsim.verifier.dynptr import (
    dynptr_spi,
    dynptr_type,
    is_dynptr_reg_valid_init,
    is_dynptr_reg_valid_uninit,
    mark_stack_slots_dynptr,
)
from xdpsim.verifier.env import Env
from xdpsim.verifier.regtypes import (
    CONST_PTR_TO_DYNPTR,
    DYNPTR_TYPE_LOCAL,
    DYNPTR_TYPE_RINGBUF,
    DYNPTR_TYPE_SKB,
    DYNPTR_TYPE_SKB_META,
    DYNPTR_TYPE_XDP,
    DYNPTR_TYPES,
    MEM_RDONLY,
    MEM_UNINIT,
    PTR_TO_STACK,
)
from xdpsim.verifier.state import Reg

_NAMES = {
    DYNPTR_TYPE_LOCAL: "local",
    DYNPTR_TYPE_RINGBUF: "ringbuf",
    DYNPTR_TYPE_SKB: "skb",
    DYNPTR_TYPE_XDP: "xdp",
    DYNPTR_TYPE_SKB_META: "skb_meta",
}


def process_dynptr_func(env: Env, regno: int, insn_idx: int, flags: int, clone_ref: int = 0) -> None:
    """Check the dynptr argument in `regno`; `flags` are those of its argument type, `clone_ref` the record of a clone.

    MEM_UNINIT: a dynptr is made there. MEM_RDONLY: the function leaves the dynptr itself alone. Neither: it may change
    or release it.
    """
    reg: Reg = env.regs[regno]
    if reg.type not in (PTR_TO_STACK, CONST_PTR_TO_DYNPTR):
        env.fail(errno.EINVAL, f"arg#{regno - 1} expected pointer to stack or const struct bpf_dynptr")
    if flags & MEM_UNINIT:
        if not is_dynptr_reg_valid_uninit(env, reg):
            env.fail(errno.EINVAL, "Dynptr has to be an uninitialized dynptr")
        for at in (0, 8):
            mem_access.check_mem_access(env, insn_idx, regno, at, 8, True, -1)
        mark_stack_slots_dynptr(env, reg, flags & DYNPTR_TYPES, insn_idx, clone_ref)
        return
    if reg.type == CONST_PTR_TO_DYNPTR and not flags & MEM_RDONLY:
        env.fail(errno.EINVAL, "cannot pass pointer to const bpf_dynptr, the helper mutates it")
    if not is_dynptr_reg_valid_init(env, reg):
        env.fail(errno.EINVAL, f"Expected an initialized dynptr as arg #{regno - 1}")
    wanted = flags & DYNPTR_TYPES
    if flags & ~MEM_RDONLY and dynptr_type(env, reg) != wanted:
        name = _NAMES.get(wanted, "<invalid>")
        env.fail(errno.EINVAL, f"Expected a dynptr of type {name} as arg #{regno - 1}")
    if reg.type == PTR_TO_STACK:
        slots = 3 << dynptr_spi(env, reg) - 1
        env.stack_live.mark_read(reg.frameno, env.insn_idx, slots)
        env.scratched_slots |= slots
