"""Network interfaces of the emulated machine: number, MAC address, MTU, addresses, forwarding.

Empty but for a loopback that is down, as a new network namespace is; `tables/routes.py` derives from the addresses the
routes that Linux makes for them. Follows net/ipv4/devinet.c and net/ipv6/addrconf.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from xdpsim.errors import InputError

Address = IPv4Interface | IPv6Interface
AF_INET, AF_INET6 = 2, 10
LOOPBACK_IFINDEX = 1
_LOOPBACK_MTU = 65536
_MIN_MTU, _MAX_MTU = 68, 65536
_MAX_NAME = 15
"""IFNAMSIZ - 1."""
_MOST_IFINDEX = (1 << 31) - 1


@dataclass
class Interface:
    """One interface. `forwarding` is the sysctl of that name, for IPv4 and IPv6 alike."""

    name: str
    ifindex: int
    mac: bytes
    mtu: int
    is_up: bool
    forwarding: bool
    addresses: list[Address] = field(default_factory=list)

    @property
    def is_loopback(self) -> bool:
        """Whether it is `lo`."""
        return self.ifindex == LOOPBACK_IFINDEX

    def __repr__(self) -> str:
        return f"<xdpsim interface {self.name}, ifindex {self.ifindex}>"


class Interfaces:
    """All interfaces, by number and by name, in the order in which they were declared."""

    def __init__(self) -> None:
        loopback = Interface("lo", LOOPBACK_IFINDEX, bytes(6), _LOOPBACK_MTU, is_up=False, forwarding=False)
        self._by_ifindex = {LOOPBACK_IFINDEX: loopback}

    def __iter__(self) -> Iterator[Interface]:
        return iter(self._by_ifindex.values())

    def get(self, ifindex: int) -> Interface | None:
        """The interface of that number."""
        return self._by_ifindex.get(ifindex)

    def find(self, which: str | int | Interface) -> Interface:
        """The interface that a user names, by name, number or itself; InputError for one that was not declared."""
        if isinstance(which, Interface):
            return which
        for interface in self:
            if which in (interface.name, interface.ifindex):
                return interface
        known = ", ".join(interface.name for interface in self)
        raise InputError(f"interface {which!r} is not declared: expected one of {known}")

    def declare(
        self,
        name: str,
        *,
        ifindex: int | None,
        mac: str | bytes | None,
        mtu: int | None,
        addresses: Iterable[str | Address],
        forwarding: bool,
        up: bool,
    ) -> Interface:
        """Add an interface, or set up `lo`; InputError for a name or number that is taken, or a bad value."""
        number = LOOPBACK_IFINDEX if name == "lo" else self._number_for(name, ifindex)
        default_mtu = _LOOPBACK_MTU if name == "lo" else 1500
        hardware = mac_bytes(mac, f"interface {name}") if mac is not None else _own_mac(number)
        made = Interface(name, number, hardware, default_mtu if mtu is None else mtu, up, forwarding)
        if not _MIN_MTU <= made.mtu <= _MAX_MTU:
            raise InputError(f"interface {name}: mtu {made.mtu}, expected {_MIN_MTU} to {_MAX_MTU}")
        made.addresses += [parse_address(text, f"interface {name}") for text in addresses]
        self._by_ifindex[number] = made
        return made

    def _number_for(self, name: str, ifindex: int | None) -> int:
        if not name or len(name) > _MAX_NAME or "/" in name or any(letter.isspace() for letter in name):
            raise InputError(f"interface {name!r}: expected a name of 1 to {_MAX_NAME} characters without / and spaces")
        if any(interface.name == name for interface in self):
            raise InputError(f"interface {name} is declared twice")
        if ifindex is None:
            return max(self._by_ifindex) + 1
        if not 0 < ifindex <= _MOST_IFINDEX or ifindex in self._by_ifindex:
            taken = ", ".join(map(str, self._by_ifindex))
            raise InputError(f"interface {name}: ifindex {ifindex}, expected one from 2 on that is not taken ({taken})")
        return ifindex


def parse_address(text: str | Address, where: str) -> Address:
    """An interface's address with its prefix length."""
    try:
        return ip_interface(text)
    except ValueError as err:
        raise InputError(f"{where}: address {text!r}, expected one such as 10.0.0.1/24 or fd00::1/64") from err


def mac_bytes(text: str | bytes, where: str) -> bytes:
    """Six bytes of a MAC address, given as such or with colons."""
    try:
        raw = text if isinstance(text, bytes) else bytes.fromhex(text.replace(":", ""))
    except ValueError:
        raw = b""
    if len(raw) != 6:
        raise InputError(f"{where}: mac {text!r}, expected six bytes such as 02:00:00:00:00:01")
    return raw


def _own_mac(ifindex: int) -> bytes:
    """A locally administered address that tells the interface."""
    return b"\x02\x00" + ifindex.to_bytes(4, "big") if ifindex != LOOPBACK_IFINDEX else bytes(6)
