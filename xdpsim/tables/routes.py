"""Routing tables and rules, IPv4 and IPv6: which route a packet takes. Follows net/ipv4/fib_trie.c, fib_rules.c and
net/ipv6/ip6_fib.c, route.c.

The routes that Linux makes for an interface's addresses are derived by tables/address_routes.py. What a lookup then
means to a program is helpers/fib.py. Not here: several next hops, source-specific routes, cached path MTUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network

from xdpsim.errors import InputError

Network = IPv4Network | IPv6Network

MAIN, LOCAL, DEFAULT = 254, 255, 253
TABLE_NAMES = {"main": MAIN, "local": LOCAL, "default": DEFAULT}


class RouteType(IntEnum):
    """RTN_*."""

    UNICAST = 1
    LOCAL = 2
    BROADCAST = 3
    ANYCAST = 4
    MULTICAST = 5
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8
    THROW = 9


DECIDES_ALONE = frozenset({RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.THROW})
"""Types that need no interface."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `ifindex` is 0 for types that need none; `gateway` and `source` are packed addresses, empty for none.

    `mtu_lock` is the route's own MTU (`mtu lock` in iproute2), 0 for the interface's; `encap` the bytes of header that
    a lightweight tunnel adds, None without one.
    """

    network: Network
    type: RouteType = RouteType.UNICAST
    ifindex: int = 0
    gateway: bytes = b""
    metric: int = 0
    table: int = MAIN
    source: bytes = b""
    tos: int = 0
    mtu_lock: int = 0
    encap: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked up: addresses as numbers. `oif` demands (IPv4) or prefers (IPv6) an interface; 0 for any."""

    version: int
    destination: int
    source: int
    iif: int
    oif: int
    tos: int = 0
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy rule: packets that match every condition look into `table`; lower `priority` first."""

    version: int
    priority: int
    table: int
    mark: int = 0
    mark_mask: int = 0
    iif: int = 0
    source: Network | None = None
    destination: Network | None = None

    def matches(self, query: Query) -> bool:
        """Whether a packet comes under the rule."""
        if (query.mark ^ self.mark) & self.mark_mask or self.iif not in (0, query.iif):
            return False
        return _inside(query.source, self.source) and _inside(query.destination, self.destination)


def _inside(address: int, network: Network | None) -> bool:
    if network is None:
        return True
    return address & int(network.netmask) == int(network.network_address)


class Routes:
    """All routes and rules of both families."""

    def __init__(self) -> None:
        self._prefixes: dict[tuple[int, int, int], dict[int, list[Route]]] = {}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}
        self._rules: dict[int, list[Rule]] = {4: [], 6: []}

    def add(self, route: Route) -> None:
        """Add a route, behind others of the same prefix, table and metric."""
        version, length = route.network.version, route.network.prefixlen
        routes = self._prefixes.setdefault((version, route.table, length), {})
        same = routes.setdefault(int(route.network.network_address), [])
        same.append(route)
        same.sort(key=lambda other: (-other.tos, other.metric))
        if length not in self._lengths[version]:
            self._lengths[version] = sorted({*self._lengths[version], length}, reverse=True)

    def add_new(self, route: Route) -> None:
        """As `add`, for a user: a second route of one prefix, table, tos and metric is an InputError."""
        key = route.network.version, route.table, route.network.prefixlen
        for other in self._prefixes.get(key, {}).get(int(route.network.network_address), ()):
            if (other.tos, other.metric) == (route.tos, route.metric):
                raise InputError(
                    f"route {route.network}: table {route.table} has one of metric {route.metric} already: expected"
                    " another metric"
                )
        self.add(route)

    def discard(self, routes: list[Route]) -> None:
        """Take routes away: each one once, if it is there."""
        for route in routes:
            key = route.network.version, route.table, route.network.prefixlen
            same = self._prefixes.get(key, {}).get(int(route.network.network_address), [])
            if route in same:
                same.remove(route)

    def add_rule(self, rule: Rule) -> None:
        """Add a policy rule; the first one separates IPv4's tables local and main, as in Linux."""
        self._rules[rule.version].append(rule)
        self._rules[rule.version].sort(key=lambda other: other.priority)

    def in_table(self, table: int, query: Query) -> Route | None:
        """The route that one table gives, of any type; None when it has none."""
        if query.version == 6:
            return self._in_table6(table, query)
        # Until there are rules of their own, the tables local and main are one trie.
        merged = table in (LOCAL, MAIN) and not self._rules[4]
        return self._in_tables4((LOCAL, MAIN) if merged else (table,), query)

    def by_rules(self, query: Query) -> Route | None:
        """The route that the rules lead to; None when all tables have none."""
        for table in self._tables_for(query):
            route = self.in_table(table, query)
            if route is not None and (route.type is not RouteType.THROW or query.version == 6):
                return route
        return None

    def _tables_for(self, query: Query) -> Iterator[int]:
        ends = ((0, LOCAL), (32766, MAIN), *(((32767, DEFAULT),) if query.version == 4 else ()))
        rules = [(rule.priority, rule.table) for rule in self._rules[query.version] if rule.matches(query)]
        for _, table in sorted((*ends, *rules), key=lambda pair: pair[0]):
            yield table

    def _candidates(self, table: int, query: Query, length: int) -> list[Route]:
        bits = 32 if query.version == 4 else 128
        prefix = query.destination >> (bits - length) << (bits - length)
        return self._prefixes.get((query.version, table, length), {}).get(prefix, [])

    def _in_tables4(self, tables: tuple[int, ...], query: Query) -> Route | None:
        """fib_table_lookup: the longest prefix with a route of the right tos and interface."""
        for length in self._lengths[4]:
            for table in tables:
                for route in self._candidates(table, query, length):
                    if route.tos and route.tos != query.tos:
                        continue
                    if route.type in DECIDES_ALONE or query.oif in (0, route.ifindex):
                        return route
        return None

    def _in_table6(self, table: int, query: Query) -> Route | None:
        """fib6_table_lookup: the longest prefix; of its routes of lowest metric one by the interface asked for."""
        for length in self._lengths[6]:
            same = self._candidates(table, query, length)
            if same:
                best = [route for route in same if route.metric == same[0].metric]
                return next((route for route in best if route.ifindex == query.oif), best[0])
        return None
