"""Verdicts that more than one program type shares (enum sk_action, enum bpf_ret_code, netfilter.h of Linux 6.18).

XDP's are in xdp.py, tc's in skb.py.
"""

from __future__ import annotations

from enum import IntEnum


class SK(IntEnum):
    """sk_skb, sk_msg, sk_lookup and sk_reuseport programs."""

    DROP = 0
    PASS = 1


class BPF(IntEnum):
    """Lightweight tunnels and the flow dissector."""

    OK = 0
    DROP = 2
    REDIRECT = 7
    LWT_REROUTE = 128
    FLOW_DISSECTOR_CONTINUE = 129


class NF(IntEnum):
    """Netfilter programs."""

    DROP = 0
    ACCEPT = 1
