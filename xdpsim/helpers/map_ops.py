"""Helpers on maps and tail calls: each goes through the map's own operations. Follows kernel/bpf/helpers.c."""

from __future__ import annotations

from xdpsim.helpers.rows import Control, declare, native_helper
from xdpsim.maps.header import MAP
from xdpsim.maps.types import MAP_TYPES
from xdpsim.memory.native import native
from xdpsim.memory.raw import call3, call5, load32, load64

_LOOKUP = MAP.offset("lookup")
_UPDATE = MAP.offset("update")
_DELETE = MAP.offset("delete")
_TYPE = MAP.offset("type")
_PROG_ARRAY = MAP_TYPES["PROG_ARRAY"].id
_MAX_ENTRIES = MAP.offset("max_entries")
_VALUES = MAP.offset("values")
_STRIDE = MAP.offset("value_stride")


@native_helper(1, only_arguments=True)
def bpf_map_lookup_elem(rs: int, map_: int, key: int) -> int:
    """Address of the value under `key`, 0 when there is none."""
    return call3(load64(map_ + _LOOKUP), rs, map_, key)


@native_helper(2, only_arguments=True)
def bpf_map_update_elem(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """Set the value under `key`; 0 or a negative errno of the map type."""
    return call5(load64(map_ + _UPDATE), rs, map_, key, value, flags)


@native_helper(3, only_arguments=True)
def bpf_map_delete_elem(rs: int, map_: int, key: int) -> int:
    """Remove `key`; 0 or a negative errno of the map type."""
    return call3(load64(map_ + _DELETE), rs, map_, key)


@native
def program_at(array: int, index: int) -> int:
    """Number of the program in a prog array's slot, 0 for an empty slot or one that does not exist."""
    index = index & 0xFFFF_FFFF
    if load32(array + _TYPE) != _PROG_ARRAY or index >= load32(array + _MAX_ENTRIES):
        return 0
    return load32(load64(array + _VALUES) + index * load64(array + _STRIDE))


declare(12, "bpf_tail_call", None, control=Control.TAIL_CALL)
