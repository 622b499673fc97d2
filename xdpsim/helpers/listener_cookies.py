"""SYN cookies of a listening socket: bpf_tcp_gen_syncookie and bpf_tcp_check_syncookie of net/core/filter.c.

The cookies are those of helpers/syncookie.py. A listener makes them while it is flooded (`Socket.is_flooded`, Linux's
full queue), and knows them again for two minutes after the last one.
"""

from __future__ import annotations

from xdpsim.helpers.machine import Machine
from xdpsim.helpers.rows import helper
from xdpsim.helpers.sockets import socket_at
from xdpsim.helpers.syncookie import check_syncookie, gen_syncookie
from xdpsim.helpers.world import HZ, bpf_jiffies64
from xdpsim.tables.interfaces import AF_INET6
from xdpsim.tables.sockets import TCP, Socket, TcpState

_EINVAL, _ENOENT, _EPROTONOSUPPORT = 22, 2, 93
_IP4_BYTES, _IP6_BYTES, _TCP_BYTES = 20, 40, 20
_DATA_OFFSET, _FLAGS = 12, 13
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_ADDRESSES = {4: (12, 1, 536), 6: (8, 4, 1220)}
"""By IP version: where the addresses are, how many words one has, the size without an option (af_ops->mss_clamp)."""
_VALID_TICKS = 2 * 60 * HZ
"""TCP_SYNCOOKIE_VALID."""


def _version_for(machine: Machine, socket: Socket, ip: int, ip_bytes: int) -> int:
    """The IP version of a segment to a listener, or the error that its header is to it."""
    version = machine.space.read(ip, 1)[0] >> 4
    if version not in _ADDRESSES:
        return -_EPROTONOSUPPORT
    if version == 4:
        return -_EINVAL if socket.family == AF_INET6 and socket.v6only else 4
    return 6 if ip_bytes >= _IP6_BYTES and socket.family == AF_INET6 else -_EINVAL


@helper(100)
def bpf_tcp_check_syncookie(machine: Machine, sock: int, ip: int, ip_bytes: int, tcp: int, tcp_bytes: int) -> int:
    """0 when an ACK to this listener answers a cookie that it made in the last two minutes, else -ENOENT or -errno."""
    socket = socket_at(machine, sock, 1)
    if tcp_bytes < _TCP_BYTES or socket.protocol != TCP or socket.state is not TcpState.LISTEN:
        return -_EINVAL
    flags = machine.space.read(tcp + _FLAGS, 1)[0]
    if not flags & _ACK or flags & (_RST | _SYN):
        return -_ENOENT
    if ip_bytes < _IP4_BYTES:
        return -_EINVAL
    state = machine.run_state.address
    if socket.overflowed_at is None or bpf_jiffies64(state) > socket.overflowed_at + _VALID_TICKS:
        return -_ENOENT
    version = _version_for(machine, socket, ip, ip_bytes)
    if version < 0:
        return version
    at, words, _ = _ADDRESSES[version]
    return -_ENOENT if check_syncookie(state, ip + at, words, tcp) else 0


@helper(110)
def bpf_tcp_gen_syncookie(machine: Machine, sock: int, ip: int, ip_bytes: int, tcp: int, tcp_bytes: int) -> int:
    """A cookie for a SYN to a flooded listener, its segment size in the upper half; -ENOENT while it is not flooded."""
    socket = socket_at(machine, sock, 1)
    if tcp_bytes < _TCP_BYTES or tcp_bytes != machine.space.read(tcp + _DATA_OFFSET, 1)[0] >> 4 << 2:
        return -_EINVAL
    if socket.protocol != TCP or socket.state is not TcpState.LISTEN:
        return -_EINVAL
    flags = machine.space.read(tcp + _FLAGS, 1)[0]
    if not flags & _SYN or flags & (_ACK | _FIN | _RST) or ip_bytes < _IP4_BYTES:
        return -_EINVAL
    version = _version_for(machine, socket, ip, ip_bytes)
    if version < 0:
        return version
    if not socket.is_flooded:
        return -_ENOENT
    state = machine.run_state.address
    socket.overflowed_at = bpf_jiffies64(state)
    at, words, default = _ADDRESSES[version]
    return gen_syncookie(state, ip + at, words, tcp, tcp_bytes, default)
