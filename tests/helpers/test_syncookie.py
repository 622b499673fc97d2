"""The raw SYN cookie helpers: segment sizes, lengths and errors as Linux, cookies of our own secret that come back.

Linux's secret is random: of a cookie that it makes, only the segment size is compared.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.helper_tables import Ask, ask_name, check, record, run
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.helpers.syncookie import siphash_words
from xdpsim.memory.arena import Block
from xdpsim.net.machine import EmulatedMachine

THEME = "syncookie"
EACCES = (1 << 64) - 13
SEED, MINUTE_NS = 1, 60_000_000_000
IP = {
    4: bytes.fromhex("4500002800000000400600000a0000010a000002"),
    6: bytes.fromhex("6000000000140640") + bytes(range(32)),
}
GEN, CHECK = {4: 204, 6: 205}, {4: 206, 6: 207}
MSS = (0, 1, 535, 536, 537, 1219, 1220, 1221, 1299, 1300, 1301, 1419, 1420, 1421, 1439, 1440, 1441, 1459, 1460, 1461,
       8939, 8940, 8941, 65535)  # fmt: skip
OPTIONS = {
    "none": b"", "padding": bytes(4), "size behind padding": b"\1\1\2\4\5\xb4\0\0", "end first": b"\0\1\2\4\5\xb4\0\0",
    "an option of length 1": b"\3\1\2\4\5\xb4\0\0", "an option of length 0": b"\3\0\2\4\5\xb4\0\0",
    "a size cut off": b"\1\2\4\5", "a size of length 3": b"\2\3\5\2\4\5\xb4\0", "two sizes": b"\2\4\5\xb4\2\4\2\x18",
    "a size and then 0": b"\2\4\5\xb4\2\4\0\0", "a kind without length": b"\1\1\1\2",
    "too long a length": b"\3\7\1\1\1\1\1\2",
    "as many as there can be": b"\1" * 36 + b"\2\4\5\xb4",
}  # fmt: skip


def tcp(options: bytes = b"", words: int = 0) -> bytes:
    words = words or 5 + len(options) // 4
    return struct.pack(">HHIIBBHHH", 4711, 443, 100, 0, words << 4, 2, 1000, 0, 0) + options


def gen(version: int, header: bytes, length: int) -> Ask:
    ip = IP[version]
    body = f"r1 = map_value[given]+0; r2 = map_value[given]+{len(ip)}; r3 = {length}; call {GEN[version]};"
    body += "if r0 s< 0 goto out; r0 >>= 32; out: r0 = r0"
    return Ask(f"IPv{version} cookie for {header[12:].hex()} of {length}", body, given=ip + header)


def round_trip(version: int, name: str, ack: int = 1, seq: int = 1, change: str = "") -> Ask:
    """A cookie is made, put into an ACK (plus `ack`; the sequence number plus `seq`), and checked."""
    ip = IP[version]
    body = f"r1 = map_value[given]+0; r2 = map_value[given]+{len(ip)}; r3 = 24; call {GEN[version]};"
    body += f"w8 = w0; w8 += {ack}; r8 = be32 r8; r9 = map_value[given]+{len(ip)};"
    body += "".join(f"r1 = *(u32 *)(r9 + {n}); *(u32 *)(r10 - {24 - n}) = r1;" for n in range(0, 24, 4))
    body += f"*(u32 *)(r10 - 16) = r8; r1 = *(u32 *)(r10 - 20); r1 = be32 r1; w1 += {seq}; r1 = be32 r1;"
    body += f"*(u32 *)(r10 - 20) = r1; {change} r1 = map_value[given]+0; r2 = r10; r2 += -24; call {CHECK[version]}"
    return Ask(f"IPv{version} ACK: {name}", body, given=ip + tcp(b"\2\4\5\xb4"))


def asks() -> Iterator[Ask]:
    for version in (4, 6):
        for mss in MSS:
            yield gen(version, tcp(b"\2\4" + mss.to_bytes(2, "big")), 24)
        for options in OPTIONS.values():
            yield gen(version, tcp(options), 20 + len(options))
        yield gen(version, tcp(), 19)
        yield gen(version, tcp(), 0)
        yield gen(version, tcp(bytes(4), words=5), 24)
        yield gen(version, tcp(bytes(4), words=6), 20)
        yield gen(version, tcp(words=4), 20)
        yield gen(version, tcp(bytes(4), words=15), 24)
        yield round_trip(version, "as it should be")
        # The index of the segment size is what is left of the sum: it may be off, but within the table.
        yield round_trip(version, "one less", ack=0)
        yield round_trip(version, "two more", ack=3 if version == 4 else 4)
        yield round_trip(version, "sequence number one less", seq=0)
        yield round_trip(version, "another port", change="*(u8 *)(r10 - 24) = 9;")
        for minutes in (-2, -1, 1, 2):
            yield round_trip(version, f"counter off by {minutes}", ack=1 + (minutes << 24))


ASKS = tuple(asks())


@recorder("helpers_syncookie")
def record_answers() -> dict[str, Any]:
    return record(ASKS)


@pytest.mark.golden
@pytest.mark.parametrize("ask", ASKS, ids=ask_name)
def test_the_answer_is_linuxs(ask: Ask) -> None:
    check(ask, "interpreter", THEME)


@pytest.mark.golden
@pytest.mark.parametrize("ask", ASKS[::8], ids=ask_name)
def test_the_jit_calls_the_same_body(ask: Ask) -> None:
    check(ask, "jit", THEME)


@pytest.mark.live
def test_linux_answers_as_recorded() -> None:
    assert record(ASKS) == golden(f"helpers_{THEME}")


@pytest.mark.parametrize("words", [0, 1, 2])
def test_the_hash_is_siphash_2_4(words: int) -> None:
    """Test vectors of the paper by Aumasson and Bernstein: key 00 to 0f, text 00, 01, 02 ..."""
    expected = ("310e0edd47db6f72", "6224939a79f5f593", "db9bc2577fcc2a3f")
    block = Block(16, "text")
    block.view[:16] = bytes(range(16))
    keys = struct.unpack("<2Q", bytes(range(16)))
    assert siphash_words(block.address, words, *keys).to_bytes(8, "little").hex() == expected[words]


def cookie_after(version: int, minutes: int, cookie: int | None = None) -> int:
    """A cookie made so many minutes later than usual, or what checking `cookie` then gives."""
    name = "made" if cookie is None else "checked"
    if cookie is None:
        body = f"r1 = map_value[given]+0; r2 = map_value[given]+{len(IP[version])}; r3 = 24; call {GEN[version]}"
        ask = Ask(name, body, given=IP[version] + tcp(b"\2\4\5\xb4"))
    else:
        header = struct.pack(">HHIIBBHHH", 4711, 443, 101, (cookie + 1) & 0xFFFF_FFFF, 0x50, 16, 0, 0, 0)
        body = f"r1 = map_value[given]+0; r2 = map_value[given]+{len(IP[version])}; call {CHECK[version]}"
        ask = Ask(name, body, given=IP[version] + header)
    machine = EmulatedMachine(cpus=2, seed=SEED)
    return int(run(ask, "interpreter", machine, later_ns=minutes * MINUTE_NS)["r0"])


@pytest.mark.parametrize("version", [4, 6])
def test_a_cookie_is_good_for_two_minutes(version: int) -> None:
    made = cookie_after(version, 0)
    assert made >> 32 == {4: 1460, 6: 1440}[version]
    answers = [cookie_after(version, minutes, made & 0xFFFF_FFFF) for minutes in range(-1, 4)]
    assert answers == [EACCES, 0, 0, EACCES, EACCES]
    assert cookie_after(version, 0) == made
