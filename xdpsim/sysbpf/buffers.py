"""What programs and user space tell each other through ring buffers and perf events: memory shared with the kernel.

Follows kernel/bpf/ringbuf.c and include/uapi/linux/perf_event.h. Nothing waits here: what is there is taken.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import struct

from xdpsim.errors import InputError
from xdpsim.sysbpf.maps import KernelMap
from xdpsim.sysbpf.syscall import Fd, errno_name

_PAGE = mmap.PAGESIZE
_RING_BUSY, _RING_DISCARD = 1 << 31, 1 << 30
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_PERF_TYPE_SOFTWARE, _BPF_OUTPUT, _SAMPLE_RAW = 1, 10, 1 << 10
_ATTR_BYTES, _FLAG_FD_CLOEXEC = 128, 8
_DATA_HEAD_AT = 1024
"""Offset of data_head in struct perf_event_mmap_page; data_tail follows."""
_RECORD_SAMPLE = 9
_RECORD = struct.Struct("=IHH")
_U64, _U32 = struct.Struct("=Q"), struct.Struct("=I")
PERF_PAGES = 64


class RingReader:
    """The consumer of a RINGBUF map of `size` bytes."""

    def __init__(self, ring: KernelMap) -> None:
        size = ring.definition.max_entries
        number = ring.fd.number
        self._size = size
        self._consumer = mmap.mmap(number, _PAGE)
        self._producer = mmap.mmap(number, _PAGE + 2 * size, prot=mmap.PROT_READ, offset=_PAGE)

    def drain(self) -> list[bytes]:
        """All records up to the first that is still being written; discarded ones are left out."""
        (at,) = _U64.unpack_from(self._consumer)
        (end,) = _U64.unpack_from(self._producer)
        found = []
        while at < end:
            start = _PAGE + (at & (self._size - 1))
            (word,) = _U32.unpack_from(self._producer, start)
            if word & _RING_BUSY:
                break
            length = word & ~_RING_DISCARD
            if not word & _RING_DISCARD:
                found.append(self._producer[start + 8 : start + 8 + length])
            at += (length + 8 + 7) & ~7
        _U64.pack_into(self._consumer, 0, at)
        return found


class RingWriter:
    """The producer of a USER_RINGBUF map."""

    def __init__(self, ring: KernelMap) -> None:
        self._size = ring.definition.max_entries
        self._memory = mmap.mmap(ring.fd.number, _PAGE + 2 * self._size, offset=_PAGE)

    def put(self, data: bytes) -> None:
        """Add a record, for which the caller knows that there is room."""
        (at,) = _U64.unpack_from(self._memory)
        start = _PAGE + (at & (self._size - 1))
        self._memory[start + 8 : start + 8 + len(data)] = data
        _U64.pack_into(self._memory, start, len(data))
        _U64.pack_into(self._memory, 0, at + ((len(data) + 8 + 7) & ~7))


class PerfReader:
    """One perf event for samples of programs on one CPU, with its buffer."""

    def __init__(self, cpu: int) -> None:
        attr = bytearray(_ATTR_BYTES)
        struct.pack_into("=IIQQQ", attr, 0, _PERF_TYPE_SOFTWARE, _ATTR_BYTES, _BPF_OUTPUT, 1, _SAMPLE_RAW)
        struct.pack_into("=I", attr, 48, 1)  # wakeup_events
        held = (ctypes.c_char * _ATTR_BYTES).from_buffer(attr)
        libc = ctypes.CDLL(None, use_errno=True)
        number = _PERF_EVENT_OPEN[platform.machine()]
        words = (ctypes.c_long(word) for word in (number, ctypes.addressof(held), -1, cpu, -1, _FLAG_FD_CLOEXEC))
        result = libc.syscall(*words)
        if result < 0:
            error = ctypes.get_errno()
            hint = "needs CAP_PERFMON" if error in (errno.EPERM, errno.EACCES) else ""
            raise InputError(f"perf event on CPU {cpu}: {errno_name(error)} ({os.strerror(error)})", hint=hint)
        self.cpu, self.fd = cpu, Fd(result)
        self._memory = mmap.mmap(result, _PAGE * (1 + PERF_PAGES))
        libc.ioctl(result, 0x2400, 0)  # PERF_EVENT_IOC_ENABLE

    def drain(self) -> list[bytes]:
        """The raw data of all samples, with the padding that perf puts behind it."""
        size = PERF_PAGES * _PAGE
        head, tail = struct.unpack_from("=QQ", self._memory, _DATA_HEAD_AT)
        found = []
        while tail < head:
            kind, _, length = _RECORD.unpack(self._at(tail, _RECORD.size, size))
            if kind == _RECORD_SAMPLE:
                (raw,) = _U32.unpack(self._at(tail + _RECORD.size, 4, size))
                found.append(self._at(tail + _RECORD.size + 4, raw, size))
            tail += length
        _U64.pack_into(self._memory, _DATA_HEAD_AT + 8, tail)
        return found

    def _at(self, position: int, length: int, size: int) -> bytes:
        start = position % size
        first = self._memory[_PAGE + start : _PAGE + min(start + length, size)]
        return first + self._memory[_PAGE : _PAGE + length - len(first)]
