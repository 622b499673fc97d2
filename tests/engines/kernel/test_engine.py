"""The engine's manners: refusals, other program types, interfaces, and that a thread gets back what it had."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from tests.engines.kernel.rig import Rig
from xdpsim.engines.kernel import engine as engine_module
from xdpsim.engines.kernel.engine import KernelEngine
from xdpsim.errors import Rejected, Unsupported
from xdpsim.net.machine import EmulatedMachine

READ_IFINDEX_AND_QUEUE = "r0 = *(u32 *)(r1 + 12); r0 <<= 8; r2 = *(u32 *)(r1 + 16); r0 += r2; exit"


def test_without_bpf_the_engine_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "available", lambda: "bpf(2) needs Linux; this is Darwin")
    with pytest.raises(Unsupported, match=r"engine kernel: bpf\(2\) needs Linux; this is Darwin") as caught:
        KernelEngine(EmulatedMachine(cpus=1, seed=1))
    assert "--engine interpreter" in caught.value.hint


@pytest.mark.live
def test_linuxs_refusal_is_passed_on() -> None:
    with pytest.raises(Rejected, match=r"prog: Linux \S+ rejects it \(EACCES\): R0 !read_ok") as caught:
        Rig().program("exit")
    assert caught.value.errno == errno.EACCES
    assert "0: (95) exit" in caught.value.log


@pytest.mark.live
def test_a_program_that_the_loader_poisoned_does_not_run() -> None:
    with pytest.raises(Unsupported, match="because"):
        Rig().program("r0 = 1; exit", unsupported="because")


@pytest.mark.live
def test_types_that_test_run_does_not_take_are_named() -> None:
    with pytest.raises(Unsupported, match="the kernel engine does not run SOCK_OPS programs"):
        Rig().program("r0 = 1; exit", kind="SOCK_OPS")


@pytest.mark.live
def test_a_tc_program_changes_the_packet() -> None:
    rig = Rig()
    text = "r2 = *(u32 *)(r1 + 76); r3 = *(u32 *)(r1 + 80); r4 = r2; r4 += 1; if r4 > r3 goto end"
    runner = rig.program(text + "; *(u8 *)(r2 + 0) = 0xaa; end: r0 = -1; exit", kind="SCHED_CLS")
    left = rig.run(runner, [bytes(64)])[0]
    assert (left.value, left.packet) == (0xFFFFFFFF, b"\xaa" + bytes(63))


@pytest.mark.live
@pytest.mark.parametrize("kind", ["SOCKET_FILTER", "CGROUP_SKB"])
def test_types_that_see_no_ethernet_header_keep_it(kind: str) -> None:
    rig = Rig()
    packet = bytes(range(12)) + b"\x08\x00" + bytes([0x45]) + bytes(49)
    runner = rig.program(f"r0 = *(u32 *)(r1 + 0){'; r0 &= 1' if kind == 'CGROUP_SKB' else ''}; exit", kind=kind)
    left = rig.run(runner, [packet])[0]
    assert left.value == (0 if kind == "CGROUP_SKB" else 50)
    assert left.packet == packet


@pytest.mark.live
def test_packets_that_test_run_refuses_are_told_by_index() -> None:
    rig = Rig()
    runner = rig.program("r0 = 0; exit", kind="SCHED_CLS")
    found = rig.run(runner, [bytes(13), bytes(14), bytes(3712), bytes(3713), bytes(12) + b"\x08\x00" + bytes(19)])
    assert [left.errno for left in found] == [errno.EINVAL, 0, 0, errno.EINVAL, errno.EINVAL]
    assert found[3].packet == bytes(3713)
    rig.run(runner, [bytes(64)])
    assert runner.errnos == {}


@pytest.mark.live
def test_a_packet_comes_from_the_interface_and_queue_it_says() -> None:
    rig = Rig()
    runner = rig.program(READ_IFINDEX_AND_QUEUE)
    assert rig.value(runner) == 1 << 8
    assert rig.value(runner, ifindex=23) == 23 << 8
    assert rig.value(runner, ifindex=23, queue=5) == 23 << 8 | 5
    skb = rig.program("r0 = *(u32 *)(r1 + 40); r0 <<= 8; r2 = *(u32 *)(r1 + 36); r0 += r2; exit", kind="SCHED_CLS")
    assert rig.value(skb) == 1 << 8
    assert rig.value(skb, ifindex=24) == 24 << 8 | 24


@pytest.mark.live
def test_a_batch_may_begin_in_its_middle() -> None:
    from xdpsim.memory.batch import Batch

    rig = Rig()
    runner = rig.program("r0 = 2; exit")
    batch = Batch(3)
    for _ in range(3):
        batch.append(rig.machine.pool.put(bytes(64)))
    assert runner.run_batch(batch, 2) == (3, 0)
    assert list(batch.verdict[:3]) == [0, 0, 2]


@pytest.mark.live
def test_the_thread_is_left_as_it_was() -> None:
    def state() -> tuple[set[int], int]:
        return os.sched_getaffinity(0), os.stat("/proc/thread-self/ns/net").st_ino

    before = state()
    rig = Rig()
    rig.run(rig.program("r0 = 2; exit"))
    assert state() == before
    after: list[tuple[set[int], int]] = []
    thread = threading.Thread(target=lambda: (rig.run(rig.program("r0 = 1; exit")), after.append(state())))
    thread.start()
    thread.join()
    assert after == [before]


@pytest.mark.live
def test_a_cpu_that_is_not_there_is_unsupported() -> None:
    rig = Rig()
    rig.machine.run_state.cpu = 1 << 10
    with pytest.raises(Unsupported, match="CPU 1024 is not to be had here"):
        rig.run(rig.program("r0 = 2; exit"))


@pytest.mark.live
def test_long_packets_pass_through_frags() -> None:
    rig = Rig()
    packet = bytes(n & 0xFF for n in range(9000))
    free = rig.machine.pool.free_frames
    runner = rig.program("r6 = r1; r2 = -4000; call 65; r0 = 2; exit", frags=True)
    assert rig.run(runner, [packet])[0].packet == packet[:5000]
    assert rig.machine.pool.free_frames == free - 2
