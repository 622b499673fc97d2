"""Every program type of Linux 6.18: number, first kernel, context and verdicts (enum bpf_prog_type).

Loader, verifier, engines and reports read these rows. Which helpers a type may call is in helpers/ids.py, which
section names stand for it in sections.py. No kernel was asked for `since`: it is read from kernel history.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from xdpsim.bits import M32, signed
from xdpsim.progtypes.cgroup import DEVICE, SOCK_ADDR, SOCKOPT, SYSCTL
from xdpsim.progtypes.context import Context
from xdpsim.progtypes.skb import TC, skb_context
from xdpsim.progtypes.socks import CGROUP_SOCK
from xdpsim.progtypes.streams import NF_CTX, SK_LOOKUP, SK_MSG, SK_REUSEPORT, SOCK_OPS
from xdpsim.progtypes.verdicts import BPF, NF, SK
from xdpsim.progtypes.xdp import XDP, XDP_MD


@dataclass(frozen=True)
class ProgType:
    """One BPF_PROG_TYPE_*; `name` without that prefix.

    `struct` names the context as C sees it, `context` its rows where xdpsim has them. `prefix` goes before a verdict's
    name; types without `verdicts` return a number (a socket filter: how many bytes to keep). `runs` says that xdpsim's
    own engines run the type.
    """

    name: str
    id: int
    since: str
    struct: str = ""
    context: Context | None = None
    verdicts: type[IntEnum] | None = None
    prefix: str = ""
    runs: bool = False
    source: str = "read"


def _skb(name: str, number: int, since: str, verdicts: type[IntEnum] | None = None, prefix: str = "") -> ProgType:
    return ProgType(name, number, since, "__sk_buff", skb_context(name), verdicts, prefix)


PROG_TYPES: dict[str, ProgType] = {
    row.name: row
    for row in (
        ProgType("UNSPEC", 0, "3.18"),
        _skb("SOCKET_FILTER", 1, "3.19"),
        ProgType("KPROBE", 2, "4.1", "pt_regs"),
        _skb("SCHED_CLS", 3, "4.1", TC, "TC_ACT_"),
        _skb("SCHED_ACT", 4, "4.1", TC, "TC_ACT_"),
        ProgType("TRACEPOINT", 5, "4.7"),
        ProgType("XDP", 6, "4.8", "xdp_md", XDP_MD, XDP, "XDP_", runs=True),
        ProgType("PERF_EVENT", 7, "4.9", "bpf_perf_event_data"),
        _skb("CGROUP_SKB", 8, "4.10"),
        ProgType("CGROUP_SOCK", 9, "4.10", "bpf_sock", CGROUP_SOCK),
        _skb("LWT_IN", 10, "4.10", BPF, "BPF_"),
        _skb("LWT_OUT", 11, "4.10", BPF, "BPF_"),
        _skb("LWT_XMIT", 12, "4.10", BPF, "BPF_"),
        ProgType("SOCK_OPS", 13, "4.13", "bpf_sock_ops", SOCK_OPS),
        _skb("SK_SKB", 14, "4.14", SK, "SK_"),
        ProgType("CGROUP_DEVICE", 15, "4.15", "bpf_cgroup_dev_ctx", DEVICE),
        ProgType("SK_MSG", 16, "4.17", "sk_msg_md", SK_MSG, SK, "SK_"),
        ProgType("RAW_TRACEPOINT", 17, "4.17", "bpf_raw_tracepoint_args"),
        ProgType("CGROUP_SOCK_ADDR", 18, "4.17", "bpf_sock_addr", SOCK_ADDR),
        _skb("LWT_SEG6LOCAL", 19, "4.18", BPF, "BPF_"),
        ProgType("LIRC_MODE2", 20, "4.18"),
        ProgType("SK_REUSEPORT", 21, "4.19", "sk_reuseport_md", SK_REUSEPORT, SK, "SK_"),
        _skb("FLOW_DISSECTOR", 22, "4.20", BPF, "BPF_"),
        ProgType("CGROUP_SYSCTL", 23, "5.2", "bpf_sysctl", SYSCTL),
        ProgType("RAW_TRACEPOINT_WRITABLE", 24, "5.2", "bpf_raw_tracepoint_args"),
        ProgType("CGROUP_SOCKOPT", 25, "5.3", "bpf_sockopt", SOCKOPT),
        ProgType("TRACING", 26, "5.5"),
        ProgType("STRUCT_OPS", 27, "5.6"),
        ProgType("EXT", 28, "5.6"),
        ProgType("LSM", 29, "5.7"),
        ProgType("SK_LOOKUP", 30, "5.9", "bpf_sk_lookup", SK_LOOKUP, SK, "SK_"),
        ProgType("SYSCALL", 31, "5.14"),
        ProgType("NETFILTER", 32, "6.4", "bpf_nf_ctx", NF_CTX, NF, "NF_"),
    )
}
RUNNABLE: tuple[str, ...] = tuple(row.name for row in PROG_TYPES.values() if row.runs)


def verdict_name(prog_type: str, value: int) -> str:
    """The kernel's name of a verdict, "XDP_DROP" for ("XDP", 1); `value` is r0, its low 32 bits count.

    A value that the type does not know stays visible, as "XDP_UNKNOWN(7)": the datapath treats it as XDP_ABORTED, but
    the reader of a report wants the number. Types whose result is a number get it in decimal.
    """
    row = PROG_TYPES[prog_type]
    number = value & M32
    if row.verdicts is None:
        return str(number)
    known = {int(member) & M32: member for member in row.verdicts}
    if number in known:
        return row.prefix + known[number].name
    return f"{row.prefix}UNKNOWN({signed(number, 32)})"
