"""The measurements: each returns a number in the unit that its name says, the best of a few attempts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from bench.programs import CAPTURE, MIX, ROOT, UDP, Task, bundled
from xdpsim import Sim
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.frames.capture import open_capture
from xdpsim.memory.batch import DEFAULT_BATCH, Batch
from xdpsim.sysbpf.testrun import TestRunner


def best(work: Callable[[], float], attempts: int = 5) -> float:
    """The smallest of several measurements: what disturbs only ever adds."""
    return min(work() for _ in range(attempts))


def interpreter_insns_per_second() -> float:
    """Executed insns a second on a mix of arithmetic, loads and stores, every access checked."""
    program = Sim().load_insns(MIX, "XDP")

    def once() -> float:
        begun = time.perf_counter()
        insns = sum(program.run(UDP).insns for _ in range(30))
        return (time.perf_counter() - begun) / insns

    return 1 / best(once)


def hot_packet_ns(engine: str, task: Task) -> float:
    """Nanoseconds a packet in batches whose packets are all the same one; not for programs that change packets."""
    sim = Sim(engine=engine)
    program, _ = task.open(sim)
    runner, pool = program._runner, sim.machine.pool
    batch, frame = Batch(), pool.put(UDP)
    for _ in range(DEFAULT_BATCH):
        batch.ifindex[batch.append(frame, ktime_ns=1_000_000_000_000)] = 1
    rounds = 1 if engine == "interpreter" else 1000

    def once() -> float:
        begun = time.perf_counter_ns()
        for _ in range(rounds):
            runner.run_batch(batch, 0)
        return (time.perf_counter_ns() - begun) / (rounds * DEFAULT_BATCH)

    return best(once)


def kernel_hot_packet_ns(task: Task, repeat: int = 1_000_000) -> float:
    """What BPF_PROG_TEST_RUN says itself of a repeated run of the untouched task; its own loop is in it."""
    sim = Sim(engine="kernel")
    program, _ = task.open(sim)
    runner, engine = program._runner, sim.engine
    assert isinstance(engine, KernelEngine)
    engine.push_maps(runner)  # type: ignore[arg-type]
    test_run = TestRunner(runner.fd)  # type: ignore[attr-defined]
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    return best(lambda: test_run.run(UDP, repeat=repeat).duration_ns, 3)


def replay_packets_per_second(engine: str, name: str) -> float:
    """From the capture file to results, in one process."""

    def once() -> float:
        program, _ = bundled(name)(Sim(engine=engine))
        begun, count = time.perf_counter(), 0
        with open_capture(CAPTURE) as capture:
            for _ in program.replay(capture):
                count += 1
        return (time.perf_counter() - begun) / count

    return 1 / best(once, 3)


def compile_ms(name: str) -> tuple[int, float]:
    """Slots of a bundled program, and milliseconds of CPU until it is ready on the jit."""
    slots = 0

    def once() -> float:
        nonlocal slots
        loaded = Sim(engine="jit").load(ROOT / "programs" / f"{name}.o")
        begun = time.process_time()
        slots = len(loaded[f"xdp_{name}"].spec.code)
        return (time.process_time() - begun) * 1e3

    milliseconds = best(once, 3)
    return slots, milliseconds


def process_ms(*arguments: str, attempts: int = 5, **variables: str) -> float:
    """A whole Python process, start to end, with these environment variables."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}

    def once() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment, cwd=ROOT)
        return (time.perf_counter() - begun) * 1e3

    return best(once, attempts)
