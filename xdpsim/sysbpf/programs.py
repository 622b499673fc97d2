"""BPF_PROG_LOAD: has the kernel verify and compile a program. Running it is left to testrun.py.

A refusal is xdpsim.errors.Rejected with the verifier's whole log. Follows bpf_prog_load in kernel/bpf/syscall.c and
kernel/bpf/log.c.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
from dataclasses import dataclass

from xdpsim.errors import Rejected
from xdpsim.sysbpf.maps import kernel_name
from xdpsim.sysbpf.syscall import BpfError, Fd, address, bpf, buffer, errno_name

_PROG_LOAD = 5
F_SLEEPABLE = 1 << 4
F_XDP_HAS_FRAGS = 1 << 5
_FIRST_LOG_BYTES = 1 << 16
_LOG_FIXED = 8  # BPF_LOG_FIXED: keep the beginning of a log that is too long
_MOST_LOG_BYTES = 1 << 28
_TRIES = 5
"""The verifier gives up with EAGAIN when a signal waits; libbpf tries as often."""

FUNC_INFO = struct.Struct("=II")
LINE_INFO = struct.Struct("=IIII")


@dataclass(frozen=True)
class ProgramDefinition:
    """What BPF_PROG_LOAD takes. `type` is BPF_PROG_TYPE_*, `flags` are BPF_F_*.

    `code` is raw instructions with the file descriptors of maps filled in. `func_info` holds (slot, BTF type),
    `line_info` (slot, file offset, line offset, line << 10 | column); both need `btf`.
    """

    type: int
    code: bytes
    name: str = ""
    attach_type: int = 0
    licence: str = "GPL"
    flags: int = 0
    btf: Fd | None = None
    func_info: tuple[tuple[int, int], ...] = ()
    line_info: tuple[tuple[int, int, int, int], ...] = ()


def load_program(definition: ProgramDefinition, *, log_level: int = 1) -> Fd:
    """The kernel's handle of the program; Rejected when its verifier refuses, BpfError when bpf(2) itself does."""
    result, _ = _load(definition, 0, 0)
    if result >= 0:
        return Fd(result)
    result, log = _load_with_log(definition, log_level)
    if result >= 0:
        return Fd(result)
    name = definition.name or f"program of type {definition.type}"
    if result == -errno.EPERM and not log:
        raise BpfError(f"{name}: the kernel does not load it", errno.EPERM)
    said = telling_line(log) or os.strerror(-result)
    message = f"{name}: Linux {os.uname().release} rejects it ({errno_name(-result)}): {said}"
    raise Rejected(message, errno=-result, log=log)


def verifier_log(definition: ProgramDefinition, log_level: int = 1) -> tuple[int, str]:
    """What the verifier says of the program at that log level, and 0 or the errno with which it refuses it."""
    result, log = _load_with_log(definition, log_level)
    if result >= 0:
        os.close(result)
    return max(-result, 0), log


def log_tail(definition: ProgramDefinition, log_level: int = 1) -> tuple[int, str]:
    """As verifier_log, but of a log beyond 64 KiB the end only: ENOSPC then takes the place of 0, never of an errno."""
    result, log = _load(definition, log_level, _FIRST_LOG_BYTES)
    if result >= 0:
        os.close(result)
    return max(-result, 0), log


def log_head(definition: ProgramDefinition, log_level: int, most_bytes: int) -> tuple[int, str]:
    """As verifier_log, but of a long log the first `most_bytes` only; ENOSPC then takes the place of 0."""
    result, log = _load(definition, log_level | _LOG_FIXED, most_bytes)
    if result >= 0:
        os.close(result)
    return max(-result, 0), log


def telling_line(log: str) -> str:
    """The line of a verifier log that says what was wrong: the last one that is no statistics."""
    for line in reversed(log.splitlines()):
        text = line.strip()
        if text and not re.match(r"processed \d+ insns|verification time|stack depth|insns processed", text):
            return text
    return ""


def _load_with_log(definition: ProgramDefinition, log_level: int) -> tuple[int, str]:
    size = _FIRST_LOG_BYTES
    while True:
        result, log = _load(definition, log_level, size)
        if result != -errno.ENOSPC or size >= _MOST_LOG_BYTES:
            return result, log
        size *= 8


def _load(definition: ProgramDefinition, log_level: int, log_bytes: int) -> tuple[int, str]:
    d = definition
    log = buffer(bytes(log_bytes)) if log_level else None
    code, licence = buffer(d.code), buffer(d.licence.encode() + b"\0")
    func_info = buffer(b"".join(FUNC_INFO.pack(*row) for row in d.func_info))
    line_info = buffer(b"".join(LINE_INFO.pack(*row) for row in d.line_info))
    attr = struct.pack("=IIQQ", d.type, len(d.code) // 8, address(code), address(licence))
    attr += struct.pack("=IIQII", log_level, log_bytes if log_level else 0, address(log), 0, d.flags)
    attr += struct.pack("=16sIII", kernel_name(d.name), 0, d.attach_type, d.btf.number if d.btf else 0)
    attr += struct.pack("=IQI", FUNC_INFO.size if d.func_info else 0, _if_any(func_info, d.func_info), len(d.func_info))
    attr += struct.pack("=IQI", LINE_INFO.size if d.line_info else 0, _if_any(line_info, d.line_info), len(d.line_info))
    for _ in range(_TRIES):
        result = bpf(_PROG_LOAD, attr)
        if result != -errno.EAGAIN:
            break
    return result, log.value.decode(errors="replace") if log else ""


def _if_any(memory: ctypes.Array[ctypes.c_char], rows: tuple[object, ...]) -> int:
    return address(memory) if rows else 0
