"""The rows of xdp_md and __sk_buff allow exactly the accesses that Linux 6.18 allows, type by type."""

from __future__ import annotations

from typing import Any

import pytest

from tests.progtypes.asking import LAST_OFFSET, SIZES
from tests.support.oracle import golden
from xdpsim.progtypes.attach import AttachType
from xdpsim.progtypes.context import Yields
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.progtypes.xdp import XDP_MD


def accesses(prog_type: str, attach: int) -> dict[str, dict[str, list[int]]]:
    """What the rows allow, in the shape of the recorded answers."""
    context = PROG_TYPES[prog_type].context
    assert context is not None
    return {
        direction: {
            str(size): [
                offset
                for offset in range(LAST_OFFSET)
                if context.field_at(offset, size, write=direction == "write", attach_type=attach)
            ]
            for size in SIZES
        }
        for direction in ("read", "write")
    }


@pytest.mark.golden
@pytest.mark.parametrize(
    ("prog_type", "attach", "recorded"),
    [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in golden("progtypes")["contexts"]],
)
def test_the_rows_allow_what_linux_allows(prog_type: str, attach: int, recorded: dict[str, Any]) -> None:
    assert accesses(prog_type, attach) == recorded


@pytest.mark.golden
def test_every_type_with_rows_was_asked() -> None:
    asked = {prog_type for prog_type, _, _ in golden("progtypes")["contexts"]}
    assert asked == {name for name, row in PROG_TYPES.items() if row.context}


def test_a_load_across_two_fields_is_none() -> None:
    assert XDP_MD.field_at(0, 8) is None
    assert XDP_MD.field_at(2, 4) is None


def test_only_programs_of_a_devmap_know_where_the_packet_leaves() -> None:
    assert XDP_MD.field_at(20, 4) is None
    field = XDP_MD.field_at(20, 4, attach_type=AttachType.XDP_DEVMAP)
    assert field is not None
    assert field.name == "egress_ifindex"


def test_what_fields_yield() -> None:
    assert {field.name: field.yields for field in XDP_MD if field.yields is not Yields.SCALAR} == {
        "data": Yields.PACKET_START,
        "data_end": Yields.PACKET_END,
        "data_meta": Yields.PACKET_META,
    }


def test_fields_are_sorted_and_apart() -> None:
    for row in PROG_TYPES.values():
        end = 0
        for field in row.context or ():
            assert field.offset >= end, f"{row.name}: {field.name}"
            end = field.end
        assert row.context is None or end <= row.context.size


def test_narrow_says_that_less_than_an_element_loads() -> None:
    context = PROG_TYPES["SCHED_CLS"].context
    assert context is not None
    assert context.field("mark").narrow
    assert context.field("cb").narrow
    assert not context.field("data").narrow
    assert not context.field("remote_ip4").readable
    with pytest.raises(KeyError, match="nonsense"):
        context.field("nonsense")
