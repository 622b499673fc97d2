"""Which of its own addresses Linux sends from: inet_select_addr in net/ipv4/devinet.c and ipv6_dev_get_saddr (RFC 6724)
in net/ipv6/addrconf.c."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, IPv6Network

from xdpsim.tables.interfaces import Interface, Interfaces

_LABELS = [
    (IPv6Network(prefix), label)
    for prefix, label in (
        ("::1/128", 0),
        ("2001:10::/28", 7),
        ("::ffff:0:0/96", 4),
        ("::/96", 3),
        ("2001::/32", 6),
        ("2002::/16", 2),
        ("3ffe::/16", 12),
        ("fec0::/10", 11),
        ("fc00::/7", 5),
        ("::/0", 1),
    )
]
"""The policy table of net/ipv6/addrlabel.c, the longest prefix of nested ones first."""
_LINK_LOCAL, _SITE_LOCAL, _GLOBAL = 2, 5, 14
_FE80, _FEC0 = 0xFE80 >> 6, 0xFEC0 >> 6
"""The first ten bits of link-local and of site-local addresses."""


def primary4(interface: Interface) -> list[IPv4Interface]:
    """Its IPv4 addresses without the secondary ones: those in the subnet of an earlier address."""
    primary: list[IPv4Interface] = []
    for address in interface.addresses:
        if isinstance(address, IPv4Interface) and all(address.network != other.network for other in primary):
            primary.append(address)
    return primary


def select4(interfaces: Interfaces, interface: Interface, gateway: bytes) -> bytes:
    """The packed source address towards a gateway (four bytes, or none): on the interface, else on any other."""
    own = primary4(interface)
    if any(gateway):
        matching = [a for a in own if int.from_bytes(gateway, "big") & int(a.netmask) == int(a.network.network_address)]
        own = [*matching, *own]
    for other in interfaces:
        own += primary4(other)
    return own[0].ip.packed if own else bytes(4)


def select6(interfaces: Interfaces, interface: Interface, destination: bytes) -> bytes | None:
    """The packed source address for a destination out of an interface; None when there is no address at all."""
    target = IPv6Address(destination)
    best: tuple[int, ...] | None = None
    chosen: bytes | None = None
    for other in interfaces:
        for address in _addresses6(other):
            score = _score(address, target, other is interface)
            if best is None or score > best:
                best, chosen = score, address.ip.packed
    return chosen


def _addresses6(interface: Interface) -> list[IPv6Interface]:
    """In the kernel's order: wider scope first, then the newer address."""
    own = [address for address in interface.addresses if isinstance(address, IPv6Interface)]
    if interface.is_loopback and interface.is_up:
        own.insert(0, IPv6Interface("::1/128"))
    newest_first = own[::-1]
    return sorted(newest_first, key=lambda address: -_scope(address.ip))


def _score(address: IPv6Interface, target: IPv6Address, is_outgoing: bool) -> tuple[int, ...]:
    scope, wanted = _scope(address.ip), _scope(target)
    scope_score = -scope if scope >= wanted else scope - 128
    common = min(128 - (int(address.ip) ^ int(target)).bit_length(), address.network.prefixlen)
    label = int(_label(address.ip) == _label(target))
    return int(address.ip == target), scope_score, int(is_outgoing), label, common


def _scope(address: IPv6Address) -> int:
    """By the bits alone: what Python thinks of mapped addresses depends on its version."""
    first = int(address) >> 118
    if int(address) == 1 or first == _FE80:
        return _LINK_LOCAL
    return _SITE_LOCAL if first == _FEC0 else _GLOBAL


def _label(address: IPv6Address) -> int:
    return next(label for prefix, label in _LABELS if address in prefix)
