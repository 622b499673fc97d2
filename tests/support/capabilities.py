"""Runs a call with fewer capabilities: those of this thread are taken away and given back (capset(2), version 3)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
from collections.abc import Iterator

_CAPGET, _CAPSET = {"x86_64": (125, 126), "aarch64": (90, 91)}.get(platform.machine(), (0, 0))
_HEADER = struct.pack("=Ii", 0x20080522, 0)
_NUMBERS = {"net_admin": 12, "sys_admin": 21, "perfmon": 38, "bpf": 39}
_DATA = struct.Struct("=6I")  # effective, permitted, inheritable: low half, then high half
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def only(caps: frozenset[str]) -> Iterator[None]:
    """Within it the thread has no effective capabilities but `caps`; the three that bpf(2) knows mean all of them."""
    if caps == {"bpf", "perfmon", "net_admin"}:
        yield
        return
    header, data = ctypes.create_string_buffer(_HEADER, 8), ctypes.create_string_buffer(_DATA.size)
    _call(_CAPGET, header, data)
    before = _DATA.unpack(data.raw)
    wanted = sum(1 << _NUMBERS[name] for name in caps)
    _set(wanted, before)
    try:
        yield
    finally:
        _set(before[0] | before[3] << 32, before)


def _set(effective: int, before: tuple[int, ...]) -> None:
    low, high = effective & 0xFFFF_FFFF, effective >> 32
    data = ctypes.create_string_buffer(_DATA.pack(low, *before[1:3], high, *before[4:]), _DATA.size)
    _call(_CAPSET, ctypes.create_string_buffer(_HEADER, 8), data)


def _call(number: int, *arguments: object) -> None:
    if _libc.syscall(number, *arguments) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
