#!/usr/bin/env python3
"""Write pcaps/second.pcap: tunnels, tags, translations, options and flows over time, the same bytes on every run.

    python pcaps/make_second.py [OUTPUT]

Made for the programs whose protocols mixed.pcap hardly has; the scenes are merged on one time line as make_mixed.py
does it. README.md tells the contents.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from random import Random

from mixed_parts import SERVER6, VIP_WEB, Frame, eth, octets
from scapy.all import (
    AH,
    GRE,
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1AD,
    Dot1Q,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Packet,
    PadN,
    Raw,
)
from second_streams import OUTSIDE4, Scene, flows, rtp_streams

SEED = 20_240_602
START_S = 1_717_329_600  # 2024-06-02 12:00:00 UTC
SPAN_US = 20_000_000
INSIDE6, NAT64 = "2001:db8:64::10", "64:ff9b::"

TCP_OPTIONS = (
    b"\x02\x04\x05\xb4", b"\x02\x04\x05\x78", b"\x02\x04\xff\xff\x01\x03\x03\x07",
    b"\x01\x02\x04\x05\xb4\x00\x00\x00", b"\x13\x12" + bytes(range(16)) + b"\x01\x01",
    b"\x01\x13\x12" + bytes(range(16)) + b"\x01", b"\x22\x0a" + bytes(8) + b"\x01\x01",
    b"\x08\x0a" + bytes(range(8)) + b"\x01\x01", b"\x05\x0a" + bytes(8) + b"\0\0", b"\x1e\x08" + bytes(6),
    b"\xfd\x06\xf9\x89\x01\x01\x00\x00", b"\x01" * 40, b"\x00" + b"\xaa" * 7, b"\x02\x00\x00\x00",
    b"\x02\x01\x00\x00", b"\x02\x08\x05\xb4", b"\x01\x01\x01\x02", b"\x02\x03\x05\x00",
)  # fmt: skip
IPV4_OPTIONS = (
    b"\x07\x07\x04" + bytes(4) + b"\0", b"\x44\x08\x05\0" + bytes(4), b"\x94\x04\0\0", b"\x01\x01\x01\0",
    b"\x83\x07\x04\x0a\x09\x09\x09\0", b"\x89\x07\x04\x0a\x09\x09\x09\0", b"\x07\x01\0\0", b"\x07\x0c\0\0",
)  # fmt: skip


def each(packets: list[Packet | bytes], gap_us: int = 500) -> Scene:
    """The packets, one behind the other."""
    return [Frame(octets(packet), gap_us) for packet in packets]


def vlans(random: Random) -> Scene:
    """Tags that a rewriter knows, tags that it does not, tags in tags, frames that end in a tag."""
    inner = IP(src="10.4.0.1", dst=VIP_WEB) / UDP(sport=4000, dport=4001) / Raw(bytes(20))
    scene = []
    for number, vlan in enumerate((0, 1, 5, 10, 100, 200, 300, 400, 777, 4095) * 2):
        tag = Dot1Q(vlan=vlan, prio=number % 8)
        scene.append(eth(4, 1) / tag / inner)
        scene.append(eth(4, 1) / Dot1AD(vlan=vlan) / Dot1Q(vlan=20 + number) / inner)
    scene.append(eth(4, 1) / Dot1Q(vlan=5) / Dot1Q(vlan=5) / Dot1Q(vlan=5) / inner)
    scene.append(eth(4, 1) / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / Dot1Q(vlan=4) / Dot1Q(vlan=5) / inner)
    for vlan in (5, 10, 100):
        frame = octets(eth(4, 1) / Dot1AD(vlan=vlan) / Dot1Q(vlan=9) / inner)
        scene += [frame[:size] for size in (14, 17, 18, 19, 21, 22)]
    return each(scene)


def extensions(random: Random) -> Scene:
    """Chains of IPv6 extension headers, up to more than anybody needs; cut ones; ones in the wrong order."""
    ip6, pad = IPv6(src="2001:db8:7::1", dst=SERVER6), [PadN(optdata=b"\0" * 4)]
    udp = UDP(sport=7000, dport=53) / Raw(bytes(12))
    hop, target = IPv6ExtHdrHopByHop(options=pad), IPv6ExtHdrDestOpt(options=pad)
    route = IPv6ExtHdrRouting(addresses=["2001:db8::99"], segleft=1)
    scene: list[Packet | bytes] = []
    for count in range(1, 11):
        chain = ip6
        for _ in range(count):
            chain = chain / IPv6ExtHdrDestOpt(options=pad)
        scene.append(eth(7, 1) / chain / udp)
    scene += [
        eth(7, 1) / ip6 / hop / route / target / IPv6ExtHdrFragment(id=7, m=1) / udp,
        eth(7, 1) / ip6 / hop / IPv6ExtHdrFragment(id=7, offset=40) / Raw(bytes(40)),
        eth(7, 1) / ip6 / target / hop / udp,
        eth(7, 1) / ip6 / AH(nh=17, payloadlen=4, spi=1, seq=2, icv=bytes(12)) / udp,
        eth(7, 1) / ip6 / AH(nh=6, payloadlen=4, spi=1, seq=2, icv=bytes(12)) / TCP(dport=443),
        eth(7, 1) / IPv6(src="2001:db8:7::1", dst=SERVER6, nh=59) / Raw(bytes(8)),
        eth(7, 1) / IPv6(src="2001:db8:7::1", dst=SERVER6, nh=132) / Raw(bytes(12)),
        eth(7, 1) / IPv6(src="2001:db8:7::1", dst=SERVER6, version=5) / udp,
        eth(7, 1) / IP(src="10.7.0.1", dst=VIP_WEB, proto=17, ihl=4) / udp,
    ]
    whole = octets(eth(7, 1) / ip6 / hop / route / udp)
    scene += [whole[:size] for size in (54, 57, 62, 70, 86, 90, 93)]
    long = [PadN(optdata=bytes(250))] * 8
    scene.append(eth(7, 1) / ip6 / IPv6ExtHdrDestOpt(options=long) / IPv6ExtHdrDestOpt(options=long) / udp)
    return each(scene)


def nat64(random: Random) -> Scene:
    """Both ways through the translator: TCP, UDP, echoes; unbound hosts, expired, fragments, options, no checksum."""
    to4 = IPv6(src=INSIDE6, dst=f"{NAT64}cb00:7150", hlim=60, tc=0xB8)
    to6 = IP(src=OUTSIDE4, dst="192.0.2.10", id=9, ttl=60, tos=0x28)
    scene: list[Packet | bytes] = []
    for number in range(6):
        ports, load = {"sport": 5000 + number, "dport": 80}, Raw(random.randbytes(number * 37))
        back = {"sport": 80, "dport": 5000 + number}
        scene += [
            eth(3, 1) / to4 / TCP(**ports, flags="S", seq=random.getrandbits(32)) / load,
            eth(1, 3) / to6 / TCP(**back, flags="SA", seq=random.getrandbits(32), options=[("MSS", 1460)]) / load,
            eth(3, 1) / to4 / UDP(**ports) / load,
            eth(1, 3) / to6 / UDP(**back) / load,
            eth(3, 1) / to4 / ICMPv6EchoRequest(id=number, seq=1, data=bytes(number)),
            eth(3, 1) / to4 / ICMPv6EchoReply(id=number, seq=1, data=bytes(number)),
            eth(1, 3) / to6 / ICMP(type=8 * (number % 2), id=number, seq=1) / Raw(bytes(number)),
        ]
    udp = UDP(sport=1, dport=2) / Raw(b"x")
    scene += [
        eth(3, 1) / to4 / UDP(sport=1, dport=2) / Raw(bytes(1400)),
        eth(3, 1) / IPv6(src="2001:db8:64::99", dst=f"{NAT64}cb00:7150") / udp,
        eth(3, 1) / IPv6(src=INSIDE6, dst=f"{NAT64}cb00:7150", hlim=1) / udp,
        eth(3, 1) / to4 / IPv6ExtHdrFragment(id=1, m=1) / Raw(bytes(64)),
        eth(3, 1) / IPv6(src=INSIDE6, dst=f"{NAT64}cb00:7150", nh=132) / Raw(bytes(32)),
        eth(3, 1) / to4 / ICMPv6ND_NS(tgt=SERVER6),
        eth(3, 1) / to4 / ICMPv6EchoRequest(code=3),
        eth(3, 1) / to4 / UDP(sport=1, dport=2, chksum=0) / Raw(b"x"),
        eth(3, 1) / IPv6(src=INSIDE6, dst=f"{NAT64}cb00:7150", plen=900, nh=17) / udp,
        eth(3, 1) / IPv6(src=INSIDE6, dst=f"{NAT64}cb00:7150", nh=6) / Raw(bytes(12)),
        eth(3, 1) / IPv6(src=INSIDE6, dst=f"{NAT64}cb00:7150", nh=17) / Raw(bytes(4)),
        eth(3, 1) / IPv6(src=INSIDE6, dst=f"{NAT64}cb00:7150", nh=58) / Raw(bytes(4)),
        octets(eth(3, 1) / to4)[:40],
        eth(1, 3) / IP(src=OUTSIDE4, dst="192.0.2.10", ttl=1) / udp,
        eth(1, 3) / IP(src=OUTSIDE4, dst="192.0.2.10", options=[b"\x01\x01\x01\x00"]) / udp,
        eth(1, 3) / IP(src=OUTSIDE4, dst="192.0.2.10", flags="MF") / udp,
        eth(1, 3) / IP(src=OUTSIDE4, dst="192.0.2.10", proto=132) / Raw(bytes(20)),
        eth(1, 3) / IP(src=OUTSIDE4, dst="192.0.2.10", len=900) / udp,
        eth(1, 3) / to6 / UDP(sport=1, dport=2, chksum=0) / Raw(b"x"),
        eth(1, 3) / to6 / ICMP(type=4) / Raw(bytes(12)),
        eth(1, 3) / to6 / ICMP(type=8, code=1),
        eth(1, 3) / IP(src=OUTSIDE4, dst="192.0.2.10", proto=1) / Raw(bytes(5)),
        eth(1, 3) / IP(src=OUTSIDE4, dst="192.0.2.10", proto=6) / Raw(bytes(19)),
        eth(1, 3) / IP(src=OUTSIDE4, dst="192.0.2.10", proto=17) / Raw(bytes(7)),
    ]
    return each(scene)


def handshakes(random: Random) -> Scene:
    """SYNs for cookies, ACKs that bring none back, and TCP headers that lie."""
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("NOP", None), ("WScale", 7)]
    full = [*options, ("NOP", None), ("NOP", None), ("Timestamp", (8, 0)), ("NOP", None)] + [("NOP", None)] * 7
    scene: list[Packet | bytes] = []
    for ip in (IP(src="203.0.113.40", dst=VIP_WEB, id=4), IPv6(src="2001:db8:9::40", dst=SERVER6)):
        for port in (80, 22, 8080):
            for kind in (options, full, []):
                scene.append(eth(5, 1) / ip / TCP(sport=random.randrange(1024, 65536), dport=port, options=kind))
        for flags in ("A", "PA", "R", "FA", "SA", "", "S"):
            numbers = {"sport": 6000, "seq": random.getrandbits(32), "ack": random.getrandbits(32)}
            scene.append(eth(5, 1) / ip / TCP(dport=80, flags=flags, **numbers) / Raw(b"data"))
        scene += [eth(5, 1) / ip / TCP(dport=80, dataofs=words) / Raw(bytes(4)) for words in (0, 4, 15)]
        scene.append(octets(eth(5, 1) / ip / TCP(dport=80))[:-6])
        scene.append(eth(5, 1) / ip / TCP(dport=80, flags="S") / Raw(bytes(1200)))
    return each(scene, 5000)


def gre(random: Random) -> Scene:
    """Tunnels known and unknown, with every field of the header, with IP and with frames inside; cut ones."""
    inner4 = IP(src="10.5.0.1", dst="10.5.0.2", id=5) / UDP(sport=5, dport=6) / Raw(b"inside")
    inner6 = IPv6(src="2001:db8:5::1", dst="2001:db8:5::2") / UDP(sport=5, dport=6) / Raw(b"inside")
    plain, keyed = IP(src="203.0.113.7", dst=VIP_WEB), IP(src="203.0.113.8", dst=VIP_WEB)
    scene: list[Packet | bytes] = [
        eth(9, 1) / plain / GRE() / inner4,
        eth(9, 1) / plain / GRE() / inner6,
        eth(9, 1) / plain / GRE(chksum_present=1) / inner4,
        eth(9, 1) / plain / GRE(seqnum_present=1, sequence_number=3) / inner4,
        eth(9, 1) / plain / GRE(proto=0x6558) / eth(20, 21) / inner4,
        eth(9, 1) / plain / GRE(proto=0x6558) / Raw(bytes(8)),
        eth(9, 1) / plain / GRE(proto=0x6558),
        eth(9, 1) / plain / GRE(proto=0x8847) / Raw(bytes(20)),
        eth(9, 1) / plain / GRE(version=1, proto=0x880B) / Raw(bytes(12)),
        eth(9, 1) / plain / GRE(routing_present=1) / inner4,
        eth(9, 1) / IP(src="203.0.113.7", dst=VIP_WEB, options=[b"\x01\x01\x01\x00"]) / GRE() / inner4,
        eth(9, 1) / IP(src="203.0.113.7", dst=VIP_WEB, flags="MF") / GRE() / inner4,
        eth(9, 1) / keyed / GRE(key_present=1, key=42) / inner4,
        eth(9, 1) / keyed / GRE(chksum_present=1, key_present=1, seqnum_present=1, key=42, sequence_number=1) / inner6,
        eth(9, 1) / keyed / GRE(key_present=1, key=43) / inner4,
        eth(9, 1) / keyed / GRE() / inner4,
        eth(9, 1) / IP(src="203.0.113.9", dst=VIP_WEB) / GRE(key_present=1, key=42) / inner4,
    ]
    whole = octets(eth(9, 1) / keyed / GRE(key_present=1, key=42) / inner4)
    return each(scene) + each([whole[:size] for size in (34, 36, 38, 41, 42)])


def options(random: Random) -> Scene:
    """TCP options of all kinds and lengths, right and wrong; IPv4 options that route, record and pad."""
    scene: list[Packet | bytes] = []
    for number, raw in enumerate(TCP_OPTIONS):
        for ip in (IP(src="10.8.0.1", dst=VIP_WEB, id=8), IPv6(src="2001:db8:8::1", dst=SERVER6)):
            flags = "SA" if number % 3 == 2 else "S"
            # The length counts the options, which scapy would parse and put right.
            segment = TCP(sport=8000 + number, dport=80, flags=flags, dataofs=5 + len(raw) // 4) / Raw(raw)
            scene.append(eth(8, 1) / ip / segment)
    scene.append(eth(8, 1) / IP(dst=VIP_WEB, src="10.8.0.1") / TCP(flags="A", dataofs=6) / Raw(b"\x02\x04\x05\xb4"))
    scene.append(eth(8, 1) / IP(dst=VIP_WEB, src="10.8.0.1") / TCP(dataofs=9))
    for raw in IPV4_OPTIONS:
        ip = IP(src="10.8.0.2", dst=VIP_WEB, options=[raw])
        scene.append(eth(8, 1) / ip / TCP(dport=80, options=[("MSS", 1460)]))
        scene.append(eth(8, 1) / ip / UDP(dport=53))
    return each(scene)


def forwarded(random: Random) -> Scene:
    """Flows to route: near and far, at the end of their hops, without a route, without a port; jumbo frames."""
    scene: list[Packet | bytes] = []
    for _ in range(3):
        for target in ("192.0.2.5", VIP_WEB, "10.1.2.3", "172.16.0.1", "203.0.113.5"):
            for ttl in (64, 2, 1, 0):
                ip = IP(src="10.9.9.9", dst=target, ttl=ttl)
                scene.append(eth(2, 1) / ip / UDP(sport=99, dport=53) / Raw(bytes(9)))
        for target in ("2001:db8::5", "2001:db9::5"):
            for hops in (64, 1):
                scene.append(eth(2, 1) / IPv6(src="2001:db8:9::9", dst=target, hlim=hops) / UDP(sport=99, dport=443))
    for size in (3400, 3600, 8000):
        for port in (53, 9000):
            for ip in (IP(src="10.9.9.9", dst=VIP_WEB), IPv6(src="2001:db8:9::9", dst=SERVER6)):
                scene.append(eth(2, 1) / ip / UDP(sport=99, dport=port) / Raw(bytes(size)))
    return each(scene, 2000)


def merged(random: Random) -> list[tuple[int, Frame]]:
    """All scenes on one time line, in microseconds."""
    scenes = [vlans(random), extensions(random), nat64(random), handshakes(random), gre(random), options(random)]
    scenes += [forwarded(random), *rtp_streams(random), *flows()]
    line = []
    for scene in scenes:
        now = random.randrange(SPAN_US)
        for frame in scene:
            now += frame.gap_us
            line.append((now, len(line), frame))
    line.sort(key=lambda entry: entry[:2])
    return [(now, frame) for now, _, frame in line]


def main(path: Path) -> None:
    records = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)]
    for now, frame in merged(Random(SEED)):
        seconds, micros = divmod(now, 1_000_000)
        size = len(frame.data)
        records.append(struct.pack("<4I", START_S + seconds, micros, size, size) + frame.data)
    path.write_bytes(b"".join(records))
    print(f"{path}: {len(records) - 1} packets, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("second.pcap"))
