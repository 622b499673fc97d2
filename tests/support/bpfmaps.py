"""Maps of the running kernel through bpf(2): the oracle of the map layer, sharing no code with what it judges.

Live tests begin with `skipif(reason := rawbpf.kernel_answers(), reason=...)`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from pathlib import Path

_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_CREATE, _LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _OBJ_INFO = 0, 1, 2, 3, 4, 15
_LOOKUP_AND_DELETE, _FREEZE = 21, 22
_ATTR_BYTES = 160
_Buffer = ctypes.Array[ctypes.c_char]
_libc = ctypes.CDLL(None, use_errno=True)


def possible_cpus() -> int:
    """How many CPUs the kernel's per-CPU maps have values for."""
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().split(",")[-1].split("-")[-1]
    return int(last) + 1


def _bpf(command: int, attr: bytes) -> int:
    """What bpf(2) returns, or the negative errno."""
    buffer = ctypes.create_string_buffer(attr.ljust(_ATTR_BYTES, b"\0"), _ATTR_BYTES)
    result = int(_libc.syscall(_SYS_BPF[platform.machine()], command, buffer, _ATTR_BYTES))
    return result if result >= 0 else -ctypes.get_errno()


def create(
    map_type: int,
    key_size: int,
    value_size: int,
    max_entries: int,
    flags: int,
    map_extra: int = 0,
    btf: tuple[int, int, int] = (0, 0, 0),
    inner: int = 0,
) -> int:
    """A file descriptor, or the negative errno; `btf` is its handle and the types of key and value."""
    head = struct.pack("<6I", map_type, key_size, value_size, max_entries, flags, inner)
    return _bpf(_CREATE, head.ljust(48, b"\0") + struct.pack("<4IQ", *btf, 0, map_extra))


def map_id(fd: int) -> int:
    """The kernel's number of a map."""
    info = ctypes.create_string_buffer(88)
    _bpf(_OBJ_INFO, struct.pack("<IIQ", fd, len(info), ctypes.addressof(info)))
    return int(struct.unpack_from("<I", info, 4)[0])


class KernelMap:
    """One map of the kernel; `fd` is closed by `close`."""

    def __init__(
        self,
        map_type: int,
        shape: tuple[int, int, int, int],
        copies: int,
        btf: tuple[int, int, int] = (0, 0, 0),
        map_extra: int = 0,
        inner: int = 0,
    ) -> None:
        key_size, value_size, _, _ = shape
        self.key_size, self.fd = key_size, create(map_type, *shape, map_extra=map_extra, btf=btf, inner=inner)
        if self.fd < 0:
            raise OSError(-self.fd, f"map create: {os.strerror(-self.fd)}")
        self.user_size = value_size if copies == 1 else (value_size + 7 & ~7) * copies

    def close(self) -> None:
        """Let the map go."""
        os.close(self.fd)

    def _element(self, command: int, key: bytes | None, other: _Buffer | None, flags: int = 0) -> int:
        key_buffer = ctypes.create_string_buffer(key, max(len(key), 1)) if key is not None else None
        key_at = ctypes.addressof(key_buffer) if key_buffer is not None else 0
        other_at = ctypes.addressof(other) if other is not None else 0
        return _bpf(command, struct.pack("<IIQQQ", self.fd, 0, key_at, other_at, flags))

    def lookup(self, key: bytes | None, value: bytes = b"") -> bytes | int:
        """The value or the negative errno; a Bloom filter is asked for `value`."""
        found = ctypes.create_string_buffer(value, self.user_size)
        return self._element(_LOOKUP, key, found) or found.raw

    def pop(self) -> bytes | int:
        """What a queue or stack gives next, which is gone from it, or the negative errno."""
        value = ctypes.create_string_buffer(self.user_size)
        return self._element(_LOOKUP_AND_DELETE, None, value) or value.raw

    def update(self, key: bytes | None, value: bytes, flags: int) -> int:
        """0 or the negative errno."""
        return self._element(_UPDATE, key, ctypes.create_string_buffer(value, len(value)), flags)

    def delete(self, key: bytes | None) -> int:
        """0 or the negative errno."""
        return self._element(_DELETE, key, None)

    def next_key(self, key: bytes | None) -> bytes | int:
        """The following key or the negative errno."""
        following = ctypes.create_string_buffer(self.key_size)
        return self._element(_NEXT_KEY, key, following) or following.raw

    def freeze(self) -> int:
        """BPF_MAP_FREEZE: 0 or the negative errno."""
        return _bpf(_FREEZE, struct.pack("<I", self.fd))
