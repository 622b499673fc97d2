"""Builds bench/twin.c with the machine's C compiler, where there is one, and times its tasks."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench.programs import UDP, addresses, prefixes

TASKS = ("pass", "parse", "counter", "acl", "lpm")
_PACKETS = 1024


class _Packet(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("end", ctypes.c_void_p), ("verdict", ctypes.c_uint32))


def build() -> ctypes.CDLL | None:
    """The compiled twin; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    target = Path(tempfile.mkdtemp(prefix="xdpsim-bench-")) / "twin.so"
    source = Path(__file__).with_name("twin.c")
    subprocess.run([compiler, "-O2", "-march=native", "-shared", "-fPIC", "-o", target, source], check=True)
    library = ctypes.CDLL(str(target))
    library.twin_run.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]
    library.twin_run.restype = ctypes.c_uint64
    for key in addresses():
        library.twin_add(ctypes.c_uint32(int.from_bytes(key, "little")))
    for key in prefixes():
        length, address = (int.from_bytes(part, "little") for part in (key[:4], key[4:]))
        library.twin_add_prefix(ctypes.c_uint32(length), ctypes.c_uint32(address))
    return library


def nanoseconds(library: ctypes.CDLL, task: str, rounds: int = 2000) -> float:
    """Nanoseconds a packet over one hot packet, the best of five."""
    data = ctypes.create_string_buffer(UDP, len(UDP))
    start = ctypes.addressof(data)
    batch = (_Packet * _PACKETS)(*((start, start + len(UDP), 0) for _ in range(_PACKETS)))
    best = float("inf")
    for _ in range(5):
        begun = time.thread_time_ns()
        library.twin_run(TASKS.index(task), ctypes.addressof(batch), _PACKETS, rounds)
        best = min(best, (time.thread_time_ns() - begun) / (rounds * _PACKETS))
    return best
