"""A program run as bpf(2)'s BPF_PROG_TEST_RUN runs it: data and context in and out, `repeat`, the mean duration.

Follows bpf_prog_test_run_xdp() in net/bpf/test_run.c: the data begins with the metadata whose length the context's
`data` says, and a repeated run gets the packet as the run before left it.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

from xdpsim.bits import M32
from xdpsim.engines.fault import Fault, read_fault
from xdpsim.errors import InputError, Unsupported
from xdpsim.memory.batch import Batch, Stop
from xdpsim.net.datapath import refusal
from xdpsim.net.timers import fire_due
from xdpsim.sim.program import Program

_XDP_MD = struct.Struct("<6I")
CTX_BYTES = _XDP_MD.size
_ROUND = 256
"""So many runs of a packet that a program cannot change share one batch."""
_MOST_META = 255
_LOOPBACK = 1
MAX_REPEAT = M32


@dataclass(frozen=True)
class TestRunResult:
    """The value (unsigned, 32 bits), the data with the metadata before it, the context, the mean duration of a run."""

    value: int
    data: bytes
    ctx: bytes
    duration_ns: int
    fault: Fault | None = None


def run_test(program: Program, data: bytes, ctx: bytes = b"", repeat: int = 1) -> TestRunResult:
    """Run `repeat` times (0 counts as 1); InputError, with Linux's errno, for what TEST_RUN would refuse."""
    if program.spec.type != "XDP":
        raise Unsupported(f"{program.name}: test runs of {program.spec.type} programs")
    meta, ifindex, queue = _context(data, ctx)
    problem = refusal(data[meta:])
    if problem:
        answer = "EINVAL" if problem.startswith("shorter") else "ENOMEM"
        raise InputError(f"data of {len(data) - meta} bytes is {problem}", hint=f"BPF_PROG_TEST_RUN answers {answer}")
    machine = program.sim.machine
    batch = Batch(_ROUND)
    frame, _, _ = machine.pool.put(data[meta:])
    start, length = machine.pool.replace(frame, data[meta:], data[:meta])
    machine.clock.arrive(None)
    try:
        for _ in range(_ROUND):
            at = batch.append((frame, start, length), ktime_ns=machine.clock.ktime_ns, tai_ns=machine.clock.tai_ns)
            batch.meta[at], batch.ifindex[at], batch.queue[at] = meta, ifindex or _LOOPBACK, queue
            batch.has_frags[at] = int(length < len(data) - meta)
        fault, duration = _repeat(program, batch, max(repeat, 1))
        left_meta = batch.meta[0]
        left = machine.pool.read(frame, batch.start[0] - left_meta, left_meta)
        left += machine.pool.get(frame, batch.start[0], batch.length[0])
    finally:
        machine.pool.release(frame)
    out = _XDP_MD.pack(left_meta, len(left), 0, ifindex, queue, 0) if ctx else b""
    return TestRunResult(0 if fault else batch.verdict[0], left, out, duration, fault)


def _context(data: bytes, ctx: bytes) -> tuple[int, int, int]:
    """Length of the metadata, interface and queue that a context asks for; the loopback's first queue without one."""
    if not ctx:
        return 0, 0, 0
    if len(ctx) > CTX_BYTES and any(ctx[CTX_BYTES:]):
        raise InputError(f"a context of {len(ctx)} bytes", hint="BPF_PROG_TEST_RUN answers E2BIG")
    meta, end, data_meta, ifindex, queue, egress = _XDP_MD.unpack(ctx[:CTX_BYTES].ljust(CTX_BYTES, b"\0"))
    if meta <= end < len(data) and not data_meta and not egress:
        raise Unsupported(f"a context whose data_end is {end} with {len(data)} bytes of data: the rest would be frags")
    is_bad = data_meta or egress or end > len(data) or meta > end or meta & 3 or meta > _MOST_META
    if is_bad or (queue and not ifindex):
        raise InputError(
            "the context does not fit the data: expected data = length of the metadata, data_end = length of all",
            hint="BPF_PROG_TEST_RUN answers EINVAL",
        )
    return meta, ifindex, queue


def _repeat(program: Program, batch: Batch, repeat: int) -> tuple[Fault | None, int]:
    """Run the packet so often, each time as the run before left it; the fault that ended it, the mean nanoseconds."""
    machine, runner = program.sim.machine, program.runner
    together = _ROUND if program.reads_only else 1
    done = taken = 0
    while done < repeat:
        batch.count = min(together, repeat - done)
        at = 0
        while at < batch.count:
            begun = time.perf_counter_ns()
            at, stop = runner.run_batch(batch, at)
            taken += time.perf_counter_ns() - begun
            if stop is Stop.TIMER_DUE:
                fire_due(machine, batch.ktime_ns[at], at)
            elif stop is not Stop.END:
                return read_fault(machine, program.loaded), taken // (done + at + 1)
        done += batch.count
    return None, taken // repeat
