"""The rows of contexts and sockets allow exactly the accesses that Linux 6.18 allows, type by type."""

from __future__ import annotations

from typing import Any

import pytest

from tests.progtypes.asking import LAST_OFFSET, SIZES
from tests.progtypes.asking_socks import BOUNDED, as_runs
from tests.progtypes.asking_socks import LAST_OFFSET as LAST_SOCK_OFFSET
from tests.support.oracle import golden
from xdpsim.progtypes.attach import AttachType
from xdpsim.progtypes.context import Context, Yields
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.progtypes.socks import BPF_SOCK, BPF_SOCK_COMMON, BPF_TCP_SOCK, BPF_XDP_SOCK, FLOW_KEYS_BYTES
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
@pytest.mark.parametrize(
    ("prog_type", "attach", "recorded"),
    [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in golden("progtypes")["yields"]],
)
def test_loads_yield_the_pointers_that_linux_gives(prog_type: str, attach: int, recorded: dict[str, str]) -> None:
    context = PROG_TYPES[prog_type].context
    assert context is not None
    ours = {
        str(field.offset): field.yields.value + field.btf
        for field in context
        if field.yields is not Yields.SCALAR
        and context.field_at(field.offset, field.element, attach_type=attach) is field
    }
    assert ours == recorded


SOCKS: dict[str, Context] = {
    "sock": BPF_SOCK,
    "sock_common": BPF_SOCK_COMMON,
    "tcp_sock": BPF_TCP_SOCK,
    "xdp_sock": BPF_XDP_SOCK,
}


@pytest.mark.golden
@pytest.mark.parametrize(("kind", "direction", "size", "recorded"), golden("socks")["rows"])
def test_what_loads_through_pointers_to_sockets(kind: str, direction: str, size: int, recorded: str) -> None:
    offsets = range(BOUNDED, LAST_SOCK_OFFSET)
    if kind == "flow_keys":
        assert as_runs([at for at in offsets if 0 <= at <= FLOW_KEYS_BYTES - size]) == recorded
        return
    is_write = direction == "write"
    assert as_runs([at for at in offsets if SOCKS[kind].field_at(at, size, write=is_write)]) == recorded


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
    for context in (*(row.context for row in PROG_TYPES.values() if row.context), *SOCKS.values()):
        end = 0
        for field in context:
            assert field.offset >= end, f"{context.name}: {field.name}"
            end = field.end
        assert end <= context.size


def test_narrow_says_that_less_than_an_element_loads() -> None:
    context = PROG_TYPES["SCHED_CLS"].context
    assert context is not None
    assert context.field("mark").narrow
    assert context.field("cb").narrow
    assert not context.field("data").narrow
    assert not context.field("remote_ip4").readable
    with pytest.raises(KeyError, match="nonsense"):
        context.field("nonsense")
