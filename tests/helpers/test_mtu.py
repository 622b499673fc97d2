"""check_mtu answers as Linux does on the loopback, and by the declared interfaces elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.helper_tables import Ask, ask_name, check, record, run
from tests.support.oracle import golden, ramp
from tests.support.record import recorder
from xdpsim.net.machine import EmulatedMachine
from xdpsim.tables.tables import Tables

THEME = "mtu"
ENODEV = (1 << 64) - 19


def ask(name: str, *, ifindex: int = 0, length: int = 0, diff: int = 0, flags: int = 0, **rest: Any) -> Ask:
    """One call on the word at r7 + 8; the word behind it shows that nothing else is written."""
    words = {2: ifindex, 4: diff, 5: flags}
    body = f"r1 = {length:#x} ll; *(u32 *)(r7 + 8) = r1; *(u32 *)(r7 + 12) = 0x11223344; r1 = r6; r3 = r7; r3 += 8;"
    body += "".join(f"r{n} = {value & (1 << 64) - 1:#x} ll;" for n, value in words.items())
    return Ask(name, f"{body} call 163", **rest)


def asks() -> Iterator[Ask]:
    for ifindex in (0, 1, 2, -1, (1 << 32) + 1, 1 << 32):
        for length in (0, 1, 64, 65_535, 65_536, 65_537, 65_550):
            yield ask(f"interface {ifindex}, length {length}", ifindex=ifindex, length=length)
    for diff in (1, 65_485, 65_486, 65_487, -1, -64, -65, 0x7FFFFFFF, -0x80000000, (1 << 32) + 1, (1 << 32) + 65_487):
        yield ask(f"{diff} bytes more", diff=diff)
        yield ask(f"{diff} bytes more than 100", length=100, diff=diff)
    for length in (0x7FFFFFFF, 0x80000000, 0xFFFFFFF1, 0xFFFFFFF2, 0xFFFFFFFF):
        yield ask(f"length {length:#x}", length=length)
    for flags in (1, 2, 1 << 32, -1):
        yield ask(f"flags {flags}", length=5, flags=flags)
        yield ask(f"flags {flags} and no such interface", ifindex=77, flags=flags)
    for diff in (62_030, 62_031):
        yield ask(f"frags do not count, {diff} bytes more", diff=diff, packet=ramp(9_000), frags=True)
    yield Ask("read-only memory", "r1 = r6; r2 = 0; r3 = map_value[given]+0; r4 = 0; r5 = 0; call 163", given=bytes(4))


ASKS = tuple(asks())


@recorder("helpers_mtu")
def record_answers() -> dict[str, Any]:
    return record(ASKS)


@pytest.mark.golden
@pytest.mark.parametrize("question", ASKS, ids=ask_name)
def test_the_answer_is_linuxs(question: Ask) -> None:
    check(question, "interpreter", THEME)


def test_the_jit_calls_the_same_body() -> None:
    for question in ASKS[:40]:
        check(question, "jit", THEME)


@pytest.mark.live
def test_linux_answers_as_recorded() -> None:
    assert record(ASKS) == golden(f"helpers_{THEME}")


@pytest.mark.parametrize(("length", "expected"), [(0, 0), (900, 0), (901, 1), (1500, 1)])
def test_a_declared_interface_has_its_own_mtu(length: int, expected: int) -> None:
    machine = EmulatedMachine(cpus=2, seed=1)
    machine.part(Tables).interfaces.declare(
        "eth0", ifindex=7, mac=None, mtu=900, addresses=(), forwarding=False, up=True
    )
    answer = run(ask("eth0", ifindex=7, length=length), "interpreter", machine)
    assert (answer["r0"], answer["out"][:8]) == (expected, (900).to_bytes(4, "little").hex())
    machine = EmulatedMachine(cpus=2, seed=1)
    assert run(ask("eth0", ifindex=7, length=length), "interpreter", machine)["r0"] == ENODEV


@pytest.mark.parametrize("engine", ["interpreter", pytest.param("kernel", marks=pytest.mark.live)])
@pytest.mark.parametrize("ifindex", [0, 9])
def test_the_packets_own_interface_is_there_undeclared(engine: str, ifindex: int) -> None:
    machine = EmulatedMachine(cpus=2, seed=1)
    answer = run(ask("own", ifindex=ifindex, length=1501), engine, machine, ifindex=9)
    assert (answer["r0"], answer["out"][:8]) == (1, "dc050000")
