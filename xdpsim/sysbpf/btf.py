"""BPF_BTF_LOAD: gives type information to the kernel. What the bytes mean is left to xdpsim.btf."""

from __future__ import annotations

import errno
import struct

from xdpsim.sysbpf.syscall import BpfError, Fd, address, bpf, buffer

_BTF_LOAD = 18
_LOG_BYTES = 1 << 20


def load_btf(raw: bytes) -> Fd:
    """The kernel's handle of a .BTF section; BpfError ends with the last line of the kernel's log."""
    data = buffer(raw)
    result = bpf(_BTF_LOAD, struct.pack("=QQIII", address(data), 0, len(raw), 0, 0))
    if result >= 0:
        return Fd(result)
    log = buffer(bytes(_LOG_BYTES))
    again = bpf(_BTF_LOAD, struct.pack("=QQIII", address(data), address(log), len(raw), _LOG_BYTES, 1))
    if again >= 0:
        return Fd(again)
    lines = log.value.decode(errors="replace").strip().splitlines()
    why = f" ({lines[-1]})" if lines and again != -errno.EPERM else ""
    raise BpfError(f"{len(raw)} bytes of BTF: the kernel refuses them{why}", -again)
