"""One line a packet, in the manner of tcpdump: link, network and tunnel layers; summary_transport.py has the rest.

dpkt reads one header at a time and never the layers inside: it recurses without limit and gives up a whole packet for a
malformed part. So a packet that ends early still shows everything in front of the damage.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from socket import AF_INET, AF_INET6, inet_ntop

from xdpsim.frames.summary_transport import TRANSPORTS, attempt, udp_payload

MAX_TUNNELS = 8

_VLAN_ETHERTYPES = (0x8100, 0x88A8, 0x9100)
_LONGEST_LENGTH_FIELD = 1500  # IEEE 802.3: above 1,535 the field is an ethertype, between the two nothing
_SAP_NAMES = {0x42: "STP", 0xAA: "SNAP", 0xE0: "IPX", 0xF0: "NetBIOS", 0xFE: "ISO"}
_ETHERTYPE_NAMES = {0x8847: "MPLS", 0x8848: "MPLS", 0x8863: "PPPoE", 0x8864: "PPPoE", 0x88CC: "LLDP", 0x888E: "EAPOL"}
_ARP_WORDS = {1: "who-has", 2: "reply", 3: "reverse who-is", 4: "reverse reply"}
_PROTOCOL_NAMES = {
    2: "IGMP",
    50: "ESP",
    51: "AH",
    59: "no next header",
    89: "OSPF",
    103: "PIM",
    112: "VRRP",
    132: "SCTP",
}
_EXTENSIONS = {0: "hop-by-hop", 43: "routing", 44: "fragment", 51: "auth", 60: "dest-opts"}
_IP6 = struct.Struct(">4xHBB16s16s")
_IPIP, _UDP, _IP6_IN_IP, _GRE, _VXLAN_PORT = 4, 17, 41, 47, 4789


def summarise(data: bytes) -> str:
    """The frame in one line, with its length in bytes; a malformed frame gives a line too, never an exception."""
    return f"{_ethernet(bytes(data), 0)} (len {len(data)})"


def _ethernet(data: bytes, depth: int) -> str:
    if len(data) < 14:
        return f"Ethernet header cut at {len(data)} of 14 bytes"
    ethertype = int.from_bytes(data[12:14], "big")
    at, tags = 14, ""
    while ethertype in _VLAN_ETHERTYPES:
        if len(data) < at + 4:
            return f"{tags}vlan tag cut at {len(data) - at} of 4 bytes"
        control, ethertype = struct.unpack_from(">HH", data, at)
        tags += f"vlan {control & 0xFFF}" + (f" p {control >> 13} " if control >> 13 else " ")
        at += 4
    return tags + _payload(ethertype, data[at:], depth)


def _payload(ethertype: int, data: bytes, depth: int) -> str:
    if ethertype <= _LONGEST_LENGTH_FIELD:
        return attempt(f"802.3 length {ethertype}", _llc, data)
    name, reader = _ETHERTYPES.get(ethertype, (_ETHERTYPE_NAMES.get(ethertype, ""), None))
    if reader is None:
        return f"{name} ethertype {ethertype:#06x}" if name else f"ethertype {ethertype:#06x}"
    if depth > MAX_TUNNELS:
        return f"{name}, more than {MAX_TUNNELS} tunnels deep"
    return attempt(name, reader, data, depth)


def _llc(data: bytes) -> str:
    name = _SAP_NAMES.get(data[0], "")
    return f"LLC dsap {data[0]:#04x} ssap {data[1]:#04x}" + (f" {name}" if name else "")


def _arp(data: bytes, depth: int) -> str:
    import dpkt

    arp = dpkt.arp.ARP(data)
    if (arp.hrd, arp.pro, arp.hln, arp.pln) != (1, 0x0800, 6, 4):
        return f"hardware {arp.hrd} protocol {arp.pro:#06x} operation {arp.op}"
    word = _ARP_WORDS.get(arp.op, f"operation {arp.op}")
    sender, target = inet_ntop(AF_INET, arp.spa), inet_ntop(AF_INET, arp.tpa)
    return f"{word} {target} tell {sender}" if arp.op == 1 else f"{word} {sender} is-at {arp.sha.hex(':')}"


def _ipv4(data: bytes, depth: int) -> str:
    import dpkt

    if len(data) < 20:
        return f"header cut at {len(data)} of 20 bytes"
    header_bytes = (data[0] & 15) * 4
    if data[0] >> 4 != 4 or header_bytes < 20:
        return f"malformed, version {data[0] >> 4} header length {header_bytes}"
    if len(data) < header_bytes:
        return f"header cut at {len(data)} of {header_bytes} bytes"
    ip = dpkt.ip.IP(data[:header_bytes])
    addresses = inet_ntop(AF_INET, ip.src), inet_ntop(AF_INET, ip.dst)
    notes = " options" if header_bytes > 20 else ""
    if ip.ttl <= 1:
        notes += f" ttl {ip.ttl}"
    if ip.len < header_bytes:
        notes += f" bad total length {ip.len}"
    payload = data[header_bytes : ip.len if ip.len >= header_bytes else None]
    fragment = _fragment(ip.id, ip.offset * 8, bool(ip.mf))
    return _network(addresses, ip.p, payload, notes, fragment, ip.offset, depth)


def _ipv6(data: bytes, depth: int) -> str:
    import dpkt

    if len(data) < _IP6.size:
        return f"header cut at {len(data)} of {_IP6.size} bytes"
    if data[0] >> 4 != 6:
        return f"malformed, version {data[0] >> 4}"
    payload_bytes, protocol, hop_limit, source, target = _IP6.unpack_from(data)
    payload = data[40 : 40 + payload_bytes] if payload_bytes else data[40:]
    notes, fragment, offset = (f" hlim {hop_limit}" if hop_limit <= 1 else ""), "", 0
    while protocol in _EXTENSIONS and not offset:
        header = dpkt.ip6.EXT_HDRS_CLS[protocol](payload) if len(payload) >= 8 else None
        if header is None or header.length > len(payload):
            ends = f"{inet_ntop(AF_INET6, source)} > {inet_ntop(AF_INET6, target)}"
            return f"{ends}{notes} {_EXTENSIONS[protocol]} cut at {len(payload)} bytes"
        if protocol == dpkt.ip.IP_PROTO_FRAGMENT:
            offset = header.frag_off
            fragment = _fragment(header.id, offset * 8, bool(header.m_flag)) or " atomic fragment"
        else:
            notes += f" {_EXTENSIONS[protocol]}"
        protocol, payload = header.nxt, payload[header.length :]
    addresses = inet_ntop(AF_INET6, source), inet_ntop(AF_INET6, target)
    return _network(addresses, protocol, payload, notes, fragment, offset, depth)


def _fragment(identification: int, offset_bytes: int, more: bool) -> str:
    if not offset_bytes and not more:
        return ""
    return f" fragment id {identification:#x} at {offset_bytes}{'+' if more else ' last'}"


def _network(
    addresses: tuple[str, str], protocol: int, data: bytes, notes: str, fragment: str, offset: int, depth: int
) -> str:
    """Addresses, with ports where there are any, then what IP or IPv6 carries."""
    source, target = addresses
    name, reader, has_ports = TRANSPORTS.get(
        protocol, (_PROTOCOL_NAMES.get(protocol, f"protocol {protocol}"), None, False)
    )
    if offset:
        return f"{source} > {target}{notes}{fragment} {name}"
    if has_ports and len(data) >= 4:
        ports = struct.unpack_from(">HH", data)
        source, target = (f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
                          for address, port in zip(addresses, ports, strict=True))  # fmt: skip
    inside = _TUNNELS.get(protocol)
    if inside is not None:
        tail = inside(data, depth + 1)
    elif protocol == _UDP and data[2:4] == _VXLAN_PORT.to_bytes(2, "big"):
        tail = attempt("UDP VXLAN", _vxlan, data, depth + 1)
    else:
        tail = attempt(name, reader, data) if reader else name
    return f"{source} > {target}{notes}{fragment} {tail}"


def _gre(data: bytes, depth: int) -> str:
    if len(data) < 4:
        return f"header cut at {len(data)} of 4 bytes"
    flags, protocol = struct.unpack_from(">HH", data)
    if flags & 0x4007:  # source routes, or the version of PPTP
        return f"version {flags & 7} protocol {protocol:#06x}"
    skipped = 4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))  # checksum, key, sequence number
    return _inside_gre(protocol, data[skipped:], depth)


def _inside_gre(protocol: int, data: bytes, depth: int) -> str:
    bridged = protocol == 0x6558  # transparent Ethernet bridging
    return _tunnelled_ethernet(data, depth) if bridged else _payload(protocol, data, depth)


def _vxlan(data: bytes, depth: int) -> str:
    header = udp_payload(data)
    vni = int.from_bytes(header[4:7], "big")
    if len(header) < 8:
        return f"header cut at {len(header)} of 8 bytes"
    return f"vni {vni} {_tunnelled_ethernet(header[8:], depth)}"


def _tunnelled_ethernet(data: bytes, depth: int) -> str:
    return _ethernet(data, depth) if depth <= MAX_TUNNELS else f"Ethernet, more than {MAX_TUNNELS} tunnels deep"


_ETHERTYPES: dict[int, tuple[str, Callable[[bytes, int], str]]] = {
    0x0800: ("IPv4", _ipv4),
    0x0806: ("ARP", _arp),
    0x86DD: ("IPv6", _ipv6),
}
_TUNNELS: dict[int, Callable[[bytes, int], str]] = {
    _IPIP: lambda data, depth: f"IPIP {_payload(0x0800, data, depth)}",
    _IP6_IN_IP: lambda data, depth: f"IPv6-in-IP {_payload(0x86DD, data, depth)}",
    _GRE: lambda data, depth: attempt("GRE", _gre, data, depth),
}
