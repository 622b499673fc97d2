"""The routes that come with an interface's addresses: local, broadcast, connected, anycast.

Follows fib_add_ifaddr in net/ipv4/fib_frontend.c and addrconf_add_dev, addrconf_join_anycast in net/ipv6/addrconf.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from xdpsim.tables.interfaces import Interface
from xdpsim.tables.routes import LOCAL, MAIN, Route, RouteType

_CONNECTED_METRIC6 = 256
"""IP6_RT_PRIO_ADDRCONF, also of routes that the kernel makes for addresses."""


def address_routes(interface: Interface) -> Iterator[Route]:
    """Every route that Linux makes when an interface with these addresses is up; none when it is down."""
    if not interface.is_up:
        return
    seen: set[IPv4Network] = set()
    if interface.is_loopback:
        yield from _routes4(interface, IPv4Interface("127.0.0.1/8"), seen)
        yield _local6(interface, IPv6Interface("::1/128"))
    else:
        yield Route(IPv6Network("ff00::/8"), RouteType.MULTICAST, interface.ifindex, metric=256, table=LOCAL)
    for address in interface.addresses:
        if isinstance(address, IPv4Interface):
            yield from _routes4(interface, address, seen)
        else:
            yield from _routes6(interface, address)


def _routes4(interface: Interface, address: IPv4Interface, seen: set[IPv4Network]) -> Iterator[Route]:
    own, network = address.ip.packed, address.network
    yield Route(IPv4Network(address.ip), RouteType.LOCAL, interface.ifindex, table=LOCAL, source=own)
    if network.prefixlen == 32 or network in seen:
        return
    seen.add(network)
    if interface.is_loopback:
        yield Route(network, RouteType.LOCAL, interface.ifindex, table=LOCAL, source=own)
    else:
        yield Route(network, RouteType.UNICAST, interface.ifindex, table=MAIN, source=own)
    if network.prefixlen < 31:
        last = IPv4Network(network.broadcast_address)
        yield Route(last, RouteType.BROADCAST, interface.ifindex, table=LOCAL, source=own)


def _local6(interface: Interface, address: IPv6Interface) -> Route:
    return Route(IPv6Network(address.ip), RouteType.LOCAL, interface.ifindex, table=LOCAL)


def _routes6(interface: Interface, address: IPv6Interface) -> Iterator[Route]:
    yield _local6(interface, address)
    network = address.network
    yield Route(network, RouteType.UNICAST, interface.ifindex, metric=_CONNECTED_METRIC6, table=MAIN)
    if interface.forwarding and network.prefixlen < 127:
        anycast = IPv6Network(network.network_address)
        yield Route(anycast, RouteType.ANYCAST, interface.ifindex, table=LOCAL)
