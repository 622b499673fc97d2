"""What the benchmarks run: small programs of one task each, the bundled ones, and the packet that they all get."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from xdpsim import Sim
from xdpsim.maps.files import load_presets
from xdpsim.sim.program import LoadedObject, Program

ROOT = Path(__file__).resolve().parents[1]
CAPTURE = ROOT / "pcaps" / "mixed.pcap"
BUNDLED = ("counter", "dnsfilter", "firewall", "lb", "ratelimit")
ENTRIES = 10_000
SOURCE = "10.1.2.3"

UDP = (
    bytes.fromhex("020000000001020000000002 0800")
    + struct.pack(">BBHHHBBH", 0x45, 0, 50, 1, 0, 64, 17, 0)
    + socket.inet_aton(SOURCE)
    + socket.inet_aton("198.51.100.10")
    + struct.pack(">HHHH", 1234, 53, 30, 0)
    + bytes(22)
)
"""64 bytes."""

PASS = "r0 = 2; exit"
PARSE = """
r0 = 1
r2 = *(u32 *)(r1 +0)
r3 = *(u32 *)(r1 +4)
r4 = r2; r4 += 42; if r4 > r3 goto out
r5 = *(u16 *)(r2 +12); if r5 != 8 goto out
r5 = *(u8 *)(r2 +14); if r5 != 0x45 goto out
r5 = *(u8 *)(r2 +23); if r5 != 17 goto out
r5 = *(u16 *)(r2 +36); if r5 == 0x5000 goto out
r0 = 2
out: exit
"""
_ADDRESS = """
r2 = *(u32 *)(r1 +0)
r3 = *(u32 *)(r1 +4)
r0 = 2
r4 = r2; r4 += 34; if r4 > r3 goto out
r5 = *(u16 *)(r2 +12); if r5 != 8 goto out
r5 = *(u32 *)(r2 +26)
"""
ACL = (
    _ADDRESS + "*(u32 *)(r10 -4) = r5; r2 = r10; r2 += -4; r1 = map[0]; call 1; r1 = r0; r0 = 2; if r1 == 0 goto out; "
    "r0 = 1; out: exit"
)
LPM = (
    _ADDRESS
    + "*(u32 *)(r10 -4) = r5; *(u32 *)(r10 -8) = 32; r2 = r10; r2 += -8; r1 = map[0]; call 1; r1 = r0; r0 = 2; "
    "if r1 == 0 goto out; r0 = 1; out: exit"
)
MIX = """
r6 = *(u32 *)(r1 +0)
r8 = 400
r0 = 0
again:
r2 = *(u8 *)(r6 +23); r3 = *(u32 *)(r6 +26); r3 ^= r2; r3 *= 7
*(u64 *)(r10 -8) = r3; r4 = *(u64 *)(r10 -8); w4 += 3; r4 <<= 3; r0 += r4
if r2 s> 255 goto out
r5 = r0; r5 &= 63; r8 += -1
if r8 != 0 goto again
out: r0 = 2; exit
"""
"""Arithmetic, loads and stores, half and half: what the interpreter's speed is measured on."""


LOOKUPS = 1_000_000
_RANDOM = """
r6 = 1000000; r7 = 88172645463325252 ll; r8 = 0
again: r1 = r7; r1 <<= 13; r7 ^= r1; r1 = r7; r1 >>= 7; r7 ^= r1; r1 = r7; r1 <<= 17; r7 ^= r1
*(u32 *)(r10 -8) = 32; r1 = r7; *(u32 *)(r10 -4) = r1
r2 = r10; r2 += -8; r1 = map[0]; {}; r8 += r0
r6 += -1; if r6 != 0 goto again
r0 = 2; exit
"""
RANDOM_LOOKUPS, RANDOM_ALONE = _RANDOM.format("call 1"), _RANDOM.format("r0 = 0")
"""A million lookups of random addresses in one packet, and the same without the lookup."""


def addresses() -> Iterable[bytes]:
    """ENTRIES different source addresses; the packet's is the last."""
    for number in range(ENTRIES - 1):
        yield struct.pack("<I", (number * 2_654_435_761 + 1) & 0xFFFF_FFFF)
    yield socket.inet_aton(SOURCE)


def prefixes() -> Iterable[bytes]:
    """ENTRIES different prefixes of 16 to 32 bits; one holds the packet's address."""
    for number, address in enumerate(addresses()):
        yield struct.pack("<I", 16 + number % 17) + address


@dataclass(frozen=True)
class Task:
    """A program to time on one hot packet."""

    name: str
    open: Callable[[Sim], tuple[Program, LoadedObject | None]]


def _small(
    asm: str, kind: str = "", keys: Callable[[], Iterable[bytes]] | None = None, key_size: int = 4
) -> Callable[[Sim], tuple[Program, None]]:
    def make(sim: Sim) -> tuple[Program, None]:
        flags = 1 if kind == "LPM_TRIE" else 0
        maps = (
            [{"type": kind, "key_size": key_size, "value_size": 8, "max_entries": ENTRIES, "flags": flags}]
            if kind
            else []
        )
        program = sim.load_insns(asm, "XDP", maps=maps)
        for key in keys() if keys else ():
            sim.machine.programs[-1].maps[0].update_bytes(key, bytes(8), 0)
        return program, None

    return make


def bundled(name: str) -> Callable[[Sim], tuple[Program, LoadedObject]]:
    """A program of programs/ with its preset."""

    def make(sim: Sim) -> tuple[Program, LoadedObject]:
        loaded = sim.load(ROOT / "programs" / f"{name}.o")
        load_presets(loaded.maps, ROOT / "programs" / "presets" / f"{name}.json")
        return loaded[f"xdp_{name}"], loaded

    return make


TASKS = (
    Task("pass", _small(PASS)),
    Task("parse", _small(PARSE)),
    Task("counter", bundled("counter")),
    Task("acl", _small(ACL, "HASH", addresses)),
    Task("lpm", _small(LPM, "LPM_TRIE", prefixes, 8)),
    Task("firewall", bundled("firewall")),
)
