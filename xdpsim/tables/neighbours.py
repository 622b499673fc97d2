"""Neighbours: which MAC address answers for an IP address behind an interface. Follows net/core/neighbour.c."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from xdpsim.errors import InputError


class Nud(IntFlag):
    """NUD_*: what is known of a neighbour."""

    INCOMPLETE = 0x01
    REACHABLE = 0x02
    STALE = 0x04
    DELAY = 0x08
    PROBE = 0x10
    FAILED = 0x20
    NOARP = 0x40
    PERMANENT = 0x80


NUD_VALID = Nud.PERMANENT | Nud.NOARP | Nud.REACHABLE | Nud.PROBE | Nud.STALE | Nud.DELAY
"""States in which the address may be used."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One entry; `mac` counts only in a valid state."""

    mac: bytes
    state: Nud

    @property
    def is_valid(self) -> bool:
        """Whether packets may be sent to it at once."""
        return bool(self.state & NUD_VALID)


class Neighbours:
    """All entries, by interface and packed address (4 or 16 bytes)."""

    def __init__(self) -> None:
        self._entries: dict[tuple[int, bytes], Neighbour] = {}

    def set(self, ifindex: int, address: bytes, mac: bytes, state: str) -> None:
        """Add or replace an entry; InputError for a state that there is none of."""
        try:
            nud = Nud[state.upper()]
        except KeyError:
            known = ", ".join(str(flag.name).lower() for flag in Nud)
            raise InputError(f"neighbour state {state!r}: expected one of {known}") from None
        self._entries[ifindex, address] = Neighbour(mac, nud)

    def get(self, ifindex: int, address: bytes) -> Neighbour | None:
        """The entry for that address behind that interface."""
        return self._entries.get((ifindex, address))
