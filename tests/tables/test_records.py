"""Records keep to themselves: names, reuse, growth, and what a program may touch."""

from __future__ import annotations

import pytest

from xdpsim.net.machine import EmulatedMachine
from xdpsim.tables.records import RecordPool


@pytest.fixture
def machine() -> EmulatedMachine:
    return EmulatedMachine(cpus=1, seed=1)


def test_a_record_is_told_by_its_name(machine: EmulatedMachine) -> None:
    pool = RecordPool(machine, "socket", 80)
    first, second = pool.new("tcp 10.0.0.1:80"), pool.new("udp 10.0.0.1:53")
    assert machine.space.describe(first.address + 24) == "socket tcp 10.0.0.1:80+24"
    assert machine.space.describe(second.address + 76, 8) == "socket udp 10.0.0.1:53+76, 4 bytes past its end"
    pool.release(second)
    assert machine.space.describe(second.address) == "socket that is free+0"
    assert pool.at(second.address) is None
    assert pool.at(first.address) is first


def test_a_record_that_is_used_again_is_zeroed(machine: EmulatedMachine) -> None:
    pool = RecordPool(machine, "nf_conn", 32, writable=True)
    record = pool.new("a")
    record.write(8, 4, 0x1_2345_6789)
    assert record.read(8, 4) == 0x2345_6789
    pool.release(record)
    again = pool.new("b")
    assert again.address == record.address
    assert again.read(8, 4) == 0


def test_addresses_stay_while_the_pool_grows(machine: EmulatedMachine) -> None:
    pool = RecordPool(machine, "thing", 24)
    records = [pool.new(str(number)) for number in range(5000)]
    for number, record in enumerate(records):
        record.write(0, 8, number)
    assert [record.read(0, 8) for record in records] == list(range(5000))
    assert len({record.address for record in records}) == 5000
    assert machine.space.describe(records[4999].address) == "thing 4999+0"
    assert not machine.space.writable(records[0].address, 4)
    assert machine.space.readable(records[0].address, 24)
    assert not machine.space.readable(records[0].address, 25)
