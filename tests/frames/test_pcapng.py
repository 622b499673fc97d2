"""pcapng captures: sections, interfaces, clocks, every packet block, and what damage gives."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc

import pytest

from tests.frames.test_pcap import OneByteAtATime, read_until_error
from tests.support.captures import FRAME, Ng
from xdpsim.errors import InputError
from xdpsim.frames.capture import Capture, open_capture

LE = Ng("<")
START = LE.section() + LE.interface()


def opened(octets: bytes, **options: str) -> Capture:
    return open_capture(io.BytesIO(octets), **options)


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_packet_block_in_both_byte_orders(order: str) -> None:
    ng = Ng(order)
    octets = (
        ng.section()
        + ng.interface(name="eth0")
        + ng.enhanced(FRAME, ticks=(1 << 32) + 5)
        + ng.block(0x0BAD, b"skipped")
        + ng.enhanced(FRAME[:15], ticks=7, length=99, options=ng.option(1, b"a comment") + bytes(4))
        + ng.block(5, bytes(12))
        + ng.simple(FRAME)
        + ng.obsolete(FRAME, ticks=9)
    )
    capture = opened(octets)
    assert capture.format == "pcapng"
    assert [interface.name for interface in capture.interfaces] == ["eth0"]
    assert [(r.n, r.time_ns, r.data, r.length, r.truncated) for r in capture] == [
        (1, ((1 << 32) + 5) * 1000, FRAME, 60, False),
        (2, 7_000, FRAME[:15], 99, True),
        (3, None, FRAME, 60, False),
        (4, 9_000, FRAME, 60, False),
    ]


@pytest.mark.parametrize(
    ("tsresol", "tsoffset", "ticks", "time_ns"),
    [
        (None, None, 1_500_000, 1_500_000_000),
        (9, None, 1_717_243_200_123_456_789, 1_717_243_200_123_456_789),
        (0, None, 3, 3_000_000_000),
        (3, 100, 5, 100_005_000_000),
        (12, None, 5_999, 5),
        (0x80 | 10, None, 1536, 1_500_000_000),
        (0x80 | 32, -1, 3 << 31, 500_000_000),
        (0x80, None, 2, 2_000_000_000),
        (127, None, (1 << 64) - 1, 0),
    ],
)
def test_clocks(tsresol: int | None, tsoffset: int | None, ticks: int, time_ns: int) -> None:
    octets = LE.section() + LE.interface(tsresol=tsresol, tsoffset=tsoffset) + 2 * LE.enhanced(FRAME, ticks=ticks)
    assert [record.time_ns for record in opened(octets)] == [time_ns, time_ns]


@pytest.mark.parametrize("ticks", [1 << 60, (1 << 64) - 1])
def test_a_time_beyond_64_bits_of_nanoseconds_is_an_input_error(ticks: int) -> None:
    octets = LE.section() + LE.interface(tsresol=0) + LE.enhanced(FRAME) + LE.enhanced(FRAME, ticks=ticks)
    records, error = read_until_error(opened(octets))
    assert len(records) == 1
    assert error.message == (
        f"capture: record 2 at byte 152: is {ticks:,} seconds from 1970, at most 9,223,372,036 would have been right"
    )


def test_interfaces_are_numbered_over_all_sections() -> None:
    big = Ng(">")
    octets = (
        LE.section()
        + LE.interface(name="a", tsresol=9)
        + LE.interface(name="b")
        + LE.enhanced(FRAME, interface=1, ticks=1)
        + big.section()
        + big.interface(name="c")
        + big.enhanced(FRAME, interface=0, ticks=2)
        + big.interface(name="d", tsresol=9)
        + big.enhanced(FRAME, interface=1, ticks=3)
    )
    capture = opened(octets)
    assert [interface.name for interface in capture.interfaces] == ["a", "b"]
    assert [(record.interface, record.time_ns) for record in capture] == [(1, 1000), (2, 2000), (3, 3)]
    assert [interface.name for interface in capture.interfaces] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_any_split_of_the_stream_gives_the_same_records(pack: type[bytes]) -> None:
    octets = START + LE.enhanced(FRAME) + LE.block(99, bytes(40)) + LE.simple(FRAME[:17]) + LE.enhanced(b"")
    assert list(open_capture(OneByteAtATime(pack(octets)))) == list(opened(octets))  # type: ignore[arg-type]


def test_a_simple_block_is_cut_by_the_snapshot_length() -> None:
    (record,) = opened(LE.section() + LE.interface(snaplen=16) + LE.simple(FRAME[:16], length=1500))
    assert (record.data, record.length, record.truncated) == (FRAME[:16], 1500, True)


EPB = LE.enhanced(FRAME)


@pytest.mark.parametrize(
    ("octets", "whole", "message"),
    [
        (START + EPB + EPB[:-3], 1, "record 2 at byte 140: 92 bytes announced, 89 left in the file"),
        (START + EPB + EPB[:7], 1, "block at byte 140: the file ends 7 bytes into its 12-byte frame"),
        (START + LE.enhanced(FRAME, captured=61), 0,
         "record 1 at byte 48: announces 61 captured bytes, its block holds 60"),
        (START + EPB + LE.enhanced(FRAME, interface=3), 1,
         "record 2 at byte 140: came in on interface 3, but the section has described 1"),
        (LE.section() + EPB, 0, "record 1 at byte 28: came in on interface 0, but the section has described 0"),
        (LE.section() + LE.interface(snaplen=40) + EPB, 0,
         "record 1 at byte 48: announces 60 captured bytes, the snapshot length of its interface is 40"),
        (START + EPB[:-4] + bytes(4), 0,
         "record 1 at byte 48: announces 92 bytes in front and 0 at its end, the same twice would have been right"),
        (START + LE.block(99, bytes(8), trailer=24), 0,
         "block type 0x63 at byte 48: announces 20 bytes in front and 24 at its end, the same twice "
         "would have been right"),
        (START + LE.block(6, b"", total=12), 0,
         "record 1 at byte 48: announces 12 bytes, a multiple of 4 from 32 up would have been right"),
        (START + LE.block(99, b"", total=0), 0,
         "block type 0x63 at byte 48: announces 0 bytes, a multiple of 4 from 12 up would have been right"),
        (START + LE.block(6, bytes(20), total=0xFFFF_FFF0), 0,
         "record 1 at byte 48: announces 4,294,967,280 bytes, at most 16,777,216 would have been right"),
        (START + LE.block(99, bytes(20), total=0xFFFF_FFF0), 0,
         "block type 0x63 at byte 48: 4,294,967,280 bytes announced, 32 left in the file"),
    ],
)  # fmt: skip
def test_damage_gives_the_whole_records_first(octets: bytes, whole: int, message: str) -> None:
    try:
        capture = opened(octets)
    except InputError as error:
        records, found = [], error
    else:
        records, found = read_until_error(capture)
    assert (len(records), found.message) == (whole, f"capture: {message}")


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (LE.section(magic=5), "block type 0xa0d0d0a at byte 0: byte-order magic 05000000, 1a2b3c4d in either order"),
        (LE.section(version=(1, 1)), "block type 0xa0d0d0a at byte 0: pcapng version 1.1, 1.0"),
        (LE.section(version=(2, 0)), "block type 0xa0d0d0a at byte 0: pcapng version 2.0, 1.0"),
        (LE.section()[:9], "block at byte 0: the file ends 9 bytes into its 12-byte frame"),
        (LE.section() + LE.block(1, struct.pack("<HHI", 1, 0, 0) + LE.option(9, b"\x06\x06")),
         "block type 0x1 at byte 28: option 9 has 2 bytes, 2 of them in the block, 1"),
        (LE.section() + LE.block(1, struct.pack("<HHI", 1, 0, 0) + LE.option(2, b"eth0", size=400)),
         "block type 0x1 at byte 28: option 2 has 400 bytes, 4 of them in the block, 400"),
    ],
)  # fmt: skip
def test_a_damaged_beginning_says_so_when_opened(octets: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        opened(octets)
    assert caught.value.message.removesuffix(" would have been right") == f"capture: {message}"


def test_only_interfaces_with_packets_need_a_link_type_that_runs() -> None:
    capture = opened(
        START + LE.interface(linktype=220, name="usb") + LE.enhanced(FRAME) + LE.enhanced(FRAME, interface=1)
    )
    records, error = read_until_error(capture)
    assert len(records) == 1
    assert error.message == "capture: interface 1 (usb): link type 220 is not one that xdpsim reads"


@pytest.mark.parametrize("kind", [0x0A0D0D0A, 1, 2, 3, 6, 99])
def test_a_length_that_lies_costs_no_memory(kind: int) -> None:
    octets = (
        START + LE.block(kind, bytes(64), total=0xFFFF_FFFC)
        if kind != 0x0A0D0D0A
        else LE.section()[:4] + b"\xfc" + b"\xff" * 3
    )
    octets += struct.pack("<I", 0x1A2B3C4D) + bytes(60)
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            list(opened(octets))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_memory_stays_constant_over_a_long_capture() -> None:
    class Endless(io.RawIOBase):
        left = 40

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return (START if self.left == 39 else b"") + LE.enhanced(FRAME * 20) * 800 if self.left > 0 else b""

    tracemalloc.start()
    try:
        assert sum(1 for _ in open_capture(Endless())) == 39 * 800  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20  # 39 MB of capture
    finally:
        tracemalloc.stop()
