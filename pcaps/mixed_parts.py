"""What the scenes of make_mixed.py share: fixed addresses, the record type, and scapy made independent of the host."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from scapy.all import Ether, Packet

VIP_WEB, VIP_DNS = "198.51.100.10", "198.51.100.53"
RESOLVER, SERVER4, SERVER6 = "10.0.0.53", "192.0.2.80", "2001:db8::10"


class Frame(NamedTuple):
    """A frame, microseconds since the one before it in its scene, and the length on the wire if it was cut."""

    data: bytes
    gap_us: int
    length: int = 0


def eth(source: int = 0, target: int = 1) -> Ether:
    """Ethernet between numbered stations: 255 is broadcast, 33 and 94 multicast. Both given, so scapy asks no route."""
    special = {255: "ff:ff:ff:ff:ff:ff", 33: "33:33:00:00:00:01", 94: "01:00:5e:00:00:fb", 0x80: "01:80:c2:00:00:00"}
    return Ether(src=f"02:00:00:00:00:{source:02x}", dst=special.get(target, f"02:00:00:00:00:{target:02x}"))


def host4(random: Random, net: str) -> str:
    return f"{net}.{random.randrange(1, 255)}"


def host6(random: Random) -> str:
    return f"2001:db8:{random.randrange(1, 16):x}::{random.randrange(1, 65536):x}"


def octets(packet: Packet) -> bytes:
    return bytes(packet)
