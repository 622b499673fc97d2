"""bpf_fib_lookup: where a packet with these addresses would go. Follows bpf_ipv4_fib_lookup and bpf_ipv6_fib_lookup in
net/core/filter.c; routes, neighbours and interfaces are in xdpsim.tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper
from xdpsim.memory.layout import U8, U16, U32, Struct, View
from xdpsim.tables.interfaces import AF_INET, AF_INET6, Interface
from xdpsim.tables.routes import MAIN, Query, Route, RouteType
from xdpsim.tables.source_address import select4, select6
from xdpsim.tables.tables import Tables

_ENODEV, _EINVAL, _EAFNOSUPPORT = 19, 22, 97


class FibFlags(IntFlag):
    """BPF_FIB_LOOKUP_*."""

    DIRECT = 1
    OUTPUT = 2
    SKIP_NEIGH = 4
    TBID = 8
    SRC = 16
    MARK = 32


_ALL_FLAGS = 63


class FibResult(IntEnum):
    """BPF_FIB_LKUP_RET_*."""

    SUCCESS = 0
    BLACKHOLE = 1
    UNREACHABLE = 2
    PROHIBIT = 3
    NOT_FWDED = 4
    FWD_DISABLED = 5
    UNSUPP_LWT = 6
    NO_NEIGH = 7
    FRAG_NEEDED = 8
    NO_SRC_ADDR = 9


_BY_TYPE = {
    RouteType.BLACKHOLE: FibResult.BLACKHOLE,
    RouteType.UNREACHABLE: FibResult.UNREACHABLE,
    RouteType.PROHIBIT: FibResult.PROHIBIT,
}
PARAMS = Struct(
    "bpf_fib_lookup",
    ("family", U8),
    ("l4_protocol", U8),
    ("sport", U16),
    ("dport", U16),
    ("tot_len", U16),  # the MTU on return
    ("ifindex", U32),
    ("tos", U32),  # u8 tos, or flowinfo; the route's metric on return
    ("src", U8, 16),
    ("dst", U8, 16),
    ("tbid", U32),  # h_vlan_proto and h_vlan_TCI on return
    ("mark", U32),  # smac and dmac on return
    ("mac_rest", U8, 8),
)
_SRC, _DST, _MACS = PARAMS.offset("src"), PARAMS.offset("dst"), PARAMS.offset("mark")
_DSCP_MASK = 0xFC
_LOOPBACK_IFINDEX = 1
_LOOPBACK6 = bytes(15) + b"\1"
_MAX_MTU4, _MAX_MTU6, _MIN_MTU6 = 0xFFFF, 0xFFFF + 40, 1280


@helper(69)
def bpf_fib_lookup(machine: Machine, ctx: int, params: int, size: int, flags: int) -> int:
    """Look up a route and, unless told not to, the neighbour behind it; BPF_FIB_LKUP_RET_* or -errno."""
    flags &= 0xFFFF_FFFF
    if size < PARAMS.size or flags & ~_ALL_FLAGS:
        return -_EINVAL
    piece = machine.space.piece_at(params, PARAMS.size)
    if piece is None or not piece.writable:
        raise BadArgument(2)
    lookup = _Lookup(machine.part(Tables), View(PARAMS, piece.view, params - piece.base, params), FibFlags(flags))
    if lookup.params.family == AF_INET:
        return lookup.ipv4()
    if lookup.params.family == AF_INET6:
        return lookup.ipv6()
    return -_EAFNOSUPPORT


@dataclass(slots=True)
class _Lookup:
    """One call; its answers go into `params` as they become known, as in Linux."""

    tables: Tables
    params: View
    flags: FibFlags

    def ipv4(self) -> int:
        device = self.tables.interfaces.get(self.params.ifindex)
        if device is None:
            return -_ENODEV
        if not device.forwarding:
            return FibResult.FWD_DISABLED
        is_output = FibFlags.OUTPUT in self.flags
        query = Query(
            version=4,
            destination=int.from_bytes(self._read(_DST, 4), "big"),
            source=int.from_bytes(self._read(_SRC, 4), "big"),
            iif=_LOOPBACK_IFINDEX if is_output else device.ifindex,
            oif=device.ifindex if is_output else 0,
            tos=self.params.tos & _DSCP_MASK,
            mark=self._mark(),
        )
        route = self._route(query)
        if route is None or route.type is not RouteType.UNICAST:
            return _result_of(route)
        out = self._device_of(route)
        mtu = route.mtu_lock or min(out.mtu, _MAX_MTU4)
        if early := self._stop_early(route, out, mtu):
            return early
        if FibFlags.SRC in self.flags:
            self._write(_SRC, route.source or select4(self.tables.interfaces, out, route.gateway[:4]))
        if len(route.gateway) == 16:
            self.params.buffer[self.params.base] = AF_INET6
        if route.gateway:
            self._write(_DST, route.gateway)
        return self._neighbour(out, self._read(_DST, len(route.gateway) or 4), mtu)

    def ipv6(self) -> int:
        destination, source = self._read(_DST, 16), self._read(_SRC, 16)
        if _needs_strict(destination) or _needs_strict(source):
            return FibResult.NOT_FWDED
        device = self.tables.interfaces.get(self.params.ifindex)
        if device is None:
            return -_ENODEV
        if not device.forwarding:
            return FibResult.FWD_DISABLED
        query = Query(
            version=6,
            destination=int.from_bytes(destination, "big"),
            source=int.from_bytes(source, "big"),
            iif=_LOOPBACK_IFINDEX if FibFlags.OUTPUT in self.flags else device.ifindex,
            oif=device.ifindex,
            mark=self._mark(),
        )
        route = self._route(query)
        if route is None or route.type is not RouteType.UNICAST:
            return _result_of(route)
        out = self._device_of(route)
        mtu = route.mtu_lock or min(max(out.mtu, _MIN_MTU6), _MAX_MTU6)
        if early := self._check_mtu(mtu, route) or self._check_encap(route):
            return early
        if route.gateway:
            self._write(_DST, route.gateway)
        self._leave_by(route, out)
        if FibFlags.SRC in self.flags:
            chosen = route.source or select6(self.tables.interfaces, out, destination)
            if chosen is None:
                return FibResult.NO_SRC_ADDR
            self._write(_SRC, chosen)
        return self._neighbour(out, self._read(_DST, 16), mtu)

    def _mark(self) -> int:
        return self.params.mark if FibFlags.MARK in self.flags else 0

    def _route(self, query: Query) -> Route | None:
        if FibFlags.DIRECT not in self.flags:
            return self.tables.routes.by_rules(query)
        table = MAIN
        if FibFlags.TBID in self.flags:
            table = self.params.tbid or MAIN
            self.params.tbid = 0
        return self.tables.routes.in_table(table, query)

    def _device_of(self, route: Route) -> Interface:
        device = self.tables.interfaces.get(route.ifindex)
        assert device is not None
        return device

    def _stop_early(self, route: Route, out: Interface, mtu: int) -> int:
        """What IPv4 does between route and addresses."""
        if early := self._check_mtu(mtu, route) or self._check_encap(route):
            return early
        self._leave_by(route, out)
        return 0

    def _check_mtu(self, mtu: int, route: Route) -> int:
        mtu -= route.encap if route.encap and route.encap < mtu else 0
        if self.params.tot_len <= mtu:
            return 0
        self.params.tot_len = mtu
        return FibResult.FRAG_NEEDED

    def _check_encap(self, route: Route) -> int:
        return FibResult.UNSUPP_LWT if route.encap is not None else 0

    def _leave_by(self, route: Route, out: Interface) -> None:
        self.params.tos = route.metric
        self.params.ifindex = out.ifindex

    def _neighbour(self, out: Interface, address: bytes, mtu: int) -> int:
        if FibFlags.SKIP_NEIGH not in self.flags:
            found = self.tables.neighbours.get(out.ifindex, address)
            if found is None or not found.is_valid:
                return FibResult.NO_NEIGH
            self._write(_MACS, out.mac + found.mac)
        self.params.tbid = 0
        self.params.tot_len = mtu & 0xFFFF
        return FibResult.SUCCESS

    def _read(self, offset: int, size: int) -> bytes:
        at = self.params.base + offset
        return bytes(self.params.buffer[at : at + size])

    def _write(self, offset: int, data: bytes) -> None:
        at = self.params.base + offset
        self.params.buffer[at : at + len(data)] = data


def _result_of(route: Route | None) -> int:
    return _BY_TYPE.get(route.type, FibResult.NOT_FWDED) if route else FibResult.NOT_FWDED


def _needs_strict(address: bytes) -> bool:
    """rt6_need_strict: addresses that mean something on one link only."""
    return address[0] == 0xFF or (address[0] == 0xFE and address[1] & 0xC0 == 0x80) or address == _LOOPBACK6
