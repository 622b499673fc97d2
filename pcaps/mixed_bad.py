"""The wrong part of mixed.pcap: cut frames and malformed IP, transport and DNS headers."""

from __future__ import annotations

import struct
from random import Random

from mixed_parts import RESOLVER, SERVER6, VIP_DNS, VIP_WEB, Frame, eth, host4, octets
from scapy.all import (
    DNS,
    DNSQR,
    GRE,
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1AD,
    Dot1Q,
    IPv6,
    IPv6ExtHdrHopByHop,
    PadN,
    Raw,
)

Scene = list[Frame]

CUTS = (14, 15, 16, 17, 18, 20, 22, 23, 26, 28, 33, 34, 35, 37, 38, 41, 42, 43, 45, 46, 50, 53, 54, 55, 58, 60)
BAD_IPV4 = (
    {"ihl": 0}, {"ihl": 1}, {"ihl": 4}, {"ihl": 15}, {"ihl": 6}, {"version": 0}, {"version": 6}, {"version": 15},
    {"len": 0}, {"len": 19}, {"len": 20}, {"len": 27}, {"len": 1500}, {"len": 65_535}, {"ttl": 0}, {"ttl": 1},
    {"ttl": 255}, {"chksum": 0xBAD}, {"flags": "evil"}, {"flags": "MF+DF"}, {"proto": 255}, {"proto": 0}, {"tos": 0xB8},
    {"src": VIP_WEB},
)  # fmt: skip


def cuts(random: Random) -> Scene:
    """Frames that end inside each of their headers: short on the wire, or cut by the capture (wire length kept)."""
    udp = UDP(sport=1111, dport=53) / DNS(id=1, qd=[DNSQR(qname="www.blocked.example")])
    tcp = TCP(sport=1111, dport=80, flags="S", options=[("MSS", 1460), ("NOP", None), ("WScale", 7)])
    ip4, ip6 = IP(src="10.9.0.1", dst=VIP_WEB), IPv6(src="2001:db8:9::1", dst=SERVER6)
    hop = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
    bases = (eth(8, 1) / ip4 / tcp, eth(8, 1) / ip4 / udp, eth(8, 1) / ip6 / hop / tcp,
             eth(8, 1) / Dot1AD(vlan=4) / Dot1Q(vlan=5) / ip4 / udp,
             eth(8, 1) / ip4 / ICMP(type=8, id=3, seq=4), eth(8, 1) / ip4 / GRE() / ip4 / udp)  # fmt: skip
    scene = []
    for base in bases:
        whole = octets(base)
        for size in CUTS:
            if size < len(whole):
                length = len(whole) if (size + len(scene)) % 3 == 0 else 0
                scene.append(Frame(whole[:size], random.randrange(100, 90_000), length))
    whole = octets(eth(8, 1) / ip4 / udp / Raw(bytes(1000)))
    scene += [Frame(whole[:size], 3000, len(whole)) for size in (64, 96, 128, 256)]
    return scene + [Frame(whole[:size], 3000) for size in (1, 6, 12, 13, 1, 13)]


def bad_ip(random: Random) -> Scene:
    """IPv4 and IPv6 headers that contradict their packet: version, header length, total length, TTL, checksum."""
    scene = []
    for change in BAD_IPV4:
        for layer in (UDP(sport=1212, dport=53), TCP(sport=1212, dport=80, flags="S")):
            ip = IP(**{"src": "10.10.0.1", "dst": VIP_WEB, "id": 1, **change})
            scene.append(Frame(octets(eth(8, 1) / ip / layer / Raw(bytes(12))), random.randrange(100, 60_000)))
    for change in (
        {"version": 4},
        {"plen": 0},
        {"plen": 3},
        {"plen": 9000},
        {"hlim": 0},
        {"hlim": 1},
        {"nh": 59},
        {"nh": 253},
    ):
        ip = IPv6(**{"src": "2001:db8:a::1", "dst": SERVER6, **change})
        scene.append(
            Frame(octets(eth(8, 1) / ip / UDP(sport=1212, dport=53) / Raw(bytes(12))), random.randrange(100, 60_000))
        )
    return scene + cut_transport(random)


def cut_transport(random: Random) -> Scene:
    """Packets of both families whose lengths are right, but which end inside the transport header: so on the wire."""
    headers = (UDP(sport=1212, dport=53), ICMP(type=8, id=3, seq=4), TCP(sport=1212, dport=80, flags="S"))
    numbers = (17, 1, 6)
    scene = []
    for number, header in zip(numbers, headers, strict=True):
        for size in (0, 4, 7):
            load = Raw(octets(header)[:size])
            for ip in (
                IP(src="10.10.0.2", dst=VIP_WEB, proto=number),
                IPv6(src="2001:db8:a::2", dst=SERVER6, nh=number),
            ):
                scene.append(Frame(octets(eth(8, 1) / ip / load), random.randrange(100, 60_000)))
    return scene


def bad_transport(random: Random) -> Scene:
    """Ports of 0, lengths that lie, data offsets that lie, flags that nobody sends, missing and wrong checksums."""
    udp = (
        {"sport": 0},
        {"dport": 0},
        {"sport": 0, "dport": 0},
        {"len": 0},
        {"len": 7},
        {"len": 8},
        {"len": 9000},
        {"chksum": 0},
        {"chksum": 1},
    )
    tcp = ({"sport": 0}, {"dport": 0}, {"dataofs": 0}, {"dataofs": 4}, {"dataofs": 15}, {"flags": 0}, {"flags": "FPU"},
           {"flags": "SF"}, {"flags": "SR"}, {"flags": 0x1FF}, {"chksum": 1}, {"urgptr": 9, "flags": "UA"},
           {"options": [(253, b"odd")]})  # fmt: skip
    layers = [UDP(**{"sport": 1313, "dport": 53, **row}) for row in udp]
    layers += [TCP(**{"sport": 1313, "dport": 80, "flags": "A", **row}) for row in tcp]
    return [
        Frame(octets(eth(8, 1) / ip / layer / Raw(bytes(16))), random.randrange(100, 60_000))
        for layer in layers
        for ip in (IP(src="10.11.0.1", dst=VIP_WEB), IPv6(src="2001:db8:b::1", dst=SERVER6))
    ]


def bad_dns(random: Random) -> Scene:
    """Names and headers that a DNS filter must survive."""

    def header(questions: int = 1, flags: int = 0x0100, answers: int = 0) -> bytes:
        return struct.pack(">6H", 0xBEEF, flags, questions, answers, 0, 0)

    ask, kind, blocked, ads = header(), b"\0\x01\0\x01", b"\x07blocked\x07example\0", b"\x03ads\x07example\0"
    loads = (
        *(b"", ask[:1], ask[:5], ask[:11], ask),  # the header cut
        *(
            ask + b"\x07blocked",
            ask + b"\x3fblocked\x07example",
            ask + blocked,
            ask + blocked + kind[:3],
        ),  # the question cut
        *(ask + b"\x40" + b"x" * 64 + b"\0" + kind, ask + b"\xbfx\0" + kind),  # labels of more than 63
        *(
            ask + b"\xc0\x0c" + kind,
            ask + b"\xc0",
            ask + b"\xff\xff" + kind,
            ask + b"\x03www\xc0\x0c" + kind,
        ),  # pointers
        *(ask + b"\0" + kind, ask + b"\x01x" * 140 + b"\0" + kind),  # the root; a name of more than 255
        *(
            ask + b"\x07bl\0cked\x07example\0" + kind,
            ask + b"\x0bads.example.\x01x\0" + kind,
        ),  # a zero, dots in a label
        *(header(0), header(0) + ads + kind, header(65_535) + ads + kind, header(2) + ads + kind + blocked + kind),
        *(header(1, 0x8180, 9) + b"\0" + kind, header(1, 0x2800) + ads + kind, ask + blocked + kind + b"trailing"),
    )
    return [
        Frame(
            octets(eth(3, 1) / IP(src=host4(random, "10.12.0"), dst=target) / UDP(sport=1414, dport=53) / Raw(load)),
            20_000,
        )
        for load in loads
        for target in (VIP_DNS, RESOLVER)
    ]
