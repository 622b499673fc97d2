"""Loads through pointers to sockets, as the rows of progtypes/socks.py allow them (check_sock_access())."""

from __future__ import annotations

from errno import EACCES
from typing import TYPE_CHECKING

from xdpsim.progtypes.context import Context
from xdpsim.progtypes.socks import BPF_SOCK, BPF_SOCK_COMMON, BPF_TCP_SOCK, BPF_XDP_SOCK
from xdpsim.verifier.log import type_str
from xdpsim.verifier.regtypes import PTR_TO_SOCK_COMMON, PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Reg

_STRUCTS: dict[int, Context] = {
    PTR_TO_SOCKET: BPF_SOCK,
    PTR_TO_SOCK_COMMON: BPF_SOCK_COMMON,
    PTR_TO_TCP_SOCK: BPF_TCP_SOCK,
    PTR_TO_XDP_SOCK: BPF_XDP_SOCK,
}


def check_sock_access(env: Env, reg: Reg, regno: int, off: int, size: int) -> None:
    """A load of `size` bytes from a socket."""
    if reg.num.smin < 0:
        env.fail(EACCES, f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.")
    if _STRUCTS[reg.type].field_at(off, size) is None:
        env.fail(EACCES, f"R{regno} invalid {type_str(reg.type)} access off={off} size={size}")
