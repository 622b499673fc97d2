"""Helpers that choose where an XDP packet goes; what becomes of the choice is the datapath's (net/core/filter.c)."""

from __future__ import annotations

from xdpsim.helpers.rows import native_helper
from xdpsim.maps.header import MAP
from xdpsim.memory.raw import call3, load64, store32, store64
from xdpsim.memory.structs import REDIRECT, REDIRECT_IFINDEX, REDIRECT_MAP, REDIRECT_NONE, RUN_STATE
from xdpsim.progtypes.xdp import XDP

_REDIRECT = RUN_STATE.offset("redirect")
_KIND = _REDIRECT + REDIRECT.offset("kind")
_IFINDEX = _REDIRECT + REDIRECT.offset("ifindex")
_FLAGS = _REDIRECT + REDIRECT.offset("flags")
_MAP = _REDIRECT + REDIRECT.offset("map")
_KEY = _REDIRECT + REDIRECT.offset("key")
_SCRATCH = RUN_STATE.offset("scratch")
_LOOKUP = MAP.offset("lookup")
_REDIRECT_FLAGS = MAP.offset("redirect_flags")
_XDP_ABORTED = int(XDP.ABORTED)
_XDP_REDIRECT = int(XDP.REDIRECT)
_ACTION_MASK = 3
"""Lower bits of the flags: the verdict when the map has no such entry."""
_BROADCAST = 8


@native_helper(23, programs=("XDP",), name="bpf_redirect", redirects=True)
def bpf_xdp_redirect(rs: int, ifindex: int, flags: int) -> int:
    """Send the packet out of interface `ifindex`; XDP_ABORTED unless `flags` is 0."""
    if flags:
        return _XDP_ABORTED
    store32(rs + _KIND, REDIRECT_IFINDEX)
    store32(rs + _IFINDEX, ifindex)
    store64(rs + _FLAGS, 0)
    return _XDP_REDIRECT


@native_helper(51, programs=("XDP",), redirects=True)
def bpf_redirect_map(rs: int, map_: int, key: int, flags: int) -> int:
    """Send the packet where the map's entry says; without one, the verdict is the lower two bits of `flags`."""
    if flags & ~(_ACTION_MASK | load64(map_ + _REDIRECT_FLAGS)):
        return _XDP_ABORTED
    store64(rs + _SCRATCH, key)
    if call3(load64(map_ + _LOOKUP), rs, map_, rs + _SCRATCH) == 0 and flags & _BROADCAST == 0:
        store32(rs + _KIND, REDIRECT_NONE)
        return flags & _ACTION_MASK
    store32(rs + _KIND, REDIRECT_MAP)
    store64(rs + _MAP, map_)
    store64(rs + _KEY, key)
    store64(rs + _FLAGS, flags if flags & _BROADCAST else 0)
    return _XDP_REDIRECT
