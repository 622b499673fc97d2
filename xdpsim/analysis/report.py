"""What a run over a capture did, gathered packet by packet: verdicts, faults, drops and what they did to the maps.

Rows only: the command line renders them. Sums over a capture are kept, packets are not, so that a long run costs no
memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from xdpsim.analysis.counters import Change, Describer, element_count
from xdpsim.analysis.readable import ARRAY_TYPES, Leaves
from xdpsim.engines.fault import Fault
from xdpsim.frames.summary import summarise
from xdpsim.maps.map import Map
from xdpsim.net.counts import Count
from xdpsim.net.datapath import Result
from xdpsim.net.sweep import Sweep
from xdpsim.progtypes.rows import verdict_name
from xdpsim.progtypes.xdp import XDP

FAULT_SAMPLES = 10
ENTRIES_SHOWN = 10
_TIME = re.compile(r"_ns$|time|start|last|seen|expire")
_KEPT = (XDP.PASS, XDP.TX, XDP.REDIRECT)


MapEntry: TypeAlias = tuple[str, bytes]
"""Map name and key."""


@dataclass(slots=True)
class Tally:
    """Packets, their bytes as captured, and the number of the first one."""

    packets: int = 0
    bytes: int = 0
    first: int = 0

    def add(self, result: Result) -> None:
        """Count one packet."""
        self.packets += 1
        self.bytes += len(result.record.data)
        self.first = self.first or result.record.n

    def add_count(self, count: Count) -> None:
        """Add what was counted elsewhere, further on in the capture."""
        self.packets += count.packets
        self.bytes += count.bytes
        self.first = self.first or count.first


@dataclass(frozen=True, slots=True)
class FaultSample:
    """A packet on which the program did something wrong."""

    n: int
    summary: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Drop:
    """A dropped packet. `changes` says what the program did to the maps while it ran; None where nobody looked."""

    n: int
    verdict: str
    summary: str
    changes: list[Change] | None


def is_drop(result: Result) -> bool:
    """Whether Linux drops the packet: XDP_DROP, XDP_ABORTED and every value that it does not know."""
    return not result.error and not result.fault and result.verdict not in _KEPT


def verdict_of(result: Result, prog_type: str = "XDP") -> str | None:
    """The kernel's name of the verdict; None for a packet that never ran, or whose program gave none."""
    return None if result.error or result.fault else verdict_name(prog_type, result.verdict)


@dataclass
class RunReport:
    """Counts over a run; `packets` is the sum of `verdicts`, `faults` and `errors` (packets that never ran)."""

    drops_wanted: int = 5
    packets: int = 0
    bytes: int = 0
    insns: int = 0
    verdicts: dict[int, Tally] = field(default_factory=dict)
    faults: Tally = field(default_factory=Tally)
    fault_samples: list[FaultSample] = field(default_factory=list)
    errors: dict[str, Tally] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)
    _kinds: set[frozenset[MapEntry]] = field(default_factory=set)

    def add(self, result: Result, changes: list[Change] | None = None) -> None:
        """Count one packet; `changes` is what it did to the maps, where somebody looked."""
        self.packets += 1
        self.bytes += len(result.record.data)
        self.insns += result.insns
        if result.error:
            self.errors.setdefault(result.error, Tally()).add(result)
        elif result.fault:
            self.faults.add(result)
            if len(self.fault_samples) < FAULT_SAMPLES:
                self.fault_samples.append(FaultSample(result.record.n, summarise(result.record.data), result.fault))
        else:
            tally = self.verdicts.get(result.verdict)
            if tally is None:
                tally = self.verdicts[result.verdict] = Tally()
            tally.add(result)
            if self.wants_drops and is_drop(result):
                self._add_drop(result, changes)

    def add_sweep(self, sweep: Sweep) -> None:
        """Count what a sweep has counted; its faults are taken piece by piece (`add_faults`)."""
        swept = sweep.swept
        self.packets += swept.packets
        self.bytes += swept.bytes
        self.insns += swept.insns
        for value, count in swept.verdicts.items():
            self.verdicts.setdefault(value, Tally()).add_count(count)
        self.faults.add_count(swept.faults)
        for reason, count in swept.errors.items():
            self.errors.setdefault(reason, Tally()).add_count(count)

    def add_samples(self, sweep: Sweep) -> None:
        """Keep samples of the faults and, where none was looked at, of the drops in a sweep's last piece."""
        if self.wants_drops and all(drop.changes is None for drop in self.drops):
            for record, verdict in sweep.others(_KEPT, self.drops_wanted - len(self.drops)):
                self.drops.append(Drop(record.n, verdict_name("XDP", verdict), summarise(record.data), None))
        for record, fault in sweep.faulted[: FAULT_SAMPLES - len(self.fault_samples)]:
            self.fault_samples.append(FaultSample(record.n, summarise(record.data), fault))

    def _add_drop(self, result: Result, changes: list[Change] | None) -> None:
        """List the first drop of each kind: two are of one kind when they changed the same map entries."""
        if changes:
            kind = frozenset((change.map.name, change.key) for change in changes)
            if kind in self._kinds:
                return
            self._kinds.add(kind)
        elif changes is None and self.drops and self.drops[-1].changes is not None:
            return  # a drop that nobody looked at may be of a kind that is listed
        name = verdict_name("XDP", result.verdict)
        self.drops.append(Drop(result.record.n, name, summarise(result.record.data), changes))

    @property
    def wants_drops(self) -> bool:
        """Whether further drops would be listed."""
        return len(self.drops) < self.drops_wanted

    @property
    def ran(self) -> int:
        """Packets that reached the program."""
        return self.packets - sum(tally.packets for tally in self.errors.values())

    def verdict_counts(self) -> dict[str, int]:
        """Packets by the kernel's name of the verdict, in the order of the verdicts' numbers."""
        return {verdict_name("XDP", value): self.verdicts[value].packets for value in sorted(self.verdicts)}


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One map entry as people read it."""

    key: str
    fields: Leaves
    note: str = ""


@dataclass(frozen=True, slots=True)
class MapRow:
    """What a run did to one map: the entries that changed, and how many others are zero, or are as they were."""

    name: str
    type: str
    entries: int
    changed: list[EntryRow]
    more: int = 0
    zero: int = 0
    same: int = 0
    is_listed: bool = True


def map_rows(
    maps: Iterable[Map], changes: Sequence[Change], skipped: Sequence[Map], describer: Describer
) -> list[MapRow]:
    """A row for every map that is not read-only; of a `skipped` one only the size is known."""
    rows = []
    for source in maps:
        if source.spec.read_only:
            continue
        if any(source is other for other in skipped):
            rows.append(MapRow(source.name, source.spec.type, element_count(source), [], is_listed=False))
        else:
            own = [change for change in changes if change.map is source]
            rows.append(_map_row(source, own, describer))
    return rows


def _map_row(source: Map, changes: list[Change], describer: Describer) -> MapRow:
    reader = describer.reader(source)
    entries = [_entry(change, describer) for change in changes]
    if source.spec.type not in ARRAY_TYPES or len(entries) > ENTRIES_SHOWN:
        entries.sort(key=lambda row: (-_size(row.fields), row.key))
    items = source.items_bytes()
    zero = same = 0
    if len(changes) < len(items):
        touched = {change.key for change in changes}
        zero = sum(key not in touched and not any(value) for key, value in items)
        same = len(items) - zero - sum(key in touched for key, _ in items)
    shown = entries[:ENTRIES_SHOWN]
    return MapRow(reader.map.name, source.spec.type, len(items), shown, len(entries) - len(shown), zero, same)


def _entry(change: Change, describer: Describer) -> EntryRow:
    reader = describer.reader(change.map)
    if change.after is None:
        return EntryRow(reader.key(change.key), {}, "deleted")
    return EntryRow(reader.key(change.key), reader.leaves(change.after))


def _size(fields: Leaves) -> int:
    """What entries are ordered by: the first number among the fields that is no time."""
    return next((leaf for name, leaf in fields.items() if isinstance(leaf, int) and not _TIME.search(name)), 0)
