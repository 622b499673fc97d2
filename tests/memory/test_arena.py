"""Blocks of native memory: zeroed, where they say they are, found while they live and not afterwards."""

from __future__ import annotations

import ctypes
import gc
import mmap

import pytest

from xdpsim.errors import InputError, XdpsimBug
from xdpsim.memory import raw
from xdpsim.memory.arena import Block, block_at


def test_a_block_is_zeroed_memory_at_its_address() -> None:
    block = Block(10_000, "test")
    assert block.size % mmap.PAGESIZE == 0
    assert block.size >= 10_000
    assert block.address % mmap.PAGESIZE == 0
    assert bytes(block.view) == bytes(block.size)
    block.view[5] = 7
    assert ctypes.c_uint8.from_address(block.address + 5).value == 7


def test_only_what_lies_inside_one_block_is_found() -> None:
    block = Block(4096, "test")
    end = block.address + block.size
    assert block_at(block.address, block.size) is block
    assert block_at(end - 1, 1) is block
    assert block_at(end - 1, 2) is not block
    assert block_at(block.address - 1, 2) is not block
    assert block_at(0, 1) is None


def test_a_freed_block_is_not_found() -> None:
    block = Block(1 << 20, "test")
    address = block.address
    del block
    gc.collect()
    assert block_at(address, 1) is None


def test_memory_that_is_not_to_be_had() -> None:
    with pytest.raises(InputError, match=r"huge: \d+ bytes of memory are not to be had"):
        Block(1 << 62, "huge")


@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_the_twins_of_the_intrinsics_stay_inside(width: int) -> None:
    load, store = getattr(raw, f"load{width}"), getattr(raw, f"store{width}")
    block = Block(4096, "test")
    last = block.address + block.size - width // 8
    store(last, 1 << 70 | 5)
    assert load(last) == 5
    for addr in (0, 2**64 - 1, *([last + 1] if width > 8 else [])):
        with pytest.raises(XdpsimBug, match="outside all memory of xdpsim"):
            load(addr)
        with pytest.raises(XdpsimBug, match="outside all memory of xdpsim"):
            store(addr, 0)
