"""What a kind of map is: a row with its operations, its creation rules and how its memory is made.

array.py, hash.py ... declare the rows; map.py builds maps from them. Creation rules follow map_create() in
kernel/bpf/syscall.c and each type's map_alloc_check; limits are those of a process with all capabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdpsim.bits import M32, round_up
from xdpsim.btf.values import Value
from xdpsim.errors import InputError, XdpsimBug
from xdpsim.maps.header import EINVAL, ERRNO_NAMES, MAP
from xdpsim.maps.plain import no_pop, no_push
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import (
    BPF_F_RDONLY,
    BPF_F_RDONLY_PROG,
    BPF_F_WRONLY,
    BPF_F_WRONLY_PROG,
    MapType,
)
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import View
from xdpsim.memory.native import NativeFunction
from xdpsim.memory.space import Region

ACCESS_FLAGS = BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG
PER_CPU_VALUE_BYTES = 32 << 10
"""PCPU_MIN_UNIT_SIZE: the largest value of a per-CPU map."""
LARGEST_ALLOCATION = 4 << 20
"""KMALLOC_MAX_SIZE of a kernel with 4 KiB pages: an upper limit of key and value sizes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why Linux refuses a map: the field of its spec, what would have been right, and the errno.

    `found` is what is shown of a field that is no number.
    """

    field: str
    expected: str
    errno: int
    found: str = ""


class MapMemory:
    """A map while it is being made: its header, its blocks of memory and the regions that programs may touch."""

    def __init__(self, spec: MapSpec, header: View, cpus: int) -> None:
        self.spec, self.header, self.cpus = spec, header, cpus
        self.values: Block | None = None
        self.regions: list[Region] = []
        self.nodes: Block | None = None
        self.value_slots = 0
        self.key_of_slot: Callable[[int], bytes | None] = lambda slot: None
        self.slot_name: Callable[[int], str] | None = None
        self._blocks: list[Block] = []

    def block(self, size: int, what: str) -> Block:
        """`size` zeroed bytes that live as long as the map."""
        made = Block(size, f"map {self.spec.name}: {what}")
        self._blocks.append(made)
        return made

    def place_values(
        self, block: Block, *, offset: int = 0, count: int, stride: int, copies: int = 0, is_writable: bool = True
    ) -> None:
        """Say where `count` values lie; in a per-CPU map, `copies` runs of them, one for each CPU."""
        self.values, self.value_slots = block, count
        self.header.values = block.address + offset
        self.header.value_stride = stride
        self.header.cpu_stride = count * stride if copies else 0
        is_writable = is_writable and not (self.spec.read_only or self.spec.flags & BPF_F_RDONLY_PROG)
        region = Region(
            f"map {self.spec.name}",
            block,
            offset=offset,
            count=count * max(copies, 1),
            stride=stride,
            valid=self.spec.value_size,
            writable=is_writable,
        )
        self.regions.append(region)


@dataclass(frozen=True, kw_only=True)
class MapKind:
    """One type of map. `flags` are the creation flags Linux takes for it; `check` holds its further creation rules.

    `update_error` is what an update checks before it looks at the value, for types whose values name other objects;
    for them, too, `encode_value` and `decode_value` turn a program or an interface into a value and back (the first may
    leave a value as it is). `user_lookup` and `user_update` differ from the program's operations where the type tells
    the two apart; `lookup_error` is the errno of bpf(2) where Linux lets no user look. `map_extra` holds the bits that
    the field of that name may have. `length` counts the elements where that takes no walk. Where a user's value is
    not what is stored, `store` makes the one of the other (or an errno) and `load` turns back what lies at an address,
    both given the map. `drain` takes the records that wait for a user, `elements` are
    the values of a map without keys in the order in which they were pushed.
    """

    type: MapType
    flags: int
    build: Callable[[MapMemory], None]
    lookup: NativeFunction | Callable[[MapSpec], NativeFunction]
    update: NativeFunction
    delete: NativeFunction
    next_key: NativeFunction
    check: Callable[[MapSpec], Problem | None] = lambda spec: None
    user_lookup: NativeFunction | None = None
    user_update: NativeFunction | None = None
    lookup_error: int = 0
    user_delete: NativeFunction | None = None
    update_error: NativeFunction | None = None
    push: NativeFunction = no_push
    pop: NativeFunction = no_pop
    peek: NativeFunction = no_pop
    map_extra: int = 0
    per_cpu: bool = False
    redirect_flags: int = 0
    added_flags: int = 0
    encode_value: Callable[[MapSpec, object, str], object] = lambda spec, value, where: value
    decode_value: Callable[[bytes], Value] | None = None
    store: Callable[[Any, bytes], bytes | int] | None = None
    load: Callable[[Any, int], bytes] | None = None
    length: Callable[[View], int] | None = None
    drain: Callable[[MapMemory], list[bytes]] | None = None
    elements: Callable[[MapMemory], list[bytes]] | None = None

    def lookup_for(self, spec: MapSpec) -> NativeFunction:
        """The program's lookup for this key size."""
        return self.lookup if isinstance(self.lookup, NativeFunction) else self.lookup(spec)

    def write_operations(self, spec: MapSpec, header: View) -> None:
        """Put the operations' addresses into a map's header."""
        header.lookup = self.lookup_for(spec).address
        header.update = self.update.address
        header.delete = self.delete.address
        header.next_key = self.next_key.address
        header.push, header.pop, header.peek = self.push.address, self.pop.address, self.peek.address


KINDS: dict[str, MapKind] = {}
"""Every kind of map that can be made, by the kernel's word."""


def declare(kind: MapKind) -> MapKind:
    """Register a kind of map."""
    if kind.type.name in KINDS:
        raise XdpsimBug(f"map kind {kind.type.name} is declared twice")
    KINDS[kind.type.name] = kind
    return kind


def check_spec(kind: MapKind, spec: MapSpec) -> None:
    """Raise InputError where Linux would refuse to make the map."""
    problem = _common_problem(kind, spec) or kind.check(spec)
    if problem is None:
        if spec.initial is not None and len(spec.initial) > spec.value_size:
            found = f"initial content of {len(spec.initial)} bytes"
            raise InputError(f"map {spec.name}: {found}, expected at most its value_size, {spec.value_size}")
        return
    found = getattr(spec, problem.field)
    shown = problem.found or (f"{found:#x}" if problem.field == "flags" else f"{found}")
    raise InputError(
        f"map {spec.name}: {problem.field} {shown}, expected {problem.expected}",
        hint=f"Linux refuses such a {spec.type} map with {ERRNO_NAMES[problem.errno]}",
    )


def _common_problem(kind: MapKind, spec: MapSpec) -> Problem | None:
    for field in ("key_size", "value_size", "max_entries", "flags"):
        if not 0 <= getattr(spec, field) <= M32:
            return Problem(field, "a number of 32 bits", EINVAL)
    if spec.map_extra & ~kind.map_extra:
        return Problem("map_extra", f"at most {kind.map_extra} for {spec.type}", EINVAL)
    if spec.flags & ~kind.flags:
        return Problem("flags", f"no flags but {kind.flags:#x}", EINVAL)
    for both in (BPF_F_RDONLY | BPF_F_WRONLY, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG):
        if spec.flags & both == both:
            return Problem("flags", f"not both bits of {both:#x}", EINVAL)
    return None


def slot_bytes(size: int) -> int:
    """Bytes that a value or key takes in memory: rounded up to 8."""
    return round_up(size, 8)


assert MAP.size % 8 == 0
