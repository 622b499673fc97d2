"""Link types: which run as they are, and how an Ethernet header is built for the others (`--l2 synth`).

Numbers and layouts: the LINKTYPE_ registry of tcpdump.org and, for cooked captures, LINKTYPE_LINUX_SLL and _SLL2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdpsim.errors import InputError

EN10MB = 1
ETHERNET_HEADER_BYTES = 14
L2_CHOICES = ("", "synth", "none")

_NO_ADDRESS = bytes(6)
_BROADCAST = b"\xff" * 6
_IPV4, _IPV6 = 0x0800, 0x86DD
# AF_INET6 of Linux, the BSDs (24, 28) and macOS (30): NULL and LOOP carry the number of the machine that captured.
_FAMILY_ETHERTYPE = {2: _IPV4, 10: _IPV6, 24: _IPV6, 28: _IPV6, 30: _IPV6}
_ARPHRD_LENGTH_FRAMES = (1, 4)  # ETH_P_802_3 and ETH_P_802_2: the Ethernet field holds a length then
# On these devices a cooked header's protocol is no ethertype: netlink, IPGRE, 802.11 in its three dressings.
_ARPHRD_WITHOUT_ETHERTYPE = {778: "IPGRE", 801: "IEEE80211", 802: "IEEE80211_PRISM", 803: "radiotap", 824: "NETLINK"}
_PACKET_BROADCAST = 1

Header = tuple[int, bytes]
"""Bytes to take off the front, and the Ethernet header that goes there."""


@dataclass(frozen=True, slots=True)
class LinkType:
    """A link type that can be given an Ethernet header; `header(data, length)` builds it or says what is wrong."""

    number: int
    name: str
    header: Callable[[bytes, int], Header | str]
    is_plain_ip: bool = False


def _ethernet(ethertype: int, src: bytes = _NO_ADDRESS, dst: bytes = _NO_ADDRESS) -> bytes:
    return dst + src + ethertype.to_bytes(2, "big")


def _raw(data: bytes, length: int) -> Header | str:
    version = data[0] >> 4 if data else -1
    if version not in (4, 6):
        return f"IP version {version}, 4 or 6 would have been right" if data else "holds no byte of an IP header"
    return 0, _ethernet(_IPV4 if version == 4 else _IPV6)


def _family(data: bytes, length: int) -> Header | str:
    if len(data) < 4:
        return f"{len(data)} bytes, the 4-byte address family needs 4"
    for order in ("<I", ">I"):
        ethertype = _FAMILY_ETHERTYPE.get(struct.unpack_from(order, data)[0])
        if ethertype is not None:
            return 4, _ethernet(ethertype)
    return f"address family {data[:4].hex()}, that of IPv4 or IPv6 would have been right"


def _cooked(taken: int, wire: int, kind: int, hardware: int, size: int, address: bytes, protocol: int) -> Header | str:
    if hardware in _ARPHRD_WITHOUT_ETHERTYPE:
        return f"comes from a {_ARPHRD_WITHOUT_ETHERTYPE[hardware]} device, which has no ethertype"
    if protocol in _ARPHRD_LENGTH_FRAMES:
        protocol = min(max(wire - taken, 0), 1500)
    src = address[:6] if size == 6 else _NO_ADDRESS
    return taken, _ethernet(protocol, src, _BROADCAST if kind == _PACKET_BROADCAST else _NO_ADDRESS)


def _sll(data: bytes, length: int) -> Header | str:
    if len(data) < 16:
        return f"{len(data)} bytes, the cooked header needs 16"
    kind, hardware, size, address, protocol = struct.unpack_from(">HHH8sH", data)
    return _cooked(16, length, kind, hardware, size, address, protocol)


def _sll2(data: bytes, length: int) -> Header | str:
    if len(data) < 20:
        return f"{len(data)} bytes, the cooked header needs 20"
    protocol, _, _, hardware, kind, size, address = struct.unpack_from(">HHIHBB8s", data)
    return _cooked(20, length, kind, hardware, size, address, protocol)


SYNTHESISED: dict[int, LinkType] = {
    row.number: row
    for row in (
        LinkType(0, "NULL", _family),
        LinkType(12, "RAW", _raw, is_plain_ip=True),  # DLT_RAW, written as if it were a link type
        LinkType(14, "RAW", _raw, is_plain_ip=True),
        LinkType(101, "RAW", _raw, is_plain_ip=True),
        LinkType(108, "LOOP", _family),
        LinkType(113, "LINUX_SLL", _sll),
        LinkType(228, "IPV4", lambda data, length: (0, _ethernet(_IPV4)), is_plain_ip=True),
        LinkType(229, "IPV6", lambda data, length: (0, _ethernet(_IPV6)), is_plain_ip=True),
        LinkType(276, "LINUX_SLL2", _sll2),
    )
}

Convert = Callable[[bytes, int], tuple[bytes, int] | str]
"""(data, length on the wire) -> the same as an Ethernet frame, or what is wrong with it."""


def converter(linktype: int, l2: str, place: str) -> Convert | None:
    """What turns a record of `linktype` into a frame: None when it is one already.

    `l2`: "" runs Ethernet only, "synth" builds Ethernet headers, "none" also gives RAW, IPV4 and IPV6 as they are, for
    programs that start at the network header. Raises InputError naming the link type and `--l2 synth`, with `place` in
    front.
    """
    if linktype == EN10MB:
        return None
    row = SYNTHESISED.get(linktype)
    if row is None:
        names = ", ".join(dict.fromkeys(("EN10MB", *(known.name for known in SYNTHESISED.values()))))
        raise InputError(f"{place}: link type {linktype} is not one that xdpsim reads", hint=f"it reads {names}")
    if l2 == "none" and row.is_plain_ip:
        return None
    if l2 != "synth":
        raise InputError(
            f"{place}: link type {row.name} ({linktype}) has no Ethernet header, EN10MB (1) would have been right",
            hint="--l2 synth builds one for each packet; or capture on one interface: tcpdump -i eth0",
        )

    def convert(data: bytes, length: int) -> tuple[bytes, int] | str:
        made = row.header(data, length)
        if isinstance(made, str):
            return f"{row.name} packet: {made}"
        taken, header = made
        return header + data[taken:], max(length - taken, 0) + ETHERNET_HEADER_BYTES

    return convert


def converted(convert: Convert, place: str, data: bytes, length: int) -> tuple[bytes, int]:
    """(data, length) as an Ethernet frame; InputError at `place` for a record that cannot be one."""
    made = convert(data, length)
    if isinstance(made, str):
        raise InputError(f"{place}: {made}")
    return made


def check_l2(l2: str, choices: Sequence[str] = L2_CHOICES) -> None:
    """Raise InputError unless `l2` is one of the ways `converter` knows."""
    if l2 not in choices:
        raise InputError(f"l2 {l2!r} is not known, 'synth' or 'none' would have been right")
