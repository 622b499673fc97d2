"""BPF_PROG_TEST_RUN: runs a loaded program on a packet that we give it. Follows net/bpf/test_run.c."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from xdpsim.sysbpf.syscall import BpfError, Fd, address, bpf_attr, buffer, writable_attr

_TEST_RUN = 10
_HEAD = struct.Struct("=4I2Q4I2Q3I")
_OUT = struct.Struct("=I")
_RETVAL_AT, _DATA_SIZE_OUT_AT, _DURATION_AT, _CTX_SIZE_OUT_AT = 4, 12, 36, 44
MOST_DATA_BYTES = 1 << 17
"""More than any packet that TEST_RUN makes: 3,520 linear bytes, 17 frags of a page, and headroom."""
MOST_CTX_BYTES = 512


@dataclass(frozen=True)
class TestRun:
    """What came of one call: the program's value (unsigned, 32 bits), the packet and the context it left.

    `duration_ns` is the kernel's own measure, per repetition.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    value: int
    data: bytes
    ctx: bytes
    duration_ns: int


class TestRunner:
    """Runs one program as often as wanted, with buffers that are made once."""

    __test__ = False

    def __init__(self, fd: Fd, *, data_bytes: int = MOST_DATA_BYTES) -> None:
        self.fd = fd
        self._data_in, self._data_out = buffer(bytes(MOST_DATA_BYTES)), buffer(bytes(data_bytes))
        self._ctx_in, self._ctx_out = buffer(bytes(MOST_CTX_BYTES)), buffer(bytes(MOST_CTX_BYTES))
        self._views = [memoryview(b).cast("B") for b in (self._data_in, self._data_out, self._ctx_in, self._ctx_out)]
        self._attr = writable_attr(b"")

    def try_run(self, data: bytes, ctx: bytes = b"", *, repeat: int = 1, flags: int = 0) -> TestRun | int:
        """Run the program on `data`: what came of it, or the errno with which TEST_RUN refused to."""
        size = len(data)
        if size > MOST_DATA_BYTES or len(ctx) > MOST_CTX_BYTES:
            return errno.EINVAL  # the kernel's answer as well, far below that
        data_in, data_out, ctx_in, ctx_out = self._views
        data_in[:size] = data
        ctx_in[: len(ctx)] = ctx
        attr = self._attr
        _HEAD.pack_into(
            *(attr, 0, self.fd.number, 0, size, len(data_out), address(self._data_in), address(self._data_out)),
            *(repeat, 0, len(ctx), MOST_CTX_BYTES if ctx else 0, address(self._ctx_in) if ctx else 0),
            *(address(self._ctx_out) if ctx else 0, flags, 0, 0),
        )
        result = bpf_attr(_TEST_RUN, attr)
        if result < 0:
            return -result
        value, size_out, duration, ctx_size = (
            _OUT.unpack_from(attr, at)[0] for at in (_RETVAL_AT, _DATA_SIZE_OUT_AT, _DURATION_AT, _CTX_SIZE_OUT_AT)
        )
        return TestRun(value, bytes(data_out[:size_out]), bytes(ctx_out[:ctx_size]) if ctx else b"", duration)

    def run(self, data: bytes, ctx: bytes = b"", *, repeat: int = 1, flags: int = 0) -> TestRun:
        """As try_run; a refusal is a BpfError."""
        outcome = self.try_run(data, ctx, repeat=repeat, flags=flags)
        if isinstance(outcome, int):
            raise BpfError(f"BPF_PROG_TEST_RUN of a {len(data)}-byte packet", outcome)
        return outcome
