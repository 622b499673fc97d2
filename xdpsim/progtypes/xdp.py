"""XDP: its verdicts and its context (enum xdp_action and struct xdp_md of Linux 6.18).

The structure behind the context (xdp_buff) belongs to memory; what a verdict does to a packet belongs to net.
"""

from __future__ import annotations

from enum import IntEnum

from xdpsim.progtypes.attach import AttachType
from xdpsim.progtypes.context import Context, Field, Yields


class XDP(IntEnum):
    """What a program returns. Linux treats any other value as ABORTED."""

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3
    REDIRECT = 4


XDP_MD = Context(
    "xdp_md",
    size=24,
    fields=(
        Field("data", 0, 4, loads="4", since="4.8", yields=Yields.PACKET_START),
        Field("data_end", 4, 4, loads="4", since="4.8", yields=Yields.PACKET_END),
        Field("data_meta", 8, 4, loads="4", since="4.15", yields=Yields.PACKET_META),
        Field("ingress_ifindex", 12, 4, loads="4", since="4.16"),
        Field("rx_queue_index", 16, 4, loads="4", since="4.16"),
        # Only a program that a DEVMAP entry carries knows where the packet will leave.
        Field("egress_ifindex", 20, 4, loads="4", since="5.8", attach_types=frozenset({AttachType.XDP_DEVMAP})),
    ),
)
