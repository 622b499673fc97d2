"""Packets as users give them: bytes of any kind and objects that build themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from xdpsim.errors import InputError
from xdpsim.frames.build import to_bytes


@pytest.mark.parametrize("packet", [b"abc", bytearray(b"abc"), memoryview(b"abc"), memoryview(b"aabbcc")[::2]])
def test_bytes_of_any_kind(packet: object) -> None:
    octets = to_bytes(packet)
    assert (type(octets), octets) == (bytes, b"abc")


def test_scapy_and_dpkt_packets() -> None:
    import dpkt
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2") / UDP()
    assert to_bytes(packet) == packet.build()
    assert to_bytes(dpkt.ethernet.Ethernet(bytes(packet))) == bytes(packet)


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        ("text", "packet: str given, bytes or a scapy packet would have been right"),
        (7, "packet: int given, bytes or a scapy packet would have been right"),
        (None, "packet: NoneType given, bytes or a scapy packet would have been right"),
        ([1, 2], "packet: list given, bytes or a scapy packet would have been right"),
        (bytes, "packet: the class bytes given, bytes or a scapy packet would have been right"),
    ],
)
def test_anything_else_is_refused(packet: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        to_bytes(packet)
    assert caught.value.message == message


def test_a_layer_that_was_not_instantiated_gets_a_hint() -> None:
    from scapy.layers.inet import IP

    with pytest.raises(InputError, match="the class IP given") as caught:
        to_bytes(IP)
    assert "instantiate" in caught.value.hint


def test_a_packet_that_scapy_cannot_build_is_an_input_error() -> None:
    from scapy.layers.inet import UDP

    with pytest.raises(InputError, match="packet: UDP cannot be built: "):
        to_bytes(UDP(sport=99_999))


def test_no_packet_library_is_imported_for_bytes() -> None:
    code = (
        "import sys; from xdpsim.frames import build, capture, summary, writer; "
        "build.to_bytes(b'x'); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert not {"scapy", "dpkt", "numpy"} & set(loaded)
