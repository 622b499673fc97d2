"""Sockets of the emulated machine, and which of them a packet's addresses belong to.

A socket's native record has the layout of struct bpf_sock, whose offsets programs use on the pointers that
bpf_sk_lookup_tcp and its relatives give; struct bpf_tcp_sock and the kernel's own structs (for bpf_skc_to_*) are made
when they are asked for. Follows __inet_lookup and its relatives in net/ipv4/inet_hashtables.c, net/ipv4/udp.c and their
twins in net/ipv6. Groups of SO_REUSEPORT sockets are not modelled: of equals the one declared last answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from xdpsim.errors import InputError
from xdpsim.memory.layout import U32
from xdpsim.tables.interfaces import AF_INET, AF_INET6
from xdpsim.tables.kernel_structs import size_of
from xdpsim.tables.records import Memory, Record, RecordPool
from xdpsim.tables.socket_layouts import BPF_SOCK, BPF_TCP_SOCK, KERNEL_PATHS

IpAddress = IPv4Address | IPv6Address
Endpoint = tuple[IpAddress, int]
TCP, UDP = 6, 17
_STREAM, _DGRAM = 1, 2


class TcpState(IntEnum):
    """TCP_*; a UDP socket is CLOSE, or ESTABLISHED when it is connected."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12


@dataclass(eq=False)
class Socket:
    """One socket. `remote` is None while it has no peer; `record` is its struct bpf_sock."""

    protocol: int
    family: int
    local: Endpoint
    remote: Endpoint | None
    state: TcpState
    ifindex: int
    v6only: bool
    is_flooded: bool
    """A listener whose queue is full, so that it answers with SYN cookies."""
    record: Record
    tcp: Mapping[str, int] = field(default_factory=dict)
    views: dict[str, Record] = field(default_factory=dict)
    overflowed_at: int | None = None
    """The tick of the last SYN cookie that was made for it."""

    @property
    def is_full(self) -> bool:
        """Whether it is a full socket: neither waiting to die nor a request to a listener (sk_fullsock)."""
        return self.state not in (TcpState.TIME_WAIT, TcpState.NEW_SYN_RECV)

    @property
    def is_mapped(self) -> bool:
        """Whether it is a socket of IPv6 that talks IPv4: only packets of the latter belong to it."""
        return isinstance(self.local[0], IPv6Address) and self.local[0].ipv4_mapped is not None

    def local_as(self, version: int) -> IpAddress | None:
        """The local address to packets of that IP version; None when it takes none of them."""
        return _as_version(self.local[0], version, self.v6only)

    def remote_as(self, version: int) -> IpAddress | None:
        """The peer's address likewise."""
        return _as_version(self.remote[0], version, self.v6only) if self.remote else None


class Sockets:
    """All sockets, newest first."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._pools: dict[str, RecordPool] = {}
        self._ports: dict[tuple[int, int], list[Socket]] = {}
        self._by_address: dict[int, Socket] = {}

    def add(
        self,
        protocol: str,
        local: Endpoint,
        remote: Endpoint | None,
        *,
        state: str | None,
        ifindex: int,
        v6only: bool,
        mark: int,
        priority: int,
        rx_queue: int,
        flooded: bool,
        tcp: Mapping[str, int],
    ) -> Socket:
        """Declare a socket; InputError for words that do not exist or do not fit together."""
        number = {"tcp": TCP, "udp": UDP}.get(protocol)
        if number is None:
            raise InputError(f"socket: protocol {protocol!r}, expected tcp or udp")
        label = _label(protocol, local, remote)
        if remote is not None and remote[0].version != local[0].version:
            raise InputError(f"socket {label}: local and remote addresses are of different families")
        if unknown := set(tcp) - BPF_TCP_SOCK.members.keys() or (set(tcp) if number == UDP else set()):
            raise InputError(f"socket {label}: {', '.join(sorted(unknown))}: expected members of struct bpf_tcp_sock")
        family = AF_INET if local[0].version == 4 else AF_INET6
        record = self._pool("socket", BPF_SOCK.size).new(label)
        known = _state_of(number, state, remote, label)
        # An IPv6 socket that is bound to one address takes IPv6 alone, as if it had been told to.
        v6only = v6only or (isinstance(local[0], IPv6Address) and int(local[0]) != 0 and not local[0].ipv4_mapped)
        made = Socket(number, family, local, remote, known, ifindex, v6only, flooded, record, dict(tcp))
        _fill(made, mark, priority, rx_queue)
        self._ports.setdefault((number, local[1]), []).insert(0, made)
        self._by_address[record.address] = made
        return made

    def at(self, address: int) -> Socket | None:
        """The socket that a pointer of any kind points to."""
        return self._by_address.get(address)

    def view(self, socket: Socket, struct_name: str) -> int:
        """Address of the socket as another struct: bpf_tcp_sock, or one of the kernel's own."""
        if struct_name not in socket.views:
            size = BPF_TCP_SOCK.size if struct_name == BPF_TCP_SOCK.name else size_of(struct_name)
            record = self._pool(struct_name, size).new(socket.record.label)
            if struct_name == BPF_TCP_SOCK.name:
                for name, value in socket.tcp.items():
                    record.write(BPF_TCP_SOCK.offset(name), BPF_TCP_SOCK.members[name].width, value)
            else:
                _fill_kernel(record, socket, struct_name)
            socket.views[struct_name] = record
            self._by_address[record.address] = socket
        return socket.views[struct_name].address

    def lookup_tcp(self, version: int, local: Endpoint, remote: Endpoint, ifindex: int) -> Socket | None:
        """The connection with these ends, else the best listener, as seen by a packet that came by `ifindex`."""
        same_port = [s for s in self._ports.get((TCP, local[1]), ()) if s.ifindex in (0, ifindex)]
        for socket in same_port:
            if socket.remote is None or socket.remote[1] != remote[1] or (socket.is_mapped and version == 6):
                continue
            if socket.local_as(version) == local[0] and socket.remote_as(version) == remote[0]:
                return socket
        listeners = [s for s in same_port if s.state is TcpState.LISTEN]
        return _by_local(listeners, version, local[0], lambda s: 2 * bool(s.ifindex) + (s.family == AF_INET))

    def lookup_udp(self, version: int, local: Endpoint, remote: Endpoint, ifindex: int) -> Socket | None:
        """The socket with the most that these ends agree with; one of another peer is none."""
        fitting = [
            s
            for s in self._ports.get((UDP, local[1]), ())
            if s.ifindex in (0, ifindex)
            and (s.remote is None or (s.remote_as(version) == remote[0] and s.remote[1] == remote[1]))
        ]
        return _by_local(
            fitting,
            version,
            local[0],
            lambda s: 4 * (2 * (s.remote is not None) + bool(s.ifindex)) + (s.family == AF_INET),
        )

    def _pool(self, kind: str, size: int) -> RecordPool:
        if kind not in self._pools:
            self._pools[kind] = RecordPool(self._memory, kind, size)
        return self._pools[kind]


def _by_local(sockets: list[Socket], version: int, address: IpAddress, score: object) -> Socket | None:
    """Of those bound to the address, else of those bound to any, the first with the highest score."""
    assert callable(score)
    for wanted in (address, IPv4Address(0) if version == 4 else IPv6Address(0)):
        bound = [socket for socket in sockets if socket.local_as(version) == wanted]
        if bound:
            return max(bound, key=score)
    return None


def _as_version(address: IpAddress, version: int, v6only: bool) -> IpAddress | None:
    """An address as packets of an IP version carry it: IPv6 sockets take IPv4 too unless they are told not to."""
    if address.version == version:
        return address
    if isinstance(address, IPv4Address) or v6only:
        return None
    if address == IPv6Address(0):
        return IPv4Address(0)
    return address.ipv4_mapped


def _label(protocol: str, local: Endpoint, remote: Endpoint | None) -> str:
    ends = (local, remote) if remote else (local,)
    return f"{protocol} " + " - ".join(
        f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}" for address, port in ends
    )


def _state_of(protocol: int, state: str | None, remote: Endpoint | None, label: str) -> TcpState:
    if state is None:
        if remote is not None:
            return TcpState.ESTABLISHED
        return TcpState.LISTEN if protocol == TCP else TcpState.CLOSE
    known = {member.name.lower(): member for member in TcpState}
    if state not in known:
        raise InputError(f"socket {label}: state {state!r}, expected one of {', '.join(known)}")
    needs_peer = known[state] not in (TcpState.LISTEN, TcpState.CLOSE)
    if needs_peer != (remote is not None):
        raise InputError(f"socket {label}: state {state} {'needs a' if needs_peer else 'has no'} remote address")
    return known[state]


def _fill(socket: Socket, mark: int, priority: int, rx_queue: int) -> None:
    """Write struct bpf_sock."""
    record, port = socket.record, socket.local[1]
    values = {
        "bound_dev_if": socket.ifindex,
        "family": socket.family,
        "type": _STREAM if socket.protocol == TCP else _DGRAM,
        "protocol": socket.protocol,
        "mark": mark,
        "priority": priority,
        "src_port": port,
        "state": socket.state,
        "rx_queue_mapping": rx_queue,
    }
    for name, value in values.items():
        record.write(BPF_SOCK.offset(name), U32, value)
    ends = (("src", socket.local), ("dst", socket.remote))
    for side, end in ends:
        if end is None:
            continue
        for version, packed in _forms(end[0]).items():
            record.write_bytes(BPF_SOCK.offset(f"{side}_ip{version}"), packed)
    if socket.remote is not None:
        record.write_bytes(BPF_SOCK.offset("dst_port"), socket.remote[1].to_bytes(2, "big"))


def _forms(address: IpAddress) -> dict[int, bytes]:
    """An address by IP version. What the other version's members hold is the kernel's own affair; here it is zero."""
    forms: dict[int, bytes] = {address.version: address.packed}
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        forms[4] = address.ipv4_mapped.packed
    return forms


def _fill_kernel(record: Record, socket: Socket, struct_name: str) -> None:
    """Write what the kernel's own struct says of a socket; every one of them begins with struct sock_common."""

    def copy(path: str, source: str, width: int) -> None:
        offset = BPF_SOCK.offset(source)
        value = b"".join(socket.record.read(offset + at, 1).to_bytes(1, "little") for at in range(width))
        record.set("sock_common", path, value)

    for path, source, width in (
        ("skc_family", "family", 2),
        ("skc_state", "state", 1),
        ("skc_bound_dev_if", "bound_dev_if", 4),
        ("skc_rcv_saddr", "src_ip4", 4),
        ("skc_daddr", "dst_ip4", 4),
        ("skc_v6_rcv_saddr", "src_ip6", 16),
        ("skc_v6_daddr", "dst_ip6", 16),
        ("skc_num", "src_port", 2),
        ("skc_dport", "dst_port", 2),
    ):
        copy(path, source, width)
    if socket.is_full:
        for path in ("type", "protocol", "mark", "priority"):
            record.set("sock", f"sk_{path}", socket.record.read(BPF_SOCK.offset(path), U32))
    if struct_name in ("tcp_sock", "tcp6_sock"):
        for name, value in socket.tcp.items():
            record.set("tcp_sock", KERNEL_PATHS.get(name, name), value)
