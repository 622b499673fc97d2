"""Checks a helper's arguments against the address space before its body runs, by the kinds on the helper's row.

Engines call this where no verifier has proven the arguments, so that a wild pointer is a fault and never a dead
process.
"""

from __future__ import annotations

from xdpsim.helpers.kinds import Arg
from xdpsim.helpers.rows import Helper
from xdpsim.maps.header import MAP
from xdpsim.maps.ringbuf import ringbuf_is_sample
from xdpsim.maps.types import MAP_TYPES
from xdpsim.memory.native import native
from xdpsim.memory.raw import load8, load32, load64
from xdpsim.memory.space_ops import is_header, may_access
from xdpsim.memory.structs import RUN_STATE

_MAP, _CTX, _KEY, _VALUE, _READ, _READ_OR_NULL, _WRITE, _STRING = 1, 2, 3, 4, 5, 6, 7, 8
_SAMPLE, _VALUE_OUT, _NOT_ZERO, _VALUE_OR_NULL = 9, 10, 11, 12
_CODES = {
    Arg.CONST_MAP_PTR: _MAP,
    Arg.CTX: _CTX,
    Arg.MAP_KEY: _KEY,
    Arg.MAP_VALUE: _VALUE,
    Arg.MAP_VALUE_OR_NULL: _VALUE_OR_NULL,
    Arg.MEM: _READ,
    Arg.MEM_RDONLY: _READ,
    Arg.MEM_RDONLY_OR_NULL: _READ_OR_NULL,
    Arg.MEM_WRITE_OR_NULL: _WRITE,
    Arg.UNINIT_MEM: _WRITE,
    Arg.MEM_WRITE: _WRITE,
    Arg.UNINIT_MEM_OR_NULL: _WRITE,
    Arg.CONST_STR: _STRING,
    Arg.SIZE: _NOT_ZERO,
    Arg.RINGBUF_MEM: _SAMPLE,
    Arg.UNINIT_MAP_VALUE: _VALUE_OUT,
}
_TYPE, _BLOOM = MAP.offset("type"), MAP_TYPES["BLOOM_FILTER"].id
_FIXED = 128
"""Kinds from here on are memory that the helper writes, of so many bytes more."""
_FIXED_READ = 64
"""Kinds from here to below _FIXED are memory that the helper reads, of so many bytes more."""
_CODES |= {
    Arg.FIXED_MEM_16: _FIXED_READ + 16,
    Arg.FIXED_MEM_20: _FIXED_READ + 20,
    Arg.FIXED_MEM_40: _FIXED_READ + 40,
    Arg.FIXED_MEM_4_WRITE: _FIXED + 4,
    Arg.FIXED_MEM_8_UNINIT: _FIXED + 8,
    Arg.SPIN_LOCK: _FIXED + 4,
    Arg.TIMER: _FIXED + 16,
    Arg.DYNPTR: _FIXED + 16,
    Arg.DYNPTR_RDONLY: _FIXED + 16,
    Arg.DYNPTR_RINGBUF_RELEASE: _FIXED + 16,
    Arg.UNINIT_DYNPTR: _FIXED + 16,
    Arg.UNINIT_DYNPTR_RINGBUF: _FIXED + 16,
    Arg.KPTR_XCHG_DEST: _FIXED + 8,
}
_CONTEXT = RUN_STATE.offset("context")
_KEY_SIZE, _VALUE_SIZE = MAP.offset("key_size"), MAP.offset("value_size")
_MAX_SIZE = 1 << 29
"""BPF_MAX_VAR_SIZ: no memory argument is longer."""


def kinds_of(row: Helper) -> int:
    """The row's argument kinds as eight bits each, the first argument lowest; 0 when nothing needs a check."""
    return sum(_CODES.get(kind, 0) << 8 * index for index, kind in enumerate(row.args))


@native
def is_string(rs: int, addr: int) -> int:
    """1 when all bytes from `addr` up to and with a NUL may be read."""
    while may_access(rs, addr, 1, 0):
        if load8(addr) == 0:
            return 1
        addr = addr + 1
    return 0


@native
def check_argument(rs: int, kind: int, value: int, size: int, map_: int) -> int:
    """1 when `value` may be passed as an argument of that kind; `size` is the argument behind it."""
    if kind == _MAP:
        return is_header(rs, value)
    if kind == _CTX:
        return 1 if value == load64(rs + _CONTEXT) else 0
    if kind == _KEY:
        return may_access(rs, value, load32(map_ + _KEY_SIZE), 0)
    if kind == _VALUE:
        return may_access(rs, value, load32(map_ + _VALUE_SIZE), 0)
    if kind == _VALUE_OR_NULL:
        return may_access(rs, value, load32(map_ + _VALUE_SIZE), 0) if value else 1
    if kind >= _FIXED:
        return may_access(rs, value, kind - _FIXED, 1)
    if kind >= _FIXED_READ:
        return may_access(rs, value, kind - _FIXED_READ, 0)
    if kind == _STRING:
        return is_string(rs, value)
    if kind == _NOT_ZERO:
        return 1 if value else 0
    if kind == _SAMPLE:
        return ringbuf_is_sample(rs, value)
    if kind == _VALUE_OUT:  # a filter is asked for a value, the others give one
        return may_access(rs, value, load32(map_ + _VALUE_SIZE), 0 if load32(map_ + _TYPE) == _BLOOM else 1)
    if size > _MAX_SIZE:
        return 0
    if size == 0:
        return 1
    return may_access(rs, value, size, 1 if kind == _WRITE else 0)


@native
def check_arguments(rs: int, kinds: int, r1: int, r2: int, r3: int, r4: int, r5: int) -> int:
    """0 when all arguments may be passed, else the number of the first that may not."""
    if kinds & 255 and check_argument(rs, kinds & 255, r1, r2, 0) == 0:
        return 1
    if (kinds >> 8) & 255 and check_argument(rs, (kinds >> 8) & 255, r2, r3, r1) == 0:
        return 2
    if (kinds >> 16) & 255 and check_argument(rs, (kinds >> 16) & 255, r3, r4, r1) == 0:
        return 3
    if (kinds >> 24) & 255 and check_argument(rs, (kinds >> 24) & 255, r4, r5, r1) == 0:
        return 4
    if (kinds >> 32) & 255 and check_argument(rs, (kinds >> 32) & 255, r5, 0, r1) == 0:
        return 5
    return 0
