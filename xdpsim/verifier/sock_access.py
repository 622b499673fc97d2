"""Loads through pointers to sockets: struct bpf_sock, bpf_tcp_sock and bpf_xdp_sock as programs see them.

Follows bpf_sock_is_valid_access() and its kin of net/core/filter.c.
"""

from __future__ import annotations

from errno import EACCES
from typing import TYPE_CHECKING

from xdpsim.tables.socket_layouts import BPF_SOCK, BPF_TCP_SOCK
from xdpsim.verifier.log import type_str
from xdpsim.verifier.regtypes import PTR_TO_SOCK_COMMON, PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Reg

_NARROW_AT_START = ("family", "type", "protocol", "src_port", "state", "rx_queue_mapping")
_NARROW = ("src_ip4", "src_ip6", "dst_ip4", "dst_ip6")
_COMMON_HIDES = range(BPF_SOCK.offset("type"), BPF_SOCK.offset("priority") + 4)
"""What a socket does not show of which only the common part is known."""
_DST_PORT, _DST_PORT_END = BPF_SOCK.offset("dst_port"), BPF_SOCK.offset("padding")
_XDP_SOCK_BYTES = 4


def _sock_sizes() -> dict[int, tuple[int, ...]]:
    """Sizes of good loads of struct bpf_sock by offset; what is not there takes words."""
    sizes: dict[int, tuple[int, ...]] = {BPF_SOCK.offset(name): (1, 2, 4) for name in _NARROW_AT_START}
    for name in _NARROW:
        member = BPF_SOCK.members[name]
        sizes |= dict.fromkeys(range(member.offset, member.offset + member.width * member.count), (1, 2, 4))
    sizes |= {_DST_PORT: (1, 2, 4), _DST_PORT + 1: (1,)}
    return sizes | dict.fromkeys(range(_DST_PORT_END, BPF_SOCK.offset("dst_ip4")), ())


_SOCK_SIZES = _sock_sizes()
_TCP_SIZES = {BPF_TCP_SOCK.offset(name): (8,) for name in ("bytes_received", "bytes_acked")}
_STRUCTS: dict[int, tuple[int, dict[int, tuple[int, ...]]]] = {
    PTR_TO_SOCKET: (BPF_SOCK.size, _SOCK_SIZES),
    PTR_TO_SOCK_COMMON: (BPF_SOCK.size, _SOCK_SIZES | dict.fromkeys(_COMMON_HIDES, ())),
    PTR_TO_TCP_SOCK: (BPF_TCP_SOCK.size, _TCP_SIZES),
    PTR_TO_XDP_SOCK: (_XDP_SOCK_BYTES, {}),
}
"""Bytes of the struct, and sizes of loads where they are not words."""


def check_sock_access(env: Env, reg: Reg, regno: int, off: int, size: int) -> None:
    """A load of `size` bytes from a socket."""
    if reg.num.smin < 0:
        env.fail(EACCES, f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.")
    limit, sizes = _STRUCTS[reg.type]
    if not 0 <= off < limit or off % size or size not in sizes.get(off, (4,)):
        env.fail(EACCES, f"R{regno} invalid {type_str(reg.type)} access off={off} size={size}")
