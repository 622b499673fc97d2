"""Helpers that read memory by address, send signals or look at the processor: what is left of them without a kernel.

Programs may read the memory that is theirs anyhow; there is no user space, no task that a signal would reach, and no
record of branches. Follows kernel/trace/bpf_trace.c, mm/maccess.c and arch/x86/mm/maccess.c.
"""

from __future__ import annotations

from xdpsim.bits import M32, M64, signed
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.printf import read_string
from xdpsim.helpers.rows import helper

_ENOENT, _EFAULT, _EINVAL, _ERANGE = 2, 14, 22, 34
_KERNEL_START = 0xFFFF_8000_0000_0000
_VSYSCALL_PAGE = 0xFFFF_FFFF_FF60_0000
_PAGE = 4096
_LAST_SIGNAL = 64


def _is_known(machine: Machine, addr: int) -> bool:
    space = machine.space
    return space.piece_at(addr, 1) is not None or space.region_at(addr) is not None or addr == machine.run_state.context


def kernel_error(machine: Machine, addr: int) -> int:
    """Why an address cannot be read as the kernel's: it is in the kernel's half, or it is not."""
    is_allowed = addr >= _KERNEL_START and not _VSYSCALL_PAGE <= addr < _VSYSCALL_PAGE + _PAGE
    return -_EFAULT if is_allowed or _is_known(machine, addr) else -_ERANGE


def _zero(machine: Machine, dst: int, size: int) -> None:
    if size:
        machine.space.write(dst, bytes(size))


@helper(113)
def bpf_probe_read_kernel(machine: Machine, dst: int, size: int, addr: int) -> int:
    """Copy `size` bytes that the program may read; else zeroes and -EFAULT, -ERANGE outside of the kernel's half."""
    space = machine.space
    if space.piece_at(addr, size) is not None:
        if size:
            space.write(dst, space.read(addr, size))
        return 0
    _zero(machine, dst, size)
    error = kernel_error(machine, addr)
    return 0 if size == 0 and error == -_EFAULT else error


@helper(115)
def bpf_probe_read_kernel_str(machine: Machine, dst: int, size: int, addr: int) -> int:
    """Copy a string, cut to `size` bytes with its NUL; its length with the NUL, or errors as of probe_read_kernel."""
    if size == 0:
        return 0
    if machine.space.piece_at(addr, 1) is None:
        _zero(machine, dst, size)
        return kernel_error(machine, addr)
    text = read_string(addr, size - 1, machine) + b"\0"
    machine.space.write(dst, text)
    return len(text)


@helper(112)
def bpf_probe_read_user(machine: Machine, dst: int, size: int, addr: int) -> int:
    """Zeroes and -EFAULT: there is no user space."""
    _zero(machine, dst, size)
    return -_EFAULT if size or _is_known(machine, addr) or signed(addr, 64) < 0 else 0


@helper(114)
def bpf_probe_read_user_str(machine: Machine, dst: int, size: int, addr: int) -> int:
    """Zeroes and -EFAULT: there is no user space."""
    _zero(machine, dst, size)
    return -_EFAULT if size else 0


@helper(109)
def bpf_send_signal(machine: Machine, number: int) -> int:
    """0, and nobody gets the signal; -EINVAL for one that does not exist."""
    return 0 if (number & M32) <= _LAST_SIGNAL else -_EINVAL


@helper(117)
def bpf_send_signal_thread(machine: Machine, number: int) -> int:
    """As send_signal."""
    return 0 if (number & M32) <= _LAST_SIGNAL else -_EINVAL


@helper(176, variadic=True)
def bpf_get_branch_snapshot(machine: Machine, entries: int, size: int, flags: int, *_: int) -> int:
    """-ENOENT: no branches are recorded; -EINVAL for any flag, which the prototype does not know of."""
    return -_EINVAL if flags & M64 else -_ENOENT
