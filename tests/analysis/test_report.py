"""RunReport counts every packet once, and lists the first drop of each kind."""

from __future__ import annotations

from xdpsim.analysis.counters import Change, Describer, MapWatch
from xdpsim.analysis.report import RunReport, is_drop, map_rows, verdict_of
from xdpsim.engines.fault import Fault, FaultKind
from xdpsim.frames.record import Record
from xdpsim.maps.map import create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.net.datapath import Result

COUNTS = create_map(MapSpec("counts", "ARRAY", 4, 8, 32), cpus=1, number=1)
FAULT = Fault(FaultKind.ACCESS, "main", 3, "r0 = *(u64 *)(r1 +0)", None, "reads 8 bytes at 0x0")


def result(n: int, verdict: int, *, fault: Fault | None = None, error: str = "") -> Result:
    return Result(Record(n, None, bytes(60), 60), verdict, bytes(60), b"", None, 7, fault, [], error)


def moved(index: int) -> list[Change]:
    return [Change(COUNTS, index.to_bytes(4, "little"), bytes(8), bytes([1]) + bytes(7))]


def test_every_packet_is_counted_once() -> None:
    report = RunReport()
    for n, given in enumerate(
        [result(1, 2), result(2, 1), result(3, 0, fault=FAULT), result(4, 0, error="too short"), result(5, 9)], 1
    ):
        report.add(given)
        assert report.packets == n
    assert report.verdict_counts() == {"XDP_DROP": 1, "XDP_PASS": 1, "XDP_UNKNOWN(9)": 1}
    assert (report.faults.packets, report.faults.first) == (1, 3)
    assert report.errors["too short"].packets == 1
    assert (report.ran, report.bytes, report.insns) == (4, 300, 35)


def test_what_is_a_drop() -> None:
    assert [is_drop(result(1, verdict)) for verdict in (0, 1, 2, 3, 4, 5)] == [True, True, False, False, False, True]
    assert not is_drop(result(1, 1, fault=FAULT))
    assert verdict_of(result(1, 1, fault=FAULT)) is None


def test_drops_of_one_kind_are_listed_once() -> None:
    report = RunReport(drops_wanted=3)
    for n, index in enumerate([4, 4, 5, 4, 6, 7], 1):
        report.add(result(n, 1), moved(index))
    assert [drop.n for drop in report.drops] == [1, 3, 5]
    assert not report.wants_drops


def test_drops_that_changed_nothing_are_all_listed() -> None:
    report = RunReport(drops_wanted=2)
    for n in range(4):
        report.add(result(n, 1), [])
    assert len(report.drops) == 2


def test_drops_nobody_looked_at_are_listed_only_alone() -> None:
    report = RunReport()
    report.add(result(1, 1))
    report.add(result(2, 1))
    assert [drop.n for drop in report.drops] == [1, 2]
    report = RunReport()
    report.add(result(1, 1), moved(1))
    report.add(result(2, 1))
    assert [drop.n for drop in report.drops] == [1]


def test_map_rows_fold_what_did_not_change() -> None:
    source = create_map(MapSpec("m", "ARRAY", 4, 8, 32), cpus=1, number=1)
    source[30] = 9
    watch, describer = MapWatch([source]), Describer()
    for index in range(12):
        source[index] = 100 - index
    (row,) = map_rows([source], watch.look(), watch.skipped, describer)
    assert [entry.key for entry in row.changed] == [str(index) for index in range(10)]
    assert (row.more, row.zero, row.same) == (2, 19, 1)
