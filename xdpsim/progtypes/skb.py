"""struct __sk_buff as each program type sees it, and the verdicts of tc programs (TC_ACT_* of pkt_cls.h).

One row a field, with the program types that may load and store it. Linux converts every access to the real sk_buff
(bpf_convert_ctx_access); which bytes stand behind a field belongs to memory, not here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from xdpsim.progtypes.context import Context, Field, Yields


class TC(IntEnum):
    """What a tc program returns: TC_ACT_*, with the kernel's numbers."""

    UNSPEC = -1
    OK = 0
    RECLASSIFY = 1
    SHOT = 2
    PIPE = 3
    STOLEN = 4
    QUEUED = 5
    REPEAT = 6
    REDIRECT = 7
    TRAP = 8


FILTER, CGROUP, STREAM = {"SOCKET_FILTER"}, {"CGROUP_SKB"}, {"SK_SKB"}
TC_TYPES = {"SCHED_CLS", "SCHED_ACT"}
LWT = {"LWT_IN", "LWT_OUT", "LWT_XMIT", "LWT_SEG6LOCAL"}
DISSECTOR = {"FLOW_DISSECTOR"}
COMMON = FILTER | TC_TYPES | CGROUP | LWT | STREAM
SKB_TYPES = frozenset(COMMON | DISSECTOR)


@dataclass(frozen=True, slots=True)
class SkbField:
    """A field of __sk_buff with who may load it and who may store to it."""

    field: Field
    load: frozenset[str]
    store: frozenset[str]


def _field(
    name: str,
    offset: int,
    load: set[str],
    store: set[str] | None = None,
    *,
    loads: str = "124",
    stores: str = "4",
    since: str = "4.1",
    yields: Yields = Yields.SCALAR,
    width: int = 4,
    count: int = 1,
) -> SkbField:
    row = Field(name, offset, width, loads, stores, since, yields, count)
    return SkbField(row, frozenset(load), frozenset(store or set()))


SKB_FIELDS: tuple[SkbField, ...] = (
    _field("len", 0, COMMON, since="3.19"),
    _field("pkt_type", 4, COMMON, since="3.19"),
    _field("mark", 8, COMMON - STREAM, TC_TYPES | CGROUP | LWT, since="3.19"),
    _field("queue_mapping", 12, COMMON, TC_TYPES, since="3.19"),
    _field("protocol", 16, COMMON),
    _field("vlan_present", 20, COMMON),
    _field("vlan_tci", 24, COMMON),
    _field("vlan_proto", 28, COMMON),
    _field("priority", 32, COMMON, TC_TYPES | CGROUP | LWT | STREAM),
    _field("ingress_ifindex", 36, COMMON, since="4.2"),
    _field("ifindex", 40, COMMON, since="4.2"),
    _field("tc_index", 44, COMMON, TC_TYPES | STREAM, since="4.2"),
    # Five words that also load and store by bytes and by aligned pairs.
    _field("cb", 48, COMMON, COMMON - STREAM, loads="1248", stores="1248", since="4.2", width=20, count=5),
    _field("hash", 68, COMMON, since="4.3"),
    _field("tc_classid", 72, TC_TYPES, TC_TYPES, since="4.3"),
    _field("data", 76, COMMON - FILTER | DISSECTOR, loads="4", since="4.7", yields=Yields.PACKET_START),
    _field("data_end", 80, COMMON - FILTER | DISSECTOR, loads="4", since="4.7", yields=Yields.PACKET_END),
    _field("napi_id", 84, COMMON, since="4.12"),
    _field("family", 88, CGROUP | STREAM, since="4.14"),
    _field("remote_ip4", 92, CGROUP | STREAM, loads="4", since="4.14"),
    _field("local_ip4", 96, CGROUP | STREAM, loads="4", since="4.14"),
    _field("remote_ip6", 100, CGROUP | STREAM, loads="4", since="4.14", width=16, count=4),
    _field("local_ip6", 116, CGROUP | STREAM, loads="4", since="4.14", width=16, count=4),
    _field("remote_port", 132, CGROUP | STREAM, since="4.14"),
    _field("local_port", 136, CGROUP | STREAM, since="4.14"),
    _field("data_meta", 140, TC_TYPES, loads="4", since="4.15", yields=Yields.PACKET_META),
    _field("flow_keys", 144, DISSECTOR, loads="8", since="4.20", yields=Yields.FLOW_KEYS, width=8),
    _field("tstamp", 152, TC_TYPES | CGROUP, TC_TYPES | CGROUP, loads="8", stores="8", since="5.0", width=8),
    _field("wire_len", 160, TC_TYPES, since="5.0"),
    _field("gso_segs", 164, COMMON, since="5.1"),
    _field("sk", 168, COMMON, loads="8", since="5.1", yields=Yields.SOCK_COMMON_OR_NULL, width=8),
    _field("gso_size", 176, COMMON, since="5.7"),
    _field("tstamp_type", 180, TC_TYPES, loads="1", since="5.18", width=1),
    _field("hwtstamp", 184, TC_TYPES | CGROUP, loads="8", since="5.16", width=8),
)
SKB_SIZE = 192
_CGROUP_NEEDS = {"data": ("bpf", ""), "data_end": ("bpf", ""), "tstamp": ("", "bpf")}
"""Field -> capability for loads and for stores: CGROUP_SKB programs may be loaded without any, and then see less."""


def skb_context(prog_type: str) -> Context:
    """__sk_buff with the accesses that programs of this type may make."""
    fields = []
    for row in SKB_FIELDS:
        load, store = _CGROUP_NEEDS.get(row.field.name, ("", "")) if prog_type in CGROUP else ("", "")
        fields.append(
            replace(
                row.field,
                loads=row.field.loads if prog_type in row.load else "",
                stores=row.field.stores if prog_type in row.store else "",
                load_capability=load,
                store_capability=store,
            )
        )
    return Context("__sk_buff", SKB_SIZE, tuple(fields))
