"""Saved irq flags: the stack slot that bpf_local_irq_save or bpf_res_spin_lock_irqsave fills and its partner empties.

The slot's register has type PTR_TO_STACK, the reference of the saved flags, and in `extra` IRQ_NATIVE or IRQ_LOCK: who
saved them. Follows process_irq_flag() and mark_stack_slot_irq_flag() with its neighbours in kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno

from xdpsim.verifier import refs
from xdpsim.verifier.dynptr import NOT_ALLOCATED, object_spi
from xdpsim.verifier.env import Env
from xdpsim.verifier.mem_access import check_mem_access
from xdpsim.verifier.regtypes import PTR_TO_STACK
from xdpsim.verifier.scalar import ZERO
from xdpsim.verifier.state import IRQ_FLAG, UNINIT, Reg, Slot

IRQ_NATIVE, IRQ_LOCK = 0, 1
_NAMES = ("native", "lock")
_SAVES = {"bpf_local_irq_save": IRQ_NATIVE, "bpf_res_spin_lock_irqsave": IRQ_LOCK}
_RESTORES = {"bpf_local_irq_restore": IRQ_NATIVE, "bpf_res_spin_unlock_irqrestore": IRQ_LOCK}
_FLAG_BYTES = bytes([IRQ_FLAG]) * 8


def process_irq_flag(env: Env, regno: int, kfunc: str) -> None:
    """The argument in `regno` is where flags are saved to or restored from."""
    reg: Reg = env.regs[regno]
    spi = object_spi(env, reg, "irq_flag", 1)
    stack = env.cur.frames[reg.frameno].stack
    if kfunc in _SAVES:
        is_free = spi == NOT_ALLOCATED if spi < 0 else IRQ_FLAG not in stack[spi].kinds
        if not is_free:
            env.fail(errno.EINVAL, f"expected uninitialized irq flag as arg#{regno - 1}")
        check_mem_access(env, env.insn_idx, regno, 0, 8, True, -1)
        _save(env, reg, _SAVES[kfunc])
        return
    if spi < 0 or not stack[spi].reg.ref or stack[spi].kinds != _FLAG_BYTES:
        env.fail(errno.EINVAL, f"expected an initialized irq flag as arg#{regno - 1}")
    env.stack_live.mark_read(reg.frameno, env.insn_idx, 1 << spi)
    env.scratched_slots |= 1 << spi
    _restore(env, reg, spi, _RESTORES[kfunc])


def _save(env: Env, reg: Reg, who: int) -> None:
    spi = object_spi(env, reg, "irq_flag", 1)
    number = refs.acquire_irq(env, env.insn_idx)
    marked = Reg(PTR_TO_STACK, ZERO, ref=number, extra=who)
    env.cur.frames[reg.frameno].stack[spi] = Slot(_FLAG_BYTES, marked)
    env.stack_live.mark_write(reg.frameno, 1 << spi)
    env.scratched_slots |= 1 << spi


def _restore(env: Env, reg: Reg, spi: int, who: int) -> None:
    stack = env.cur.frames[reg.frameno].stack
    saved = stack[spi].reg
    if saved.extra != who:
        text = f"irq flag acquired by {_NAMES[saved.extra]} kfuncs cannot be restored with {_NAMES[who]} kfuncs"
        env.fail(errno.EINVAL, text)
    problem = refs.release_irq(env.cur, saved.ref)
    if problem:
        expected = env.cur.active_irq_id
        insn = next((ref.insn for ref in env.cur.refs if ref.id == expected), 0)
        text = f"cannot restore irq state out of order, expected id={expected} acquired at insn_idx={insn}"
        env.fail(problem, text)
    stack[spi] = Slot(bytes(8), UNINIT)
    env.stack_live.mark_write(reg.frameno, 1 << spi)
    env.scratched_slots |= 1 << spi
