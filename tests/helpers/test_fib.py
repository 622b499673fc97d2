"""bpf_fib_lookup in random networks gives what Linux gave in the same networks (golden helpers_fib)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.helpers.fib_world import (
    AF_INET,
    PROGRAM,
    ask_sim,
    bare_lookups,
    bare_world,
    edge_lookups,
    make_in_sim,
    params,
    question,
    random_lookups,
    random_world,
)
from tests.support.netns import in_namespace
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.errors import InputError
from xdpsim.helpers.fib import FibResult
from xdpsim.sim.sim import Sim

CASES: dict[str, tuple[Any, Any]] = {
    "plain": (random_world(1, rules=False), random_lookups(1, 200) + edge_lookups()),
    "rules": (random_world(2, rules=True), random_lookups(2, 250)),
    "bare": (bare_world(), bare_lookups()),
}


@recorder("helpers_fib")
def record() -> dict[str, Any]:
    found = {}
    for name, (world, lookups) in CASES.items():
        told = in_namespace("tests.helpers.fib_world:ask_linux", {"world": world, "lookups": lookups})
        found[f"{name} world"] = told["world"]
        found[f"{name} lookups"] = [[*asked, *answer] for asked, answer in zip(lookups, told["answers"], strict=True)]
    return found


@pytest.mark.golden
@pytest.mark.parametrize("case", CASES)
def test_lookups_are_answered_as_linux_answers_them(case: str) -> None:
    rows = golden("helpers_fib")[f"{case} lookups"]
    sim = make_in_sim(golden("helpers_fib")[f"{case} world"])
    for row, found in zip(rows, ask_sim(sim, [row[:2] for row in rows]), strict=True):
        assert found == row[2:], f"flags {row[0]}, {row[1]}"


@pytest.mark.golden
def test_the_recorded_lookups_meet_every_result() -> None:
    results = {row[2] for case in CASES for row in golden("helpers_fib")[f"{case} lookups"]}
    assert results >= {*FibResult, -19, -22, -97}


@pytest.mark.live
@pytest.mark.parametrize("rules", [False, True], ids=["no rules", "rules"])
def test_another_network_is_told_alike(rules: bool) -> None:
    lookups = random_lookups(77, 200)
    told = in_namespace(
        "tests.helpers.fib_world:ask_linux", {"world": random_world(77, rules=rules), "lookups": lookups}
    )
    assert list(ask_sim(make_in_sim(told["world"]), lookups)) == told["answers"]


def test_without_interfaces_there_is_only_a_loopback_that_does_not_forward() -> None:
    lookups = [[0, params(family, ifindex, "10.0.0.1", "10.0.0.2").hex()] for family in (2, 10) for ifindex in (1, 2)]
    lookups[2:] = [[0, params(10, ifindex, "fd00::1", "fd00::2").hex()] for ifindex in (1, 2)]
    assert [found[0] for found in ask_sim(Sim(), lookups)] == [FibResult.FWD_DISABLED, -19, FibResult.FWD_DISABLED, -19]


@pytest.mark.parametrize(("size", "result"), [(1, -22), (63, -22), (64, FibResult.NO_NEIGH)])
def test_parameters_that_are_too_short_are_refused(size: int, result: int) -> None:
    sim = Sim()
    sim.interface("eth0", addresses=["10.0.0.1/24"])
    text = PROGRAM.replace("r3 = 64", f"r3 = {size}")
    found = sim.load_insns(text, "XDP").run(question(0, params(AF_INET, 2, "10.0.0.5", "10.0.0.9")))
    assert struct.unpack_from("<q", found.packet, 88)[0] == result


def test_a_pointer_into_nowhere_is_a_fault() -> None:
    program = Sim(verify=False).load_insns("r2 = 4096; r3 = 64; r4 = 0; call 69; exit", "XDP")
    assert "argument 2 of bpf_fib_lookup is the number 4096" in str(program.run(bytes(64)).fault)


def test_a_gateway_tells_the_interface() -> None:
    sim = Sim()
    sim.interface("eth0", addresses=["10.0.0.1/24"])
    sim.interface("eth1", addresses=["10.1.0.1/24"], mac="02:00:00:00:00:99")
    sim.route("default", via="10.1.0.254")
    sim.neighbour("10.1.0.254", dev="eth1", mac="02:00:00:00:00:fe")
    (found,) = ask_sim(sim, [[0, params(AF_INET, 2, "10.0.0.5", "8.8.8.8").hex()]])
    assert found[0] == FibResult.SUCCESS
    assert found[1].endswith("020000000099" + "0200000000fe")


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ({"destination": "10.0.0.1/24", "dev": "lo"}, "10.0.0.1/24 has host bits set, expected a prefix"),
        ({"destination": "10.0.0.0/8"}, "neither dev nor via, expected one of them"),
        ({"destination": "10.0.0.0/8", "dev": "eth7"}, "interface 'eth7' is not declared: expected one of lo"),
        ({"destination": "10.0.0.0/8", "via": "10.9.9.9"}, "via 10.9.9.9, which no interface reaches"),
        ({"destination": "10.0.0.0/8", "via": "x", "dev": "lo"}, "'x', expected an IP address"),
        ({"destination": "10.0.0.0/8", "dev": "lo", "type": "x"}, "type 'x', expected one of unicast, local"),
        ({"destination": "10.0.0.0/8", "dev": "lo", "table": "x"}, "table 'x', expected a number or one of main"),
        ({"destination": "::/0", "dev": "lo", "via": "10.0.0.1"}, "via 10.0.0.1, expected an IPv6 address"),
    ],
)
def test_routes_that_make_no_sense_are_refused(route: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Sim().route(**route)
    assert message in caught.value.message


def test_a_second_route_of_the_same_metric_is_refused() -> None:
    sim = Sim()
    sim.route("10.0.0.0/8", dev="lo")
    with pytest.raises(InputError, match=r"route 10\.0\.0\.0/8: table 254 has one of metric 0 already"):
        sim.route("10.0.0.0/8", dev="lo")
    sim.route("10.0.0.0/8", dev="lo", metric=1)
