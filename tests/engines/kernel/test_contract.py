"""The kernel engine gives, through batches and frames, what Linux's TEST_RUN was recorded to give."""

from __future__ import annotations

import errno

import pytest

from tests.support.oracle import Row, load_rows, row_name
from tests.support.replay import replay
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.errors import InputError
from xdpsim.memory.batch import Stop

ROWS = load_rows("xdp_test_run")
UNKNOWN_IFINDEX = 4242
TOO_LONG = [row for row in ROWS if row.errno == errno.ENOMEM]
UNKNOWN_DEVICE = [row for row in ROWS if row.ifindex == UNKNOWN_IFINDEX]
OTHERS = [row for row in ROWS if row not in TOO_LONG and row not in UNKNOWN_DEVICE]


@pytest.mark.live
@pytest.mark.parametrize("row", OTHERS, ids=row_name)
def test_the_engine_gives_linuxs_answer(row: Row) -> None:
    found = replay(row, KernelEngine)
    assert (found.errno, found.stop) == (row.errno, Stop.END)
    if not row.errno:
        assert (found.value, found.meta) == (row.value, row.out_meta)
        assert row.left(found.data)


@pytest.mark.live
@pytest.mark.parametrize("row", UNKNOWN_DEVICE, ids=row_name)
def test_an_interface_that_a_packet_names_is_there(row: Row) -> None:
    assert row.errno == errno.ENODEV
    assert replay(row, KernelEngine).value == (UNKNOWN_IFINDEX if "ifindex with" in row.name else 0)


@pytest.mark.live
@pytest.mark.parametrize("row", TOO_LONG, ids=row_name)
def test_a_packet_that_the_kernel_has_no_room_for_is_refused_before(row: Row) -> None:
    with pytest.raises(InputError, match="expected at most 73152"):
        replay(row, KernelEngine)


@pytest.mark.golden
def test_rows_have_names_of_their_own() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
