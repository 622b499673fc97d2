#!/usr/bin/env python3
"""Write pcaps/mixed.pcap: some 2,500 packets of ordinary and odd traffic, the same bytes on every run and machine.

    python pcaps/make_mixed.py [OUTPUT]

Every scene below is a list of frames with gaps; scenes start at seeded times and are merged, so flows interleave as
on a real link. Addresses are private or for documentation, MAC addresses locally administered. README.md tells the
contents.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from mixed_odd import odd_scenes
from mixed_parts import RESOLVER, SERVER4, SERVER6, VIP_DNS, VIP_WEB, Frame, eth, host4, host6, octets
from scapy.all import (
    ARP,
    DNS,
    DNSQR,
    DNSRR,
    DNSRROPT,
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1AD,
    Dot1Q,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPerror,
    IPv6,
    Packet,
    Raw,
    UDPerror,
)

SEED = 20_240_601
START_S = 1_717_243_200  # 2024-06-01 12:00:00 UTC
SPAN_US = 20_000_000
OUT_OF_ORDER = 25
NAMES = (
    "example.com", "www.example.com", "mail.example.org", "api.example.net", "ads.example", "a.ads.example",
    "track.ads.example", "x1.y2.ads.example", "blocked.example", "www.blocked.example", "deep.sub.blocked.example",
    "notblocked.example", "blocked.example.com", "MiXeD.BloCKed.eXaMPle", "a" * 63 + ".example.com",
    ".".join(["label" + str(number) for number in range(20)]) + ".example.net", "xn--bcher-kva.example",
    "_sip._udp.example.org",
)  # fmt: skip

Scene = list[Frame]


def arp(random: Random) -> Scene:
    """Requests, answers, gratuitous, probes; some without the padding to 60 bytes; one in a VLAN."""
    scene = []
    for number in range(20):
        asker, target = host4(random, "10.0.0"), f"10.0.0.{number + 1}"
        request = eth(number, 255) / ARP(
            op=1, hwsrc=eth(number).src, psrc=asker, hwdst="00:00:00:00:00:00", pdst=target
        )
        reply = eth(number + 1, number) / ARP(op=2, hwsrc=eth(9).src, psrc=target, hwdst=eth(number).src, pdst=asker)
        padding = b"" if number % 4 == 0 else bytes(18)
        scene += [Frame(octets(request / Raw(padding)), 40_000), Frame(octets(reply / Raw(padding)), 300)]
    for source, target in (("10.0.0.9", "10.0.0.9"), ("0.0.0.0", "10.0.0.77")):
        probe = ARP(op=1, hwsrc=eth(5).src, psrc=source, hwdst="00:00:00:00:00:00", pdst=target)
        scene += [Frame(octets(eth(5, 255) / probe), 1000), Frame(octets(eth(5, 255) / Dot1Q(vlan=7) / probe), 1000)]
    return scene


def tcp_flow(random: Random, make_ip: type[Packet], client: str, server: str, port: int, ending: str) -> Scene:
    """Handshake with options, a request, an answer in several segments, and FIN or RST."""
    sport, seq, ack = random.randrange(1024, 65536), random.getrandbits(32), random.getrandbits(32)
    gap = random.randrange(200, 3000)

    def segment(flags: str, outward: bool, load: bytes = b"", options: list[tuple[str, object]] | None = None) -> Frame:
        source, target = (client, server) if outward else (server, client)
        ports = (sport, port) if outward else (port, sport)
        numbers = (seq, ack) if outward else (ack, seq)
        layer = TCP(sport=ports[0], dport=ports[1], seq=numbers[0], ack=numbers[1] if "A" in flags else 0, flags=flags,
                    window=64_240, options=options or [])  # fmt: skip
        ends = (2, 1) if outward else (1, 2)
        return Frame(octets(eth(*ends) / make_ip(src=source, dst=target) / layer / Raw(load)), gap)

    syn = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1000 + sport, 0)), ("NOP", None), ("WScale", 7)]
    scene = [segment("S", True, options=syn)]
    if ending == "refused":
        return [*scene, segment("RA", False)]
    scene += [segment("SA", False, options=syn), segment("A", True)]
    request = b"GET /" + b"p" * random.randrange(1, 120) + b" HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    scene.append(segment("PA", True, request))
    stamp = [("NOP", None), ("NOP", None), ("Timestamp", (2000, 1000 + sport))]
    for size in [1448] * random.randrange(2) + [random.randrange(1, 700)]:
        scene += [segment("PA", False, random.randbytes(size), stamp), segment("A", True, options=stamp)]
    if ending == "reset":
        return [*scene, segment("R", True)]
    return [*scene, segment("FA", True), segment("FA", False), segment("A", True)]


def web(random: Random) -> Iterator[Scene]:
    """Flows to the web VIP and to others, IPv4 and IPv6."""
    for number in range(64):
        client = host4(random, ("10.1.0", "10.2.7", "203.0.113", "192.0.2")[number % 4])
        server = VIP_WEB if number % 5 else SERVER4
        ending = ("fin", "fin", "fin", "reset", "refused")[number % 5]
        yield tcp_flow(random, IP, client, server, (80, 443)[number % 2], ending)
    for number in range(18):
        yield tcp_flow(
            random, IPv6, host6(random), SERVER6, (80, 443)[number % 2], ("fin", "reset", "refused")[number % 3]
        )


def dns(random: Random) -> Iterator[Scene]:
    """Queries to the DNS VIP and a resolver, answered with compression, aliases, text, errors; EDNS on every third."""
    kinds = (1, 28, 16, 15, 2, 12, 255)
    for number in range(190):
        name, kind = NAMES[number % len(NAMES)], kinds[number % len(kinds)] if number % 2 else 1
        over_ip6 = number % 9 == 0
        client = host6(random) if over_ip6 else host4(random, ("10.3.0", "203.0.113", "10.9.200")[number % 3])
        server = "2001:db8::53" if over_ip6 else (VIP_DNS, RESOLVER)[number % 3 == 2]
        make_ip, sport, ident = (IPv6 if over_ip6 else IP), random.randrange(1024, 65536), random.getrandbits(16)
        edns = [DNSRROPT(rclass=1232)] if number % 3 == 0 else []
        question = [DNSQR(qname=name, qtype=kind)]
        query = DNS(id=ident, rd=1, qd=question, ar=edns)
        asked = eth(3, 1) / make_ip(src=client, dst=server) / UDP(sport=sport, dport=53) / query
        scene = [Frame(octets(asked), 10)]
        if number % 6:
            answer = DNS(id=ident, qr=1, rd=1, ra=1, qd=question, **answers(name, kind, number))
            told = eth(1, 3) / make_ip(src=server, dst=client) / UDP(sport=53, dport=sport) / (
                octets(answer.compress()) if number % 4 else octets(answer)
            )  # fmt: skip
            scene.append(Frame(octets(told), random.randrange(300, 20_000)))
        yield scene


def answers(name: str, kind: int, number: int) -> dict[str, object]:
    """The answer section, or an error code: every seventh name does not exist."""
    if number % 7 == 0:
        return {"rcode": 3}
    record = {
        1: lambda: [DNSRR(rrname=name, type="A", ttl=60, rdata=f"192.0.2.{last}") for last in range(1, 2 + number % 4)],
        28: lambda: [DNSRR(rrname=name, type="CNAME", ttl=5, rdata="cdn." + NAMES[0]),
                         DNSRR(rrname="cdn." + NAMES[0], type="AAAA", ttl=5, rdata="2001:db8::80")],
        16: lambda: [DNSRR(rrname=name, type="TXT", ttl=9, rdata=[b"v=spf1 -all", b"t" * (number % 200)])],
        2: lambda: [DNSRR(rrname=name, type="NS", ttl=9, rdata="ns1." + NAMES[0])],
    }.get(kind)  # fmt: skip
    return {"an": record()} if record else {"an": [], "rcode": 0}


def bursts(random: Random) -> Iterator[Scene]:
    """For rate limiters: five sources of 60 to 100 datagrams and one of 120 SYNs, each within milliseconds."""
    for last, (count, gap) in enumerate(((60, 20), (70, 50), (80, 10), (90, 100), (100, 40)), 1):
        ip = IP(src=f"10.66.0.{last}", dst=VIP_WEB, id=last)
        yield [
            Frame(
                octets(eth(6, 1) / ip / UDP(sport=40_000 + last, dport=9_999) / Raw(random.randbytes(18 + 8 * last))),
                gap,
            )
            for _ in range(count)
        ]
    yield [
        Frame(octets(eth(6, 1) / IP(src="203.0.113.66", dst=VIP_WEB, id=number)
                     / TCP(sport=2000 + number, dport=80, seq=random.getrandbits(32), flags="S", window=1024)), 30)
        for number in range(120)
    ]  # fmt: skip
    yield [  # and a port scan
        Frame(octets(eth(6, 1) / IP(src="203.0.113.99", dst=SERVER4, id=7)
                     / TCP(sport=51_000, dport=port, seq=port, flags="S", window=1024)), 900)
        for port in range(1, 1000, 11)
    ]  # fmt: skip


def icmp(random: Random) -> Iterator[Scene]:
    """Echoes of both families and the errors that routers and hosts send."""
    for number in range(12):
        client, load = host4(random, "10.0.0"), bytes(range(56))
        for kind in (8, 0):
            ends = (client, VIP_WEB) if kind == 8 else (VIP_WEB, client)
            yield [
                Frame(
                    octets(
                        eth(2, 1) / IP(src=ends[0], dst=ends[1], id=seq) / ICMP(type=kind, id=number, seq=seq) / load
                    ),
                    90_000,
                )
                for seq in range(3)
            ]
    for number, (kind, code) in enumerate(
        ((3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (11, 0), (11, 1), (5, 1), (12, 0), (4, 0)) * 2
    ):
        quoted = (
            IPerror(src=VIP_WEB, dst="10.0.0.7", id=number) / UDPerror(sport=53, dport=1000 + number) / Raw(bytes(8))
        )
        yield [
            Frame(
                octets(
                    eth(1, 2) / IP(src="10.0.0.1", dst=VIP_WEB) / ICMP(type=kind, code=code, nexthopmtu=1400) / quoted
                ),
                50,
            )
        ]
    for number in range(10):
        source = host6(random)
        ping = IPv6(src=source, dst=SERVER6, hlim=64) / ICMPv6EchoRequest(id=number, seq=1, data=bytes(32))
        pong = IPv6(src=SERVER6, dst=source, hlim=64) / ICMPv6EchoReply(id=number, seq=1, data=bytes(32))
        yield [Frame(octets(eth(2, 1) / ping), 10), Frame(octets(eth(1, 2) / pong), 400)]


def neighbours(random: Random) -> Scene:
    """IPv6 neighbour discovery: solicitations, advertisements, routers."""
    scene = []
    for number in range(1, 16):
        target, source = f"2001:db8::{number:x}", host6(random)
        group = f"ff02::1:ff00:{number:x}"
        asks = (
            IPv6(src=source, dst=group, hlim=255)
            / ICMPv6ND_NS(tgt=target)
            / ICMPv6NDOptSrcLLAddr(lladdr=eth(number).src)
        )
        tells = (
            IPv6(src=target, dst=source, hlim=255)
            / ICMPv6ND_NA(tgt=target, R=0)
            / ICMPv6NDOptDstLLAddr(lladdr=eth(9).src)
        )
        scene += [Frame(octets(eth(number, 33) / asks), 100_000), Frame(octets(eth(9, number) / tells), 200)]
    prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8::", prefixlen=64)
    scene.append(Frame(octets(eth(2, 33) / IPv6(src="fe80::2", dst="ff02::2", hlim=255) / ICMPv6ND_RS()), 1000))
    scene.append(
        Frame(octets(eth(1, 33) / IPv6(src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_RA() / prefix), 1000)
    )
    return scene


def tagged(random: Random) -> Scene:
    """One VLAN tag, two (802.1ad and the older double 802.1Q), priorities, priority tags, three tags."""
    scene = []
    for number in range(110):
        tags = (
            Dot1Q(vlan=number % 5 * 100, prio=number % 8),
            Dot1AD(vlan=10 + number % 3) / Dot1Q(vlan=number),
            Dot1Q(vlan=5) / Dot1Q(vlan=6, prio=3),
            Dot1AD(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3),
        )[0 if number % 2 else number // 2 % 4]
        layer = (
            UDP(sport=5000 + number, dport=(53, 80, 4000)[number % 3])
            if number % 3
            else TCP(sport=900, dport=443, flags="S")
        )
        ip = IPv6(src=host6(random), dst=SERVER6) if number % 4 == 1 else IP(src=host4(random, "10.4.0"), dst=VIP_WEB)
        scene.append(
            Frame(octets(eth(4, 1) / tags / ip / layer / Raw(bytes(number % 40))), random.randrange(100, 90_000))
        )
    return scene


def merged(random: Random) -> list[tuple[int, Frame]]:
    """All scenes on one time line, in microseconds; a few stamps go back, as multi-queue captures have them."""
    scenes = [
        arp(random),
        *web(random),
        *dns(random),
        *bursts(random),
        *icmp(random),
        neighbours(random),
        tagged(random),
    ]
    scenes += odd_scenes(random)
    line = []
    for scene in scenes:
        now = random.randrange(SPAN_US)
        for frame in scene:
            now += frame.gap_us
            line.append((now, len(line), frame))
    line.sort(key=lambda entry: entry[:2])
    stamped = [(now, frame) for now, _, frame in line]
    for _ in range(OUT_OF_ORDER):
        at = random.randrange(1, len(stamped))
        stamped[at] = (max(stamped[at][0] - random.randrange(500, 40_000), 0), stamped[at][1])
    return stamped


def main(path: Path) -> None:
    records = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)]
    for now, frame in merged(Random(SEED)):
        seconds, micros = divmod(now, 1_000_000)
        records.append(
            struct.pack("<4I", START_S + seconds, micros, len(frame.data), frame.length or len(frame.data)) + frame.data
        )
    path.write_bytes(b"".join(records))
    print(f"{path}: {len(records) - 1} packets, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("mixed.pcap"))
