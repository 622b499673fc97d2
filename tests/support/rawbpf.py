"""Asks the running kernel about raw instructions: just enough bpf(2) for the tests of the instruction set.

Independent of xdpsim.sysbpf on purpose, so that the oracle of the lowest layers shares no code with what it judges.
Live tests are marked `@needs_kernel`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import struct
from dataclasses import dataclass

import pytest

ORACLE = "6.18"
_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _PROG_LOAD, _PROG_TEST_RUN = 0, 1, 2, 5, 10
_ARENA, _F_MMAPABLE, _ARENA_ADDR = 33, 1 << 10, 1 << 44
_ATTR_BYTES, _LOG_BYTES = 160, 1 << 20
PROG_TYPES = {"SOCKET_FILTER": 1, "SCHED_CLS": 3, "XDP": 6}
_libc = ctypes.CDLL(None, use_errno=True)
_LICENCE = ctypes.create_string_buffer(b"GPL")


@dataclass(frozen=True)
class Answer:
    """What BPF_PROG_LOAD said: `fd` is -1 when it refused, with `errno` and the verifier's `log`."""

    fd: int
    errno: int
    log: str

    @property
    def accepted(self) -> bool:
        return self.fd >= 0


@functools.cache
def kernel_answers() -> str:
    """Empty when live tests may run here; else the reason to skip them."""
    release = platform.release()
    if platform.system() != "Linux" or platform.machine() not in _SYS_BPF:
        return f"no bpf(2) on {platform.system()} {platform.machine()}"
    if not release.startswith(ORACLE + ".") and release != ORACLE:
        return f"kernel {release} is not {ORACLE}"
    answer = load(bytes.fromhex("b700000000000000 9500000000000000"))
    if not answer.accepted:
        return f"bpf(2) does not load programs here: {os.strerror(answer.errno)}"
    os.close(answer.fd)
    return ""


def _bpf(command: int, attr: bytes) -> tuple[int, int, bytes]:
    buffer = ctypes.create_string_buffer(attr.ljust(_ATTR_BYTES, b"\0"), _ATTR_BYTES)
    result = _libc.syscall(_SYS_BPF[platform.machine()], command, buffer, _ATTR_BYTES)
    return result, ctypes.get_errno(), buffer.raw


def _checked(what: str, command: int, attr: bytes) -> tuple[int, bytes]:
    result, error, out = _bpf(command, attr)
    if result < 0:
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result, out


@functools.cache
def _log_buffer() -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(_LOG_BYTES)


def load(code: bytes, *, prog_type: str = "XDP", log_level: int = 0) -> Answer:
    """BPF_PROG_LOAD of raw instructions, map file descriptors already filled in; the caller closes `fd`."""
    insns = ctypes.create_string_buffer(code, len(code))
    log = _log_buffer()
    log[0] = b"\0"
    pointers = ctypes.addressof(insns), ctypes.addressof(_LICENCE)
    attr = struct.pack("<IIQQ", PROG_TYPES[prog_type], len(code) // 8, *pointers)
    if log_level:
        attr += struct.pack("<IIQ", log_level, _LOG_BYTES, ctypes.addressof(log))
    fd, error, _ = _bpf(_PROG_LOAD, attr)
    return Answer(fd, 0 if fd >= 0 else error, log.value.decode(errors="replace") if log_level else "")


def array_map(value_size: int, entries: int = 1) -> int:
    """File descriptor of a new ARRAY map with 4-byte keys."""
    return _checked("map create", _MAP_CREATE, struct.pack("<5I", 2, 4, value_size, entries, 0))[0]


def arena_map() -> int:
    """File descriptor of a new ARENA of one page, for which a user address is reserved but never mapped."""
    fields = struct.pack("<5I", _ARENA, 0, 0, 1, _F_MMAPABLE)
    return _checked("map create", _MAP_CREATE, fields.ljust(64, b"\0") + struct.pack("<Q", _ARENA_ADDR))[0]


def lookup(map_fd: int, key: bytes, value_size: int) -> bytes:
    """The value behind `key`; OSError when there is none."""
    key_buffer, value = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value_size)
    attr = struct.pack("<IIQQQ", map_fd, 0, ctypes.addressof(key_buffer), ctypes.addressof(value), 0)
    _checked("map lookup", _MAP_LOOKUP, attr)
    return value.raw


def update(map_fd: int, key: bytes, value: bytes) -> None:
    """Store `value` behind `key`, whether or not it exists."""
    key_buffer, buffer = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
    attr = struct.pack("<IIQQQ", map_fd, 0, ctypes.addressof(key_buffer), ctypes.addressof(buffer), 0)
    _checked("map update", _MAP_UPDATE, attr)


def run(prog_fd: int, packet: bytes = bytes(64)) -> int:
    """BPF_PROG_TEST_RUN once; the program's 32-bit return value."""
    data = ctypes.create_string_buffer(packet, len(packet))
    attr = struct.pack("<4I2Q2I", prog_fd, 0, len(packet), 0, ctypes.addressof(data), 0, 1, 0)
    _, out = _checked("test run", _PROG_TEST_RUN, attr)
    return int(struct.unpack_from("<I", out, 4)[0])


def with_map_fd(code: bytes, map_fd: int) -> bytes:
    """`code` with map index 0 of every LD_IMM64 that names a map replaced by a file descriptor."""
    out, slot = bytearray(code), 0
    while slot * 8 < len(out):
        if out[slot * 8] == 0x18:
            if out[slot * 8 + 1] >> 4 in (1, 2):
                struct.pack_into("<i", out, slot * 8 + 4, map_fd)
            slot += 1
        slot += 1
    return bytes(out)


def value_after(code: bytes, map_fd: int, value_size: int) -> bytes | None:
    """Run a program that writes into map index 0; the map's only value then, or None when Linux refuses the program."""
    answer = load(with_map_fd(code, map_fd))
    if not answer.accepted:
        return None
    update(map_fd, bytes(4), bytes(value_size))
    try:
        run(answer.fd)
    finally:
        os.close(answer.fd)
    return lookup(map_fd, bytes(4), value_size)


needs_kernel = pytest.mark.skipif(bool(kernel_answers()), reason=kernel_answers() or "live")
"""Marks a test that asks the running kernel: skipped, with the reason, where that may not be."""
