"""Write the presets that nobody writes by hand: rings of lb and l4lb, hashes of dnsfilter, rules of classifier.

python programs/make_presets.py            write all
python programs/make_presets.py --check    only say whether they are stale
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

PRESETS = Path(__file__).parent / "presets"

DOMAINS = ("blocked.example", "ads.example")

RING_SIZE = 31  # as in lb.c
REALS: dict[str, str] = {  # tunnel address -> MAC address; a server's index is its place, from 1: slot 0 stays empty
    "192.0.2.11": "02:00:00:00:02:0b",
    "192.0.2.12": "02:00:00:00:02:0c",
    "192.0.2.13": "02:00:00:00:02:0d",
    "192.0.2.21": "02:00:00:00:02:15",
    "192.0.2.22": "02:00:00:00:02:16",
}
WEB, NAME_SERVERS = (1, 2, 3), (4, 5)
TCP, UDP = 6, 17
VIPS: tuple[tuple[str, int, int, Sequence[int]], ...] = (
    ("198.51.100.10", 80, TCP, WEB),
    ("198.51.100.10", 443, TCP, WEB),
    ("198.51.100.53", 53, UDP, NAME_SERVERS),
    ("198.51.100.10", 9999, UDP, ()),  # a service all of whose servers are gone
)


L4LB_RING_SIZE = 61  # as in l4lb/types.h
L4LB_REALS: dict[str, str] = {
    "::ffff:192.0.2.11": "02:00:00:00:02:0b",
    "::ffff:192.0.2.12": "02:00:00:00:02:0c",
    "::ffff:192.0.2.13": "02:00:00:00:02:0d",
    "2001:db8:20::11": "02:00:00:00:20:11",
    "2001:db8:20::12": "02:00:00:00:20:12",
}
ICMP, ICMPV6 = 1, 58
GUE, BY_CLIENT = 1, 2
L4LB_VIPS: tuple[tuple[str, int, int, int, Sequence[int]], ...] = (
    ("::ffff:198.51.100.10", 80, TCP, 0, (1, 2, 3)),
    ("::ffff:198.51.100.10", 443, TCP, GUE, (2, 4)),
    ("::ffff:198.51.100.53", 53, UDP, BY_CLIENT, (4, 5)),
    ("2001:db8:10::10", 80, TCP, 0, (4, 5)),
    ("2001:db8:10::10", 0, UDP, GUE, (1, 5)),  # every port
    ("2001:db8:10::10", 443, TCP, 0, (1,)),
    ("::ffff:198.51.100.10", 9999, UDP, 0, ()),  # a service all of whose servers are gone
    ("::ffff:198.51.100.10", 0, ICMP, 0, ()),  # echo requests are answered
    ("2001:db8:10::10", 0, ICMPV6, 0, ()),
)


DENY, ADMIT, POLICE, MARK, STEER = range(5)  # enum class of classifier.c
SYN, SYN_ACK = 0x02, 0x12
EF, AF11 = 46, 10
RULES: tuple[dict[str, object], ...] = (
    {"class": ADMIT, "proto": TCP, "source": "10.0.0.0/8", "target_port": (22, 22)},
    {"class": ADMIT, "proto": ICMP, "source": "10.0.0.0/8", "source_port": (8, 8)},
    {"class": DENY, "proto": TCP, "target_port": (22, 23)},
    {"class": DENY, "source": "10.66.0.0/16"},
    {"class": DENY, "source": "2001:db8:f::/48"},
    {"class": DENY, "proto": TCP, "tcp_flags": 0x03, "tcp_mask": 0x03},  # SYN and FIN
    {"class": DENY, "proto": TCP, "tcp_flags": 0x00, "tcp_mask": 0x3F, "fragment": 0, "fragment_mask": 1},
    {"class": DENY, "proto": UDP, "fragment": 1, "fragment_mask": 1},
    {"class": DENY, "vlan": (100, 199)},
    {"class": DENY, "proto": UDP, "target_port": (137, 139)},
    {"class": POLICE, "proto": UDP, "target_port": (53, 53), "byte_ns": 80_000, "burst": 400},
    {"class": POLICE, "proto": TCP, "tcp_flags": SYN, "tcp_mask": SYN_ACK, "byte_ns": 800_000, "burst": 400},
    {"class": POLICE, "proto": ICMPV6, "byte_ns": 80_000, "burst": 1000},
    {"class": MARK, "proto": UDP, "target_port": (5004, 5007), "new_dscp": EF},
    {"class": MARK, "proto": TCP, "target_port": (443, 443), "length": (0, 200), "new_dscp": AF11},
    {"class": MARK, "dscp": EF, "dscp_mask": 63, "new_dscp": 0},  # nobody else may use it
    {"class": MARK, "source": "2001:db8::/32", "target_port": (80, 80), "new_dscp": AF11},
    {"class": STEER, "vlan": (5, 5), "ether_type": 0x0800, "port": 1},
    {"class": STEER, "target": "198.51.100.53/32", "port": 2},
    {"class": STEER, "target": "2001:db8:6::/48", "port": 2},
)


def fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFF_FFFF_FFFF_FFFF
    return value


def domain_key(domain: str) -> int:
    """The key of `domain` in dnsfilter's blocked_domains."""
    return fnv1a(domain.lower().encode()[::-1])


def maglev(servers: Sequence[int], size: int) -> list[int]:
    """A ring of `size` slots (a prime) shared evenly by `servers`; few slots change when a server comes or goes.

    Eisenbud et al., Maglev, NSDI 2016, section 3.4: each server walks the slots in an order of its own, and they take
    turns in claiming the next free one.
    """
    ring = [0] * size
    walks = {
        server: [fnv1a(b"offset%d" % server) % size, fnv1a(b"skip%d" % server) % (size - 1) + 1] for server in servers
    }
    free = set(range(size))
    while free and servers:
        for server in servers:
            slot, skip = walks[server]
            while slot not in free:
                slot = (slot + skip) % size
            free.discard(slot)
            ring[slot], walks[server][0] = server, slot
            if not free:
                break
    return ring


def lb() -> dict[str, list[object]]:
    """Services, their rings, the servers."""
    rings = [maglev(servers, RING_SIZE) for *_, servers in VIPS]
    slots = (index for ring in rings for index in ring)
    return {
        "vips": [
            {"key": {"addr": addr, "port": port, "proto": proto}, "value": {"id": number}}
            for number, (addr, port, proto, _) in enumerate(VIPS)
        ],
        "ring": [{"key": slot, "value": index} for slot, index in enumerate(slots) if index],
        "reals": [
            {"key": index, "value": {"addr": addr, "mac": mac}} for index, (addr, mac) in enumerate(REALS.items(), 1)
        ],
    }


def l4lb() -> dict[str, list[object]]:
    """Services, their rings, the servers of both families."""
    rings = [maglev(servers, L4LB_RING_SIZE) for *_, servers in L4LB_VIPS]
    slots = (index for ring in rings for index in ring)
    return {
        "vips": [
            {"key": {"addr": addr, "port": port, "proto": proto}, "value": {"id": number, "flags": flags}}
            for number, (addr, port, proto, flags, _) in enumerate(L4LB_VIPS)
        ],
        "ring": [{"key": slot, "value": index} for slot, index in enumerate(slots) if index],
        "reals": [
            {"key": index, "value": {"addr": addr, "mac": mac, "family": 4 if "." in addr else 6}}
            for index, (addr, mac) in enumerate(L4LB_REALS.items(), 1)
        ],
    }


def classifier() -> dict[str, list[object]]:
    """The rules, and the ports that CLASS_STEER names."""
    ports: list[object] = [{"key": 1, "value": 2}, {"key": 2, "value": 3}]
    return {"rules": [{"key": key, "value": rule(row)} for key, row in enumerate(RULES)], "ports": ports}


def rule(row: dict[str, object]) -> dict[str, object]:
    """A value of classifier's `rules`: prefixes as address and mask, ranges by their ends, the rest as it is."""
    value: dict[str, object] = {"enabled": 1}
    for field in ("source_port", "target_port", "vlan", "length"):
        low, high = row.get(field, (0, 0xFFFF))  # type: ignore[misc]
        value[field] = {"low": low, "high": high}
    for field, wanted in row.items():
        if field in ("source", "target"):
            network = ip_network(str(wanted))
            value[field] = mapped(network.network_address)
            value[f"{field}_mask"] = str(IPv6Address((1 << 128) - (1 << network.max_prefixlen - network.prefixlen)))
        elif not isinstance(wanted, tuple):
            value[field] = wanted
        if field == "proto":
            value["proto_mask"] = 255
    return value


def mapped(address: IPv4Address | IPv6Address) -> str:
    """IPv4 as ::ffff:a.b.c.d."""
    return f"::ffff:{address}" if address.version == 4 else str(address)


def dnsfilter() -> dict[str, list[object]]:
    """The blocked domains."""
    return {
        "blocked_domains": [
            {"key": f"{domain_key(name):#018x}", "value": {"name": name, "queries": 0}} for name in DOMAINS
        ]
    }


def render(preset: dict[str, list[object]]) -> str:
    """One entry a line."""
    maps = []
    for name, entries in preset.items():
        lines = ",\n    ".join(json.dumps(entry) for entry in entries)
        maps.append(f'  "{name}": [\n    {lines}\n  ]')
    return "{\n" + ",\n".join(maps) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Write or check; 1 when a check finds a stale file."""
    stale = False
    for name, preset in (("lb", lb()), ("l4lb", l4lb()), ("dnsfilter", dnsfilter()), ("classifier", classifier())):
        path, text = PRESETS / f"{name}.json", render(preset)
        if "--check" not in arguments:
            path.write_text(text)
        elif path.read_text() != text:
            print(f"{path} is stale: run python programs/make_presets.py", file=sys.stderr)
            stale = True
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
