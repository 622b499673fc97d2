"""What maps hold besides bytes: programs, other maps, perf events and sockets, on Linux and as xdpsim numbers them.

A script names such a thing in the place of a value: `program`, `map1`, `event0`, `socket2`, `bad`. On Linux it is a
file descriptor to write and an id to read; a read id becomes the thing's number with us, so that answers do not depend
on the run.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct

from tests.support import bpfmaps, rawbpf
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import MAP_TYPES

INNER_SHAPES: dict[str, tuple[str, tuple[int, int, int, int]]] = {
    "template": ("HASH", (4, 8, 5, 0)),
    "map1": ("HASH", (4, 8, 5, 0)),
    "map2": ("HASH", (4, 8, 50, 0)),
    "map3": ("HASH", (4, 4, 5, 0)),
    "map4": ("HASH", (4, 8, 5, 1)),
    "map5": ("ARRAY", (4, 8, 5, 0)),
}
"""Maps that may, or for their shape may not, go into a map of maps: type, and key size, value size, entries, flags."""
CHOICES: dict[str, tuple[str, ...]] = {
    "PROG_ARRAY": ("program",),
    "ARRAY_OF_MAPS": (*INNER_SHAPES, "bad"),
    "HASH_OF_MAPS": (*INNER_SHAPES, "bad"),
    "PERF_EVENT_ARRAY": ("event0", "event1", "bad"),
    "XSKMAP": ("socket1", "socket2", "bad"),
}
"""What the values of a type of map may be."""
NUMBERS = {
    "program": 1,
    **{name: number for number, name in enumerate(INNER_SHAPES, 1)},
    "event0": 0,
    "event1": 1,
    "socket1": 1,
    "socket2": 2,
    "bad": 0,
}
"""Each thing's number with us."""
BAD_EVENT = 999
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_AF_XDP = 44
_libc = ctypes.CDLL(None, use_errno=True)


class Things:
    """File descriptors of things, made when they are first named; `close` gives them back."""

    def __init__(self) -> None:
        self._made: dict[str, int] = {}

    def fd(self, name: str) -> int:
        """The file descriptor of a thing; one that is open nowhere for `bad`."""
        if name == "bad":
            return 1_000_000
        if name not in self._made:
            self._made[name] = _make(name)
        return self._made[name]

    def number(self, map_type: str, value: bytes) -> bytes:
        """What was read from such a map as we number it; other values as they are."""
        if map_type not in ("PROG_ARRAY", "ARRAY_OF_MAPS", "HASH_OF_MAPS"):
            return value
        found = int.from_bytes(value, "little")
        for name, fd in self._made.items():
            if name in CHOICES[map_type] and (map_type == "PROG_ARRAY" or bpfmaps.map_id(fd) == found):
                return NUMBERS[name].to_bytes(4, "little")
        raise AssertionError(f"{map_type} gave an unknown id {found}")

    def close(self) -> None:
        """Let everything go."""
        for fd in self._made.values():
            os.close(fd)


def _make(name: str) -> int:
    if name == "program":
        return rawbpf.load(bytes.fromhex("b700000002000000 9500000000000000")).fd
    if name in INNER_SHAPES:
        kind, shape = INNER_SHAPES[name]
        return bpfmaps.create(MAP_TYPES[kind].id, *shape)
    if name.startswith("event"):
        return _perf_event(int(name.removeprefix("event")))
    return socket.socket(_AF_XDP, socket.SOCK_RAW).detach()


def _perf_event(cpu: int) -> int:
    """A software event of kind BPF_OUTPUT that samples raw data."""
    attr = struct.pack("<IIQQQ", 1, 112, 10, 1, 1 << 10).ljust(112, b"\0")
    buffer = ctypes.create_string_buffer(attr, 112)
    fd = int(_libc.syscall(_PERF_EVENT_OPEN[platform.machine()], buffer, -1, cpu, -1, 0))
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd


def own_value(map_type: str, name: str) -> bytes:
    """The value that stands for a thing with us."""
    number = BAD_EVENT if (map_type, name) == ("PERF_EVENT_ARRAY", "bad") else NUMBERS[name]
    return number.to_bytes(4, "little")


def own_maps() -> dict[int, Map]:
    """The inner maps by number."""
    specs = {name: MapSpec(name, kind, *shape) for name, (kind, shape) in INNER_SHAPES.items()}
    return {NUMBERS[name]: create_map(spec, cpus=2, number=NUMBERS[name]) for name, spec in specs.items()}


def template(map_type: str) -> MapSpec | None:
    """The template that maps of maps are made with."""
    kind, shape = INNER_SHAPES["template"]
    return MapSpec("template", kind, *shape) if map_type.endswith("_OF_MAPS") else None
