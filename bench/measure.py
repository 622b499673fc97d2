"""The measurements: each returns a number in the unit that its name says, the best of a few attempts."""

from __future__ import annotations

import os
import random
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.captures import Endless
from bench.programs import CAPTURE, LOOKUPS, MIX, RANDOM_ALONE, RANDOM_LOOKUPS, ROOT, UDP, Task, bundled
from xdpsim import Sim
from xdpsim.cli.options import CaptureSide
from xdpsim.cli.written import WrittenCapture
from xdpsim.engines.jit.engine import JitEngine
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.engines.limits import DEFAULT_BUDGET
from xdpsim.frames.capture import open_capture
from xdpsim.memory.batch import DEFAULT_BATCH, Batch
from xdpsim.sim.program import Program
from xdpsim.sim.verifying import verified_facts
from xdpsim.sysbpf.testrun import TestRunner


def best(work: Callable[[], float], attempts: int = 5) -> float:
    """The smallest of several measurements: what disturbs only ever adds."""
    return min(work() for _ in range(attempts))


def interpreter_insns_per_second() -> float:
    """Executed insns a second on a mix of arithmetic, loads and stores, every access checked."""
    program = Sim(verify=False).load_insns(MIX, "XDP")

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
        begun = time.thread_time_ns()
        for _ in range(rounds):
            runner.run_batch(batch, 0)
        return (time.thread_time_ns() - begun) / (rounds * DEFAULT_BATCH)

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


def compile_ms(name: str, *, verified: bool = True) -> tuple[int, float]:
    """Slots of a bundled program, and milliseconds of CPU until it is ready on the jit, compiled anew."""
    slots = 0

    def once() -> float:
        nonlocal slots
        sim = Sim(engine="jit", verify=verified)
        assert isinstance(sim.engine, JitEngine)
        sim.engine.budget = DEFAULT_BUDGET + time.time_ns() % 1_000_000_000  # part of the cache's key
        return _ready_ms(sim, name)

    def _ready_ms(sim: Sim, name: str) -> float:
        nonlocal slots
        loaded = sim.load(ROOT / "programs" / f"{name}.o")
        program = loaded._programs[f"xdp_{name}"]
        slots = len(program.spec.code)
        if verified:
            program.facts = verified_facts(program, sim.caps)
        begun = time.thread_time_ns()
        sim.engine.load(program)
        return (time.thread_time_ns() - begun) / 1e6

    milliseconds = best(once, 3)
    return slots, milliseconds


def cached_ms(name: str) -> float:
    """Milliseconds of CPU until a verified program is ready on the jit whose code is in the cache."""

    def once() -> float:
        sim = Sim(engine="jit")
        program = sim.load(ROOT / "programs" / f"{name}.o")._programs[f"xdp_{name}"]
        program.facts = verified_facts(program, sim.caps)
        sim.engine.load(program)
        begun = time.thread_time_ns()
        sim.engine.load(program)
        return (time.thread_time_ns() - begun) / 1e6

    return best(once)


def random_lookups_ns(entries: int = 1_000_000) -> float:
    """Nanoseconds a lookup of a random address among so many random prefixes of 16 to 32 bits."""
    sim, rng = Sim(engine="jit", verify=False), random.Random(1)
    shape = {"type": "LPM_TRIE", "key_size": 8, "value_size": 8, "max_entries": entries, "flags": 1}
    with_lookup, without = (sim.load_insns(asm, "XDP", maps=[shape]) for asm in (RANDOM_LOOKUPS, RANDOM_ALONE))
    table = with_lookup.maps["map0"]
    for _ in range(entries):
        table.update_bytes(struct.pack("<I", rng.randrange(16, 33)) + rng.randbytes(4), bytes(8), 0)

    def nanoseconds(program: Program) -> float:
        begun = time.thread_time_ns()
        program.run(UDP)
        return (time.thread_time_ns() - begun) / LOOKUPS

    return best(lambda: nanoseconds(with_lookup), 3) - best(lambda: nanoseconds(without), 3)


def sweep_packets_per_second(task: Task, path: Path) -> float:
    """Millions of packets a second of CPU, from the capture file to counts of verdicts."""
    program, _ = task.open(Sim(engine="jit"))

    def once() -> float:
        begun, sweep = time.thread_time_ns(), program.sweep()
        with open_capture(path) as capture:
            for _ in sweep.run(capture):
                pass
        return (time.thread_time_ns() - begun) / sweep.swept.packets

    return 1e3 / best(once)


def written_packets_per_second(task: Task, path: Path, target: Path) -> float:
    """As sweep_packets_per_second, with every packet and its verdict written to a pcapng file."""
    program, _ = task.open(Sim(engine="jit"))

    def once() -> float:
        begun = time.thread_time_ns()
        with open_capture(path) as capture:
            written = WrittenCapture(str(target), capture, program.name, CaptureSide.EXIT)
            blocks = written.blocks()
            sweep = program.sweep(sink=blocks)
            for _ in sweep.run(capture):
                pass
            blocks.flush()
            written.close()
        return (time.thread_time_ns() - begun) / sweep.swept.packets

    return 1e3 / best(once, 3)


def sweep_memory(task: Task, gigabytes: float) -> tuple[float, float]:
    """Seconds of CPU for a capture of that size, and by how many MB the process's peak rose while it was swept."""
    program, _ = task.open(Sim(engine="jit"))
    with open_capture(Endless(1 << 20)) as capture:
        for _ in program.sweep().run(capture):
            pass
    before, begun = peak_mb(), time.thread_time_ns()
    with open_capture(Endless(int(gigabytes * 1e9))) as capture:
        for _ in program.sweep().run(capture):
            pass
    return (time.thread_time_ns() - begun) / 1e9, peak_mb() - before


def peak_mb() -> float:
    """The most memory that the process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def process_ms(*arguments: str, attempts: int = 5, **variables: str) -> float:
    """A whole Python process, start to end, with these environment variables."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}

    def once() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment, cwd=ROOT)
        return (time.perf_counter() - begun) * 1e3

    return best(once, attempts)
