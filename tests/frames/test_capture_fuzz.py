"""Damaged captures: a result or an InputError, never another exception, a hang or a mountain of memory."""

from __future__ import annotations

import gzip
import io
import struct
import time
import tracemalloc
from random import Random

import pytest

from tests.support.captures import FRAME, IPV4_PACKET, Ng, pcap
from xdpsim.errors import InputError
from xdpsim.frames.capture import Record, open_capture

ROUNDS = 5_000
INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    8,
    11,
    12,
    15,
    16,
    31,
    32,
    60,
    255,
    256,
    65_535,
    262_144,
    262_145,
    1 << 24,
    1 << 31,
    (1 << 32) - 1,
)


def _seeds() -> list[bytes]:
    seeds = [pcap([(1, 2, FRAME), (3, 4, FRAME[:14]), (5, 6, b"")] * 3, order=order) for order in "<>"]
    seeds += [pcap([(1, 0, IPV4_PACKET)] * 4, linktype=linktype) for linktype in (0, 101, 108, 113, 228, 276)]
    for order in "<>":
        ng = Ng(order)
        seeds.append(
            ng.section()
            + ng.interface(name="eth0", tsresol=9, tsoffset=5)
            + ng.enhanced(FRAME, ticks=1 << 40, options=ng.option(1, b"comment") + bytes(4))
            + ng.block(5, bytes(16))
            + ng.interface(linktype=113, snaplen=96)
            + ng.enhanced(FRAME, interface=1)
            + ng.obsolete(FRAME)
            + ng.simple(FRAME)
            + ng.section()
            + ng.interface(tsresol=0x8A)
            + ng.enhanced(FRAME[:13])
        )
    return [*seeds, *map(gzip.compress, (seeds[0], seeds[-1]))]


def _mutated(random: Random, seed: bytes) -> bytes:
    octets = bytearray(seed)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(octets) + 1)
        match random.randrange(6):
            case 0:
                del octets[at:]
            case 1:  # a length or a count, where the formats keep theirs
                at &= ~3
                octets[at : at + 4] = struct.pack(random.choice("<>") + "I", random.choice(INTERESTING))
            case 2:
                octets[at : at + 1] = bytes([random.randrange(256)])
            case 3:
                del octets[at : at + random.choice((1, 4, 12))]
            case 4:
                octets[at:at] = random.randbytes(random.choice((1, 4, 12)))
            case 5:
                start = random.randrange(len(octets) + 1)
                octets[at:at] = octets[start : start + random.randrange(100)]
    return bytes(octets)


def _read(octets: bytes, l2: str) -> tuple[list[Record], str]:
    records: list[Record] = []
    try:
        records.extend(open_capture(io.BytesIO(octets), l2=l2))
    except InputError as error:
        return records, error.message
    return records, ""


def test_mutated_captures_give_records_or_an_input_error() -> None:
    random, seeds = Random(7), _seeds()
    slowest, records, errors = 0.0, 0, 0
    tracemalloc.start()
    try:
        for number in range(ROUNDS):
            octets = _mutated(random, random.choice(seeds))
            began = time.perf_counter()
            read, error = _read(octets, random.choice(("", "synth", "none")))
            assert all(record.truncated == (len(record.data) < record.length) for record in read), f"mutation {number}"
            assert error.startswith("capture: ") or not error, f"mutation {number}"
            records += len(read)
            errors += bool(error)
            slowest = max(slowest, time.perf_counter() - began)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert slowest < 2
    assert peak < 32 << 20
    assert records > ROUNDS  # most of what was whole is still read
    assert errors > ROUNDS // 2


@pytest.mark.parametrize("seed", range(4))
def test_noise_behind_a_magic(seed: int) -> None:
    random = Random(seed)
    for magic in (b"\xd4\xc3\xb2\xa1\2\0\4\0", b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a", b"\x1f\x8b\x08\0"):
        for _ in range(50):
            _read(magic + random.randbytes(random.randrange(400)), "synth")
