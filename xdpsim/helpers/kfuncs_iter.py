"""bpf_iter_num: the iterator behind bpf_for. Follows kernel/bpf/bpf_iter.c.

It is 8 bytes of the program's stack: the number it is at and the one it ends before, each a signed 32-bit word.
"""

from __future__ import annotations

import struct

from xdpsim.bits import signed
from xdpsim.helpers.callbacks import MAX_LOOPS
from xdpsim.helpers.kinds import Arg, Ret
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, kfunc

_EINVAL, _E2BIG = 22, 7
_WORDS = struct.Struct("<ii")


def _write(machine: Machine, iterator: int, current: int, end: int) -> None:
    if not machine.space.writable(iterator, _WORDS.size):
        raise BadArgument(1)
    machine.space.write(iterator, _WORDS.pack(current, end))


@kfunc(args=(Arg.BTF_ID, Arg.ANYTHING, Arg.ANYTHING), returns=Ret.INTEGER)
def bpf_iter_num_new(machine: Machine, iterator: int, start: int, end: int) -> int:
    """Start an iterator over [start, end): -EINVAL when it would go down, -E2BIG over 8,388,608 numbers."""
    start, end = signed(start, 32), signed(end, 32)
    if start > end or end - start > MAX_LOOPS:
        _write(machine, iterator, 0, 0)
        return -_EINVAL if start > end else -_E2BIG
    # The number before the least one wraps, as in Linux, which compares in 64 bits only after adding.
    _write(machine, iterator, signed(start - 1 & 0xFFFF_FFFF, 32), end)
    return 0


@kfunc(args=(Arg.BTF_ID,), returns=Ret.MEM_OR_BTF_ID)
def bpf_iter_num_next(machine: Machine, iterator: int) -> int:
    """Where the next number stands, 0 behind the last one."""
    if not machine.space.readable(iterator, _WORDS.size):
        raise BadArgument(1)
    current, end = _WORDS.unpack(machine.space.read(iterator, _WORDS.size))
    following = signed(current + 1 & 0xFFFF_FFFF, 32)
    if following >= end:
        _write(machine, iterator, 0, 0)
        return 0
    _write(machine, iterator, following, end)
    return iterator


@kfunc(args=(Arg.BTF_ID,), returns=Ret.VOID)
def bpf_iter_num_destroy(machine: Machine, iterator: int) -> int:
    """End the iterator."""
    _write(machine, iterator, 0, 0)
    return 0
