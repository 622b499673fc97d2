"""A sweep over a capture counts what the datapath counts packet by packet, and leaves the same maps and events."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.corpus import OURS
from tests.support.runtimes import ROOT
from xdpsim import InputError, Sim
from xdpsim.frames.capture import open_capture
from xdpsim.frames.record import Record
from xdpsim.maps.files import load_presets
from xdpsim.sim.program import LoadedObject, Program

PCAPS = ROOT / "pcaps"
LONG, SHORT = bytes(range(250)) * 20, b"short"


def opened(name: str, engine: str) -> tuple[Sim, LoadedObject, Program]:
    sim = Sim(engine=engine)
    loaded = sim.load(ROOT / "programs" / f"{name}.o")
    load_presets(loaded.maps, ROOT / "programs" / "presets" / f"{name}.json")
    return sim, loaded, loaded[f"xdp_{name}"]


def one_by_one(name: str, engine: str, octets: bytes, limit: int | None = None) -> dict[str, Any]:
    """What the datapath says."""
    sim, loaded, program = opened(name, engine)
    hook, counts, events = program.hook(7), {}, []
    read, damage = readable(octets)
    for result in hook.run(read[:limit]):
        kind = result.error or ("fault" if result.fault else result.verdict)
        packets, size, first = counts.get(kind, (0, 0, result.record.n))
        counts[kind] = packets + 1, size + len(result.record.data), first
        events += [(event.kind, event.data) for event in result.events]
    return left(sim, loaded, counts, events, hook.totals.insns, damage)


def readable(octets: bytes) -> tuple[list[Record], str]:
    """The whole records of a file, and what is wrong behind them."""
    found = []
    try:
        with open_capture(io.BytesIO(octets)) as capture:
            for record in capture:
                found.append(record)
    except InputError as err:
        return found, str(err)
    return found, ""


def swept(name: str, engine: str, octets: bytes, batch_size: int = 1024, limit: int | None = None) -> dict[str, Any]:
    """What a sweep says."""
    sim, loaded, program = opened(name, engine)
    sweep, events, damage = program.sweep(batch_size=batch_size, limit=limit), [], ""
    try:
        with open_capture(io.BytesIO(octets)) as capture:
            for _ in sweep.run(capture):
                events += [(event.kind, event.data) for event in sweep.events]
    except InputError as err:
        damage = str(err)
    found = sweep.swept
    named = {**found.verdicts, **found.errors} | ({"fault": found.faults} if found.faults.packets else {})
    counts = {kind: (count.packets, count.bytes, count.first) for kind, count in named.items()}
    assert found.packets == sum(count[0] for count in counts.values())
    assert found.bytes == sum(count[1] for count in counts.values())
    return left(sim, loaded, counts, events, found.insns, damage)


def left(
    sim: Sim, loaded: LoadedObject, counts: dict[Any, Any], events: list[Any], insns: int, damage: str
) -> dict[str, Any]:
    maps = {name: sorted(made.items_bytes()) for name, made in loaded.maps.items()}
    clock = sim.machine.clock
    times = clock.ktime_ns, clock.tai_ns
    return {"counts": counts, "events": events, "insns": insns, "damage": damage, "maps": maps, "times": times}


@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize("name", ["counter", "firewall", "lb", "ratelimit", "flow_export", "parser_chain", "decap"])
def test_counts_maps_and_events(name: str, engine: str) -> None:
    octets = (PCAPS / "second.pcap").read_bytes()
    assert swept(name, engine, octets) == one_by_one(name, engine, octets)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_batch_size_does_not_matter(batch_size: int) -> None:
    octets = (PCAPS / "mixed.pcap").read_bytes()
    assert swept("ratelimit", "jit", octets, batch_size) == swept("ratelimit", "jit", octets)


def records() -> list[tuple[int, int, bytes]]:
    with open_capture(PCAPS / "mixed.pcap") as capture:
        found = [(r.time_ns or 0, r.length, r.data) for r, _ in zip(capture, range(200), strict=False)]
    return [*found[:50], (found[50][0], 9, SHORT), *found[50:90], (5, len(LONG), LONG), (0, 4, b"tiny"), *found[90:]]


def pcap(order: str = "<", magic: int = 0xA1B2C3D4, tick: int = 1000, extra: int = 0, snaplen: int = 65535) -> bytes:
    """The records as a file."""
    octets = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, 1)
    for time_ns, length, data in records():
        seconds, rest = divmod(time_ns, 1_000_000_000)
        octets += struct.pack(order + "IIII", seconds, rest // tick, len(data), length) + bytes(extra) + data
    return octets


FILES: dict[str, Callable[[], bytes]] = {
    "plain": pcap,
    "big-endian": lambda: pcap(">"),
    "nanoseconds": lambda: pcap(magic=0xA1B23C4D, tick=1),
    "kuznetzov": lambda: pcap(magic=0xA1B2CD34, extra=8),
    "snapped": lambda: pcap(snaplen=60),
    "gzip": lambda: gzip.compress(pcap()),
    "cut in a packet": lambda: pcap()[:-3],
    "cut in a header": lambda: pcap() + bytes(7),
    "damaged": lambda: pcap() + struct.pack("<IIII", 1, 1, 1 << 20, 1 << 20),
    "empty": lambda: pcap()[:24],
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("engine", OURS)
def test_every_kind_of_file(name: str, engine: str) -> None:
    octets = FILES[name]()
    assert swept("counter", engine, octets, 64) == one_by_one("counter", engine, octets)


@pytest.mark.parametrize("limit", [0, 1, 60, 91, 92, 150])
def test_a_limit(limit: int) -> None:
    octets = pcap()
    found = swept("counter", "jit", octets, 64, limit)
    expected = one_by_one("counter", "jit", octets, limit) if limit else one_by_one("counter", "jit", octets[:24])
    assert (found["counts"], found["maps"]) == (expected["counts"], expected["maps"])


def test_faults_are_counted_and_told() -> None:
    sim = Sim(engine="jit", verify=False)
    asm = (
        "r2 = *(u32 *)(r1 +0); r3 = *(u32 *)(r1 +4); r3 -= r2; r0 = 2; if r3 > 100 goto out; "
        "r0 = *(u8 *)(r0 +0); out: exit"
    )
    program = sim.load_insns(asm, "XDP")
    sweep, told = program.sweep(batch_size=16), []
    with open_capture(io.BytesIO(pcap())) as capture:
        for _ in sweep.run(capture):
            told += [(record.n, record.data) for record, _ in sweep.faulted]
    small = [(n, data) for n, (_, _, data) in enumerate(records(), start=1) if 14 <= len(data) <= 100]
    assert told == small
    assert sweep.swept.faults.packets == len(small)
    assert sweep.swept.faults.first == small[0][0]
