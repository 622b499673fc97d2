"""The summary line: one case a kind of packet, and nothing that makes it fail."""

from __future__ import annotations

from random import Random

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from tests.frames.test_mixed import records
from xdpsim.frames.summary import summarise

ETH = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
IP4 = IP(src="10.0.0.1", dst="192.0.2.1")
IP6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
ASK = DNS(rd=1, qd=[DNSQR(qname="example.com")])


def answer(**fields: object) -> DNS:
    return DNS(qr=1, qd=[DNSQR(qname="example.com")], **fields)


CASES: list[tuple[Packet, str]] = [
    (ETH / IP4 / UDP(sport=1234, dport=53) / ASK, "IPv4 10.0.0.1:1234 > 192.0.2.1:53 UDP DNS? example.com A (len 71)"),
    (
        ETH / IP4 / UDP(sport=53, dport=1) / answer(an=[DNSRR(rrname="example.com", rdata="192.0.2.7")]),
        "IPv4 10.0.0.1:53 > 192.0.2.1:1 UDP DNS: example.com A 192.0.2.7 (len 98)",
    ),
    (
        ETH / IP4 / UDP(sport=53, dport=1) / answer(rcode=3),
        "IPv4 10.0.0.1:53 > 192.0.2.1:1 UDP DNS: example.com A NXDomain (len 71)",
    ),
    (
        ETH / IP4 / UDP(sport=53, dport=1) / answer(tc=1, an=[]),
        "IPv4 10.0.0.1:53 > 192.0.2.1:1 UDP DNS: example.com A no answer truncated (len 71)",
    ),
    (
        ETH / IP4 / UDP(sport=53, dport=1) / answer(an=[DNSRR(rrname="example.com", type=65, rdata=b"\0\1\0")]),
        "IPv4 10.0.0.1:53 > 192.0.2.1:1 UDP DNS: example.com A 1 answers (len 97)",
    ),
    (
        ETH / IP4 / TCP(sport=1, dport=80, flags="SEC", seq=5, window=9),
        "IPv4 10.0.0.1:1 > 192.0.2.1:80 TCP [SEW] seq 5 win 9 (len 54)",
    ),
    (
        ETH / IP4 / TCP(sport=1, dport=80, flags="PA", seq=5, ack=6, window=9) / Raw(b"data"),
        "IPv4 10.0.0.1:1 > 192.0.2.1:80 TCP [P.] seq 5 ack 6 win 9 data 4 (len 58)",
    ),
    (ETH / IP6 / UDP(sport=1, dport=2) / Raw(b"xyz"), "IPv6 [2001:db8::1]:1 > [2001:db8::2]:2 UDP data 3 (len 65)"),
    (
        ETH / ARP(op=1, hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", pdst="10.0.0.2"),
        "ARP who-has 10.0.0.2 tell 10.0.0.1 (len 42)",
    ),
    (
        ETH / ARP(op=2, hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", pdst="10.0.0.2"),
        "ARP reply 10.0.0.1 is-at 02:00:00:00:00:01 (len 42)",
    ),
    (
        ETH / Dot1Q(vlan=5, prio=3) / IP4 / ICMP(type=8, id=1, seq=2),
        "vlan 5 p 3 IPv4 10.0.0.1 > 192.0.2.1 ICMP echo request id 1 seq 2 (len 46)",
    ),
    (
        ETH / Dot1AD(vlan=10) / Dot1Q(vlan=20) / IP4 / ICMP(type=3, code=4, nexthopmtu=1400),
        "vlan 10 vlan 20 IPv4 10.0.0.1 > 192.0.2.1 ICMP unreachable fragmentation needed mtu 1400 (len 50)",
    ),
    (
        ETH / IP6 / ICMPv6ND_NS(tgt="2001:db8::9"),
        "IPv6 2001:db8::1 > 2001:db8::2 ICMPv6 neighbour solicitation for 2001:db8::9 (len 78)",
    ),
    (
        ETH
        / IP(src="10.0.0.1", dst="192.0.2.1", id=7, flags="MF", proto=17)
        / UDP(sport=1, dport=2, len=1008)
        / Raw(bytes(32)),
        "IPv4 10.0.0.1:1 > 192.0.2.1:2 fragment id 0x7 at 0+ UDP bad length 1008 data 32 (len 74)",
    ),
    (
        ETH / IP(src="10.0.0.1", dst="192.0.2.1", id=7, frag=185, proto=17) / Raw(bytes(32)),
        "IPv4 10.0.0.1 > 192.0.2.1 fragment id 0x7 at 1480 last UDP (len 66)",
    ),
    (
        ETH / IP6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(nh=6, id=9, offset=2, m=1) / Raw(bytes(16)),
        "IPv6 2001:db8::1 > 2001:db8::2 hop-by-hop fragment id 0x9 at 16+ TCP (len 86)",
    ),
    (
        ETH / IP4 / IP(src="10.1.0.1", dst="10.1.0.2") / UDP(sport=1, dport=2),
        "IPv4 10.0.0.1 > 192.0.2.1 IPIP IPv4 10.1.0.1:1 > 10.1.0.2:2 UDP data 0 (len 62)",
    ),
    (
        ETH / IP4 / GRE(key_present=1, key=1) / IP6 / UDP(sport=1, dport=2),
        "IPv4 10.0.0.1 > 192.0.2.1 GRE IPv6 [2001:db8::1]:1 > [2001:db8::2]:2 UDP data 0 (len 90)",
    ),
    (
        ETH / IP4 / UDP(sport=9, dport=4789) / VXLAN(vni=42) / ETH / IP4 / UDP(sport=1, dport=2),
        "IPv4 10.0.0.1:9 > 192.0.2.1:4789 UDP VXLAN vni 42 IPv4 10.0.0.1:1 > 192.0.2.1:2 UDP data 0 (len 92)",
    ),
    (
        ETH / IP(src="10.0.0.1", dst="192.0.2.1", proto=89, ttl=1) / Raw(bytes(4)),
        "IPv4 10.0.0.1 > 192.0.2.1 ttl 1 OSPF (len 38)",
    ),
    (Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x1234) / Raw(b"x"), "ethertype 0x1234 (len 15)"),
]


@pytest.mark.parametrize(("packet", "line"), CASES, ids=[line for _, line in CASES])
def test_lines(packet: Packet, line: str) -> None:
    assert summarise(bytes(packet)) == line


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "Ethernet header cut at 0 of 14 bytes (len 0)"),
        (bytes(12) + b"\x08\x00", "IPv4 header cut at 0 of 20 bytes (len 14)"),
        (bytes(12) + b"\x81\x00\x00", "vlan tag cut at 1 of 4 bytes (len 15)"),
        (bytes(12) + b"\x08\x00\x43" + bytes(19), "IPv4 malformed, version 4 header length 12 (len 34)"),
        (bytes(12) + b"\x08\x00\x4f" + bytes(19), "IPv4 header cut at 20 of 60 bytes (len 34)"),
        (bytes(12) + b"\x86\xdd\x60", "IPv6 header cut at 1 of 40 bytes (len 15)"),
        (bytes(12) + b"\x08\x06\x00", "ARP malformed (len 15)"),
        (bytes(12) + b"\x00\x04\x42", "802.3 length 4 malformed (len 15)"),
        (bytes(12) + b"\x00\x04\x42\x42\x03", "802.3 length 4 LLC dsap 0x42 ssap 0x42 STP (len 17)"),
    ],
)
def test_short_and_malformed_frames(data: bytes, line: str) -> None:
    assert summarise(data) == line


def test_names_cannot_drive_a_terminal() -> None:
    load = bytes(4) + b"\0\1" + bytes(6) + b"\x05\x1b[2Jx\0\0\1\0\1"
    line = summarise(bytes(ETH / IP4 / UDP(sport=1, dport=53) / Raw(load)))
    assert line.isprintable()
    assert r"DNS? \027[2Jx A" in line


def test_tunnels_end_somewhere() -> None:
    line = summarise(bytes(ETH / IP4)[:14] + _nested(400))
    assert line.count("IPIP") == 9
    assert line.endswith("more than 8 tunnels deep (len 8014)")


def _nested(depth: int) -> bytes:
    layers = b""
    for _ in range(depth):
        layers = bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=4, len=20 + len(layers), chksum=0)) + layers
    return layers


def test_any_bytes_give_one_line() -> None:
    random = Random(3)
    frames = [record.data for record in records() if len(record.data) < 600]
    for _ in range(4_000):
        octets = bytearray(random.choice(frames))
        for _ in range(random.randrange(1, 5)):
            octets[random.randrange(len(octets))] = random.choice((0, 1, 0x40, 0xC0, 0xFF, random.randrange(256)))
        line = summarise(bytes(octets[: random.randrange(len(octets) + 1)]))
        assert line.isprintable()
