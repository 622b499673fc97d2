"""Socket helpers find, show and convert what Linux does of the same sockets (golden helpers_sockets)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers import cookie_world
from tests.helpers.sock_world import (
    ask_sim,
    cast_answer,
    cast_program,
    cast_rows,
    lookups,
    make_in_sim,
    question,
)
from tests.support.netns import in_namespace
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.bits import M64
from xdpsim.errors import InputError
from xdpsim.sim.sim import Sim
from xdpsim.tables.kernel_structs import place

FIND = "r2 = r10; r2 += -12; *(u32 *)(r10 - 12) = 0; *(u32 *)(r10 - 8) = 0x0100000a; *(u32 *)(r10 - 4) = 0x50000000"
"""Ends 0.0.0.0:0 -> 10.0.0.1:80, on the stack."""


@recorder("helpers_sockets")
def record() -> dict[str, Any]:
    found = in_namespace("tests.helpers.sock_world:ask_linux", lookups())
    casts = in_namespace("tests.helpers.sock_world:ask_linux_casts", cast_rows())
    return {
        "lookups": [[*row, answer] for row, answer in zip(lookups(), found, strict=True)],
        "casts": [[*row, answer] for row, answer in zip(cast_rows(), casts, strict=True)],
        "cookies": in_namespace("tests.helpers.cookie_world:ask_linux", None),
    }


@pytest.mark.golden
def test_lookups_find_what_linux_finds() -> None:
    rows = golden("helpers_sockets")["lookups"]
    for row, found in zip(rows, ask_sim(make_in_sim(), [row[:-1] for row in rows]), strict=True):
        assert found == row[-1], row[:-1]


@pytest.mark.golden
def test_conversions_give_what_linux_gives() -> None:
    sim = make_in_sim()
    for lookup, size, netns, flags, tuple_, cast, expected in golden("helpers_sockets")["casts"]:
        taken = sim.load_insns(cast_program(lookup, size, cast), "XDP")
        found = taken.run(question(netns, flags, bytes.fromhex(tuple_)))
        assert cast_answer(found.packet) == expected, (tuple_, cast)


@pytest.mark.golden
def test_a_listener_makes_and_knows_cookies_as_linux_does() -> None:
    assert cookie_world.ask_sim() == golden("helpers_sockets")["cookies"]


def test_a_cookie_is_forgotten_after_two_minutes() -> None:
    sim = Sim()
    sim.socket("tcp", local="10.0.0.1:80", flooded=True)
    rows = {row["helper"]: row for row in cookie_world.segments()}

    def run(helper: int, cookie: int = 0, time_ns: int = 0) -> int:
        row = rows[helper] | {"port": 80, "version": 4, "ip_bytes": 20, "ack": "cookie" if cookie else 0}
        row |= {"tcp_bytes": 24, "doff": 24}
        text = cookie_world.program(helper, 80, False, 20, 24)
        left = sim.load_insns(text, "XDP").run(cookie_world.packet(row, cookie), time_ns=time_ns).packet
        return int.from_bytes(left[cookie_world.RESULT :][:8], "little")

    second = 1_000_000_000
    cookie = run(cookie_world.GEN, time_ns=second) & 0xFFFF_FFFF
    assert run(cookie_world.CHECK, cookie, 60 * second) == 0
    assert run(cookie_world.CHECK, cookie, 200 * second) == -2 & M64


def test_a_listener_that_is_not_flooded_makes_no_cookies() -> None:
    sim = Sim()
    sim.socket("tcp", local="10.0.0.1:80")
    row = next(row for row in cookie_world.segments() if row["helper"] == cookie_world.GEN)
    text = cookie_world.program(cookie_world.GEN, 80, False, 20, 24)
    left = sim.load_insns(text, "XDP").run(cookie_world.packet(row, 0)).packet
    assert int.from_bytes(left[cookie_world.RESULT :][:8], "little") == -2 & M64


@pytest.mark.parametrize("helper", [84, 85, 99])
def test_without_sockets_nothing_is_found(helper: int) -> None:
    release = "if r0 == 0 goto none; r1 = r0; call 86; r0 = 9; none: exit"
    taken = Sim().load_insns(f"{FIND}; r3 = 12; r4 = -1; r5 = 0; call {helper}; {release}", "XDP")
    assert taken.run(bytes(64)).value == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("r1 = 4096; call 86; exit", "argument 1 of bpf_sk_release is the number 4096"),
        ("r1 = r10; r1 += -8; call 137; exit", "argument 1 of bpf_skc_to_tcp_sock is stack+504"),
        (f"{FIND}; r3 = 12; r4 = -1; r5 = 0; call 84; *(u8 *)(r0 + 0) = 1; exit", "socket tcp 10.0.0.1:80+0, which is"),
        (f"{FIND}; r3 = 12; r4 = -1; r5 = 0; call 84; r1 = *(u64 *)(r0 + 76); exit", "reads 8 bytes at socket tcp 10."),
        (f"{FIND}; r3 = 12; r4 = -1; r5 = 0; call 84; r1 = r0; r1 += 4; call 86; exit", "is socket tcp 10.0.0.1:80+4"),
    ],
)
def test_wild_socket_pointers_are_faults(text: str, problem: str) -> None:
    sim = Sim(verify=False)
    sim.socket("tcp", local="10.0.0.1:80")
    assert problem in str(sim.load_insns(text, "XDP").run(bytes(64)).fault)


def test_connection_state_is_readable_as_the_kernels_struct() -> None:
    sim = Sim()
    sim.interface("lo")
    sim.socket("tcp", local="10.0.0.1:80", remote="0.0.0.0:0", tcp={"snd_cwnd": 77, "rtt_min": 12345})
    for path, expected in (("snd_cwnd", 77), ("rtt_min.s[0].v", 12345)):
        at = place("tcp_sock", path).offset
        look = f"{FIND}; r3 = 12; r4 = -1; r5 = 0; call 99; if r0 == 0 goto none; r6 = r0; r1 = r0; call 137; r7 = 0"
        text = f"{look}; if r0 == 0 goto drop; r7 = *(u32 *)(r0 + {at}); drop: r1 = r6; call 86; r0 = r7; none: exit"
        assert sim.load_insns(text, "XDP").run(bytes(64)).value == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"protocol": "sctp", "local": "10.0.0.1:80"}, "protocol 'sctp', expected tcp or udp"),
        ({"protocol": "tcp", "local": "10.0.0.1"}, "'10.0.0.1', expected an address with its port"),
        ({"protocol": "tcp", "local": "10.0.0.1:80", "state": "dead"}, "state 'dead', expected one of established"),
        ({"protocol": "tcp", "local": "10.0.0.1:80", "state": "time_wait"}, "state time_wait needs a remote address"),
        ({"protocol": "tcp", "local": "10.0.0.1:80", "remote": "[::1]:5"}, "addresses are of different families"),
        ({"protocol": "tcp", "local": "10.0.0.1:80", "dev": "eth0"}, "interface 'eth0' is not declared"),
        ({"protocol": "tcp", "local": "10.0.0.1:80", "tcp": {"cwnd": 1}}, "cwnd: expected members of struct bpf_tcp"),
    ],
)
def test_sockets_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Sim().socket(**given)
    assert message in caught.value.message
