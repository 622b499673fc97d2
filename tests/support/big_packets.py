"""Packets that reach nearly everything in the two largest programs, l4lb and classifier, made of their headers."""

from __future__ import annotations

from collections.abc import Iterator

from scapy.all import (
    AH,
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1AD,
    Dot1Q,
    Ether,
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Packet,
    Raw,
)

ETH = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
VIP4, DNS4, VIP6 = "198.51.100.10", "198.51.100.53", "2001:db8:10::10"
TAGS = (ETH, ETH / Dot1Q(vlan=5), ETH / Dot1AD(vlan=7) / Dot1Q(vlan=150))
STEP = 7
"""Packets without tags are also cut short after each STEP bytes."""


def packets() -> Iterator[bytes]:
    """All of them, the whole ones first."""
    whole = [bytes(link / packet) for packet in (*_ipv4(), *_ipv6()) for link in TAGS]
    whole += [bytes(link / Raw(bytes(60))) for link in TAGS]
    whole += [bytes(ETH / IP(version=6, src="10.0.0.1", dst=VIP4) / UDP()), bytes(ETH / IPv6(version=4))]
    yield from whole
    for frame in whole[:: len(TAGS)]:
        yield from (frame[:size] for size in range(14, min(len(frame), 160), STEP))


def _ipv4() -> Iterator[Packet]:
    ip = IP(src="10.0.0.1", dst=VIP4, tos=46 << 2)
    for port in (22, 80, 443, 81):
        yield ip / TCP(sport=4000, dport=port, flags="S") / Raw(b"x")
        yield ip / TCP(sport=4000, dport=port, flags="A") / Raw(b"xyz")
    yield IP(src="10.66.1.1", dst=VIP4) / TCP(dport=22, flags=0)
    yield IP(src="203.0.113.9", dst=VIP4) / TCP(dport=23, flags="SF")
    yield IP(src="10.0.0.1", dst=VIP4, options=b"\1" * 8) / TCP(sport=4000, dport=80, flags="A") / Raw(b"options")
    for _ in range(6):
        yield IP(src="10.0.0.2", dst=DNS4) / UDP(sport=5300, dport=53) / Raw(bytes(60))
    yield IP(src="10.0.0.2", dst=VIP4) / UDP(sport=1, dport=9999) / Raw(b"nobody")
    yield IP(src="10.0.0.2", dst=VIP4) / UDP(sport=1, dport=5004) / Raw(b"media")
    yield ip / ICMP() / Raw(b"ping")
    yield IP(src="10.0.0.1", dst="203.0.113.1") / ICMP() / Raw(b"ping of another")
    yield ip / ICMP(type=13, ts_ori=0, ts_rx=0, ts_tx=0)
    yield IP(src="10.0.0.1", dst=VIP4, proto=47) / Raw(bytes(20))
    yield IP(src="10.0.0.1", dst=VIP4, ihl=4) / UDP(dport=80)
    yield IP(src="10.0.0.1", dst=VIP4, len=10) / UDP(dport=80)
    yield ip / TCP(sport=4000, dport=80) / Raw(bytes(1460))
    yield ip / TCP(sport=4001, dport=443) / Raw(bytes(1460))
    first = IP(src="10.0.0.3", dst=VIP4, id=77, flags="MF")
    yield IP(src="10.0.0.3", dst=VIP4, id=78, frag=100, proto=6) / Raw(bytes(64))
    yield first / TCP(sport=9, dport=80) / Raw(bytes(64))
    yield IP(src="10.0.0.3", dst=VIP4, id=77, frag=100, proto=6) / Raw(bytes(64))
    yield IP(src="10.0.0.3", dst=VIP4, flags="MF") / ICMP() / Raw(bytes(64))
    for proto in (TCP(sport=80, dport=4000), UDP(sport=53, dport=5300), Raw(b"neither")):
        for quoted in (IP(src=VIP4, dst="10.0.0.1") / proto, IP(src=VIP4, dst="10.0.0.1", frag=9) / proto):
            yield IP(src="192.0.2.99", dst=VIP4) / ICMP(type=3, code=1) / quoted
    yield IP(src="192.0.2.99", dst=VIP4) / ICMP(type=11) / IP(src=VIP4, dst="10.0.0.1", ihl=3) / UDP()


def _ipv6() -> Iterator[Packet]:
    ip = IPv6(src="2001:db8::1", dst=VIP6, tc=46 << 2)
    chains: list[Packet | None] = [
        None,
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt(),
        IPv6ExtHdrRouting(type=4, segleft=0),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(type=4, segleft=1) / IPv6ExtHdrDestOpt(),
        AH(icv=bytes(12)),
        IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt(),
        IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8::9"]),
    ]
    option, routing, auth = IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting(type=4, segleft=0), AH(icv=bytes(12))
    for front in (option, option / option, option / option / option):
        pieces = [IPv6ExtHdrFragment(m=m, offset=offset, id=9) for m, offset in ((1, 0), (0, 9), (0, 0))]
        chains += [front / last for last in (routing, auth, *pieces)]
        chains.append(front / IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8::9"]))
    for chain in chains:
        front = ip / chain if chain else ip
        yield front / TCP(sport=4000, dport=80, flags="S") / Raw(b"x")
        yield front / UDP(sport=4000, dport=5005) / Raw(b"abc")
        yield front / ICMPv6EchoRequest(data=b"hello")
    for port in (80, 443, 5004):
        yield ip / TCP(sport=4002, dport=port, flags="A") / Raw(b"x")
        yield ip / TCP(sport=4002, dport=port, flags="A") / Raw(bytes(1440))
        yield ip / UDP(sport=4002, dport=port) / Raw(bytes(1440))
    yield IPv6(src="2001:db8:f::1", dst="2001:db8:6::1") / UDP(dport=53)
    yield IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoRequest()
    yield ip / ICMPv6ND_NS(tgt=VIP6)
    yield IPv6(src="2001:db8::1", dst=VIP6, nh=59)
    yield ip / IPv6ExtHdrFragment(m=0, offset=9, id=5) / Raw(bytes(32))
    yield ip / IPv6ExtHdrFragment(m=1, offset=0, id=6) / TCP(sport=4000, dport=80) / Raw(bytes(32))
    yield ip / IPv6ExtHdrFragment(m=0, offset=9, id=6) / Raw(bytes(32))
    yield ip / IPv6ExtHdrFragment(m=0, offset=0, id=7) / TCP(sport=4000, dport=80) / Raw(bytes(32))
    told = IPv6(src=VIP6, dst="2001:db8::1")
    quoted = [
        told / TCP(sport=80, dport=4000),
        told / UDP(sport=999, dport=4000),
        told / IPv6ExtHdrDestOpt() / TCP(sport=80, dport=4000),
        told / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=999, dport=4000),
        told / IPv6ExtHdrFragment(m=1, offset=0) / UDP(sport=999, dport=4000),
        told / IPv6ExtHdrFragment(m=1, offset=9) / Raw(bytes(16)),
        told / IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8::9"]) / UDP(),
        told / AH(icv=bytes(12)) / TCP(sport=80, dport=4000),
        told / IPv6ExtHdrDestOpt() / AH(icv=bytes(12)) / TCP(sport=80, dport=4000),
        told / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(type=4, segleft=0) / TCP(sport=80, dport=4000),
        told / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(m=1, offset=0) / UDP(sport=999, dport=4000),
        told / ICMPv6EchoRequest(),
    ]
    for packet in quoted:
        yield IPv6(src="2001:db8:9::9", dst=VIP6) / ICMPv6PacketTooBig() / packet
        yield IPv6(src="2001:db8:9::9", dst=VIP6) / ICMPv6DestUnreach() / packet
