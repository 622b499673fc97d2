"""The address space: what programs may touch, alike in Python and in native code, and what addresses are called."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdpsim.bits import M64
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import View
from xdpsim.memory.space import AddressSpace, Region
from xdpsim.memory.space_ops import may_access
from xdpsim.memory.structs import RUN_STATE, STACK_BYTES, STACK_FRAME_BYTES, XDP_BUFF


class World:
    """An address space with a packet, one stack frame, an array of five values and two odd regions."""

    def __init__(self) -> None:
        self._block = Block(RUN_STATE.size, "run state")
        self.state = View(RUN_STATE, self._block.view, 0, self._block.address)
        self.state.context = self._block.address + RUN_STATE.offset("xdp")
        self.space = AddressSpace(self.state)
        self.memory, self.frame = Block(4096, "memory"), Block(4096, "frame")
        values = Region(
            "map m", self.memory, offset=64, count=5, stride=16, valid=12, slot_name=lambda n: f"map m[{n}].value"
        )
        frozen = Region("map .rodata", self.memory, offset=1024, valid=40, writable=False)
        header = Region("map m", self.memory, offset=2048, valid=0)
        for region in (frozen, values, header):
            self.space.add(region)
        self.values, self.frozen, self.header = values, frozen, header
        xdp = View(XDP_BUFF, self._block.view, RUN_STATE.offset("xdp"), self.state.context)
        xdp.data_meta, xdp.data, xdp.data_end = (self.frame.address + at for at in (252, 256, 356))
        top = self._block.address + RUN_STATE.offset("stack") + STACK_BYTES
        self.state.stack_low = self.stack = top - STACK_FRAME_BYTES
        self.space.follow_run_state()
        self.packet = self.frame.address + 252

    def anchors(self) -> list[int]:
        regions = (self.values, self.frozen, self.header)
        return [
            self.packet,
            self.stack,
            self.state.context,
            0,
            M64,
            *(r.start for r in regions),
            *(r.end for r in regions),
        ]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


WORLD = World()


@settings(deadline=None)
@given(st.sampled_from(WORLD.anchors()), st.integers(-130, 600), st.integers(1, 130), st.booleans())
def test_native_code_allows_what_python_allows(anchor: int, distance: int, size: int, is_write: bool) -> None:
    addr, space = (anchor + distance) & M64, WORLD.space
    allowed = space.writable(addr, size) if is_write else space.readable(addr, size)
    assert may_access(WORLD.state.address, addr, size, int(is_write)) == int(allowed)


def places(world: World) -> Iterator[tuple[int, int, str]]:
    packet, stack, values, frozen = world.packet, world.stack, world.values.start, world.frozen.start
    yield packet, 1, "packet+0"
    yield packet + 14, 4, "packet+14"
    yield packet + 103, 4, "packet+103, 3 bytes past its end"
    yield packet + 104, 1, "packet+104, 1 byte past its end"
    yield packet - 3, 1, "3 bytes before packet"
    yield stack + 8, 8, "stack+8"
    yield stack + 510, 4, "stack+510, 2 bytes past its end"
    yield stack - 16, 8, "16 bytes before stack"
    yield values, 4, "map m[0].value+0"
    yield values + 16 * 3 + 2, 4, "map m[3].value+2"
    yield values + 16 * 3 + 12, 1, "map m[3].value+12, 1 byte past its end"
    yield values + 16 * 4 + 12, 4, "map m[4].value+12, 4 bytes past its end"
    yield frozen + 8, 8, "map .rodata+8"
    yield world.header.start, 8, "map m+0, 8 bytes past its end"
    yield world.state.context + 4, 4, "context+4"
    yield 0, 1, "a null pointer"
    yield 34, 1, "the number 34, which is no pointer"
    yield M64 - 1, 1, "the number -2, which is no pointer"
    yield 0x1234_5678_9ABC, 1, "an address in no region"


@pytest.mark.parametrize("number", range(len(list(places(WORLD)))))
def test_addresses_have_names(world: World, number: int) -> None:
    addr, size, name = list(places(world))[number]
    assert world.space.describe(addr, size) == name


def test_reads_and_writes_go_where_they_should(world: World) -> None:
    world.space.write(world.values.start + 16, b"\1\2\3")
    assert world.space.read(world.values.start + 16, 3) == b"\1\2\3"
    assert bytes(world.memory.view[64 + 16 : 64 + 19]) == b"\1\2\3"
    with pytest.raises(ValueError, match=r"map \.rodata"):
        world.space.write(world.frozen.start, b"\1")
    with pytest.raises(ValueError, match="null pointer"):
        world.space.read(0, 4)


def test_a_removed_region_is_gone(world: World) -> None:
    block = Block(4096, "more")
    region = Region("more", block, valid=64)
    world.space.add(region)
    assert may_access(world.state.address, block.address, 64, 1) == 1
    world.space.remove(region)
    assert not world.space.readable(block.address, 1)
    assert may_access(world.state.address, block.address, 1, 0) == 0


def test_many_regions_make_the_table_grow() -> None:
    world, block = World(), Block(1 << 20, "many")
    for number in range(300):
        world.space.add(Region(f"r{number}", block, offset=number * 64, valid=32))
    for number in (0, 150, 299):
        at = block.address + number * 64
        assert may_access(world.state.address, at, 32, 1) == 1
        assert may_access(world.state.address, at, 33, 0) == 0
        assert world.space.describe(at + 1) == f"r{number}+1"
