"""The world around a `Sim`, as users declare it: interfaces, routes, neighbours, sockets, connections, tasks, cgroups.

Programs see it through helpers such as bpf_fib_lookup and bpf_sk_lookup_tcp. What is not declared is as in a new
network namespace: a loopback that is down, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from xdpsim.bits import M32
from xdpsim.engines.protocol import Engine
from xdpsim.errors import InputError, Unsupported
from xdpsim.helpers.world import HZ, JIFFIES_AT_BOOT, TICK_NS
from xdpsim.net.machine import EmulatedMachine
from xdpsim.tables.conntrack import Connection, Ips, Tuple, Zone
from xdpsim.tables.interfaces import AF_INET, AF_INET6, Address, Interface, mac_bytes
from xdpsim.tables.routes import DECIDES_ALONE, MAIN, TABLE_NAMES, Network, Query, Route, RouteType, Rule
from xdpsim.tables.sockets import TCP, UDP, Endpoint, IpAddress, Socket
from xdpsim.tables.tables import Tables
from xdpsim.tables.tasks import INIT_PID_NAMESPACE, Cgroup, Task

_DEFAULT_METRIC6 = 1024
"""IP6_RT_PRIO_USER; IPv4 routes have 0."""
_FIRST_PRIORITY = 32765
"""Where iproute2 puts a rule that says nothing: right before the main table's."""


class WorldMixin:
    """The part of `Sim` that fills the tables."""

    machine: EmulatedMachine
    engine: Engine

    @property
    def tables(self) -> Tables:
        """What was declared so far; Unsupported with the kernel engine, whose programs see Linux's own world."""
        if self.engine.name == "kernel":
            raise Unsupported(
                "engine kernel: programs see an empty network namespace of Linux's own and the calling task",
                hint="declare interfaces, routes, sockets and the like with engine='interpreter'",
            )
        return self.machine.part(Tables)

    def interface(
        self,
        name: str,
        *,
        ifindex: int | None = None,
        mac: str | bytes | None = None,
        mtu: int | None = None,
        addresses: Iterable[str | Address] = (),
        forwarding: bool = True,
        up: bool = True,
    ) -> Interface:
        """Declare an interface, numbered from 2 on; "lo" sets up the loopback, which is there already.

        Its addresses bring the routes that Linux makes for them. Unlike on a new Linux, `forwarding` is on.
        """
        made = self.tables.interfaces.declare(
            name, ifindex=ifindex, mac=mac, mtu=mtu, addresses=addresses, forwarding=forwarding, up=up
        )
        self.tables.refresh_routes(made)
        return made

    def neighbour(
        self, address: str, *, dev: str | int | Interface, mac: str | bytes = "", state: str = "reachable"
    ) -> None:
        """Say which MAC address answers for `address` behind an interface; states are those of `ip neigh`."""
        where = f"neighbour {address}"
        hardware = mac_bytes(mac, where) if mac else bytes(6)
        found = self.tables.interfaces.find(dev)
        self.tables.neighbours.set(found.ifindex, _ip(address, where).packed, hardware, state)

    def route(
        self,
        destination: str,
        *,
        via: str = "",
        dev: str | int | Interface | None = None,
        type: str = "unicast",
        metric: int | None = None,
        table: str | int = MAIN,
        src: str = "",
        tos: int = 0,
        mtu_lock: int = 0,
        encap: int | None = None,
    ) -> None:
        """Add a route as `ip route add` does; "default" and "::/0" match all.

        Without `dev` the interface is the one through which `via` is reached. `encap` marks a route with a lightweight
        tunnel, which bpf_fib_lookup refuses, and says how many bytes of header that adds.
        """
        where = f"route {destination}"
        network = _network(destination, where, via)
        kind = _route_type(type, where)
        gateway = _ip(via, where) if via else None
        if gateway is not None and network.version == 6 and gateway.version == 4:
            raise InputError(f"{where}: via {via}, expected an IPv6 address")
        made = Route(
            network,
            kind,
            0 if kind in DECIDES_ALONE else self._outgoing(dev, gateway, where),
            gateway.packed if gateway is not None else b"",
            (0 if network.version == 4 else _DEFAULT_METRIC6) if metric is None else metric,
            _table(table, where),
            _ip(src, where).packed if src else b"",
            tos,
            mtu_lock,
            encap,
        )
        self.tables.routes.add_new(made)

    def rule(
        self,
        *,
        table: str | int,
        priority: int = _FIRST_PRIORITY,
        fwmark: int = 0,
        fwmask: int = M32,
        iif: str | int | Interface | None = None,
        source: str = "",
        destination: str = "",
        version: int = 4,
    ) -> None:
        """Add a policy rule of IPv4 or IPv6, as `ip rule add` does: packets that match look into `table`."""
        where = f"rule {priority}"
        made = Rule(
            version,
            priority,
            _table(table, where),
            fwmark,
            fwmask if fwmark else 0,
            self.tables.interfaces.find(iif).ifindex if iif is not None else 0,
            _network(source, where, "") if source else None,
            _network(destination, where, "") if destination else None,
        )
        if version not in (4, 6) or any(n.version != version for n in (made.source, made.destination) if n is not None):
            raise InputError(f"{where}: its addresses are not of IP version {version}")
        self.tables.routes.add_rule(made)

    def socket(
        self,
        protocol: str,
        *,
        local: str,
        remote: str = "",
        state: str | None = None,
        dev: str | int | Interface | None = None,
        v6only: bool = False,
        mark: int = 0,
        priority: int = 0,
        rx_queue: int = -1,
        flooded: bool = False,
        tcp: Mapping[str, int] | None = None,
    ) -> Socket:
        """Declare a socket: "tcp" or "udp", its ends such as "10.0.0.1:80" or "[::]:53".

        Without a `remote` a TCP socket listens, with one it is connected, unless `state` says otherwise (the kernel's
        words: "time_wait", "syn_sent", ...). `tcp` sets members of struct bpf_tcp_sock; a `flooded` listener answers
        with SYN cookies.
        """
        ifindex = self.tables.interfaces.find(dev).ifindex if dev is not None else 0
        return self.tables.sockets.add(
            protocol,
            _endpoint(local, "socket"),
            _endpoint(remote, "socket") if remote else None,
            state=state,
            ifindex=ifindex,
            v6only=v6only,
            mark=mark,
            priority=priority,
            rx_queue=rx_queue,
            flooded=flooded,
            tcp=tcp or {},
        )

    def conntrack(
        self,
        protocol: str,
        source: str,
        destination: str,
        *,
        timeout: float = 120,
        status: Iterable[str] = (),
        mark: int = 0,
        zone: int = 0,
        reply_source: str = "",
        reply_destination: str = "",
    ) -> Connection:
        """Put a connection into the tracking table: "tcp" or "udp", the ends of its original direction.

        `timeout` is in seconds of virtual time from now on; `status` holds words such as "seen_reply" and "assured".
        The reply's ends are the same turned round unless they are given (translated connections).
        """
        where = f"conntrack {source} -> {destination}"
        original = _tuple(protocol, source, destination, where)
        bits = Ips(0)
        for word in status:
            if word.upper() not in Ips.__members__:
                raise InputError(f"{where}: status {word!r}, expected one of {', '.join(Ips.__members__).lower()}")
            bits |= Ips[word.upper()]
        table = self.tables.conntrack
        made = table.new(original, Zone(zone), int(timeout * HZ))
        reply = _tuple(protocol, reply_source or destination, reply_destination or source, where)
        made.set_tuple(1, reply)
        made.status, made.mark = bits & ~Ips.CONFIRMED, mark
        if not table.insert(made, (JIFFIES_AT_BOOT + self.machine.clock.ktime_ns // TICK_NS) & M32):
            raise InputError(f"{where}: one of its directions is in the table already")
        table.release(made)
        return made

    def cgroup(self, path: str, *, id: int | None = None) -> Cgroup:
        """Declare a cgroup of the unified hierarchy, such as "/system.slice/nginx.service", with its parents."""
        return self.tables.tasks.cgroup(path, id)

    def task(
        self,
        comm: str,
        *,
        pid: int,
        tgid: int | None = None,
        uid: int = 0,
        gid: int = 0,
        cgroup: str | Cgroup = "/",
        classid: int = 0,
        pid_namespace: tuple[int, int] = INIT_PID_NAMESPACE,
    ) -> Task:
        """Say which task programs find running, in the place of the idle one; `pid_namespace` is device and inode."""
        group = cgroup if isinstance(cgroup, Cgroup) else self.cgroup(cgroup)
        return self.tables.tasks.declare(
            comm, pid=pid, tgid=tgid, uid=uid, gid=gid, cgroup=group, classid=classid, pid_namespace=pid_namespace
        )

    def _outgoing(self, dev: str | int | Interface | None, gateway: IpAddress | None, where: str) -> int:
        """The interface of a route: the one named, else the one behind which its gateway lies."""
        if dev is not None:
            return self.tables.interfaces.find(dev).ifindex
        if gateway is None:
            raise InputError(f"{where}: neither dev nor via, expected one of them")
        query = Query(gateway.version, int(gateway), 0, 1, 0)
        found = self.tables.routes.in_table(MAIN, query)
        if found is None or found.type is not RouteType.UNICAST or found.gateway:
            raise InputError(f"{where}: via {gateway}, which no interface reaches", hint="say which with dev=")
        return found.ifindex


def _ip(text: str, where: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as err:
        raise InputError(f"{where}: {text!r}, expected an IP address") from err


def _network(text: str, where: str, via: str) -> Network:
    if text == "default":
        text = "::/0" if ":" in via else "0.0.0.0/0"
    try:
        return ip_network(text)
    except ValueError as err:
        raise InputError(f"{where}: {err}, expected a prefix such as 10.0.0.0/8") from err


def _route_type(text: str, where: str) -> RouteType:
    if text.upper() not in RouteType.__members__:
        raise InputError(f"{where}: type {text!r}, expected one of {', '.join(RouteType.__members__).lower()}")
    return RouteType[text.upper()]


def _table(table: str | int, where: str) -> int:
    number = TABLE_NAMES.get(table) if isinstance(table, str) else table
    if number is None or not 0 < number <= M32:
        raise InputError(f"{where}: table {table!r}, expected a number or one of {', '.join(TABLE_NAMES)}")
    return number


def _endpoint(text: str, where: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal() or int(port) > 0xFFFF:
        raise InputError(f"{where}: {text!r}, expected an address with its port such as 10.0.0.1:80 or [::1]:80")
    return _ip(address.removeprefix("[").removesuffix("]"), where), int(port)


def _tuple(protocol: str, source: str, destination: str, where: str) -> Tuple:
    number = {"tcp": TCP, "udp": UDP}.get(protocol)
    if number is None:
        raise InputError(f"{where}: protocol {protocol!r}, expected tcp or udp")
    src, dst = _endpoint(source, where), _endpoint(destination, where)
    if src[0].version != dst[0].version:
        raise InputError(f"{where}: the addresses are of different families")
    family = AF_INET if src[0].version == 4 else AF_INET6
    return Tuple(family, number, src[0].packed, src[1], dst[0].packed, dst[1])
