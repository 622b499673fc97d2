"""Packets as users give them, as bytes. scapy packets are told by their shape: scapy is never imported here."""

from __future__ import annotations

import struct
from typing import Protocol, cast

from xdpsim.errors import InputError


class BuildsBytes(Protocol):
    """A packet object that knows its own bytes: scapy's `Packet`, dpkt's likewise."""

    def __bytes__(self) -> bytes: ...


def to_bytes(packet: object) -> bytes:
    """The frame as bytes, from a bytes-like object or from a packet of scapy or dpkt; InputError for anything else.

    Everything that scapy leaves open (lengths, checksums) is filled in by scapy. A packet that cannot be built is an
    InputError with scapy's reason.
    """
    if isinstance(packet, bytes):
        return packet
    if isinstance(packet, bytearray | memoryview):
        return bytes(packet)
    if isinstance(packet, type) or not hasattr(packet, "__bytes__"):
        raise InputError(
            f"packet: {_described(packet)} given, bytes or a scapy packet would have been right",
            hint="instantiate the layers: Ether() / IP() / UDP()" if isinstance(packet, type) else "",
        )
    # scapy checks a field when it packs it, and each kind of field raises its own way.
    try:
        return bytes(cast("BuildsBytes", packet))
    except (
        struct.error,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        OSError,
        AssertionError,
    ) as err:
        raise InputError(f"packet: {_described(packet)} cannot be built: {err}") from err


def _described(packet: object) -> str:
    return f"the class {packet.__name__}" if isinstance(packet, type) else f"{type(packet).__name__}"
