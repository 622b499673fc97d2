"""QUEUE and STACK: elements without keys, taken from the oldest or from the newest end.

Follows kernel/bpf/queue_stack_maps.c: a ring of max_entries + 1 elements of exactly value_size bytes. A user's update
pushes, a lookup peeks.
"""

from __future__ import annotations

from xdpsim.maps.header import E2BIG, EINVAL, MAP, NEG_E2BIG, NEG_EINVAL, NEG_ENOENT
from xdpsim.maps.kind import ACCESS_FLAGS, LARGEST_ALLOCATION, MapKind, MapMemory, Problem, declare
from xdpsim.maps.plain import no_lookup, wrong_delete, wrong_next_key, wrong_update
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_EXIST, BPF_F_NUMA_NODE, BPF_NOEXIST, MAP_TYPES
from xdpsim.memory.layout import View
from xdpsim.memory.native import native
from xdpsim.memory.raw import copy, fill, load32, load64, store64

_VALUE_SIZE, _MAX = MAP.offset("value_size"), MAP.offset("max_entries")
_VALUES, _HEAD, _TAIL = MAP.offset("values"), MAP.offset("head"), MAP.offset("tail")


@native
def keyless_element(map_: int, index: int) -> int:
    """Address of the element at a place in the ring."""
    return load64(map_ + _VALUES) + index * load32(map_ + _VALUE_SIZE)


@native
def keyless_after(map_: int, index: int) -> int:
    """The following place in the ring."""
    return 0 if index == load32(map_ + _MAX) else index + 1


@native
def keyless_push(rs: int, map_: int, value: int, flags: int) -> int:
    """Add an element: -E2BIG when full, unless BPF_EXIST lets the oldest one go."""
    if flags & BPF_NOEXIST or flags > BPF_EXIST:
        return NEG_EINVAL
    head = load64(map_ + _HEAD)
    after = keyless_after(map_, head)
    if after == load64(map_ + _TAIL):
        if flags == 0:
            return NEG_E2BIG
        store64(map_ + _TAIL, keyless_after(map_, after))
    copy(keyless_element(map_, head), value, load32(map_ + _VALUE_SIZE))
    store64(map_ + _HEAD, after)
    return 0


@native
def keyless_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """A user's update is a push."""
    return keyless_push(rs, map_, value, flags)


@native
def queue_front(rs: int, map_: int, key: int) -> int:
    """Address of the oldest element, 0 when there is none."""
    tail = load64(map_ + _TAIL)
    return 0 if tail == load64(map_ + _HEAD) else keyless_element(map_, tail)


@native
def stack_top(rs: int, map_: int, key: int) -> int:
    """Address of the newest element, 0 when there is none."""
    head = load64(map_ + _HEAD)
    if head == load64(map_ + _TAIL):
        return 0
    return keyless_element(map_, head - 1 if head else load32(map_ + _MAX))


@native
def keyless_give(map_: int, element: int, value: int) -> int:
    """Copy an element out; without one `value` is zeroed and the answer -ENOENT."""
    size = load32(map_ + _VALUE_SIZE)
    if element == 0:
        fill(value, 0, size)
        return NEG_ENOENT
    copy(value, element, size)
    return 0


@native
def queue_peek(rs: int, map_: int, value: int) -> int:
    """The oldest element, which stays."""
    return keyless_give(map_, queue_front(rs, map_, 0), value)


@native
def queue_pop(rs: int, map_: int, value: int) -> int:
    """Take the oldest element."""
    error = queue_peek(rs, map_, value)
    if error == 0:
        store64(map_ + _TAIL, keyless_after(map_, load64(map_ + _TAIL)))
    return error


@native
def stack_peek(rs: int, map_: int, value: int) -> int:
    """The newest element, which stays."""
    return keyless_give(map_, stack_top(rs, map_, 0), value)


@native
def stack_pop(rs: int, map_: int, value: int) -> int:
    """Take the newest element."""
    error = stack_peek(rs, map_, value)
    if error == 0:
        head = load64(map_ + _HEAD)
        store64(map_ + _HEAD, head - 1 if head else load32(map_ + _MAX))
    return error


def keyless_problem(spec: MapSpec) -> Problem | None:
    """The creation rules of maps that have values without keys."""
    if spec.key_size:
        return Problem("key_size", f"0, for a {spec.type} has no keys", EINVAL)
    for field in ("max_entries", "value_size"):
        if getattr(spec, field) == 0:
            return Problem(field, "1 or more", EINVAL)
    if spec.value_size > LARGEST_ALLOCATION:
        return Problem("value_size", f"{LARGEST_ALLOCATION} or less", E2BIG)
    return None


def _build(memory: MapMemory) -> None:
    spec = memory.spec
    places = spec.max_entries + 1
    block = memory.block(places * spec.value_size, "elements")
    memory.place_values(block, count=places, stride=spec.value_size)
    memory.regions.clear()


def _length(header: View) -> int:
    return (header.head - header.tail) % (header.max_entries + 1)


def _elements(memory: MapMemory) -> list[bytes]:
    block, header, size = memory.values, memory.header, memory.spec.value_size
    assert block is not None
    places = ((header.tail + n) % (header.max_entries + 1) * size for n in range(_length(header)))
    return [bytes(block.view[at : at + size]) for at in places]


QUEUE, STACK = (
    declare(
        MapKind(
            type=MAP_TYPES[name],
            flags=BPF_F_NUMA_NODE | ACCESS_FLAGS,
            check=keyless_problem,
            build=_build,
            lookup=no_lookup,
            user_lookup=front,
            update=wrong_update,
            user_update=keyless_update,
            delete=wrong_delete,
            next_key=wrong_next_key,
            push=keyless_push,
            pop=pop,
            peek=peek,
            length=_length,
            elements=_elements,
        )
    )
    for name, front, pop, peek in (
        ("QUEUE", queue_front, queue_pop, queue_peek),
        ("STACK", stack_top, stack_pop, stack_peek),
    )
)
