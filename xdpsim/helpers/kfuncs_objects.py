"""Kernel functions that make and drop objects: bpf_obj_new, bpf_obj_drop, bpf_refcount_acquire and their per-CPU kin.

Programs call them through macros that pass the type's BTF id and a pointer which Linux fills in (`meta`).
"""

from __future__ import annotations

from xdpsim.errors import InputError
from xdpsim.helpers.heap import Heap, HeapObject
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper, kfunc

_NEW = (Arg.ANYTHING, Arg.ANYTHING)
_GIVE_BACK = (Arg.BTF_ID, Arg.ANYTHING)


@kfunc(args=_NEW, returns=Ret.BTF_ID_OR_NULL)
def bpf_obj_new_impl(machine: Machine, type_id: int, meta: int) -> int:
    """A new object of a type of the program's; its bytes are zero."""
    return _new(machine, type_id, 1)


@kfunc(args=_NEW, returns=Ret.BTF_ID_OR_NULL)
def bpf_percpu_obj_new_impl(machine: Machine, type_id: int, meta: int) -> int:
    """A new object for each CPU, to be reached through bpf_this_cpu_ptr and bpf_per_cpu_ptr."""
    return _new(machine, type_id, machine.run_state.cpus)


def _new(machine: Machine, type_id: int, copies: int) -> int:
    btf = machine.running.btf
    if btf is None:
        raise BadArgument(1)
    try:
        return machine.part(Heap).new(btf, type_id, copies)
    except InputError:
        raise BadArgument(1) from None


def object_at(machine: Machine, address: int, number: int = 1) -> HeapObject:
    """The object that an argument points to; a fault for any other pointer."""
    found = machine.part(Heap).at(address)
    if found is None:
        raise BadArgument(number)
    return found


@kfunc(args=_GIVE_BACK, returns=Ret.VOID)
def bpf_obj_drop_impl(machine: Machine, pointer: int, meta: int) -> int:
    """Give a reference back."""
    machine.part(Heap).drop(object_at(machine, pointer))
    return 0


@kfunc(args=_GIVE_BACK, returns=Ret.VOID)
def bpf_percpu_obj_drop_impl(machine: Machine, pointer: int, meta: int) -> int:
    """Give a per-CPU object back."""
    machine.part(Heap).drop(object_at(machine, pointer))
    return 0


@kfunc(args=_GIVE_BACK, returns=Ret.BTF_ID_OR_NULL)
def bpf_refcount_acquire_impl(machine: Machine, pointer: int, meta: int) -> int:
    """One more reference to the same object."""
    object_at(machine, pointer).references += 1
    return pointer


@helper(153)
def bpf_per_cpu_ptr(machine: Machine, pointer: int, cpu: int) -> int:
    """A CPU's copy of a per-CPU object; 0 for a CPU that cannot be."""
    found, cpus = object_at(machine, pointer), machine.run_state.cpus
    return pointer + (cpu & 0xFFFF_FFFF) * (found.lease.valid // cpus) if cpu & 0xFFFF_FFFF < cpus else 0


@helper(154)
def bpf_this_cpu_ptr(machine: Machine, pointer: int) -> int:
    """The running CPU's copy of a per-CPU object."""
    found, state = object_at(machine, pointer), machine.run_state
    return pointer + state.cpu * (found.lease.valid // state.cpus)
