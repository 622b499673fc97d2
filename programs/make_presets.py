"""Write the presets that nobody writes by hand: presets/lb.json (its rings) and presets/dnsfilter.json (its hashes).

python programs/make_presets.py            write both
python programs/make_presets.py --check    only say whether they are stale
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
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
    for path, preset in ((PRESETS / "lb.json", lb()), (PRESETS / "dnsfilter.json", dnsfilter())):
        text = render(preset)
        if "--check" not in arguments:
            path.write_text(text)
        elif path.read_text() != text:
            print(f"{path} is stale: run python programs/make_presets.py", file=sys.stderr)
            stale = True
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
