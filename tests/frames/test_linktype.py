"""Link types without Ethernet: refused by name, or given a header."""

from __future__ import annotations

import io

import pytest

from tests.support.captures import IPV4_PACKET, pcap, pcap_record
from xdpsim.errors import InputError
from xdpsim.frames.capture import open_capture

IPV6_PACKET = bytes.fromhex("60000000 00003b40") + bytes(32)
NO_ADDRESSES = bytes(12)
MAC = bytes.fromhex("020000000005")


def sll(protocol: int, kind: int = 0, hardware: int = 1, address: bytes = MAC) -> bytes:
    numbers = (kind, hardware, len(address))
    return (
        b"".join(number.to_bytes(2, "big") for number in numbers)
        + address.ljust(8, b"\0")
        + protocol.to_bytes(2, "big")
    )


def sll2(protocol: int, kind: int = 0) -> bytes:
    head = protocol.to_bytes(2, "big") + bytes(2) + (3).to_bytes(4, "big") + (1).to_bytes(2, "big")
    return head + bytes([kind, 6]) + MAC + bytes(2)


def synthesised(linktype: int, data: bytes) -> tuple[bytes, int]:
    (record,) = open_capture(io.BytesIO(pcap([(1, 0, data)], linktype=linktype)), l2="synth")
    return record.data, record.length


@pytest.mark.parametrize(
    ("linktype", "name"),
    [(0, "NULL"), (12, "RAW"), (14, "RAW"), (101, "RAW"), (108, "LOOP"), (113, "LINUX_SLL"), (228, "IPV4"),
     (229, "IPV6"), (276, "LINUX_SLL2")],
)  # fmt: skip
def test_without_the_switch_the_refusal_names_type_and_switch(linktype: int, name: str) -> None:
    with pytest.raises(InputError) as caught:
        open_capture(io.BytesIO(pcap([(1, 0, IPV4_PACKET)], linktype=linktype)))
    assert caught.value.message == (
        f"capture: link type {name} ({linktype}) has no Ethernet header, EN10MB (1) would have been right"
    )
    assert "--l2 synth" in caught.value.hint


@pytest.mark.parametrize(
    ("linktype", "header", "packet", "ethernet"),
    [
        (101, b"", IPV4_PACKET, NO_ADDRESSES + b"\x08\x00"),
        (12, b"", IPV6_PACKET, NO_ADDRESSES + b"\x86\xdd"),
        (14, b"", IPV4_PACKET, NO_ADDRESSES + b"\x08\x00"),
        (228, b"", IPV4_PACKET, NO_ADDRESSES + b"\x08\x00"),
        (229, b"", IPV6_PACKET, NO_ADDRESSES + b"\x86\xdd"),
        (0, b"\2\0\0\0", IPV4_PACKET, NO_ADDRESSES + b"\x08\x00"),
        (0, b"\0\0\0\2", IPV4_PACKET, NO_ADDRESSES + b"\x08\x00"),
        (0, b"\x1e\0\0\0", IPV6_PACKET, NO_ADDRESSES + b"\x86\xdd"),
        (108, b"\0\0\0\x18", IPV6_PACKET, NO_ADDRESSES + b"\x86\xdd"),
        (113, sll(0x0800), IPV4_PACKET, bytes(6) + MAC + b"\x08\x00"),
        (113, sll(0x86DD, kind=1), IPV6_PACKET, b"\xff" * 6 + MAC + b"\x86\xdd"),
        (113, sll(0x0800, hardware=772, address=b""), IPV4_PACKET, NO_ADDRESSES + b"\x08\x00"),
        (113, sll(4), b"\x42\x42\x03" + bytes(35), bytes(6) + MAC + b"\x00\x26"),
        (276, sll2(0x0806), bytes(28), bytes(6) + MAC + b"\x08\x06"),
        (276, sll2(0x0800, kind=1), IPV4_PACKET, b"\xff" * 6 + MAC + b"\x08\x00"),
    ],
)
def test_synthesised_headers(linktype: int, header: bytes, packet: bytes, ethernet: bytes) -> None:
    assert synthesised(linktype, header + packet) == (ethernet + packet, 14 + len(packet))


def test_length_and_truncation_survive_the_new_header() -> None:
    octets = pcap(linktype=113) + pcap_record(1, 0, sll(0x0800) + IPV4_PACKET, length=1016)
    (record,) = open_capture(io.BytesIO(octets), l2="synth")
    assert (len(record.data), record.length, record.truncated) == (34, 1014, True)


@pytest.mark.parametrize(
    ("linktype", "data", "message"),
    [
        (101, b"", "RAW packet: holds no byte of an IP header"),
        (101, b"\x50", "RAW packet: IP version 5, 4 or 6 would have been right"),
        (0, b"\2\0\0", "NULL packet: 3 bytes, the 4-byte address family needs 4"),
        (0, b"\7\0\0\0", "NULL packet: address family 07000000, that of IPv4 or IPv6 would have been right"),
        (113, bytes(15), "LINUX_SLL packet: 15 bytes, the cooked header needs 16"),
        (276, bytes(19), "LINUX_SLL2 packet: 19 bytes, the cooked header needs 20"),
        (113, sll(0, hardware=824), "LINUX_SLL packet: comes from a NETLINK device, which has no ethertype"),
    ],
)
def test_a_packet_that_cannot_get_a_header(linktype: int, data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        synthesised(linktype, data)
    assert caught.value.message == f"capture: record 1: {message}"


def test_raw_packets_may_be_asked_for_as_they_are() -> None:
    (record,) = open_capture(io.BytesIO(pcap([(1, 0, IPV4_PACKET)], linktype=101)), l2="none")
    assert record.data == IPV4_PACKET
    with pytest.raises(InputError, match="LINUX_SLL"):
        open_capture(io.BytesIO(pcap(linktype=113)), l2="none")


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(InputError, match="l2 'ethernet' is not known, 'synth' or 'none' would have been right"):
        open_capture(io.BytesIO(pcap()), l2="ethernet")
