"""Alignment of accesses: always on the stack, elsewhere only where strict alignment is asked for.

Follows check_ptr_alignment() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from errno import EACCES
from typing import TYPE_CHECKING

from xdpsim.bits import M64
from xdpsim.verifier.regtypes import (
    PACKET_TYPES,
    PTR_TO_ARENA,
    PTR_TO_CTX,
    PTR_TO_FLOW_KEYS,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_STACK,
    PTR_TO_TCP_SOCK,
    PTR_TO_XDP_SOCK,
)
from xdpsim.verifier.tnum import tnum_add, tnum_text

if TYPE_CHECKING:
    from xdpsim.verifier.env import Env
    from xdpsim.verifier.state import Reg

NET_IP_ALIGN = 2
"""Packets start this far behind a multiple of four, for the IP header's sake."""
_DESCRIPTIONS = {
    PTR_TO_FLOW_KEYS: "flow keys ",
    PTR_TO_MAP_KEY: "key ",
    PTR_TO_MAP_VALUE: "value ",
    PTR_TO_CTX: "context ",
    PTR_TO_STACK: "stack ",
    PTR_TO_SOCKET: "sock ",
    PTR_TO_SOCK_COMMON: "sock_common ",
    PTR_TO_TCP_SOCK: "tcp_sock ",
    PTR_TO_XDP_SOCK: "xdp_sock ",
}


def check_ptr_alignment(env: Env, reg: Reg, off: int, size: int, strict_alignment_once: bool) -> None:
    """The access is aligned to its size where that is asked for; `off` lacks the pointer's fixed offset."""
    is_strict = strict_alignment_once or env.strict_alignment or reg.type == PTR_TO_STACK
    if not is_strict or size <= 1 or reg.type == PTR_TO_ARENA:
        return
    is_packet = reg.type in PACKET_TYPES
    num, start = reg.num, NET_IP_ALIGN if is_packet else 0
    value, mask = tnum_add(num.value, num.mask, start + reg.off + off & M64, 0)
    if not (value | mask) & (size - 1):
        return
    place = f"{tnum_text(num.value, num.mask)}+{reg.off}+{off} size {size}"
    if is_packet:
        env.fail(EACCES, f"misaligned packet access off {NET_IP_ALIGN}+{place}")
    env.fail(EACCES, f"misaligned {_DESCRIPTIONS.get(reg.type, '')}access off {place}")
