"""The address-space check that checked native code makes when its inline guesses miss."""

from __future__ import annotations

from xdpsim.memory.native import native
from xdpsim.memory.raw import load64
from xdpsim.memory.structs import REGION, RUN_STATE, XDP_BUFF

_REGIONS = RUN_STATE.offset("regions")
_COUNT = RUN_STATE.offset("region_count")
_DATA_META = RUN_STATE.offset("xdp") + XDP_BUFF.offset("data_meta")
_DATA_END = RUN_STATE.offset("xdp") + XDP_BUFF.offset("data_end")
_STACK_LOW = RUN_STATE.offset("stack_low")
_STACK_END = RUN_STATE.offset("stack") + RUN_STATE.members["stack"].count
_SIZE = REGION.size
_END, _STRIDE = REGION.offset("end"), REGION.offset("stride")
_VALID, _WRITABLE = REGION.offset("valid"), REGION.offset("is_writable")


@native
def find_region(rs: int, addr: int) -> int:
    """Address of the table entry with the largest start not above `addr`, 0 when there is none."""
    first = load64(rs + _REGIONS)
    low = 0
    high = load64(rs + _COUNT)
    while low < high:
        middle = (low + high) >> 1
        if load64(first + middle * _SIZE) <= addr:
            low = middle + 1
        else:
            high = middle
    return first + (low - 1) * _SIZE if low else 0


@native
def may_access(rs: int, addr: int, size: int, is_write: int) -> int:
    """1 when all of [addr, addr + size) is packet data, open stack, or in one slot of a region that allows it."""
    end = addr + size
    if end < addr:
        return 0
    if addr >= load64(rs + _DATA_META) and end <= load64(rs + _DATA_END):
        return 1
    if addr >= load64(rs + _STACK_LOW) and end <= rs + _STACK_END:
        return 1
    region = find_region(rs, addr)
    if region == 0 or end > load64(region + _END):
        return 0
    if is_write and load64(region + _WRITABLE) == 0:
        return 0
    inner = (addr - load64(region)) % load64(region + _STRIDE)
    return 1 if inner + size <= load64(region + _VALID) else 0


@native
def is_header(rs: int, addr: int) -> int:
    """1 when `addr` is where a map's header starts: headers are regions of which programs may touch nothing."""
    region = find_region(rs, addr)
    if region == 0:
        return 0
    return 1 if load64(region) == addr and load64(region + _VALID) == 0 else 0
