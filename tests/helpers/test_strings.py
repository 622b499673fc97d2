"""strtol, strtoul and strncmp answer as Linux does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.helper_tables import Ask, ask_name, check, record
from tests.support.oracle import golden
from tests.support.record import recorder

THEME = "strings"
NUMBERS = (
    b"0", b"12", b"-12", b" \t\n\v\f\r7x", b"+5", b"", b"-", b"--1", b"- 1", b"-0", b"0x10", b"0X1f", b"-0x10", b"0xg",
    b"0x", b"00x1", b"010", b"08", b"0b1", b"1_000", b"12\x0034", b"\xa07", b"\x857", b"   -  3", b"zz", b"/", b":",
    b"@",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809",
    b"18446744073709551615", b"18446744073709551616", b"18446744073709551620", b"-18446744073709551615",
    b"-18446744073709551616",
    b"99999999999999999999999999", b"0x7fffffffffffffff", b"0x8000000000000000", b"0xffffffffffffffff",
    b"0x10000000000000000", b"01777777777777777777777", b"02000000000000000000000", b"1" * 70, b"0" * 70 + b"5",
    b"0" * 62 + b"78", b"-" + b"0" * 62 + b"78", b" " * 80 + b"42", b"0x" + b"0" * 60 + b"12",
)  # fmt: skip
FLAGS = (8, 10, 16, 1, 2, 7, 15, 31, 32, 36, 48, 1 << 32, (1 << 32) + 10, -1)
HELPERS = {"strtol": 105, "strtoul": 106}


def parse(number: int, size: int, flags: int, into: str = "r4 = r7; r4 += 8") -> str:
    value = f"{flags:#x} ll" if flags >= 1 << 31 else str(flags)
    return f"*(u64 *)(r7 + 8) = 77; r1 = map_value[given]+0; r2 = {size}; r3 = {value}; {into}; call {number}"


def compare(left: bytes, right: bytes, size: int | None = None) -> str:
    words = int.from_bytes(left.ljust(8, b"\0")[:8], "little")
    given = f"r1 = {words:#x} ll; *(u64 *)(r10 - 8) = r1; r1 = r10; r1 += -8"
    return f"{given}; r2 = {len(left) if size is None else size}; r3 = map_value[given]+0; call 182"


def number_asks() -> Iterator[Ask]:
    for name, number in HELPERS.items():
        for text in NUMBERS:
            shown = ascii(text.decode("latin-1"))
            yield Ask(f"{name} of {shown}", parse(number, len(text) or 1, 0), given=text + b"\0")
        for flags in FLAGS:
            for text in (b"0x17", b"0178", b"ff", b"-19"):
                body = parse(number, len(text), flags)
                yield Ask(f"{name} of {text.decode()} with flags {flags}", body, given=text + b"\0")
        for size in (1, 2, 3, 4, 5):
            yield Ask(f"{name} of {size} bytes of 0x12", parse(number, size, 0), given=b"0x12\0")
            yield Ask(f"{name} of {size} bytes of -345", parse(number, size, 0), given=b"-345\0")
        yield Ask(f"{name} of no bytes", parse(number, 0, 0), given=b"1\0")
        yield Ask(f"{name} into read-only memory", parse(number, 1, 0, "r4 = map_value[given]+0"), given=b"12345678")
        body = parse(number, 1, 0, "r4 = r10; r4 += -8") + "; r1 = *(u64 *)(r10 - 8); *(u64 *)(r7 + 16) = r1"
        yield Ask(f"{name} onto the stack", body, given=b"5\0")


def compare_asks() -> Iterator[Ask]:
    pairs = (
        (b"abc", b"abc"), (b"abc\0", b"abc"), (b"abb", b"abc"), (b"abd", b"abc"), (b"ab", b"abz"), (b"abc\0", b"abcd"),
        (b"abc", b"abcd"), (b"abc", b""), (b"\0", b""), (b"\0", b"a"), (b"\x80", b"\x7f"), (b"\x7f", b"\x80"),
        (b"\xff", b"\x01"), (b"c\0xyz", b"c"), (b"abcdefgh", b"abcdefgh"), (b"abcdefgh", b"abcdefgi"),
    )  # fmt: skip
    for left, right in pairs:
        yield Ask(f"strncmp of {left!r} and {right!r}", compare(left, right), given=right + b"\0")
    yield Ask("strncmp of no bytes", compare(b"abc", b"abc", 0), given=b"abc\0")
    yield Ask("strncmp with a string that has no end", compare(b"a", b"a"), given=b"abc")
    writable = compare(b"a", b"a").replace("map_value[given]+0", "r7")
    yield Ask("strncmp with a string in writable memory", writable)


ASKS = (*number_asks(), *compare_asks())


@recorder("helpers_strings")
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
