"""Interfaces are declared once, under sensible names and numbers; their addresses bring routes."""

from __future__ import annotations

from typing import Any

import pytest

from xdpsim.errors import InputError, Unsupported
from xdpsim.sim.sim import Sim
from xdpsim.tables.address_routes import address_routes
from xdpsim.tables.routes import LOCAL, RouteType


def test_numbers_and_addresses_follow_the_order_of_declaration() -> None:
    sim = Sim()
    first, second = sim.interface("eth0"), sim.interface("eth1", ifindex=7)
    third = sim.interface("eth2")
    assert [interface.ifindex for interface in (first, second, third)] == [2, 7, 8]
    assert first.mac == bytes.fromhex("020000000002")
    assert [interface.name for interface in sim.tables.interfaces] == ["lo", "eth0", "eth1", "eth2"]
    assert repr(second) == "<xdpsim interface eth1, ifindex 7>"


def test_addresses_bring_routes() -> None:
    sim = Sim()
    made = sim.interface("eth0", addresses=["10.0.0.1/24", "10.0.0.2/24", "10.1.1.1/32", "fd00::1/64"])
    routes = [(str(r.network), r.type.name.lower(), r.table == LOCAL) for r in address_routes(made)]
    assert routes == [
        ("ff00::/8", "multicast", True),
        ("10.0.0.1/32", "local", True),
        ("10.0.0.0/24", "unicast", False),
        ("10.0.0.255/32", "broadcast", True),
        ("10.0.0.2/32", "local", True),
        ("10.1.1.1/32", "local", True),
        ("fd00::1/128", "local", True),
        ("fd00::/64", "unicast", False),
        ("fd00::/128", "anycast", True),
    ]


def test_an_interface_that_is_down_has_no_routes() -> None:
    assert list(address_routes(Sim().interface("eth0", addresses=["10.0.0.1/24"], up=False))) == []


def test_the_loopback_can_be_set_up_again() -> None:
    sim = Sim()
    sim.interface("lo", addresses=["10.9.0.1/32"])
    sim.interface("lo")
    kinds = [route.type for route in address_routes(sim.tables.interfaces.find("lo"))]
    assert kinds == [RouteType.LOCAL, RouteType.LOCAL, RouteType.BROADCAST, RouteType.LOCAL]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "eth0"}, "interface eth0 is declared twice"),
        ({"name": ""}, "interface '': expected a name of 1 to 15 characters"),
        ({"name": "a" * 16}, "expected a name of 1 to 15 characters"),
        ({"name": "a b"}, "expected a name of 1 to 15 characters"),
        ({"name": "x", "ifindex": 2}, "interface x: ifindex 2, expected one from 2 on that is not taken (1, 2)"),
        ({"name": "x", "mtu": 10}, "interface x: mtu 10, expected 68 to 65536"),
        ({"name": "x", "mac": "02:03"}, "interface x: mac '02:03', expected six bytes"),
        ({"name": "x", "mac": "zz"}, "interface x: mac 'zz', expected six bytes"),
        ({"name": "x", "addresses": ["10.0.0.300/8"]}, "interface x: address '10.0.0.300/8', expected one such as"),
    ],
)
def test_interfaces_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    sim = Sim()
    sim.interface("eth0")
    with pytest.raises(InputError) as caught:
        sim.interface(**given)
    assert message in caught.value.message


def test_neighbours_need_a_state_that_exists() -> None:
    with pytest.raises(InputError, match="neighbour state 'fresh': expected one of incomplete, reachable"):
        Sim().neighbour("10.0.0.1", dev="lo", mac="02:00:00:00:00:01", state="fresh")


@pytest.mark.live
def test_the_kernel_engine_has_a_world_of_its_own() -> None:
    with pytest.raises(Unsupported, match="engine kernel: programs see an empty network namespace"):
        Sim(engine="kernel").interface("eth0")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"table": "blue"}, "rule 32765: table 'blue', expected a number or one of main, local, default"),
        ({"table": 100, "source": "fd00::/8"}, "rule 32765: its addresses are not of IP version 4"),
        ({"table": 100, "iif": "eth9"}, "interface 'eth9' is not declared"),
        ({"table": 100, "destination": "10.0.0.1/8"}, "10.0.0.1/8 has host bits set"),
    ],
)
def test_rules_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Sim().rule(**given)
    assert message in caught.value.message
