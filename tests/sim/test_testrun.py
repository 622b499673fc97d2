"""Test runs: data, context and `repeat` as BPF_PROG_TEST_RUN takes and gives them, on our engines and on Linux."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.support.corpus import OURS
from xdpsim import InputError, Sim, Unsupported
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.sim.testrun import run_test
from xdpsim.sysbpf.syscall import BpfError, errno_name
from xdpsim.sysbpf.testrun import TestRunner

PACKET = bytes(range(100))
COUNT = "r2 = *(u32 *)(r1 +0); r3 = *(u32 *)(r1 +4); r0 = 1; r4 = r2; r4 += 14; if r4 > r3 goto out; "
PROGRAMS = {
    "passes": "r0 = 2; exit",
    "negative": "r0 = -1; exit",
    "counts in the packet": COUNT + "r0 = *(u8 *)(r2 +0); r0 += 1; *(u8 *)(r2 +0) = r0; out: exit",
    "cuts its head": "r2 = 4; call 44; exit",
    "grows its head": "r2 = -20; call 44; exit",
    "cuts its tail": "r2 = -9; call 65; exit",
    "adds metadata": "r6 = r1; r2 = -8; call 54; r0 = *(u32 *)(r6 +4); r1 = *(u32 *)(r6 +0); r0 -= r1; exit",
    "queue": "r0 = *(u32 *)(r1 +16); exit",
    "interface": "r0 = *(u32 *)(r1 +12); exit",
    "length of the metadata": "r0 = *(u32 *)(r1 +0); r1 = *(u32 *)(r1 +8); r0 -= r1; exit",
}
CONTEXTS = {
    "none": b"",
    "plain": struct.pack("<6I", 0, 100, 0, 0, 0, 0),
    "metadata": struct.pack("<6I", 8, 100, 0, 1, 0, 0),
    "long metadata": struct.pack("<6I", 64, 100, 0, 0, 0, 0),
    "odd metadata": struct.pack("<6I", 6, 100, 0, 0, 0, 0),
    "too much metadata": struct.pack("<6I", 96, 100, 0, 0, 0, 0),
    "wrong end": struct.pack("<6I", 0, 101, 0, 0, 0, 0),
    "data_meta": struct.pack("<6I", 0, 100, 4, 0, 0, 0),
    "egress": struct.pack("<6I", 0, 100, 0, 0, 0, 1),
    "queue without an interface": struct.pack("<6I", 0, 100, 0, 0, 1, 0),
}
ASKED = [("plain", name, repeat) for name in PROGRAMS for repeat in (0, 1, 2, 5, 40)]
ASKED += [(context, name, 1) for context in CONTEXTS for name in ("passes", "length of the metadata", "adds metadata")]


def ours(engine: str, context: str, name: str, repeat: int) -> Any:
    program = Sim(engine=engine).load_insns(PROGRAMS[name], "XDP")
    try:
        result = run_test(program, PACKET, CONTEXTS[context], repeat)
    except InputError as err:
        return err.hint.removeprefix("BPF_PROG_TEST_RUN answers ")
    return result.value, result.data, result.ctx


def linux(context: str, name: str, repeat: int) -> Any:
    sim = Sim(engine="kernel")
    program = sim.load_insns(PROGRAMS[name], "XDP")
    assert isinstance(sim.engine, KernelEngine)
    try:
        result = TestRunner(program.runner.fd).run(PACKET, CONTEXTS[context], repeat=repeat)  # type: ignore[attr-defined]
    except BpfError as err:
        return errno_name(err.errno)
    return result.value, result.data, result.ctx[:24]


@pytest.mark.live
@pytest.mark.parametrize("engine", OURS)
@pytest.mark.parametrize(("context", "name", "repeat"), ASKED)
def test_linux_answers_the_same(context: str, name: str, repeat: int, engine: str) -> None:
    found, expected = ours(engine, context, name, repeat), linux(context, name, repeat)
    assert found == expected or (name == "grows its head" and repeat == 40)


@pytest.mark.parametrize("engine", OURS)
def test_a_repeated_run_gets_what_the_one_before_left(engine: str) -> None:
    assert ours(engine, "none", "counts in the packet", 5)[0] == 5
    assert len(ours(engine, "none", "cuts its tail", 3)[1]) == 100 - 27
    assert len(ours(engine, "none", "cuts its head", 3)[1]) == 100 - 12


@pytest.mark.parametrize("repeat", [1, 255, 256, 257, 1000])
def test_programs_that_only_read_run_so_often_too(repeat: int) -> None:
    sim = Sim(engine="jit")
    maps = [{"type": "ARRAY", "key_size": 4, "value_size": 8, "max_entries": 1}]
    asm = "r1 = map_value[0]; r2 = 1; lock *(u64 *)(r1 +0) += r2; r0 = 2; exit"
    program = sim.load_insns(asm, "XDP", maps=maps)
    assert run_test(program, PACKET, repeat=repeat).value == 2
    assert program.maps["map0"].lookup_bytes(bytes(4)) == repeat.to_bytes(8, "little")


def test_what_linux_makes_frags_of_is_unsupported() -> None:
    program = Sim().load_insns(PROGRAMS["passes"], "XDP")
    with pytest.raises(Unsupported, match="the rest would be frags"):
        run_test(program, PACKET, struct.pack("<6I", 0, 99, 0, 0, 0, 0))


def test_a_fault_ends_it() -> None:
    program = Sim(engine="jit", verify=False).load_insns("r1 = 0; r0 = *(u8 *)(r1 +0); exit", "XDP")
    result = run_test(program, PACKET, repeat=3)
    assert result.fault is not None
    assert result.value == 0
