"""The bundled capture: made by its script to the byte, and holding what pcaps/README.md says."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

from xdpsim.frames.capture import Record, open_capture
from xdpsim.frames.summary import summarise

PCAPS = Path(__file__).parents[2] / "pcaps"


@cache
def records() -> tuple[Record, ...]:
    with open_capture(PCAPS / "mixed.pcap") as capture:
        return tuple(capture)


@cache
def lines() -> tuple[str, ...]:
    return tuple(summarise(record.data) for record in records())


def test_the_script_makes_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mixed.pcap"
    subprocess.run([sys.executable, PCAPS / "make_mixed.py", path], check=True, capture_output=True, cwd=tmp_path)
    made, kept = path.read_bytes(), (PCAPS / "mixed.pcap").read_bytes()
    if made != kept:
        with open_capture(path) as capture:
            differing = [new.n for new, old in zip(capture, records(), strict=False) if new != old]
        raise AssertionError(
            f"scapy {importlib.metadata.version('scapy')} makes a different mixed.pcap: {len(made)} bytes, "
            f"{len(kept)} kept; packets {differing[:10]} differ. If only scapy changed, look at those packets "
            "before keeping the new file"
        )


def test_every_packet_has_a_line_of_printable_text() -> None:
    for line, record in zip(lines(), records(), strict=True):
        assert line.isprintable()
        assert line.endswith(f"(len {len(record.data)})")


def test_sizes_reach_from_one_byte_to_jumbo() -> None:
    sizes = Counter(len(record.data) for record in records())
    assert {1, 6, 12, 13, 14, 60, 1500, 1514, 3520, 3521, 4096, 9000} <= set(sizes)
    assert sum(record.truncated for record in records()) >= 40
    assert len(records()) >= 2_500


def test_time_stamps_mostly_rise_and_sometimes_go_back() -> None:
    times = [record.time_ns or 0 for record in records()]
    steps_back = sum(later < earlier for earlier, later in pairwise(times))
    assert 10 <= steps_back <= 25
    assert times[0] // 1_000_000_000 == 1_717_243_200


def test_bursts_come_from_one_source_within_milliseconds() -> None:
    for source, count in (("10.66.0.1", 60), ("10.66.0.3", 80), ("10.66.0.5", 100), ("203.0.113.66", 120)):
        stamps = sorted(r.time_ns or 0 for r, line in zip(records(), lines(), strict=True) if f"IPv4 {source}:" in line)
        assert len(stamps) == count
        assert stamps[-2] - stamps[1] < 60_000_000


def test_load_balancer_addresses_have_many_clients() -> None:
    for address, clients in (
        ("198.51.100.10:80 TCP", 25),
        ("198.51.100.10:443 TCP", 20),
        ("198.51.100.53:53 UDP DNS?", 90),
    ):
        sources = {line.split()[1].rpartition(":")[0] for line in lines() if f"> {address}" in line}
        assert len(sources) >= clients, address


def test_each_kind_of_traffic_is_there() -> None:
    text = "\n".join(lines())
    kinds = (
        "ARP who-has", "ARP reply", "vlan 7 ARP", "ICMP echo reply", "ICMP unreachable port",
        "ICMPv6 neighbour solicitation", "ICMPv6 router advertisement", "TCP [S.]", "TCP [F.]", "TCP [R",
        "[SFRPUEW.]", "TCP [none]", "vlan 10 vlan", "DNS? a.ads.example A", "DNS? deep.sub.blocked.example", "TXT",
        "NXDomain", "DNS? no question", "DNS malformed", "DNS header cut", "fragment id", "last UDP", "options",
        "hop-by-hop", "routing", "dest-opts", "atomic fragment", "IPIP IPv4", "IPv6-in-IP IPv6", "GRE IPv4",
        "GRE IPv6", "VXLAN vni", "802.3 length", "STP", "ethertype 0x0801", "LLDP", "MPLS", "IPv4 malformed",
        "IPv6 malformed", "ttl 0", "ttl 1", "hlim 0", "bad total length", "UDP bad length", ":0 UDP",
        "255.255.255.255", "224.0.0.251", "Ethernet header cut at 13", "IPv4 header cut", "TCP header cut",
        "vlan tag cut",
    )  # fmt: skip
    assert [kind for kind in kinds if kind not in text] == []
