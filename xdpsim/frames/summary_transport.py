"""The part of a summary line that TCP, UDP, ICMP, ICMPv6 and DNS give; numbers and names are IANA's."""

from __future__ import annotations

import struct
from collections.abc import Callable
from socket import AF_INET, AF_INET6, inet_ntop

_TCP_FLAGS = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x20, "U"), (0x40, "E"), (0x80, "W"), (0x10, "."))
_DNS_PORTS = {53, 5353}
_DNS_TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 35: "NAPTR",
    41: "OPT", 43: "DS", 46: "RRSIG", 48: "DNSKEY", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 252: "AXFR", 255: "ANY",
    257: "CAA",
}  # fmt: skip
_DNS_ERRORS = {1: "FormErr", 2: "ServFail", 3: "NXDomain", 4: "NotImp", 5: "Refused"}
_ICMP_NAMES = {
    0: "echo reply", 3: "unreachable", 4: "source quench", 5: "redirect", 8: "echo request", 9: "router advertisement",
    10: "router solicitation", 11: "time exceeded", 12: "parameter problem", 13: "timestamp request",
    14: "timestamp reply",
}  # fmt: skip
_ICMP_UNREACHABLE = {
    0: "net", 1: "host", 2: "protocol", 3: "port", 4: "fragmentation needed", 5: "source route", 9: "net prohibited",
    10: "host prohibited", 13: "admin prohibited",
}  # fmt: skip
_ICMP6_NAMES = {
    1: "unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request",
    129: "echo reply", 130: "listener query", 131: "listener report", 132: "listener done", 133: "router solicitation",
    134: "router advertisement", 135: "neighbour solicitation", 136: "neighbour advertisement", 137: "redirect",
    143: "listener report v2",
}  # fmt: skip
_ICMP6_UNREACHABLE = {0: "route", 1: "admin prohibited", 2: "scope", 3: "address", 4: "port"}


def attempt(name: str, reader: Callable[..., str], *args: object) -> str:
    """`name` and what the reader makes of the bytes, or `name` and that they are malformed."""
    import dpkt

    # All that dpkt and the readers here raise for bytes that end early or contradict themselves.
    try:
        return f"{name} {reader(*args)}"
    except (dpkt.Error, struct.error, IndexError, KeyError, ValueError):
        return f"{name} malformed"


def udp_payload(data: bytes) -> bytes:
    """What follows the UDP header, as far as its length field reaches."""
    length = int.from_bytes(data[4:6], "big")
    return data[8 : length if length >= 8 else None]


def _tcp(data: bytes) -> str:
    import dpkt

    if len(data) < 20:
        return f"header cut at {len(data)} of 20 bytes"
    tcp = dpkt.tcp.TCP(data)
    flags = "".join(letter for bit, letter in _TCP_FLAGS if tcp.flags & bit) or "none"
    line = f"[{flags}] seq {tcp.seq}" + (f" ack {tcp.ack}" if tcp.flags & 0x10 else "") + f" win {tcp.win}"
    return line + (" options" if tcp.opts else "") + (f" data {len(tcp.data)}" if tcp.data else "")


def _udp(data: bytes) -> str:
    import dpkt

    if len(data) < 8:
        return f"header cut at {len(data)} of 8 bytes"
    udp = dpkt.udp.UDP(data[:8])
    payload = udp_payload(data)
    line = f"bad length {udp.ulen} " if udp.ulen < 8 or udp.ulen > len(data) else ""
    if {udp.sport, udp.dport} & _DNS_PORTS:
        return line + attempt("DNS", _dns, payload).replace("DNS ?", "DNS?").replace("DNS :", "DNS:")
    return f"{line}data {len(payload)}"


def _dns(data: bytes) -> str:
    import dpkt

    if len(data) < 12:
        return f"header cut at {len(data)} of 12 bytes"
    _, flags, questions, answers, _, _ = struct.unpack_from(">6H", data)
    is_reply = bool(flags & 0x8000)
    if questions:
        name, at = dpkt.dns.unpack_name(data, 12)
        kind = struct.unpack_from(">HH", data, at)[0]
        asked = f"{_printable(name) or '.'} {_DNS_TYPES.get(kind, f'TYPE{kind}')}"
    else:
        asked = "no question"
    if not is_reply:
        return f"? {asked}"
    error = flags & 15
    found = _DNS_ERRORS.get(error, f"error {error}") if error else _answers(data, answers)
    return f": {asked} {found}" + (" truncated" if flags & 0x0200 else "")


def _answers(data: bytes, count: int) -> str:
    """The first few answers; their number where dpkt does not know a record type."""
    import dpkt

    try:
        records = dpkt.dns.DNS(data).an
    except (dpkt.Error, struct.error, IndexError, ValueError):
        return f"{count} answers"
    shown = ", ".join(_answer(record) for record in records[:3])
    return shown + (f" and {count - 3} more" if count > 3 else "") if count else "no answer"


def _answer(record: object) -> str:
    # dpkt names the field after the record type; A and AAAA of a wrong length are shown as their type.
    for field, family, size in (("ip", AF_INET, 4), ("ip6", AF_INET6, 16)):
        address = getattr(record, field, b"")
        if len(address) == size:
            return inet_ntop(family, address)
    for field in ("cname", "nsname", "ptrname", "mxname", "srvname", "mname"):
        if hasattr(record, field):
            return f"{_DNS_TYPES[record.type]} {_printable(getattr(record, field))}"  # type: ignore[attr-defined]
    if hasattr(record, "text"):
        return 'TXT "' + _printable(" ".join(record.text))[:60] + '"'
    kind = getattr(record, "type", 0)
    return _DNS_TYPES.get(kind, f"TYPE{kind}")


def _printable(text: str) -> str:
    """Names come off the wire: nothing in them may reach a terminal as a control sequence."""
    return "".join(letter if letter.isprintable() and letter.isascii() else f"\\{ord(letter):03d}" for letter in text)


def _icmp(data: bytes) -> str:
    if len(data) < 8:
        return f"header cut at {len(data)} of 8 bytes"
    kind, code, _, first, second = struct.unpack_from(">BBHHH", data)
    name = _ICMP_NAMES.get(kind, f"type {kind} code {code}")
    if kind == 3:
        return f"{name} {_ICMP_UNREACHABLE.get(code, f'code {code}')}" + (f" mtu {second}" if code == 4 else "")
    return f"{name} id {first} seq {second}" if kind in (0, 8, 13, 14) else name


def _icmp6(data: bytes) -> str:
    if len(data) < 8:
        return f"header cut at {len(data)} of 8 bytes"
    kind, code, _, first, second = struct.unpack_from(">BBHHH", data)
    name = _ICMP6_NAMES.get(kind, f"type {kind} code {code}")
    if kind == 1:
        return f"{name} {_ICMP6_UNREACHABLE.get(code, f'code {code}')}"
    if kind == 2:
        return f"{name} mtu {first << 16 | second}"
    if kind in (135, 136) and len(data) >= 24:
        return f"{name} {'for' if kind == 135 else 'of'} {inet_ntop(AF_INET6, data[8:24])}"
    return f"{name} id {first} seq {second}" if kind in (128, 129) else name


TRANSPORTS: dict[int, tuple[str, Callable[[bytes], str] | None, bool]] = {  # number -> name, reader, has ports in front
    1: ("ICMP", _icmp, False),
    6: ("TCP", _tcp, True),
    17: ("UDP", _udp, True),
    58: ("ICMPv6", _icmp6, False),
    132: ("SCTP", None, True),
}
