"""A kernel map for each map of the emulated machine, and the copying of contents between the two.

Contents go in before a batch and come back after it, so that a user sees one map whichever engine ran. What only the
kernel can hold (storage attached to sockets and cgroups, stack traces, perf and ring buffers) is made but not copied.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from xdpsim.bits import round_up
from xdpsim.errors import Unsupported
from xdpsim.maps.types import BPF_F_RDONLY, BPF_F_WRONLY, MAP_TYPES
from xdpsim.sysbpf.info import possible_cpus
from xdpsim.sysbpf.maps import KernelMap, MapDefinition, create_map
from xdpsim.sysbpf.syscall import BpfError, Fd, errno_name

if TYPE_CHECKING:
    from xdpsim.maps.map import Map
    from xdpsim.maps.spec import MapSpec

Contents = dict[bytes, bytes]
_U32 = struct.Struct("=I")
_AF_XDP = 44
_PER_CPU_TYPES = frozenset({"PERCPU_HASH", "PERCPU_ARRAY", "LRU_PERCPU_HASH", "PERCPU_CGROUP_STORAGE"})
COPIED_TYPES = frozenset({"HASH", "ARRAY", "LRU_HASH", "LPM_TRIE", *_PER_CPU_TYPES}) - {"PERCPU_CGROUP_STORAGE"}
DEVICE_TYPES = frozenset({"DEVMAP", "DEVMAP_HASH"})
NESTED_TYPES = frozenset({"ARRAY_OF_MAPS", "HASH_OF_MAPS"})
TARGET_TYPES = frozenset({"CPUMAP", *DEVICE_TYPES})


class Mirror:
    """One map of the machine and its twin in the kernel."""

    def __init__(self, map_: Map, kernel: KernelMap) -> None:
        self.map = map_
        self.kernel = kernel
        self._last: Contents = {}
        self._sockets: list[socket.socket] = []
        spec = map_.spec
        self._stride = round_up(spec.value_size, 8)
        self._starts_zeroed = spec.type in ("ARRAY", "PERCPU_ARRAY")

    def push(self, convert: Callable[[bytes], bytes] | None = None) -> None:
        """Give the kernel what the map holds; `convert` where a value means something else over there."""
        now = self._of_machine(convert)
        if now == self._last:
            return
        for key in self._last.keys() - now.keys():
            self._check("delete", key, self.kernel.delete(key))
        blank = bytes(self.kernel.bytes_per_value) if self._starts_zeroed and not self._last else None
        for key, value in now.items():
            if self._last.get(key, blank) != value:
                self._check("update", key, self.kernel.update(key, value))
        self._last = now

    def pull(self) -> None:
        """Give the map what the kernel's twin holds now."""
        if self.map.spec.type not in COPIED_TYPES or self.map.spec.read_only:
            return
        now = dict(self.kernel.items())
        for key in self._last.keys() - now.keys():
            self._check("delete", key, self.map.delete_bytes(key))
        for key, value in now.items():
            if self._last.get(key) != value:
                self._check("update", key, self.map.update_bytes(key, self._to_machine(value)))
        self._last = now

    def push_sockets(self) -> None:
        """XSKMAP: an unbound AF_XDP socket for each entry, which is all that bpf_redirect_map asks for."""
        while len(self._sockets) < len(self.map):
            self._sockets.append(socket.socket(_AF_XDP, socket.SOCK_RAW))
        held = iter(self._sockets)
        self.push(lambda value: _U32.pack(next(held).fileno()))

    def _of_machine(self, convert: Callable[[bytes], bytes] | None) -> Contents:
        if convert is None:
            return {key: self._to_kernel(value) for key, value in self.map.items_bytes()}
        return {key: convert(value) for key, value in self.map.items_bytes()}

    def _to_kernel(self, value: bytes) -> bytes:
        """Values of CPUs that this machine has and the emulated one has not are zeroes."""
        return value.ljust(self.kernel.bytes_per_value, b"\0")

    def _to_machine(self, value: bytes) -> bytes:
        return value[: self.map.cpus * self._stride] if self.kernel.definition.per_cpu else value

    def _check(self, what: str, key: bytes, result: int) -> None:
        if result < 0:
            text = f"map {self.map.name}: {what} of key {key.hex()} on its way to or from the kernel"
            raise Unsupported(f"{text}: {errno_name(-result)}")


def make_mirror(map_: Map, btf: Fd | None) -> Mirror:
    """Make the twin of a map; read-only data is written and frozen at once, as the verifier reads it."""
    spec = map_.spec
    if spec.type in _PER_CPU_TYPES and map_.cpus > possible_cpus():
        raise Unsupported(f"map {spec.name}: values for {map_.cpus} CPUs, but this kernel has {possible_cpus()}")
    definition = definition_of(spec, btf)
    if spec.inner is not None:
        template = create_map(definition_of(spec.inner, None), possible_cpus())
        definition = replace(definition, inner=template.fd)
    try:
        kernel = create_map(definition, possible_cpus())
    except BpfError:
        if definition.btf is None:
            raise
        # libbpf does the same: most map types take no type information, and most programs need none.
        kernel = create_map(replace(definition, btf=None, key_type=0, value_type=0), possible_cpus())
    mirror = Mirror(map_, kernel)
    if spec.read_only:
        mirror.push()
        kernel.freeze()
    return mirror


def definition_of(spec: MapSpec, btf: Fd | None) -> MapDefinition:
    """What BPF_MAP_CREATE takes for a spec. The flags that bind users only are left out: the engine is no user."""
    return MapDefinition(
        type=MAP_TYPES[spec.type].id,
        key_size=spec.key_size,
        value_size=spec.value_size,
        max_entries=spec.max_entries or (possible_cpus() if spec.type == "PERF_EVENT_ARRAY" else 0),
        flags=spec.flags & ~(BPF_F_RDONLY | BPF_F_WRONLY),
        name=spec.name.removeprefix("."),
        numa_node=spec.numa_node,
        btf=btf,
        key_type=spec.key_type if btf else 0,
        value_type=spec.value_type if btf else 0,
        map_extra=spec.map_extra,
        per_cpu=spec.type in _PER_CPU_TYPES,
    )
