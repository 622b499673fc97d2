"""How fast a program is: nanoseconds a packet over batches of given packets, beside the kernel where it is asked.

A program that changes its packets is refused: the second round would time other packets than the first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import fmean

from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.engines.kernel.runner import KernelRunner
from xdpsim.errors import InputError, XdpsimBug
from xdpsim.memory.batch import DEFAULT_BATCH, Batch, Stop
from xdpsim.net.datapath import refusal
from xdpsim.sim.program import Program
from xdpsim.sim.sim import Sim
from xdpsim.sysbpf.testrun import TestRunner

PERCENTILES = (50, 90, 99)
_LEAST_ROUNDS, _MOST_ROUNDS = 20, 20_000
_KERNEL_PACKETS, _KERNEL_REPEAT = 64, 20_000
_NOTHING = "r0 = 2; exit"


@dataclass(frozen=True)
class Timing:
    """Nanoseconds a packet, the best batch's; percentiles over all batches; executed insns a packet."""

    ns_per_packet: float
    insns_per_packet: float
    percentiles: dict[str, float]


def time_program(program: Program, packets: Sequence[bytes], seconds: float = 1.0) -> Timing:
    """Run batches of the packets, over and over, for about so many seconds of CPU.

    InputError for a packet that cannot run, and for a program that changes packets or faults on one.
    """
    sim = program.sim
    chosen = list(islice(cycle(packets), DEFAULT_BATCH)) if len(packets) < DEFAULT_BATCH else packets[:DEFAULT_BATCH]
    batch, pool = Batch(DEFAULT_BATCH), sim.machine.pool
    frames = {}
    try:
        for data in chosen:
            if data not in frames:
                _check_length(data)
                frames[data] = pool.put(data)
            sim.machine.clock.arrive(None)
            index = batch.append(frames[data], ktime_ns=sim.machine.clock.ktime_ns, tai_ns=sim.machine.clock.tai_ns)
            batch.has_frags[index], batch.ifindex[index] = int(frames[data][2] < len(data)), 1
        _round(program, batch)
        for index, data in enumerate(chosen):
            if batch.meta[index] or pool.get(batch.frame[index], batch.start[index], batch.length[index]) != data:
                raise InputError(f"{program.name} changes packet {index + 1}", hint="time programs that only read")
        insns = fmean(batch.insns[index] for index in range(batch.count))
        return _timed(program, batch, insns, seconds)
    finally:
        for frame, _, _ in frames.values():
            pool.release(frame)


def _check_length(data: bytes) -> None:
    problem = refusal(data)
    if problem:
        raise InputError(f"a packet of {len(data)} bytes is {problem}")


def _round(program: Program, batch: Batch) -> None:
    stopped, stop = program.runner.run_batch(batch, 0)
    if stop is not Stop.END:
        raise InputError(f"{program.name}: stopped at packet {stopped + 1}: {stop.name}", hint="see: xdpsim trace")
    program.sim.machine.take_events()


def _timed(program: Program, batch: Batch, insns: float, seconds: float) -> Timing:
    taken: list[int] = []
    end = time.thread_time_ns() + int(seconds * 1e9)
    while len(taken) < _MOST_ROUNDS and (len(taken) < _LEAST_ROUNDS or time.thread_time_ns() < end):
        begun = time.perf_counter_ns()
        _round(program, batch)
        taken.append(time.perf_counter_ns() - begun)
    taken.sort()
    places = {f"p{percent}": taken[min(len(taken) * percent // 100, len(taken) - 1)] for percent in PERCENTILES}
    return Timing(taken[0] / batch.count, insns, {name: round(ns / batch.count, 2) for name, ns in places.items()})


def time_nothing(engine: str) -> float:
    """What the loop around a program costs by itself: an empty program's nanoseconds a packet."""
    return time_program(Sim(engine=engine).load_insns(_NOTHING, "XDP"), [bytes(64)], 0.3).ns_per_packet


def time_in_kernel(program: Program, packets: Sequence[bytes]) -> tuple[float, float]:
    """Nanoseconds a packet of a program of a kernel Sim, by TEST_RUN's own measure, and an empty program's."""
    return _kernel_ns(program, packets), _kernel_ns(Sim(engine="kernel").load_insns(_NOTHING, "XDP"), packets[:1])


def _kernel_ns(program: Program, packets: Sequence[bytes]) -> float:
    engine, runner = program.sim.engine, program.runner
    if not isinstance(engine, KernelEngine) or not isinstance(runner, KernelRunner):
        raise XdpsimBug("timing in the kernel without the kernel engine")
    engine.push_maps(runner)
    test_run = TestRunner(runner.fd)
    few = packets[:_KERNEL_PACKETS]
    repeat = max(_KERNEL_REPEAT * _KERNEL_PACKETS // len(few), 1)
    return fmean(min(test_run.run(data, repeat=repeat).duration_ns for _ in range(3)) for data in few)
