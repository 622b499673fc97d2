"""Calls of helpers at and past the bounds of their arguments, for every engine: small programs with their maps.

A case's program leaves what it found out in map 0, an ARRAY with one value of VALUE_SIZE bytes (`SAVE` stores r0 there)
and returns a verdict. Maps from number 1 on are the case's own.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xdpsim.maps.types import MAP_TYPES

VALUE_SIZE = 64
LOOKUP, UPDATE, DELETE, KTIME, TRACE_PRINTK, PRANDOM, CPU = 1, 2, 3, 5, 6, 7, 8
REDIRECT, CSUM_DIFF, NUMA, REDIRECT_MAP = 23, 28, 42, 51
JIFFIES64, KTIME_BOOT, KTIME_COARSE, KTIME_TAI = 118, 125, 160, 208
I32_MAX, I32_MIN = 2**31 - 1, -(2**31)

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One program. `filled` holds entries (map number, key, value) that are there when it starts."""

    name: str
    asm: str
    maps: tuple[Spec, ...] = ()
    filled: tuple[tuple[int, bytes, bytes], ...] = ()
    length: int = 64


def save(place: int = 0) -> str:
    """Store r0 as word `place` of map 0; r9 is lost."""
    return f"r9 = map_value[0]; *(u64 *)(r9 +{place * 8}) = r0;"


def u32(number: int) -> bytes:
    return struct.pack("<I", number & 0xFFFF_FFFF)


def key_at(register: str, below: int, number: int) -> str:
    """A 4-byte key in the stack, its address in a register."""
    return f"*(u32 *)(r10 -{below}) = {number}; {register} = r10; {register} += -{below};"


def a_map(kind: str, key: int = 4, value: int = 8, entries: int = 2, flags: int = 0) -> Spec:
    return {"type": kind, "key_size": key, "value_size": value, "max_entries": entries, "flags": flags}


TABLES = ("HASH", "ARRAY", "PERCPU_HASH", "PERCPU_ARRAY", "LRU_HASH")


def map_calls() -> Iterator[Case]:
    """Lookup, update and delete through helpers: what they return and what is in the map afterwards."""
    for kind in TABLES:
        maps = (a_map(kind),)
        per_cpu = 2 if kind.startswith("PERCPU") else 1
        filled = ((1, u32(1), b"\x11" * 8 * per_cpu),)
        for key in (0, 1, 2, 0xFFFF_FFFF):
            number = key if key < 2**31 else key - 2**32
            there = (
                f"r1 = map[1]; {key_at('r2', 8, number)} call {LOOKUP}; if r0 == 0 goto none; "
                f"r0 = *(u64 *)(r0 +0); none: {save()}"
            )
            yield Case(f"{kind}: lookup of {key}", there + "r0 = 2; exit", maps, filled)
            for flags in (0, 1, 2, 3, 4, 5, 8, 1 << 32):
                body = (
                    f"*(u64 *)(r10 -24) = 77; r1 = map[1]; {key_at('r2', 8, number)} r3 = r10; r3 += -24; "
                    f"r4 = {flags} ll; call {UPDATE}; {save()}"
                )
                yield Case(f"{kind}: update of {key}, flags {flags:#x}", body + "r0 = 2; exit", maps, filled)
            gone = f"r1 = map[1]; {key_at('r2', 8, number)} call {DELETE}; {save()}"
            yield Case(f"{kind}: delete of {key}", gone + "r0 = 2; exit", maps, filled)
        if kind != "LRU_HASH":
            full = (*filled, (1, u32(0), b"\x22" * 8 * per_cpu))
            body = (
                f"*(u64 *)(r10 -24) = 77; r1 = map[1]; {key_at('r2', 8, 9)} r3 = r10; r3 += -24; r4 = 0; "
                f"call {UPDATE}; {save()}"
            )
            yield Case(f"{kind}: update when full", body + "r0 = 2; exit", maps, full)
    from_packet = f"""
        r2 = *(u32 *)(r1 +0); r3 = *(u32 *)(r1 +4); r4 = r2; r4 += 12; if r4 > r3 goto end
        r3 = r2; r3 += 4; r1 = map[1]; r4 = 0; call {UPDATE}; {save()}
        end: r0 = 2; exit"""
    yield Case("HASH: key and value in the packet", from_packet, (a_map("HASH"),))
    from_value = f"r2 = map_value[0]; r3 = r2; r3 += 8; r1 = map[1]; r4 = 0; call {UPDATE}; {save()} r0 = 2; exit"
    yield Case("HASH: key and value in another map", from_value, (a_map("HASH"),))


def world_calls() -> Iterator[Case]:
    """Clock, randomness, place."""
    for name, number in (("ktime", KTIME), ("boot", KTIME_BOOT), ("coarse", KTIME_COARSE), ("tai", KTIME_TAI),
                         ("jiffies64", JIFFIES64), ("cpu", CPU), ("numa", NUMA)):  # fmt: skip
        yield Case(f"{name}", f"call {number}; {save()} call {number}; {save(1)} r0 = 2; exit")
    yield Case("prandom", "".join(f"call {PRANDOM}; {save(place)}" for place in range(8)) + "r0 = 2; exit")


def checksums() -> Iterator[Case]:
    """bpf_csum_diff over the stack and the packet, with sizes at their bounds."""
    sizes = (0, 1, 3, 4, 8, 20, 60, 64)
    seeds = (0, 1, 0xFFFF, 0x10000, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF, 0x1_0000_0001)
    fill = "".join(f"*(u32 *)(r10 -{at}) = {(at * 0x9E3779B1 & 0xFFFF_FFFF) - 2**31};" for at in range(4, 132, 4))
    for before, after in itertools.product(sizes, sizes):
        seed = seeds[(before * 3 + after) % len(seeds)]
        yield Case(f"csum_diff {before} to {after}, seed {seed:#x}", fill + _csum(before, after, seed))
    for seed in seeds:
        yield Case(f"csum_diff 8 to 8, seed {seed:#x}", fill + _csum(8, 8, seed))
        yield Case(
            f"csum_diff of nothing, seed {seed:#x}",
            f"r1 = 0; r2 = 0; r3 = 0; r4 = 0; r5 = {seed} ll; call {CSUM_DIFF}; {save()} r0 = 2; exit",
        )
    same = f"r1 = r10; r1 += -64; r2 = 64; r3 = r1; r4 = 64; r5 = 0; call {CSUM_DIFF}; {save()} r0 = 2; exit"
    yield Case("csum_diff of the same bytes", fill + same)
    for byte in (0, 0xFF):
        word = byte * 0x01010101 - (2**32 if byte else 0)
        plain = "".join(f"*(u32 *)(r10 -{at}) = {word};" for at in range(4, 132, 4))
        yield Case(f"csum_diff over bytes {byte:#x}", plain + _csum(64, 64, 0))
        yield Case(f"csum_diff away from bytes {byte:#x}", plain + _csum(64, 0, 0))
        yield Case(f"csum_diff towards bytes {byte:#x}", plain + _csum(0, 64, 0))


def _csum(before: int, after: int, seed: int) -> str:
    first = f"r1 = r10; r1 += -64; r2 = {before};" if before else "r1 = 0; r2 = 0;"
    second = f"r3 = r10; r3 += -128; r4 = {after};" if after else "r3 = 0; r4 = 0;"
    return f"{first} {second} r5 = {seed} ll; call {CSUM_DIFF}; {save()} r0 = 2; exit"


def redirects() -> Iterator[Case]:
    """Targets and flags; the helper's result is the verdict."""
    for ifindex, flags in itertools.product((0, 1, 7, 0xFFFF_FFFF), (0, 1, 2, 3, 8, 1 << 32, 1 << 63)):
        yield Case(
            f"redirect to {ifindex}, flags {flags:#x}", f"r1 = {ifindex} ll; r2 = {flags} ll; call {REDIRECT}; exit"
        )
    targets = {"DEVMAP": (4, u32(1))}
    for kind, (value_size, value) in targets.items():
        maps = (a_map(kind, value=value_size, entries=2),)
        key = 0 if kind == "CPUMAP" else 1
        filled = ((1, u32(key), value),)
        for at, flags in itertools.product(
            (key, 1 - key, 2, 1 << 32 | key, 0xFFFF_FFFF), (*range(5), 7, 8, 9, 10, 15, 16, 18, 24, 27, 32, 64, 1 << 32)
        ):
            text = f"r1 = map[1]; r2 = {at} ll; r3 = {flags} ll; call {REDIRECT_MAP}; exit"
            yield Case(f"{kind}: redirect_map {at:#x}, flags {flags:#x}", text, maps, filled)


def traces() -> Iterator[Case]:
    """bpf_trace_printk: which formats it takes, and how long it says the text is."""
    formats = (
        "", "plain", "%d", "%i", "%u", "%x", "%X", "%ld", "%lu", "%lx", "%lld", "%llu", "%llx", "%llX", "%li", "%lli",
        "%p", "%px", "%pK", "%pB", "%ps", "%pS", "%pi4", "%pI4", "%pi6", "%pI6", "%pks", "%pus", "%s", "%c", "%%",
        "%5d", "%05d", "%-5d|", "%5u", "%08x", "%#x", "%+d", "% d", "%5s|", "%hd", "%hhd", "%h", "%o", "%f", "%n",
        "%e", "%",
        "a%", "%l", "%ll", "%5", "%d %d %d", "%d %d %d %d", "%d%%%x", "%zd", "%Lx", "%q", "%1000000d", "%.3s", "%*d",
        "%cc",
        "%5c", "%pp", "%pM", "tab\t", "line\n", "%llux", "%lld %llu %llx",
    )  # fmt: skip
    for text in formats:
        yield Case(f"trace_printk {text!r}", _printk(text.encode() + b"\0"))
    for raw in (b"no zero", b"\x01\0", b"\x7f\0", b"caf\xc3\xa9\0", b"\0", b"zero\0inside\0", b"%d\0%d\0", b"\xff\0"):
        yield Case(f"trace_printk {raw!r}", _printk(raw))
    small = "r1 = 5; r2 = -7; r3 = 255;"
    for text in ("%d %d %d", "%u %u %u", "%x %x %x", "%ld %lu %lx", "%lld %llu %llx", "%c%c%c", "%5d|%-5d|%05d"):
        yield Case(f"trace_printk {text!r} of small numbers", _printk(text.encode() + b"\0", small))


def _printk(text: bytes, numbers: str = "") -> str:
    padded = text.ljust(-(-len(text) // 8) * 8, b"\0")
    words = struct.unpack(f"<{len(padded) // 8}Q", padded)
    stores = "".join(f"r1 = {word} ll; *(u64 *)(r10 -{len(padded) - 8 * n}) = r1;" for n, word in enumerate(words))
    arguments = numbers.replace("r3 =", "r5 =").replace("r2 =", "r4 =").replace("r1 =", "r3 =")
    arguments = arguments or "r3 = 0x1122334455667788 ll; r4 = 0x99aabbccddeeff00 ll; r5 = 65;"
    call = f"r1 = r10; r1 += -{len(padded)}; r2 = {len(text)}; {arguments} call {TRACE_PRINTK};"
    return f"{stores} {call} {save()} r0 = 2; exit"


GROUPS = {
    "maps": map_calls, "world": world_calls, "checksums": checksums, "redirects": redirects, "traces": traces,
}  # fmt: skip


def cases(group: str) -> list[Case]:
    """The cases of a group, none twice."""
    return list({case.name: case for case in GROUPS[group]()}.values())


assert set(TABLES) <= MAP_TYPES.keys()
