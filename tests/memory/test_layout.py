"""Structs lie in memory as a C compiler would lay them out, and every reader of a struct agrees."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdpsim.memory import structs
from xdpsim.memory.arena import Block
from xdpsim.memory.layout import U8, U16, U32, U64, Struct, View

C_TYPES = {U8: ctypes.c_uint8, U16: ctypes.c_uint16, U32: ctypes.c_uint32, U64: ctypes.c_uint64}
ALL = [value for value in vars(structs).values() if isinstance(value, Struct)]
VIEWED = [layout for layout in ALL if layout is not structs.FRAG]
"""Frags are read by their offsets alone."""


def c_struct(layout: Struct) -> type[ctypes.Structure]:
    """The same struct as ctypes lays it out."""
    fields = []
    for member in layout.members.values():
        one = c_struct(member.struct) if member.struct else C_TYPES[member.width]
        fields.append((member.name, one * member.count if member.count > 1 else one))
    return type(layout.name, (ctypes.Structure,), {"_fields_": fields})


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([U8, U16, U32, U64]), st.integers(1, 5)), min_size=1, max_size=12))
def test_any_struct_is_as_in_c(kinds: list[tuple[int, int]]) -> None:
    layout = Struct("any", *((f"f{n}", width, count) for n, (width, count) in enumerate(kinds)))
    assert_as_in_c(layout)
    assert_as_in_c(Struct("outer", ("head", U8), ("inner", layout), ("array", layout, 3), ("tail", U16)))


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.name)
def test_ours_are_as_in_c(layout: Struct) -> None:
    assert_as_in_c(layout)


def assert_as_in_c(layout: Struct) -> None:
    made = c_struct(layout)
    assert layout.size == ctypes.sizeof(made)
    assert {name: layout.offset(name) for name in layout.members} == {
        n: getattr(made, n).offset for n in layout.members
    }
    assert layout.dtype.itemsize == layout.size
    for name, field in (layout.dtype.fields or {}).items():
        assert field[1] == layout.offset(name)


@pytest.mark.parametrize("layout", VIEWED, ids=lambda layout: layout.name)
def test_a_view_reads_what_it_wrote_and_nothing_else(layout: Struct) -> None:
    block = Block(layout.size + 64, "view")
    view = View(layout, block.view, 32, block.address + 32)
    names = [m.name for m in layout.members.values() if m.count == 1 and m.struct is None]
    assert not set(names) & {"base", "buffer", "address"}, "the view's own attributes hide a field"
    for number, name in enumerate(names, start=1):
        setattr(view, name, number)
    assert [getattr(view, name) for name in names] == list(range(1, len(names) + 1))
    with pytest.raises(AttributeError):
        view.no_such_field  # noqa: B018  reading it is the test
    assert bytes(block.view[:32]) == bytes(32)
    assert bytes(block.view[32 + layout.size :]) == bytes(block.size - 32 - layout.size)
