"""The odd but right part of mixed.pcap: fragments, options, extension headers, tunnels, sizes, what is not IP."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from mixed_bad import bad_dns, bad_ip, bad_transport, cuts
from mixed_parts import SERVER4, SERVER6, VIP_DNS, VIP_WEB, Frame, eth, host4, octets
from scapy.all import (
    DNS,
    DNSQR,
    GRE,
    ICMP,
    IP,
    LLC,
    SNAP,
    STP,
    TCP,
    UDP,
    VXLAN,
    Dot3,
    Ether,
    IPOption_LSRR,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    IPOption_Timestamp,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Packet,
    PadN,
    Raw,
    RouterAlert,
)

Scene = list[Frame]

# Around each size that means something: the minimum, the MTU, a linear XDP packet (3,520), a page, jumbo.
SIZES = (42, 43, 46, 59, 60, 61, 64, 127, 128, 1499, 1500, 1513, 1514, 1515, 1518, 1519, 2048, 3498, 3519, 3520, 3521,
         3712, 3713, 4095, 4096, 4097, 6000, 8192, 8999, 9000)  # fmt: skip
ETHERTYPES = (0, 46, 1500, 1501, 0x05FF, 0x0600, 0x0801, 0x8035, 0x8847, 0x8863, 0x8864, 0x88CC, 0x88F7, 0x9000, 0x9100,
              0x22F0, 0xFFFF)  # fmt: skip


def odd_scenes(random: Random) -> list[Scene]:
    frames = [
        fragments4(random),
        fragments6(random),
        options(),
        extensions(),
        tunnels(random),
        sizes(random),
        cuts(random),
    ]
    return [*frames, bad_ip(random), bad_transport(random), bad_dns(random), links(random), destinations(random)]


def fragments4(random: Random) -> Scene:
    """Whole trains, one without its middle, out of order, overlapping, a first one of 8 bytes, a last one alone."""
    scene = []
    for number, order in enumerate(([0, 1, 2], [0, 2], [2, 1, 0], [1, 0, 2], [0, 1, 2], [0, 1], [0, 1, 2], [2])):
        for proto, layer in (
            (17, UDP(sport=7000 + number, dport=53)),
            (6, TCP(sport=7000 + number, dport=80, flags="S")),
        ):
            whole = octets(layer / Raw(random.randbytes(1400)))
            cut = (0, 8, 808, len(whole)) if number == 6 else (0, 480, 960, len(whole))
            parts = list(pairwise(cut))
            for index in order:
                start, end = parts[index]
                overlap = 16 if number == 4 and index else 0
                more = "MF" if index < 2 else 0
                ip = IP(
                    src=f"10.5.0.{number + 1}",
                    dst=VIP_WEB,
                    id=900 + number,
                    proto=proto,
                    flags=more,
                    frag=(start - overlap) // 8,
                )
                scene.append(Frame(octets(eth(5, 1) / ip / Raw(whole[start - overlap : end])), 700))
    last = IP(src="10.5.0.99", dst=VIP_WEB, id=1, proto=17, frag=8191) / Raw(
        bytes(24)
    )  # past 65,535: the ping of death
    return [*scene, Frame(octets(eth(5, 1) / last), 50)]


def fragments6(random: Random) -> Scene:
    scene = []
    for number in range(6):
        whole = octets(UDP(sport=7100 + number, dport=53, len=1208, chksum=0x1234) / Raw(random.randbytes(1200)))
        for start, end in ((0, 400), (400, 800), (800, len(whole))):
            header = IPv6ExtHdrFragment(nh=17, id=70_000 + number, offset=start // 8, m=int(end < len(whole)))
            ip = IPv6(src=f"2001:db8:5::{number + 1:x}", dst=SERVER6)
            scene.append(Frame(octets(eth(5, 1) / ip / header / Raw(whole[start:end])), 700))
    atomic = IPv6ExtHdrFragment(nh=17, id=5, offset=0, m=0) / UDP(sport=1, dport=2) / Raw(b"atomic")
    return [*scene, Frame(octets(eth(5, 1) / IPv6(src="2001:db8:5::9", dst=SERVER6) / atomic), 50)]


def options() -> Scene:
    """IPv4 options: router alert, record route, timestamps, source routes, padding, and forty bytes of them."""
    rows = (
        [IPOption_Router_Alert()],
        [IPOption_RR(routers=["10.0.0.1", "10.0.0.2"])],
        [IPOption_Timestamp(flg=0, timestamp=12_345, internet_address=None)],
        [IPOption_LSRR(routers=["10.0.0.1"])],
        [IPOption_NOP()] * 4,
        [IPOption_NOP()] * 40,
    )
    layers = (UDP(sport=8000, dport=53), TCP(sport=8000, dport=80, flags="PA"), ICMP(type=8, id=1, seq=2))
    return [
        Frame(
            octets(eth(5, 1) / IP(src="10.6.0.1", dst=VIP_WEB, id=number, options=row) / layer / Raw(b"options")), 2000
        )
        for number, row in enumerate(rows)
        for layer in layers
    ]


def extensions() -> Scene:
    """IPv6 extension headers, alone and chained; twelve in a row; one that announces more than there is."""
    hop = IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"")])
    dest = IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
    route = IPv6ExtHdrRouting(addresses=["2001:db8::99"], segleft=1)
    fragment = IPv6ExtHdrFragment(id=3, offset=0, m=0)
    many: Packet = dest
    for _ in range(11):
        many = many / dest
    chains = (hop, dest, route, fragment, hop / dest, hop / route / dest, hop / dest / route / fragment / dest, many)
    scene = []
    for number, chain in enumerate(chains):
        for layer in (
            TCP(sport=8100, dport=443, flags="S"),
            UDP(sport=8100, dport=53) / Raw(b"ext"),
            Raw(b"no next header"),
        ):
            end = chain.copy()
            if isinstance(layer, Raw):
                end.lastlayer().nh = 59
            ip = IPv6(src=f"2001:db8:6::{number + 1:x}", dst=SERVER6)
            scene.append(Frame(octets(eth(5, 1) / ip / end / layer), 2000))
    lying = IPv6(src="2001:db8:6::f", dst=SERVER6, nh=0, plen=8) / Raw(b"\x06\xff" + bytes(6))
    return [*scene, Frame(octets(eth(5, 1) / lying), 50)]


def tunnels(random: Random) -> Scene:
    """IPIP, 6in4, 4in6, GRE with and without key and sequence, bridged GRE, VXLAN, and tunnels in tunnels."""
    scene = []
    for number in range(10):
        inner4 = IP(src=host4(random, "10.8.0"), dst="10.8.1.1") / TCP(sport=9000 + number, dport=80, flags="S")
        inner6 = IPv6(src="2001:db8:8::1", dst="2001:db8:8::2") / UDP(sport=9000 + number, dport=53) / Raw(b"inside")
        outer = IP(src="192.0.2.1", dst="192.0.2.2", id=number)
        frame = Ether(src="02:00:00:00:08:01", dst="02:00:00:00:08:02") / inner4
        for stack in (
            outer / inner4,
            outer / inner6,
            IPv6(src="2001:db8::1", dst="2001:db8::2") / inner4,
            outer / GRE() / inner4,
            outer / GRE(key_present=1, key=7, seqnum_present=1, sequence_number=number) / inner6,
            outer / GRE(proto=0x6558) / frame,
            outer / UDP(sport=50_000 + number, dport=4789, chksum=0) / VXLAN(flags=8, vni=100 + number) / frame,
            outer / IP(src="10.8.9.1", dst="10.8.9.2") / inner4,
        ):
            scene.append(Frame(octets(eth(7, 1) / stack), random.randrange(100, 60_000)))
    return scene


def sizes(random: Random) -> Scene:
    """Around every size that means something: the minimum, the MTU, a page's worth, jumbo."""
    scene = []
    for number, size in enumerate(SIZES):
        for dport in (53, 9000):
            ip = IP(src=f"10.7.0.{number + 1}", dst=VIP_DNS, id=size) / UDP(sport=size, dport=dport)
            scene.append(
                Frame(octets(eth(5, 1) / ip / Raw(random.randbytes(size - 42))), random.randrange(1000, 300_000))
            )
    return scene


def links(random: Random) -> Scene:
    """Not IP: 802.3 length frames with LLC, SNAP, STP; ethertypes of neighbours nobody handles; none at all."""
    scene = [
        Frame(
            octets(Dot3(src="02:00:00:00:00:08", dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP()),
            500_000,
        )
    ] * 6
    scene += [Frame(octets(Dot3(src="02:00:00:00:00:08", dst="01:00:0c:cc:cc:cc", len=38)
                           / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
                           / SNAP(OUI=0xC, code=0x2000) / Raw(bytes(30))), 500_000)] * 3  # fmt: skip
    for kind in ETHERTYPES:
        header = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x08" + kind.to_bytes(2, "big")
        scene += [Frame(header + random.randbytes(46), 40_000), Frame(header, 40_000)]
    return scene


def destinations(random: Random) -> Scene:
    """Broadcast and multicast: DHCP, mDNS, directed broadcast, IGMP, OSPF, and a station that is not addressed."""
    scene = []
    for number in range(8):
        dhcp = (
            IP(src="0.0.0.0", dst="255.255.255.255", id=number) / UDP(sport=68, dport=67) / Raw(random.randbytes(240))
        )
        mdns = (
            IP(src="10.0.0.8", dst="224.0.0.251", ttl=255)
            / UDP(sport=5353, dport=5353)
            / DNS(qd=[DNSQR(qname="_http._tcp.local")])
        )
        igmp = IP(src="10.0.0.8", dst="224.0.0.1", ttl=1, proto=2) / Raw(b"\x11\x64\xee\x9b\0\0\0\0")
        ospf = IP(src="10.0.0.1", dst="224.0.0.5", ttl=1, proto=89) / Raw(bytes(24))
        near = IP(src="10.0.0.8", dst="10.0.0.255") / UDP(sport=137, dport=137) / Raw(bytes(50))
        stray = IP(src="10.0.0.8", dst=SERVER4) / TCP(sport=4000 + number, dport=22, flags="S")
        for target, packet in ((255, dhcp), (94, mdns), (94, igmp), (94, ospf), (255, near), (99, stray)):
            scene.append(Frame(octets(eth(8, target) / packet), random.randrange(1000, 200_000)))
    return scene
