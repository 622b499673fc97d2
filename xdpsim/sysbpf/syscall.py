"""bpf(2) itself: the system call, file descriptors that close themselves, and whether this process may call it.

Linux on x86-64 and aarch64 only; importing works everywhere. Commands are in maps.py, programs.py and btf.py. Follows
kernel/bpf/syscall.c.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import struct
import sys
from typing import Any

from xdpsim.errors import InputError

SYSCALL_NUMBERS = {"x86_64": 321, "aarch64": 280}
ATTR_BYTES = 160
"""Longer than any field used here reaches; the kernel takes a longer union when the rest is zero."""

PRIVILEGES = "root, or CAP_BPF with CAP_NET_ADMIN (inside a container also a seccomp profile that lets bpf through)"
_PROG_LOAD = 5
_PROG_TYPE_XDP = 6
_EXIT_0 = bytes.fromhex("b700000000000000 9500000000000000")


class BpfError(InputError):
    """bpf(2) refused a command; `errno` says why, so that callers can tell one refusal from another."""

    def __init__(self, message: str, error: int) -> None:
        hint = f"needs {PRIVILEGES}" if error == errno.EPERM else ""
        super().__init__(f"{message}: {errno_name(error)} ({os.strerror(error)})", hint=hint)
        self.errno = error


def errno_name(error: int) -> str:
    """`EINVAL` for 22; the kernel's own ENOTSUPP (524) too, which libc does not know."""
    return "ENOTSUPP" if error == 524 else errno.errorcode.get(error, str(error))


class Fd:
    """A file descriptor that is closed with its last user."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        """The number, as `os` and `mmap` ask for it."""
        return self.number

    def close(self) -> None:
        """Close it now; harmless when it is closed already."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Fd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def bpf_attr(command: int, attr: Any) -> int:
    """One bpf(2) call on a ctypes buffer of ATTR_BYTES, which the kernel may write to: the result, or -errno."""
    result: int = _libc().syscall(SYSCALL_NUMBERS[platform.machine()], command, attr, ATTR_BYTES)
    return result if result >= 0 else -ctypes.get_errno()


def bpf(command: int, attr: bytes) -> int:
    """One bpf(2) call whose attributes are only read: the result, or -errno."""
    return bpf_attr(command, writable_attr(attr))


def writable_attr(attr: bytes) -> ctypes.Array[ctypes.c_char]:
    """`attr` padded with zeroes, where the kernel can write its answer."""
    return ctypes.create_string_buffer(attr, ATTR_BYTES)


def buffer(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """`data` where the kernel can read it, without the zero byte that ctypes would add; keep a reference to it."""
    return (ctypes.c_char * max(len(data), 1)).from_buffer_copy(data or b"\0")


def address(memory: ctypes.Array[ctypes.c_char] | None) -> int:
    """The native address of a buffer; 0 for None."""
    return ctypes.addressof(memory) if memory is not None else 0


@functools.cache
def available() -> str:
    """Empty when this process may load and run programs through bpf(2), else the reason why it may not.

    Asked by loading `r0 = 0; exit` as an XDP program and closing it again.
    """
    if sys.platform != "linux":
        return f"bpf(2) needs Linux; this is {platform.system()}"
    if platform.machine() not in SYSCALL_NUMBERS:
        return f"bpf(2) on {platform.machine()}: expected {' or '.join(SYSCALL_NUMBERS)}"
    code, licence = buffer(_EXIT_0), buffer(b"GPL\0")
    attr = struct.pack("=IIQQ", _PROG_TYPE_XDP, len(_EXIT_0) // 8, address(code), address(licence))
    result = bpf(_PROG_LOAD, attr)
    if result >= 0:
        os.close(result)
        return ""
    if result == -errno.EPERM:
        return f"bpf(2) answers EPERM: needs {PRIVILEGES}"
    if result == -errno.ENOSYS:
        return "bpf(2) answers ENOSYS: this kernel was built without CONFIG_BPF_SYSCALL"
    return f"bpf(2) does not load programs here: {errno_name(-result)} ({os.strerror(-result)})"
