"""Runs a recorded row on one of xdpsim's engines, on a machine of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.oracle import Row
from xdpsim.engines.protocol import Engine
from xdpsim.helpers import all as all_helpers
from xdpsim.isa.decode import decode
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.memory.batch import Batch, Stop
from xdpsim.net.machine import EmulatedMachine

HELPER_MODULES = all_helpers.MODULES
"""Imported so that the table of helpers is full."""
KTIME_NS, TAI_NS = 1_000_123_456_789, 1_600_000_000_000_000_007


@dataclass(frozen=True)
class Replayed:
    """What an engine made of a row: comparable with the row's errno, value, out_meta and `left(data)`."""

    errno: int
    value: int
    data: bytes
    meta: int
    stop: Stop


def replay(row: Row, make_engine: Callable[[EmulatedMachine], Engine]) -> Replayed:
    """Run the row's program once on its packet."""
    machine = EmulatedMachine(cpus=2, seed=1)
    engine = make_engine(machine)
    maps = tuple(machine.add_map(MapSpec(name=f"map{n}", **given)) for n, given in enumerate(row.maps))
    spec = ProgramSpec(
        *("row", row.type.lower(), row.type, 0, decode(row.insns)),
        *((Subprogram("row", 0),), (), "GPL"),
        frags=row.frags,
    )
    runner = engine.load(machine.add_program(spec, maps, None))
    batch = Batch(1)
    frame, start, length = machine.pool.put(row.packet)
    start, length = machine.pool.replace(frame, row.packet, bytes(row.meta_in))
    batch.append((frame, start, length), ktime_ns=KTIME_NS, tai_ns=TAI_NS)
    # TEST_RUN without a context is the loopback device; engines are told which interface it is.
    batch.meta[0], batch.ifindex[0], batch.queue[0] = row.meta_in, row.ifindex or 1, row.queue
    batch.has_frags[0] = int(length < len(row.packet))
    _, stop = runner.run_batch(batch, 0)
    start, meta = batch.start[0], batch.meta[0]
    data = machine.pool.read(frame, start - meta, meta) + machine.pool.get(frame, start, batch.length[0])
    return Replayed(getattr(runner, "errnos", {}).get(0, 0), batch.verdict[0], data, meta, stop)
