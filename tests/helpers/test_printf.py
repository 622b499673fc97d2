"""snprintf, trace_printk and trace_vprintk format, count and refuse as Linux does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.helper_tables import Ask, ask_name, check, record, run
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.net.machine import EmulatedMachine

THEME = "printf"
MINUS_ONE = (1 << 64) - 1
GIVEN = "r1 = map_value[given]+{}"
"""A value that is the address of what lies behind the format, so many bytes from its start."""
Value = int | str

NUMBERS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("hi", ()), ("", ()), ("%%", ()), ("%d", (5,)), ("%d", (MINUS_ONE,)), ("%ld", (MINUS_ONE,)), ("%lld", (MINUS_ONE,)),
    ("%i", (1 << 31,)), ("%li", (1 << 63,)), ("%u", (MINUS_ONE,)), ("%lu", (MINUS_ONE,)), ("%llu", (MINUS_ONE,)),
    ("%x", (MINUS_ONE,)), ("%lx", (MINUS_ONE,)), ("%llX", (0xABCDEF0123,)), ("%X", (0xABCDEF,)),
    ("%x", (0x1234567890,)),
    ("%d", (1 << 32,)), ("%d|%d", (1, 2)), ("%d", (1, 2)), ("100%% of %d", (3,)), ("%d%%", (1,)),
    *((f"%{flags}{width}{kind}|", (value,)) for value in (42, MINUS_ONE - 41, 0) for kind in ("d", "u", "x", "ld")
      for flags in ("", "-", "0", "+", " ", "-0", "0+", "+ ", "- ", " 0") for width in ("", "5")),
    ("%1d", (5,)), ("%01d", (5,)), ("%0d", (5,)), ("%00005d|", (5,)), ("%100d|", (5,)), ("%300d|", (5,)),
    ("%25lu|", (7,)),
    ("%c", (65,)), ("%3c|", (65,)), ("%-3c|", (65,)), ("%03c|", (65,)), ("%c|", (0x141,)), ("%c", (0,)), ("a%cb", (0,)),
    ("%cx", (65,)), ("%c%d", (65, 7)), ("%c%ld", (65, 7)), ("%c%c%c%d", (65, 66, 67, 7)),
    ("%c%px|%c%ld", (65, 7, 66, 5)),
    *((f"%{spec}|", (value,)) for spec in ("px", "20px", "020px", "-20px", "+20px", "4px", "ps", "pS", "pB", "20ps",
      "-20ps", "020ps", "20pB") for value in (0, 0x1234, 0xFFFF_FFFF_0000_1234, MINUS_ONE)),
    *((f"%{spec}|", (value,)) for spec in ("p", "pK", "20p", "-20p", "020p", "20pK") for value in (0, MINUS_ONE)),
    ("%pxabc|", (1,)), ("%psabc|", (1,)), ("%pBabc|", (1,)), ("%pBb|", (1,)), ("%pK1|", (0,)), ("%pI4abc9|", (0,)),
    ("%px%d", (1, 2)), ("%p%d", (0, 1)), ("%p%%", (0,)), ("%px%%a", (1,)), ("%px\xc3\xa9|", (1,)), ("%ps\xff|", (1,)),
    ("%p\xa1|", (0,)), ("%p\xa0|", (0,)), ("%pIx", (0,)), ("%pI5", (0,)), ("%pI", (0,)), ("%pI6c", (0,)),
    ("%20pI4|", (0,)),

      *((f"%{spec}", (0,)) for spec in ("pI4", "pi4", "pI6", "pi6", "s", "5s|", "pks", "pus", "s,", "s%%",
      "pks,", "pus ")),
    ("%s", (0x1234,)), ("%pks|", (0x1234,)), ("%pus|", (0x1234,)), ("\t\n\v\f\r", ()), ("caf\xc3\xa9 \x80\xff", ()),
)  # fmt: skip
BAD = (
    "%d", "%", "%5", "%l", "%ll", "%lll", "%lllx", "%hd", "%hhd", "%o", "%#x", "%.2d", "%*d", "%5%", "%z", "%zd", "%n",
    "%f", "%e", "%pa", "%pe", "%pM", "%pk", "%pu", "%pkx", "%pksx", "%pusx", "%sx", "%s%", "%p%", "%d%", "%lc", "%ls",
    "%5-d", "% ", "%\x80", "%s\xc3", "%p\xc3", "\x01", "\x08", "\x0e", "\x1b", "\x1f", "\x7f", "%d %d %d %d",
    "%i%%%i%i%q",
)  # fmt: skip
TEXT_FORMATS = ("%s|", "%5s|", "%-5s|", "%05s|", "%2s|", "%pks|", "%5pks|", "%pus|", "%s %s")


def put(values: tuple[Value, ...]) -> str:
    """The values on the stack, the last one just below its top."""
    body = ""
    for n, value in enumerate(values):
        load = f"r1 = {value:#x} ll" if isinstance(value, int) else value
        body += f"{load}; *(u64 *)(r10 - {8 * (len(values) - n)}) = r1;"
    return body


def snprintf(template: str, values: tuple[Value, ...], *, size: int = 200, given: bytes = b"", data: int = -1) -> Ask:
    count = 8 * len(values)
    array = f"r4 = r10; r4 += -{count}" if values else "r4 = 0"
    body = f"{put(values)} r1 = r7; r1 += 8; r2 = {size}; r3 = map_value[given]+0; {array}; "
    body += f"r5 = {count if data < 0 else data}; call 165"
    name = f"snprintf {template!r} {'.'.join(f'{v:x}' if isinstance(v, int) else 'text' for v in values)} into {size}"
    return Ask(name, body, given=template.encode("latin-1") + b"\0" + given)


def trace_printk(template: str, values: tuple[Value, ...] = (), size: int = 0) -> Ask:
    body = "".join(
        f"r{n} = {v:#x} ll;" if isinstance(v, int) else v.replace("r1", f"r{n}") + ";" for n, v in enumerate(values, 3)
    )
    raw = template.encode("latin-1") + b"\0"
    body = f"r3 = 0; r4 = 0; r5 = 0; {body} r1 = map_value[given]+0; r2 = {size or len(raw)}; call 6"
    numbers = ".".join(f"{v:x}" if isinstance(v, int) else "text" for v in values)
    return Ask(f"trace_printk {template!r} {numbers} size {size}", body, given=raw)


def trace_vprintk(template: str, values: tuple[Value, ...], *, data: int = -1) -> Ask:
    raw, count = template.encode("latin-1") + b"\0", 8 * len(values)
    array = f"r3 = r10; r3 += -{count}" if values else "r3 = 0"
    length = count if data < 0 else data
    body = f"{put(values)} r1 = map_value[given]+0; r2 = {len(raw)}; {array}; r4 = {length}; call 177"
    return Ask(f"trace_vprintk {template!r} {len(values)} values, {length} bytes", body, given=raw)


def text_asks() -> Iterator[Ask]:
    """Strings and addresses behind a pointer, whole and cut."""
    for template in TEXT_FORMATS:
        for size in (200, 4):
            values = (GIVEN.format(len(template) + 1),) * template.count("%")
            yield snprintf(template, values, size=size, given=b"abc\0")
    for template in ("%pI4", "%pi4", "%pI6", "%pi6", "%pI6|%pI4", "%pI4|%d", "%s|%pI4|%d"):
        place = GIVEN.format(len(template) + 1)
        values = tuple(7 if kind[0] == "d" else place for kind in template.split("%")[1:])
        for size in (200, 16, 5, 1, 0):
            yield snprintf(template, values, size=size, given=bytes(range(1, 33)) + b"\0")
    yield snprintf("%c%s%d", (65, GIVEN.format(7), 7), given=b"abc\0")


def packing_asks() -> Iterator[Ask]:
    """Values that do not fit the 512 bytes that they are packed into."""
    for length in (499, 503, 504, 507, 508, 509, 510, 511, 600):
        for behind in ("", "%d", "%ld", "%c", "%s", "%p", "%pI4"):
            if behind == "%pI4" and length >= 499 and length < 508:
                continue  # Linux cuts the address, and then takes what lies behind its buffer
            template = "%s" + behind
            place = GIVEN.format(len(template) + 1)
            values = (place, *((place,) if behind in ("%s", "%pI4") else (0,) if behind else ()))
            ask = snprintf(template, values, given=b"x" * length + b"\0")
            yield Ask(f"{ask.name} behind {length} bytes", ask.body, given=ask.given)


def asks() -> Iterator[Ask]:
    for template, values in NUMBERS:
        yield snprintf(template, values)
    for template in BAD:
        yield trace_printk(template, (1, 2, 3) if template != "%d" else (1,))
        yield trace_vprintk(template, () if template == "%d" else (1, 2, 3))
    yield from text_asks()
    yield from packing_asks()
    for size in (0, 1, 5, 7, 8, 9):
        yield snprintf("hello %d", (1,), size=size)
    for template, values in NUMBERS[:20]:
        yield trace_printk(template, values)
        yield trace_vprintk(template, values)
    for template in ("%p", "%pK", "%20p|", "%-20p|", "%p,", "%p %p %p"):
        yield trace_printk(template, (0x1234, 5, 6))
    for size in (1, 2, 3):
        yield trace_printk("%d", (7,), size)
    yield trace_printk("%1000d %1000d %1000d", (1, 2, 3))
    for count in (0, 1, 11, 12, 13):
        yield trace_vprintk("hi", (1,) * count)
        ask = snprintf("hi", (1,) * count)
        yield Ask(f"snprintf of {count} values", ask.body, given=ask.given)
    yield trace_vprintk("%d" * 12, tuple(range(12)))
    yield trace_vprintk("%d" * 13, tuple(range(12)))
    for size in (1, 4, 7, 9, 12):
        yield trace_vprintk("hi", (1, 2), data=size)


ASKS = tuple({ask.name: ask for ask in asks()}.values())


@recorder("helpers_printf")
def record_answers() -> dict[str, Any]:
    return record(ASKS)


@pytest.mark.golden
@pytest.mark.parametrize("ask", ASKS, ids=ask_name)
def test_the_answer_is_linuxs(ask: Ask) -> None:
    check(ask, "interpreter", THEME)


def test_the_jit_calls_the_same_body() -> None:
    for question in ASKS[:40]:
        check(question, "jit", THEME)


@pytest.mark.live
def test_linux_answers_as_recorded() -> None:
    assert record(ASKS) == golden(f"helpers_{THEME}")


@pytest.mark.parametrize("template", BAD)
def test_a_bad_format_that_no_verifier_stopped_is_einval(template: str) -> None:
    answer = run(snprintf(template, () if template == "%d" else (1, 2, 3)), "interpreter")
    assert answer["r0"] == (1 << 64) - 22


def traced(ask: Ask) -> list[object]:
    machine = EmulatedMachine(cpus=2, seed=1)
    run(ask, "interpreter", machine)
    return [event.data for event in machine.take_events() if event.kind == "trace"]


def test_the_text_is_an_event() -> None:
    assert traced(trace_printk("caf\xc3\xa9 %d\n", (42,))) == ["café 42\n"]
    assert traced(trace_vprintk("%d %s %lx", (1, GIVEN.format(10), 0xABC))) == ["1  abc"]
    assert traced(trace_printk("a%cb", (0,))) == ["a"]
    assert traced(trace_printk("%1000d %1000d", (1, 2))) == [f"{1:1000d} {'':22}"]
    assert traced(trace_printk("%q")) == []


def test_addresses_are_the_same_in_every_run() -> None:
    place = "r1 = r7"
    first, second = (run(snprintf("%px %p", (place, place)), "interpreter")["out"] for _ in range(2))
    assert first == second
    shown, hashed = bytes.fromhex(first).decode().split()
    assert shown.startswith("ffff8880")
    assert hashed.startswith("00000000")


def test_widths_without_end_are_cut_as_in_linux() -> None:
    answer = run(trace_printk(f"%{'9' * 5000}d", (1,)), "interpreter")
    assert answer["r0"] == (1 << 23) - 1
