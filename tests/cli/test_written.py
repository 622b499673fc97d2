"""The captures that -w writes, read back with dpkt and with our own reader."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xdpsim
from tests.cli.test_run import DROP, FRAME, REDIRECT, WILD
from tests.support.elf_writer import insn
from xdpsim.frames.capture import open_capture

Write = Callable[..., Path]
# r6 = r1; adjust_head(ctx, 14); r0 = 3; exit
SHORTENS = insn(0xBF, 6, 1) + insn(0xB7, 2, imm=14) + insn(0x85, imm=44) + insn(0xB7, 0, imm=3) + insn(0x95)


def options(path: Path) -> Iterator[dict[int, bytes]]:
    """The options of each enhanced packet block."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        kind, total = struct.unpack_from("<II", data, at)
        if kind == 6:
            (captured,) = struct.unpack_from("<I", data, at + 20)
            yield dict(_options(data[at + 28 + captured + (-captured & 3) : at + total - 4]))
        at += total


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        code, length = struct.unpack_from("<HH", data)
        yield code, data[4 : 4 + length]
        data = data[4 + length + (-length & 3) :]


def verdict(value: int) -> bytes:
    return b"\x02" + struct.pack("<Q", value)


def test_verdicts_and_comments(xdpsim: Xdpsim, obj: Write, pcap: Write, tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    assert xdpsim("run", obj(xdp=DROP), "-r", pcap(FRAME, b"short"), "-w", out).code == 0
    first, second = options(out)
    assert first[7] == verdict(1)
    assert 1 not in first
    assert second[1] == b"never ran: shorter than 14 bytes"
    assert 7 not in second
    assert [record.data for record in open_capture(out)] == [FRAME, b"short"]


def test_faults_and_redirects_are_comments(xdpsim: Xdpsim, obj: Write, pcap: Write, tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    xdpsim("run", obj(xdp=WILD), "-r", pcap(FRAME), "-w", out, "--no-verify")
    (only,) = options(out)
    assert only[1].startswith(b"fault: xdp_main: insn 1 (")
    assert 7 not in only
    xdpsim("run", obj(xdp=REDIRECT), "-r", pcap(FRAME), "-w", out)
    (only,) = options(out)
    assert (only[1], only[7]) == (b"redirect to ifindex 5", verdict(4))


@pytest.mark.parametrize(("side", "expected"), [("exit", [46]), ("entry", [60]), ("both", [60, 46])])
def test_packets_as_they_came_and_as_they_left(
    xdpsim: Xdpsim, obj: Write, pcap: Write, tmp_path: Path, side: str, expected: list[int]
) -> None:
    out = tmp_path / "out.pcapng"
    xdpsim("run", obj(xdp=SHORTENS), "-r", pcap(FRAME), "-w", out, "--capture", side)
    with open_capture(out) as capture:
        records = list(capture)
    assert [record.length for record in records] == expected
    assert [7 in found for found in options(out)] == [True] * len(expected) if side != "both" else [False, True]
    if side == "both":
        names = [interface.name for interface in capture.interfaces]
        assert names == ["capture:xdp_main()@fentry", "capture:xdp_main()@fexit"]
        assert [found[5] for found in options(out)] == [struct.pack("<Q", 1)] * 2


def test_a_name_in_pcap_gives_pcap(xdpsim: Xdpsim, obj: Write, pcap: Write, tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    source = pcap(FRAME, FRAME)
    xdpsim("run", obj(xdp=DROP), "-r", source, "-w", out)
    assert out.read_bytes() == source.read_bytes()
    with open_capture(out) as capture:
        assert capture.format == "pcap"


def test_next_command_reads_what_was_written(xdpsim: Xdpsim, obj: Write, pcap: Write, tmp_path: Path) -> None:
    out = tmp_path / "with blank.pcapng"
    ran = xdpsim("run", obj(xdp=DROP), "-r", pcap(FRAME), "-w", out)
    assert f"next: wireshark -Y 'frame.verdict.ebpf_xdp == 1' '{out}'" in ran.out
