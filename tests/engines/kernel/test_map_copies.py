"""Maps go into the kernel and come back: a user sees one map, whichever engine ran."""

from __future__ import annotations

import struct

import pytest

from tests.engines.kernel.rig import Rig
from xdpsim.errors import Unsupported
from xdpsim.maps.kind import KINDS
from xdpsim.maps.types import BPF_F_NO_PREALLOC, BPF_F_RDONLY_PROG
from xdpsim.sysbpf.info import possible_cpus

HASHES = sorted({"HASH", "LRU_HASH"} & KINDS.keys())
ADD_ONE = """
*(u32 *)(r10 - 4) = {key}
r1 = map[m0]
r2 = r10
r2 += -4
call 1
if r0 == 0 goto missing
r1 = *(u64 *)(r0 + 0)
r1 += 1
*(u64 *)(r0 + 0) = r1
r0 = 2
exit
missing: r0 = 1
exit
"""
PUT_AND_DELETE = """
*(u32 *)(r10 - 4) = 7
*(u64 *)(r10 - 16) = 70
r1 = map[m0]; r2 = r10; r2 += -4; r3 = r10; r3 += -16; r4 = 0
call 2
r6 = r0
*(u32 *)(r10 - 4) = 1
r1 = map[m0]; r2 = r10; r2 += -4
call 3
r0 += r6
exit
"""


def key(number: int) -> bytes:
    return struct.pack("=I", number)


def word(number: int) -> bytes:
    return struct.pack("=Q", number)


@pytest.mark.live
@pytest.mark.parametrize("kind", ["ARRAY", *HASHES])
def test_values_come_back(kind: str) -> None:
    rig = Rig()
    table = rig.map(kind, 4, 8, 10)
    assert table.update_bytes(key(3), word(100)) == 0
    runner = rig.program(ADD_ONE.format(key=3), table)
    assert [left.value for left in rig.run(runner, [bytes(64)] * 5)] == [2] * 5
    assert table.lookup_bytes(key(3)) == word(105)
    table.update_bytes(key(3), word(7))
    rig.run(runner)
    assert table.lookup_bytes(key(3)) == word(8)


@pytest.mark.live
@pytest.mark.parametrize("kind", HASHES)
def test_entries_come_and_go(kind: str) -> None:
    rig = Rig()
    table = rig.map(kind, 4, 8, 10)
    table.update_bytes(key(1), word(10))
    table.update_bytes(key(2), word(20))
    assert rig.value(rig.program(PUT_AND_DELETE, table)) == 0
    assert dict(table.items_bytes()) == {key(2): word(20), key(7): word(70)}
    table.delete_bytes(key(7))
    table.update_bytes(key(1), word(11))
    reader = rig.program(ADD_ONE.format(key=7), table)
    assert rig.value(reader) == 1, "a key that the user deleted is still in the kernel"
    assert rig.value(rig.program(ADD_ONE.format(key=1), table)) == 2
    assert table.lookup_bytes(key(1)) == word(12)


@pytest.mark.live
@pytest.mark.parametrize("kind", ["PERCPU_ARRAY", "PERCPU_HASH"])
@pytest.mark.parametrize("cpus", [1, 2])
def test_a_cpu_has_its_own_value(kind: str, cpus: int) -> None:
    rig = Rig(cpus=cpus)
    table = rig.map(kind, 4, 8, 4)
    table.update_bytes(key(1), word(40) * cpus)
    rig.run(rig.program(ADD_ONE.format(key=1), table), [bytes(64)] * 3)
    assert table.lookup_bytes(key(1)) == word(43) + word(40) * (cpus - 1)


@pytest.mark.live
def test_more_cpus_than_the_kernel_has_are_unsupported() -> None:
    rig = Rig(cpus=possible_cpus() + 1)
    with pytest.raises(Unsupported, match=rf"values for {possible_cpus() + 1} CPUs, but this kernel has"):
        rig.program(ADD_ONE.format(key=1), rig.map("PERCPU_ARRAY", 4, 8, 4))


@pytest.mark.live
def test_prefixes_come_back() -> None:
    rig = Rig()
    table = rig.map("LPM_TRIE", 8, 8, 4, flags=BPF_F_NO_PREALLOC)
    prefix = struct.pack("=I4B", 16, 0, 0, 0, 0)
    table.update_bytes(prefix, word(5))
    text = ADD_ONE.replace("*(u32 *)(r10 - 4) = {key}", "*(u32 *)(r10 - 8) = 32; *(u32 *)(r10 - 4) = 0")
    assert rig.value(rig.program(text.replace("r2 += -4", "r2 += -8"), table)) == 2
    assert table.lookup_bytes(prefix) == word(6)


@pytest.mark.live
def test_two_programs_share_a_map() -> None:
    rig = Rig()
    table = rig.map("HASH", 4, 8, 4)
    table.update_bytes(key(0), word(0))
    one, two = (rig.program(ADD_ONE.format(key=0), table) for _ in range(2))
    for runner in (one, two, one):
        rig.run(runner)
    assert table.lookup_bytes(key(0)) == word(3)
    assert rig.engine.mirror(table) is rig.engine.mirror(table)


@pytest.mark.live
def test_the_verifier_knows_read_only_data() -> None:
    rig = Rig()
    rodata = rig.map(*("ARRAY", 4, 8, 1), name=".rodata", initial=word(1), read_only=True, flags=BPF_F_RDONLY_PROG)
    dead_end = "r1 = map_value[m0]+0; r0 = *(u64 *)(r1 + 0); if r0 == 1 goto end; r0 = r9; end: exit"
    assert rig.value(rig.program(dead_end, rodata)) == 1


@pytest.mark.live
def test_global_data_is_written_in_place() -> None:
    rig = Rig()
    data = rig.map("ARRAY", 4, 16, 1, name=".data", initial=word(5) + word(6))
    text = "r1 = map_value[m0]+8; r0 = *(u64 *)(r1 + 0); r0 += 1; *(u64 *)(r1 + 0) = r0; exit"
    runner = rig.program(text, data)
    assert [left.value for left in rig.run(runner, [bytes(64)] * 2)] == [7, 8]
    assert data.lookup_bytes(key(0)) == word(5) + word(8)


@pytest.mark.live
def test_a_tail_call_reaches_programs_and_their_maps() -> None:
    rig = Rig()
    jumps, counts = rig.map("PROG_ARRAY", 4, 4, 4), rig.map("HASH", 4, 8, 4)
    counts.update_bytes(key(9), word(1))
    tail = "r6 = r1; r2 = map[m0]; r3 = {slot}; call 12; r0 = {otherwise}; exit"
    entry = rig.program(tail.format(slot=1, otherwise=55), jumps)
    assert rig.value(entry) == 55
    target = rig.program(ADD_ONE.format(key=9), counts)
    jumps.update_bytes(key(1), key(target.program.number))
    assert rig.value(entry) == 2
    assert counts.lookup_bytes(key(9)) == word(2)
    jumps.delete_bytes(key(1))
    assert rig.value(entry) == 55


@pytest.mark.live
def test_a_program_may_jump_to_itself_until_linux_stops_it() -> None:
    rig = Rig()
    jumps, counts = rig.map("PROG_ARRAY", 4, 4, 1), rig.map("ARRAY", 4, 8, 1)
    text = "r6 = r1; r1 = map_value[m1]+0; r2 = *(u64 *)(r1 + 0); r2 += 1; *(u64 *)(r1 + 0) = r2"
    entry = rig.program(text + "; r1 = r6; r2 = map[m0]; r3 = 0; call 12; r0 = 9; exit", jumps, counts)
    jumps.update_bytes(key(0), key(entry.program.number))
    assert rig.value(entry) == 9
    assert counts.lookup_bytes(key(0)) == word(34)


@pytest.mark.live
def test_a_devmap_names_interfaces_that_exist() -> None:
    rig = Rig()
    devices = rig.map("DEVMAP", 4, 8, 4)
    devices.update_bytes(key(2), struct.pack("=II", 17, 0))
    text = "r1 = map[m0]; r2 = {slot}; r3 = 2; call 51; exit"
    assert rig.value(rig.program(text.format(slot=2), devices)) == 4
    assert rig.value(rig.program(text.format(slot=1), devices)) == 2
    devices.delete_bytes(key(2))
    assert rig.value(rig.program(text.format(slot=2), devices)) == 2
