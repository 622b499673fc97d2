"""Kernel functions that mark a stretch of a program (RCU, preemption, interrupts), bpf_rdonly_cast and bpf_throw.

Packets run one after the other and nothing interrupts them, so the marks do nothing.
"""

from __future__ import annotations

from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, Control, kfunc

_FLAGS_BYTES = 8


@kfunc(args=(), returns=Ret.VOID)
def bpf_rcu_read_lock(machine: Machine) -> int:
    """Begin to hold what RCU protects."""
    return 0


@kfunc(args=(), returns=Ret.VOID)
def bpf_rcu_read_unlock(machine: Machine) -> int:
    """End of that."""
    return 0


@kfunc(args=(), returns=Ret.VOID)
def bpf_preempt_disable(machine: Machine) -> int:
    """Stay on this CPU."""
    return 0


@kfunc(args=(), returns=Ret.VOID)
def bpf_preempt_enable(machine: Machine) -> int:
    """End of that."""
    return 0


@kfunc(args=(Arg.BTF_ID,), returns=Ret.VOID)
def bpf_local_irq_save(machine: Machine, flags: int) -> int:
    """Keep interrupts off; `flags` is where Linux would note whether they were on."""
    if not machine.space.writable(flags, _FLAGS_BYTES):
        raise BadArgument(1)
    return 0


@kfunc(args=(Arg.BTF_ID,), returns=Ret.VOID)
def bpf_local_irq_restore(machine: Machine, flags: int) -> int:
    """End of that."""
    return bpf_local_irq_save(machine, flags)


@kfunc(args=(Arg.ANYTHING, Arg.ANYTHING), returns=Ret.BTF_ID)
def bpf_rdonly_cast(machine: Machine, pointer: int, type_id: int) -> int:
    """The same address, to be read as a type of the kernel's."""
    return pointer


@kfunc(args=(Arg.ANYTHING,), returns=Ret.VOID, control=Control.THROW)
def bpf_throw(machine: Machine, cookie: int) -> int:
    """Leave the program at once; the engines do it."""
    return 0
