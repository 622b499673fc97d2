"""Runs one program on the packets of a batch, one BPF_PROG_TEST_RUN each, with the machine's clock and randomness.

TEST_RUN tells neither which redirect target a program chose nor how many instructions it ran: those columns stay 0.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from xdpsim.engines.kernel.contexts import context_for, xdp_meta_bytes
from xdpsim.errors import Unsupported
from xdpsim.memory.batch import Batch, Stop
from xdpsim.sysbpf.syscall import Fd, errno_name
from xdpsim.sysbpf.testrun import TestRun, TestRunner

if TYPE_CHECKING:
    from xdpsim.engines.kernel.engine import KernelEngine
    from xdpsim.engines.protocol import LoadedProgram

_MAC_HEADER_BYTES = 14
_KEEPS_ETHERNET = frozenset({"XDP", "SCHED_CLS", "SCHED_ACT"})
"""TEST_RUN hands other types the packet from the network header on, and zeroes what was before it."""


class KernelRunner:
    """One program in the kernel. `errnos`: what TEST_RUN answered to packets of the last call that it did not run."""

    def __init__(self, engine: KernelEngine, program: LoadedProgram, fd: Fd) -> None:
        self.program = program
        self.fd = fd
        self.errnos: dict[int, int] = {}
        self.reads_in_place = False
        self._engine = engine
        self._test_run = TestRunner(fd)

    def run_batch(self, batch: Batch, start: int) -> tuple[int, Stop]:
        """Run all packets from `start` on. A refused packet keeps verdict 0 and its bytes, and is in `errnos`."""
        self.errnos = {}
        engine = self._engine
        with pinned(engine.machine.run_state.cpu), engine.network.entered():
            mirrors = engine.push_maps(self)
            try:
                for index in range(start, batch.count):
                    self._run_packet(batch, index)
            finally:
                for mirror in mirrors:
                    mirror.pull()
        return batch.count, Stop.END

    def _run_packet(self, batch: Batch, index: int) -> None:
        machine, world = self._engine.machine, self._engine.world
        machine.run_state.packet = index
        frame, start, meta = batch.frame[index], batch.start[index], batch.meta[index]
        ifindex, queue = batch.ifindex[index], batch.queue[index]
        packet = machine.pool.get(frame, start, batch.length[index])
        data = (machine.pool.read(frame, start - meta, meta) if meta else b"") + packet
        program_type = self.program.spec.type
        self._engine.network.need_device(ifindex, queue + 1)
        self._engine.events.feed(machine)
        world.fill(machine.run_state, batch.ktime_ns[index], batch.tai_ns[index])
        outcome = self._test_run.try_run(data, context_for(program_type, len(packet), meta, ifindex, queue))
        if isinstance(outcome, int):
            self.errnos[index] = outcome
            return
        machine.run_state.random = world.random
        self._engine.events.emit(machine)
        batch.verdict[index] = outcome.value
        self._put_back(batch, index, packet, data, outcome)

    def _put_back(self, batch: Batch, index: int, packet: bytes, data: bytes, outcome: TestRun) -> None:
        """Write the packet that the program left; TEST_RUN does not say where in its frame it began."""
        left, meta = outcome.data, 0
        if self.program.spec.type == "XDP":
            meta = xdp_meta_bytes(outcome.ctx)
        if self.program.spec.type not in _KEEPS_ETHERNET:
            left = packet[:_MAC_HEADER_BYTES] + left[_MAC_HEADER_BYTES:]
        if left == data and meta == batch.meta[index]:
            return
        start, length = self._engine.machine.pool.replace(batch.frame[index], left[meta:], left[:meta])
        batch.start[index], batch.length[index], batch.meta[index] = start, length, meta
        batch.has_frags[index] = int(length < len(left) - meta)


@contextlib.contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Keep this thread on one CPU, so that per-CPU values are that CPU's, and give it back its freedom afterwards."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError as err:
        text = f"{errno_name(err.errno or 0)} from sched_setaffinity"
        raise Unsupported(f"kernel engine: CPU {cpu} is not to be had here: {text}") from err
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
