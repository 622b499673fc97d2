"""What goes on over time in second.pcap: RTP streams that lose, repeat and reorder; connections and silent flows."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

from mixed_parts import SERVER4, SERVER6, VIP_DNS, Frame, eth, octets
from scapy.all import IP, TCP, UDP, IPv6, Raw

Scene = list[Frame]
GROUP, PORT = "192.0.2.200", 5004
OUTSIDE4 = "203.0.113.80"


def rtp(sequence: int, load: bytes, *, first: int = 0x80, ssrc: int = 0x1234, extra: bytes = b"") -> bytes:
    """A header with payload type 33 (MPEG-TS), what follows it (contributors, extension), and the payload."""
    return struct.pack(">BBHII", first, 33, sequence & 0xFFFF, sequence * 3000, ssrc) + extra + load


def datagram(load: bytes, *, port: int = PORT, pad: int = 0, **udp: int) -> Frame:
    """UDP over IPv4, with `pad` bytes behind the IP packet, as short frames have them."""
    packet = eth(11, 1) / IP(src="10.11.0.1", dst=GROUP, id=11) / UDP(sport=6000, dport=port, **udp) / Raw(load)
    return Frame(octets(packet) + bytes(pad), 10_000)


def rtp_streams(random: Random) -> Iterator[Scene]:
    """One steady stream over the turn of its numbers; one with every field of the header; one of wrong packets."""
    numbers = [65_530 + step for step in range(12) if step not in (3, 7, 8)] + [65_538, 65_541, 65_541]
    yield [datagram(rtp(number, random.randbytes(188))) for number in numbers]
    load = random.randbytes(40)
    six = IPv6(dst="2001:db8::200", src="2001:db8:11::1")
    extension = struct.pack(">HH", 0xBEDE, 2) + bytes(8)
    yield [
        datagram(rtp(1, load, first=0x82, extra=bytes(8)), port=5006),
        datagram(rtp(2, load, first=0x90, extra=extension), port=5006),
        datagram(rtp(3, load, first=0x91, extra=bytes(4) + extension), port=5006),
        datagram(rtp(4, load[:-1] + b"\x04", first=0xA0), port=5006),
        datagram(rtp(5, load[:-1] + b"\x28", first=0xA0), port=5006),
        datagram(rtp(6, b""), port=5006, pad=6),
        datagram(rtp(1000, load, ssrc=0x9999), port=5006),
        datagram(rtp(1001, load, ssrc=0x9999), port=5006, pad=9),
    ]
    yield [
        datagram(rtp(7, load, first=0x40), port=5006),
        datagram(rtp(7, load[:-1] + b"\x00", first=0xA0), port=5006),
        datagram(rtp(7, load[:-1] + b"\xff", first=0xA0), port=5006),
        datagram(rtp(7, b"", first=0x90), port=5006),
        datagram(rtp(7, b"", first=0x90, extra=struct.pack(">HH", 1, 300)), port=5006),
        datagram(rtp(7, b"", first=0x90, extra=struct.pack(">HH", 1, 3)), port=5006),
        datagram(rtp(7, b"", first=0x8F), port=5006),
        datagram(b"RTP?", port=5006),
        datagram(rtp(7, load), port=5006, len=900),
        datagram(rtp(7, load), port=5008),
        Frame(octets(eth(11, 1) / six / UDP(dport=PORT) / rtp(1, load)), 100),
        Frame(octets(eth(11, 1) / IP(src="10.11.0.1", dst=GROUP, proto=17) / Raw(b"abc")), 100),
        Frame(octets(eth(11, 1) / IP(src="10.11.0.1", dst=GROUP, proto=17, frag=100) / Raw(load)), 100),
    ]


def flows() -> Iterator[Scene]:
    """Flows that last, that fall silent and come back, that end with FIN and RST; answers that nobody asked for."""
    for number in range(3):
        client, udp = f"10.6.0.{number}", UDP(sport=600 + number, dport=9000) / Raw(bytes(100))
        steady = eth(6, 1) / IP(src=client, dst=SERVER4, id=6) / udp
        yield [Frame(octets(steady), 9_000_000) for _ in range(9)]
        silent = eth(6, 1) / IPv6(src=f"2001:db8:6::{number}", dst=SERVER6) / udp
        yield [Frame(octets(silent), 16_000_000 if at == 2 else 1000) for at in range(5)]
    pairs = (("10.6.1.1", OUTSIDE4), (OUTSIDE4, "10.6.1.1"), ("2001:db8:6::1", "2001:db8:ffff::1"), (OUTSIDE4, VIP_DNS))
    for number, (client, server) in enumerate(pairs):
        make_ip = IPv6 if ":" in client else IP
        for port, kinds in ((80, ("S", "SA", "A", "PA", "A", "FA", "FA", "A")), (8443, ("S", "SA", "A", "R", "A")),
                            (443, ("S", "RA")), (25, ("A", "SA", "R"))):  # fmt: skip
            sport, scene = 20_000 + number, []
            for step, flags in enumerate(kinds):
                out = flags in ("S", "R") or step % 2 == 0
                ends = (client, server) if out else (server, client)
                ports = (sport, port) if out else (port, sport)
                segment = TCP(sport=ports[0], dport=ports[1], flags=flags, seq=step, ack=step)
                scene.append(eth(2, 1) / make_ip(src=ends[0], dst=ends[1]) / segment / Raw(bytes(step)))
            yield [Frame(octets(packet), 20_000) for packet in scene]
        for port in (53, 5353):
            asks = eth(2, 1) / make_ip(src=client, dst=server) / UDP(sport=30_000, dport=port) / Raw(bytes(30))
            tells = eth(1, 2) / make_ip(src=server, dst=client) / UDP(sport=port, dport=30_000) / Raw(bytes(90))
            yield [Frame(octets(packet), 30_000) for packet in (asks, tells, asks, tells)]
