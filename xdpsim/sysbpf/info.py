"""What the running kernel is: object information, and the fingerprint that ties recorded answers to a kernel."""

from __future__ import annotations

import functools
import gzip
import hashlib
import platform
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from xdpsim.errors import InputError
from xdpsim.sysbpf.syscall import BpfError, Fd, address, bpf, bpf_attr, buffer, writable_attr

_OBJ_GET_INFO = 15
_PROG_GET_FD, _MAP_GET_FD = 13, 14
_CONFIG = Path("/proc/config.gz")
_POSSIBLE = Path("/sys/devices/system/cpu/possible")
_BUILT_IN = re.compile(r"^(CONFIG_\w+)=(.*)$", re.MULTILINE)
_COMPILER = re.compile(r"CONFIG_(CC|GCC|CLANG|AS|LD|LLD|PAHOLE|RUSTC|BINDGEN|BUILD|TOOLS|LOCALVERSION|DEFAULT_HOST)")


@dataclass(frozen=True)
class Fingerprint:
    """What of a kernel may change its answers: equal fingerprints, equal answers.

    `hz` and `nr_cpus` are 0, and `config` is empty, where the kernel does not show its configuration. `config` hashes
    the options without the names and versions of the tools that built it.
    """

    release: str
    machine: str
    possible_cpus: int
    nr_cpus: int
    hz: int
    config: str

    @property
    def version(self) -> str:
        """`6.18` of `6.18.44-...`."""
        return ".".join(re.findall(r"\d+", self.release)[:2])


@functools.cache
def fingerprint() -> Fingerprint:
    """Of the running kernel."""
    options = dict(_BUILT_IN.findall(_config_text()))
    kept = "\n".join(f"{name}={value}" for name, value in sorted(options.items()) if not _COMPILER.match(name))
    return Fingerprint(
        release=platform.release(),
        machine=platform.machine(),
        possible_cpus=possible_cpus(),
        nr_cpus=int(options.get("CONFIG_NR_CPUS", 0)),
        hz=int(options.get("CONFIG_HZ", 0)),
        config=hashlib.sha256(kept.encode()).hexdigest()[:16] if options else "",
    )


def _config_text() -> str:
    for path in (_CONFIG, Path(f"/boot/config-{platform.release()}")):
        try:
            raw = path.read_bytes()
        except OSError:
            continue
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode(errors="replace")
    return ""


@functools.cache
def possible_cpus() -> int:
    """How many CPUs this kernel could ever have: the number of values in a per-CPU map."""
    try:
        text = _POSSIBLE.read_text().strip()
    except OSError as err:
        raise InputError(f"{_POSSIBLE}: {err.strerror}, expected the list of possible CPUs of a Linux") from err
    return cpu_count_of(text)


def cpu_count_of(ranges: str) -> int:
    """One more than the highest CPU of a list such as `0-3,8`."""
    numbers = [int(n) for n in re.findall(r"\d+", ranges)]
    if not numbers:
        raise InputError(f"CPU list {ranges!r}: expected numbers and ranges such as 0-3")
    return max(numbers) + 1


def object_info(fd: Fd, size: int = 256) -> bytes:
    """BPF_OBJ_GET_INFO_BY_FD: the first bytes of struct bpf_prog_info, bpf_map_info or bpf_btf_info."""
    held = buffer(bytes(size))
    attr = writable_attr(struct.pack("=IIQ", fd.number, size, address(held)))
    result = bpf_attr(_OBJ_GET_INFO, attr)
    if result < 0:
        raise BpfError("object information", -result)
    (filled,) = struct.unpack_from("=I", attr, 4)
    return held.raw[:filled]


def object_id(fd: Fd) -> int:
    """The number by which the kernel knows a map or a program."""
    number: int = struct.unpack_from("=I", object_info(fd), 4)[0]
    return number


def fd_by_id(kind: str, number: int) -> Fd:
    """Open the map or program (`kind`) that has this number."""
    result = bpf({"program": _PROG_GET_FD, "map": _MAP_GET_FD}[kind], struct.pack("=I", number))
    if result < 0:
        raise BpfError(f"{kind} {number}", -result)
    return Fd(result)
