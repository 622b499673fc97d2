"""Classic captures: every magic and byte order, gzip, pipes, and what damage gives."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.captures import FRAME, pcap, pcap_record
from xdpsim.errors import InputError
from xdpsim.frames.capture import Capture, Record, open_capture

US, NS, KUZNETZOV = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
NAME = "capture"


def opened(octets: bytes, **options: str) -> Capture:
    return open_capture(io.BytesIO(octets), **options)


def read_until_error(capture: Capture) -> tuple[list[Record], InputError]:
    """The records before the InputError that the capture must end with, and that error."""
    records: list[Record] = []
    with pytest.raises(InputError) as caught:
        records.extend(capture)  # takes each as it comes, so those before the error stay
    return records, caught.value


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "tick", "tsresol"), [(US, 1000, 6), (NS, 1, 9)])
def test_records_of_every_magic(order: str, magic: int, tick: int, tsresol: int) -> None:
    octets = pcap([(7, 123_456, FRAME), (6, 5, FRAME[:20])], order=order, magic=magic)
    capture = opened(octets + pcap_record(8, 0, FRAME[:30], length=1000, order=order))
    assert list(capture) == [
        Record(1, 7_000_000_000 + 123_456 * tick, FRAME, 60, 0, False),
        Record(2, 6_000_000_000 + 5 * tick, FRAME[:20], 20, 0, False),
        Record(3, 8_000_000_000, FRAME[:30], 1000, 0, True),
    ]
    assert capture.format == "pcap"
    assert (capture.interfaces[0].linktype, capture.interfaces[0].tsresol) == (1, tsresol)


def test_longer_records_of_the_modified_format() -> None:
    octets = pcap(magic=KUZNETZOV) + 2 * (pcap_record(1, 2, b"", captured=60) + bytes(8) + FRAME)
    assert [record.data for record in opened(octets)] == [FRAME, FRAME]


def test_a_file_with_a_header_alone_has_no_records() -> None:
    assert list(opened(pcap())) == []


def test_gzip_in_several_members_with_padding() -> None:
    octets = pcap([(1, 0, FRAME)] * 5)
    packed = gzip.compress(octets[:100]) + gzip.compress(octets[100:]) + bytes(10)
    capture = opened(packed)
    assert capture.packed
    assert len(list(capture)) == 5


def test_a_cut_gzip_stream_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap.gz"
    path.write_bytes(gzip.compress(pcap([(1, 0, os.urandom(60))] * 50))[:-40])
    _, error = read_until_error(open_capture(path))
    assert error.message == f"{path}: the gzip stream ends early"


def test_damage_inside_gzip_is_an_input_error() -> None:
    packed = bytearray(gzip.compress(pcap([(1, 0, FRAME)])))
    packed[20] ^= 0xFF
    with pytest.raises(InputError, match="capture: damaged gzip stream: "):
        list(opened(bytes(packed)))


def test_standard_input_is_read_without_seeking(tmp_path: Path) -> None:
    code = "from xdpsim.frames.capture import open_capture; print([len(r.data) for r in open_capture('-')])"
    for octets in (pcap([(1, 0, FRAME)] * 3), gzip.compress(pcap([(1, 0, FRAME)] * 3))):
        ran = subprocess.run([sys.executable, "-c", code], input=octets, capture_output=True, check=True)
        assert ran.stdout.decode().strip() == "[60, 60, 60]"


def test_a_live_pipe_gives_a_packet_as_soon_as_it_is_whole() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as source:
        os.write(writing, pcap([(1, 0, FRAME)]) + pcap_record(2, 0, b"", captured=60))
        records = iter(open_capture(source))
        assert next(records).n == 1
        os.write(writing, FRAME)
        assert next(records).data == FRAME
        os.close(writing)
        assert list(records) == []


class OneByteAtATime(io.RawIOBase):
    """The worst pipe there is."""

    def __init__(self, octets: bytes) -> None:
        self._octets = iter(octets)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return bytes(next(([octet] for octet in self._octets), []))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_any_split_of_the_stream_gives_the_same_records(pack: type[bytes]) -> None:
    octets = pcap([(1, 0, FRAME), (2, 0, FRAME[:33]), (3, 0, b"")])
    assert list(open_capture(OneByteAtATime(pack(octets)))) == list(opened(octets))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cut", "message", "hint"),
    [
        (5, "record 3 at byte 176: 60 bytes announced, 55 left in the file", "the 2 records before it are whole"),
        (60, "record 3 at byte 176: 60 bytes announced, 0 left in the file", "the 2 records before it are whole"),
        (
            61,
            "record 3 at byte 176: the file ends 15 bytes into its 16-byte header",
            "the 2 records before it are whole",
        ),
        (137, "record 2 at byte 100: the file ends 15 bytes into its 16-byte header", "the record before it is whole"),
    ],
)
def test_a_cut_capture_gives_its_whole_records_first(cut: int, message: str, hint: str) -> None:
    records, error = read_until_error(opened(pcap([(1, 0, FRAME)] * 3)[:-cut]))
    assert len(records) == (2 if cut < 70 else 1)
    assert (error.message, error.hint) == (f"{NAME}: {message}", hint)


def test_batches_give_the_whole_records_before_an_error() -> None:
    got: list[list[Record]] = []
    with pytest.raises(InputError):
        got.extend(opened(pcap([(1, 0, FRAME)] * 6)[:-1]).batches(3))
    assert [[record.n for record in batch] for batch in got] == [[1, 2, 3], [4, 5]]


def test_a_record_above_the_maximum_is_damage() -> None:
    octets = pcap([(1, 0, FRAME)]) + pcap_record(1, 0, b"", captured=262_145)
    records, error = read_until_error(opened(octets))
    assert len(records) == 1
    assert error.message == (
        f"{NAME}: record 2 at byte 100: announces 262,145 captured bytes, at most 262,144 would have been right"
    )


@pytest.mark.parametrize(("snaplen", "kept"), [(40, 40), (0, 60), (0xFFFFFFFF, 60), (60, 60)])
def test_the_snapshot_length_cuts_as_libpcap_does(snaplen: int, kept: int) -> None:
    first, second = opened(pcap([(1, 0, FRAME), (2, 0, FRAME)], snaplen=snaplen))
    assert (first.data, first.length, first.truncated) == (FRAME[:kept], 60, kept < 60)
    assert second.data == first.data


def test_a_length_below_what_was_captured_is_raised_to_it() -> None:
    (record,) = opened(pcap() + pcap_record(1, 0, FRAME, length=20))
    assert (record.length, record.truncated) == (60, False)


@pytest.mark.parametrize(
    ("octets", "message", "hint"),
    [
        (b"", "is empty, a pcap or pcapng capture would have been right", ""),
        (b"\x7fELF" + bytes(60), "begins with 7f454c46, a pcap or pcapng capture would have been right", "an ELF file"),
        (b"\xd4\xc3", "begins with d4c3, a pcap or pcapng capture would have been right", ""),
        (
            b"\x28\xb5\x2f\xfd" + bytes(9),
            "begins with 28b52ffd, a pcap or pcapng capture would have been right",
            "zstd -dc",
        ),
        (pcap()[:20], "20 bytes, a pcap file header has 24", ""),
        (pcap(version=(2, 5)), "pcap version 2.5, 2.4 would have been right", ""),
        (pcap(version=(3, 0)), "pcap version 3.0, 2.4 would have been right", ""),
        (pcap(linktype=105), "link type 105 is not one that xdpsim reads", "it reads EN10MB, NULL, RAW, LOOP"),
    ],
)
def test_what_is_no_capture_says_so_when_opened(octets: bytes, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        opened(octets)
    assert caught.value.message == f"{NAME}: {message}"
    assert hint in caught.value.hint


@pytest.mark.parametrize(("path", "reason"), [("none.pcap", "No such file or directory"), (".", "Is a directory")])
def test_a_path_that_cannot_be_read(path: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"cannot be read: {reason}"):
        open_capture(tmp_path / path)


def test_a_text_file_object_is_refused() -> None:
    with pytest.raises(InputError, match="gives str, a file opened in binary mode would have been right"):
        open_capture(io.StringIO("text"))  # type: ignore[arg-type]


def test_the_check_sequence_bits_of_the_link_type_are_no_part_of_it() -> None:
    assert opened(pcap([(1, 0, FRAME)], linktype=0x1400_0001)).interfaces[0].linktype == 1


def test_a_scanner_reads_every_byte_behind_the_header() -> None:
    octets = pcap([(1, 0, FRAME)] * 3, order=">", magic=NS)
    capture = opened(octets)
    reader = capture.scanned
    assert reader is not None
    assert (reader.layout.byte_order, reader.layout.tick_ns, reader.layout.record_header_bytes) == (">", 1, 16)
    room, found = bytearray(40), b""
    while count := reader.source.read_into(memoryview(room)):
        found += room[:count]
    assert found == octets[24:]
    reader.source.give_back(found[-(16 + len(FRAME)) :])
    assert [record.n for record in reader.records(2)] == [3]
