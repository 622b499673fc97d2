"""Helpers that find sockets and look into them. Follows bpf_sk_lookup and its neighbours in net/core/filter.c.

References are the verifier's matter: giving a socket back does nothing at run time. Only the machine's own network
namespace is emulated, so every other namespace id finds nothing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from xdpsim.bits import signed
from xdpsim.helpers.ids import HELPERS_OF_TYPE
from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import BadArgument, helper
from xdpsim.memory.structs import RUN_STATE, XDP_BUFF
from xdpsim.tables.interfaces import AF_INET6, LOOPBACK_IFINDEX
from xdpsim.tables.sockets import TCP, UDP, Socket, Sockets, TcpState
from xdpsim.tables.tables import Tables

_TUPLE4_BYTES, _TUPLE6_BYTES = 12, 36
_S32_MAX = (1 << 31) - 1
_IFINDEX = RUN_STATE.offset("xdp") + XDP_BUFF.offset("ingress_ifindex")


def socket_at(machine: Machine, address: int, argument: int) -> Socket:
    """The socket that an argument points to; any other value ends the program in a fault."""
    found = _sockets(machine).at(address)
    if found is None:
        raise BadArgument(argument)
    return found


def _sockets(machine: Machine) -> Sockets:
    return machine.part(Tables).sockets


def _lookup(machine: Machine, protocol: int, addresses: int, size: int, netns: int, flags: int) -> Socket | None:
    """__bpf_sk_lookup: the socket of a packet with these ends that came in where the running program's did."""
    if size not in (_TUPLE4_BYTES, _TUPLE6_BYTES) or flags:
        return None
    if signed(netns, 32) >= 0:
        return None
    raw, half = machine.space.read(addresses, size), (size - 4) // 2
    kind = IPv4Address if size == _TUPLE4_BYTES else IPv6Address
    ports = int.from_bytes(raw[-4:-2], "big"), int.from_bytes(raw[-2:], "big")
    remote, local = (kind(raw[:half]), ports[0]), (kind(raw[half : 2 * half]), ports[1])
    state = machine.run_state
    at = state.base + _IFINDEX
    ifindex = int.from_bytes(state.buffer[at : at + 4], "little") or LOOPBACK_IFINDEX
    sockets, version = _sockets(machine), 4 if kind is IPv4Address else 6
    find = sockets.lookup_tcp if protocol == TCP else sockets.lookup_udp
    return find(version, local, remote, ifindex)


def _full(machine: Machine, found: Socket | None) -> int:
    """Address of a found socket; a request to a listener stands for the listener, a dying socket for nothing."""
    if found is not None and found.state is TcpState.NEW_SYN_RECV:
        found = _listener_of(machine, found)
    return found.record.address if found is not None and found.is_full else 0


def _listener_of(machine: Machine, request: Socket) -> Socket | None:
    version, nobody = request.local[0].version, type(request.local[0])(0)
    return _sockets(machine).lookup_tcp(version, request.local, (nobody, 0), request.ifindex)


@helper(84)
def bpf_sk_lookup_tcp(machine: Machine, ctx: int, addresses: int, size: int, netns: int, flags: int) -> int:
    """The TCP socket, connected or listening, that packets with these ends belong to."""
    return _full(machine, _lookup(machine, TCP, addresses, size, netns, flags))


@helper(85)
def bpf_sk_lookup_udp(machine: Machine, ctx: int, addresses: int, size: int, netns: int, flags: int) -> int:
    """The UDP socket that packets with these ends belong to."""
    return _full(machine, _lookup(machine, UDP, addresses, size, netns, flags))


@helper(99)
def bpf_skc_lookup_tcp(machine: Machine, ctx: int, addresses: int, size: int, netns: int, flags: int) -> int:
    """As sk_lookup_tcp, but dying sockets and requests to a listener are found themselves."""
    found = _lookup(machine, TCP, addresses, size, netns, flags)
    return found.record.address if found is not None else 0


@helper(86)
def bpf_sk_release(machine: Machine, sock: int) -> int:
    """Give a socket back; 0."""
    socket_at(machine, sock, 1)
    return 0


def _callers(helper_id: int) -> tuple[str, ...]:
    return tuple(kind for kind, helpers in HELPERS_OF_TYPE.items() if helper_id in helpers)


@helper(95, programs=_callers(95))
def bpf_sk_fullsock(machine: Machine, sock: int) -> int:
    """The socket itself when it is a full one."""
    found = socket_at(machine, sock, 1)
    return found.record.address if found.is_full else 0


@helper(96, programs=_callers(96))
def bpf_tcp_sock(machine: Machine, sock: int) -> int:
    """The socket's struct bpf_tcp_sock when it is a full TCP socket."""
    found = socket_at(machine, sock, 1)
    return _sockets(machine).view(found, "bpf_tcp_sock") if found.is_full and found.protocol == TCP else 0


@helper(98, programs=_callers(98))
def bpf_get_listener_sock(machine: Machine, sock: int) -> int:
    """The listener: the socket itself, or the one that a request waits for."""
    found: Socket | None = socket_at(machine, sock, 1)
    if found is not None and found.state is TcpState.NEW_SYN_RECV:
        found = _listener_of(machine, found)
    return found.record.address if found is not None and found.state is TcpState.LISTEN else 0


def _cast(machine: Machine, sock: int, struct_name: str, family: int = 0, protocol: int = TCP) -> int:
    """The socket as a struct of the kernel's, when it is full and of that family and protocol."""
    if sock == 0:
        return 0
    found = socket_at(machine, sock, 1)
    if not found.is_full or found.protocol != protocol or family not in (0, found.family):
        return 0
    return _sockets(machine).view(found, struct_name)


@helper(137)
def bpf_skc_to_tcp_sock(machine: Machine, sock: int) -> int:
    """The socket as struct tcp_sock, or NULL."""
    return _cast(machine, sock, "tcp_sock")


@helper(136)
def bpf_skc_to_tcp6_sock(machine: Machine, sock: int) -> int:
    """The socket as struct tcp6_sock when it is one of IPv6, else NULL."""
    return _cast(machine, sock, "tcp6_sock", AF_INET6)


@helper(140)
def bpf_skc_to_udp6_sock(machine: Machine, sock: int) -> int:
    """The socket as struct udp6_sock when it is one of IPv6, else NULL."""
    return _cast(machine, sock, "udp6_sock", AF_INET6, UDP)


def _cast_state(machine: Machine, sock: int, struct_name: str, state: TcpState) -> int:
    found = socket_at(machine, sock, 1) if sock else None
    return _sockets(machine).view(found, struct_name) if found is not None and found.state is state else 0


@helper(138)
def bpf_skc_to_tcp_timewait_sock(machine: Machine, sock: int) -> int:
    """The socket as struct tcp_timewait_sock when it waits to die, else NULL."""
    return _cast_state(machine, sock, "tcp_timewait_sock", TcpState.TIME_WAIT)


@helper(139)
def bpf_skc_to_tcp_request_sock(machine: Machine, sock: int) -> int:
    """The socket as struct tcp_request_sock when it is a request to a listener, else NULL."""
    return _cast_state(machine, sock, "tcp_request_sock", TcpState.NEW_SYN_RECV)


@helper(178)
def bpf_skc_to_unix_sock(machine: Machine, sock: int) -> int:
    """NULL: there are no sockets of AF_UNIX."""
    return _cast(machine, sock, "unix_sock", protocol=-1)


@helper(196)
def bpf_skc_to_mptcp_sock(machine: Machine, sock: int) -> int:
    """NULL: there are no connections of MPTCP."""
    return _cast(machine, sock, "mptcp_sock", protocol=-1)
