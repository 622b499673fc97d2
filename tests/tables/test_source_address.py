"""Source addresses by RFC 6724 and by inet_select_addr, in cases that random networks rarely hold."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from xdpsim.tables.interfaces import Interfaces
from xdpsim.tables.source_address import primary4, select4, select6


def interfaces(*addresses: str) -> Interfaces:
    """`lo`, and eth0 with these addresses; those behind a `|` are eth1's."""
    table = Interfaces()
    behind = addresses.index("|") if "|" in addresses else len(addresses)
    for name, own in (("eth0", addresses[:behind]), ("eth1", addresses[behind + 1 :])):
        table.declare(name, ifindex=None, mac=None, mtu=None, addresses=own, forwarding=True, up=True)
    return table


@pytest.mark.parametrize(
    ("addresses", "destination", "chosen"),
    [
        ((), "2001:db8::1", None),
        (("fd00::1/64", "2001:db8:1::1/64"), "2001:db8:2::9", "2001:db8:1::1"),  # rule 6: labels
        (("fd00::1/64", "2001:db8:1::1/64"), "fd00:9::9", "fd00::1"),
        (("2001:db8:1::1/64", "2001:db8:2::1/64"), "2001:db8:2::9", "2001:db8:2::1"),  # rule 8: longest match
        (("2001:db8:1::1/64", "2001:db8:2::1/64"), "2001:db8:1::1", "2001:db8:1::1"),  # rule 1
        (("fe80::1/64", "2001:db8:1::1/64"), "2001:db8:2::9", "2001:db8:1::1"),  # rule 2: scope
        (("fe80::1/64", "|", "2001:db8:1::1/64"), "2001:db8:2::9", "2001:db8:1::1"),
        (("2001:db8:1::1/64", "|", "2001:db8:2::1/64"), "2001:db8:2::9", "2001:db8:1::1"),  # rule 5: interface
        (("2001:db8::1/32", "2001:db8::2/32"), "2001:db8::9", "2001:db8::2"),  # the newer one
    ],
)
def test_ipv6_sources(addresses: tuple[str, ...], destination: str, chosen: str | None) -> None:
    table = interfaces(*addresses)
    found = select6(table, table.find("eth0"), ip_address(destination).packed)
    assert found == (ip_address(chosen).packed if chosen else None)


@pytest.mark.parametrize(
    ("addresses", "gateway", "chosen"),
    [
        ((), "", "0.0.0.0"),
        (("10.0.0.1/24", "10.1.0.1/24"), "", "10.0.0.1"),
        (("10.0.0.1/24", "10.1.0.1/24"), "10.1.0.254", "10.1.0.1"),
        (("10.0.0.1/24", "10.1.0.1/24"), "10.2.0.254", "10.0.0.1"),
        (("|", "10.2.0.1/24"), "10.9.0.1", "10.2.0.1"),
    ],
)
def test_ipv4_sources(addresses: tuple[str, ...], gateway: str, chosen: str) -> None:
    table = interfaces(*addresses)
    packed = ip_address(gateway).packed if gateway else b""
    assert select4(table, table.find("eth0"), packed) == ip_address(chosen).packed


def test_the_second_address_of_a_subnet_is_secondary() -> None:
    table = interfaces("10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/25")
    assert [str(address.ip) for address in primary4(table.find("eth0"))] == ["10.0.0.1", "10.0.0.3"]
