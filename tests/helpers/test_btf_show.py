"""snprintf_btf shows kernel types as Linux does. Type numbers differ: each side is asked by its own."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.helper_tables import Ask, ask_name, check, record, run
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.btf.linux618 import linux618
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf

THEME = "btf_show"
COMPACT, NO_NAMES, RAW_POINTERS, ZEROES = 1, 2, 4, 8
TYPES = (
    "iphdr", "ethhdr", "tcphdr", "udphdr", "ipv6hdr", "in6_addr", "bpf_sock_tuple", "list_head", "hlist_node",
    "timespec64", "bpf_insn", "xdp_frame", "flowi4", "flowi_uli", "nf_conntrack_tuple", "nf_inet_addr", "bpf_dynptr",
    "bpf_timer", "trace_event_raw_sys_enter", "icmpv6_nd_advt", "rcu_special", "ping_group_range", "kobject",
    "kernfs_node", "bpf_map_type", "bpf_func_id", "pid_type", "__u8", "__s8", "u16", "s16", "__u32", "s32", "u64",
    "s64", "bool", "__be32", "size_t", "umode_t", "char",
)  # fmt: skip
NOT_FOUND = (1 << 64) - 2
TEXT_BYTES = 4096


@functools.cache
def linux_types() -> Btf:
    return parse(Path("/sys/kernel/btf/vmlinux").read_bytes())


def number(btf: Btf, name: str) -> int:
    found = btf.by_name(name)
    assert found is not None, name
    return found.id


def ask(name: str, type_id: int, data: bytes, flags: int, **rest: Any) -> Ask:
    """`data` is what the value is read from, unless `source` names another place."""
    source = rest.pop("source", "r1 = map_value[given]+0")
    size, length = rest.pop("size", TEXT_BYTES), rest.pop("length", 16)
    flag_word = f"{flags & (1 << 64) - 1:#x} ll"
    body = f"{source}; *(u64 *)(r10 - 16) = r1; r1 = {type_id & 0xFFFFFFFF:#x} ll; *(u64 *)(r10 - 8) = r1; r1 = 0;"
    body += f"*(u64 *)(r10 - 24) = r1; r1 = r7; r1 += 8; r2 = {size}; r3 = r10; r3 += -{max(length, 16)};"
    body += f"r4 = {length}; r5 = {flag_word}; call 149"
    return Ask(name, body, given=data, out_bytes=TEXT_BYTES + 8)


def asks(btf: Btf) -> Iterator[Ask]:
    shipped = linux618().btf
    for name in TYPES:
        size, rng = shipped.size_of(number(shipped, name)), random.Random(name)
        contents = {
            "ramp": bytes((0x40 + n) & 0xFF for n in range(size)),
            "mostly zeroes": bytes(rng.choice((0, 0, 0, 0, 0, 65, 200, 1)) for _ in range(size)),
            "letters": bytes(rng.choice(b"\0abc") for _ in range(size)),
            "zeroes": bytes(size),
        }
        for what, data in contents.items():
            for flags in (0, COMPACT, COMPACT | NO_NAMES, ZEROES, COMPACT | ZEROES):
                yield ask(f"{name}: {what}, flags {flags}", number(btf, name), data, flags | RAW_POINTERS)
    address = number(btf, "in6_addr")
    for size in (1, 2, 3, 17, 40, 73, 74, 75, 76):
        yield ask(f"into {size} bytes", address, bytes(range(16)), COMPACT, size=size)
    yield ask("hashed pointers of zero", number(btf, "list_head"), bytes(16), ZEROES)
    for flags in (16, 1 << 32, -1):
        yield ask(f"flags {flags:#x}", address, bytes(16), flags)
    for length in (1, 15, 17, 24):
        yield ask(f"btf_ptr of {length} bytes", address, bytes(16), 0, length=length)
    for type_id in (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        yield ask(f"type {type_id:#x}", type_id, bytes(16), 0)
    for source in ("r1 = 0", "r1 = 0x1000", "r1 = 0xffffc000deadb000 ll", "r1 = 0x1234567800000000 ll", "r1 = -1"):
        yield ask(f"value at {source[5:]}", address, bytes(16), 0, source=source)
    stack = "r1 = 0x0102030405060708 ll; *(u64 *)(r10 - 40) = r1; *(u64 *)(r10 - 32) = r1; r1 = r10; r1 += -40"
    yield ask("value on the stack", address, bytes(16), COMPACT, source=stack)
    yield ask("value in the packet", address, bytes(16), COMPACT, source="r1 = *(u32 *)(r6 + 0); r1 += 16")
    yield ask("nothing to write to", address, bytes(16), 0, size=0)


ASKS = tuple(asks(linux618().btf))


def by_linux(which: Callable[[Btf], Iterator[Ask]]) -> dict[str, Any]:
    return record(which(linux_types()))


@recorder("helpers_btf_show")
def record_answers() -> dict[str, Any]:
    return by_linux(asks)


@pytest.mark.golden
@pytest.mark.parametrize("question", ASKS, ids=ask_name)
def test_the_answer_is_linuxs(question: Ask) -> None:
    check(question, "interpreter", THEME)


def test_the_jit_calls_the_same_body() -> None:
    for question in ASKS[:40]:
        check(question, "jit", THEME)


@pytest.mark.live
def test_linux_answers_as_recorded() -> None:
    assert by_linux(asks) == golden(f"helpers_{THEME}")


def test_a_type_that_the_shipped_table_does_not_tell_is_not_there() -> None:
    opaque = min(linux618().opaque)
    assert run(ask("opaque", opaque, bytes(16), 0), "interpreter") == {"name": "opaque", "r0": NOT_FOUND}
