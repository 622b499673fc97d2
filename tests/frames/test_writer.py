"""Written captures: read back by us, by dpkt and scapy, by tshark where it is installed, and byte by byte."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.captures import FRAME, Ng
from xdpsim.errors import InputError
from xdpsim.frames.capture import open_capture
from xdpsim.frames.record import Interface
from xdpsim.frames.writer import PcapngWriter, PcapWriter, open_writer

T = 1_717_243_200_123_456_789


def written(kind: type[PcapngWriter] | type[PcapWriter], *packets: tuple[bytes, dict[str, object]]) -> bytes:
    out = io.BytesIO()
    with kind(out, ["eth0", "eth1"]) as writer:
        for data, options in packets:
            writer.write(data, **{"time_ns": T, **options})  # type: ignore[arg-type]
    return out.getvalue()


def test_the_block_is_byte_for_byte_as_xdpdump_writes_it() -> None:
    ng = Ng("<")
    options = (
        ng.option(1, b"why not")
        + ng.option(2, struct.pack("<I", 1))
        + ng.option(5, struct.pack("<Q", 77))
        + ng.option(6, struct.pack("<I", 3))
        + ng.option(7, b"\2" + struct.pack("<Q", 1))
        + bytes(4)
    )
    fields = {"interface": 1, "length": 1500, "packet_id": 77, "queue": 3, "verdict": 1}
    octets = written(PcapngWriter, (FRAME[:33], {**fields, "direction": "in", "comment": "why not"}))
    header = ng.section(options=ng.option(4, b"xdpsim") + bytes(4))
    header += ng.interface(name="eth0", tsresol=9) + ng.interface(name="eth1", tsresol=9)
    assert octets == header + ng.enhanced(FRAME[:33], ticks=T, interface=1, length=1500, options=options)


@pytest.mark.parametrize(
    ("verdict", "hook", "value"),
    [
        (2, "xdp", b"\2" + struct.pack("<Q", 2)),
        (-1, "tc", b"\1" + b"\xff" * 8),
        (1 << 40, "xdp", b"\2" + struct.pack("<Q", 1 << 40)),
    ],
)
def test_verdicts_are_an_octet_and_64_bits(verdict: int, hook: str, value: bytes) -> None:
    octets = written(PcapngWriter, (FRAME, {"verdict": verdict, "hook": hook}))
    assert Ng("<").option(7, value) + bytes(4) in octets


def test_pcapng_reads_back() -> None:
    octets = written(PcapngWriter, (FRAME, {}), (FRAME[:13], {"interface": 1, "length": 60}), (b"", {"time_ns": 0}))
    capture = open_capture(io.BytesIO(octets))
    assert [interface.name for interface in capture.interfaces] == ["eth0", "eth1"]
    assert [(r.time_ns, r.data, r.length, r.interface, r.truncated) for r in capture] == [
        (T, FRAME, 60, 0, False),
        (T, FRAME[:13], 60, 1, True),
        (0, b"", 0, 0, False),
    ]


def test_pcap_keeps_bytes_time_and_length() -> None:
    octets = written(PcapWriter, (FRAME, {"verdict": 1, "comment": "dropped"}), (FRAME[:13], {"length": 60}))
    capture = open_capture(io.BytesIO(octets))
    assert (capture.format, capture.interfaces[0].tsresol) == ("pcap", 9)
    assert [(r.time_ns, r.data, r.length) for r in capture] == [(T, FRAME, 60), (T, FRAME[:13], 60)]


def test_the_path_chooses_the_format(tmp_path: Path) -> None:
    for name, form in (("a.pcap", "pcap"), ("a.PCAP", "pcap"), ("a.pcapng", "pcapng"), ("a.out", "pcapng")):
        with open_writer(tmp_path / name, ["eth0"]) as writer:
            writer.write(FRAME, time_ns=T, interface=0, verdict=2)
        with open_capture(tmp_path / name) as capture:
            assert (capture.format, [record.data for record in capture]) == (form, [FRAME])


def test_interfaces_may_be_added_later_with_their_own_link_type() -> None:
    out = io.BytesIO()
    with PcapngWriter(out) as writer:
        assert writer.add_interface("eth0") == 0
        writer.write(FRAME, time_ns=T)
        assert writer.add_interface(Interface("tun0", linktype=101, snaplen=96)) == 1
    capture = open_capture(io.BytesIO(out.getvalue()))
    list(capture)
    assert [(interface.name, interface.linktype, interface.snaplen) for interface in capture.interfaces] == [
        ("eth0", 1, 0),
        ("tun0", 101, 96),
    ]


def test_flush_shows_packets_to_a_live_reader_and_close_may_be_called_twice(tmp_path: Path) -> None:
    path = tmp_path / "live.pcap"
    writer = PcapWriter(path)
    writer.write(FRAME, time_ns=T)
    assert path.stat().st_size == 0
    writer.flush()
    assert path.stat().st_size == 24 + 16 + 60
    writer.close()
    writer.close()


def test_many_packets_pass_through_the_batches(tmp_path: Path) -> None:
    with PcapngWriter(tmp_path / "many.pcapng", ["eth0"]) as writer:
        for number in range(30_000):
            writer.write(FRAME, time_ns=T + number, packet_id=number, verdict=number % 5)
    with open_capture(tmp_path / "many.pcapng") as capture:
        assert [record.time_ns for record in capture] == list(range(T, T + 30_000))


def test_a_long_comment_is_cut_between_characters() -> None:
    octets = written(PcapngWriter, (FRAME, {"comment": "é" * 40_000, "verdict": 1}))
    assert Ng("<").option(1, "é".encode() * 32_767) in octets
    assert len(list(open_capture(io.BytesIO(octets)))) == 1


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (bytes(262_145), {}, "packet 1: 262,145 bytes, at most 262,144 would have been right"),
        (
            FRAME,
            {"time_ns": -1},
            "packet 1: time of -1 ns since 1970, 0 to 8,589,934,592 seconds would have been right",
        ),
        (FRAME, {"interface": 2}, "packet 1: interface 2, but 2 are described"),
    ],
)
def test_what_no_reader_would_take_back_is_refused(data: bytes, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        written(PcapngWriter, (data, options))
    assert caught.value.message == f"output: {message}"


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none/out\.pcapng: cannot be written: No such file or directory"):
        PcapngWriter(tmp_path / "none" / "out.pcapng")
    if Path("/dev/full").exists():
        with (
            pytest.raises(InputError, match="/dev/full: cannot be written: No space left on device"),
            PcapWriter("/dev/full"),
        ):
            pass


def test_dpkt_and_scapy_read_what_is_written(tmp_path: Path) -> None:
    import dpkt
    from scapy.utils import RawPcapNgReader

    path = tmp_path / "out.pcapng"
    path.write_bytes(
        written(PcapngWriter, (FRAME, {"verdict": 2, "queue": 0}), (FRAME[:20], {"interface": 1, "length": 60}))
    )
    with path.open("rb") as file:
        assert [data for _, data in dpkt.pcapng.Reader(file)] == [FRAME, FRAME[:20]]
    with RawPcapNgReader(str(path)) as reader:
        assert [(data, meta.wirelen) for data, meta in reader] == [(FRAME, 60), (FRAME[:20], 60)]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_wireshark_shows_verdicts_ids_queues_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "out.pcapng"
    path.write_bytes(
        written(
            PcapngWriter,
            (FRAME, {"verdict": 2, "packet_id": 7, "queue": 3, "comment": "passed"}),
            (FRAME, {"verdict": -1, "hook": "tc", "interface": 1}),
            (FRAME, {"verdict": 1, "time_ns": T + 1}),
        )
    )
    names = (
        "time_epoch",
        "interface_name",
        "verdict.ebpf_xdp",
        "verdict.ebpf_tc",
        "packet_id",
        "interface_queue",
        "comment",
    )
    fields = [word for name in names for word in ("-e", f"frame.{name}")]
    ran = subprocess.run(["tshark", "-r", path, "-T", "fields", *fields], capture_output=True, check=True, text=True)
    assert ran.stdout.splitlines() == [
        "1717243200.123456789\teth0\t2\t\t7\t3\tpassed",
        "1717243200.123456789\teth1\t\t-1\t\t\t",
        "1717243200.123456790\teth0\t1\t\t\t\t",
    ]
