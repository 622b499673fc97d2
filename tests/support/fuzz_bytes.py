"""Mutations of files whose fields are known: objects, captures of both formats. Fields are (offset, width)."""

from __future__ import annotations

import gzip
import random
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.loader import damage
from tests.support.captures import FRAME, IPV4_PACKET, Ng, pcap
from tests.support.elf_writer import rich_sample, sample

ROOT = Path(__file__).parents[2]
_CAPTURED_BYTES = 6000
"""How much of a bundled capture is mutated: its records are alike."""
_EDGES = (
    0,
    1,
    2,
    3,
    4,
    8,
    12,
    16,
    31,
    32,
    60,
    0xFF,
    0xFFFF,
    262_144,
    262_145,
    1 << 24,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
_SHARE_OF_OBJECTS = 0.7


@dataclass(frozen=True)
class Seed:
    """A good file, its kind ("object" or "capture") and its fields by part."""

    name: str
    kind: str
    data: bytes
    places: damage.Places


@cache
def objects() -> tuple[Seed, ...]:
    """The samples, which hold a bit of everything, and the bundled programs."""
    found = [("sample", sample()), ("rich", rich_sample())]
    found += [(path.stem, path.read_bytes()) for path in sorted((ROOT / "programs").glob("*.o"))]
    return tuple(Seed(name, "object", data, damage.places_of(data)) for name, data in found)


@cache
def captures() -> tuple[Seed, ...]:
    """Both formats in both byte orders, all link types, and the beginnings of the bundled captures."""
    frames = [(1, 2, FRAME), (3, 4, FRAME[:14]), (5, 6, b"")] * 3
    found = [(f"pcap {order}", pcap(frames, order=order)) for order in "<>"]
    linked = (0, 1, 101, 108, 113, 228, 229, 276)
    found += [(f"linktype {linktype}", pcap([(1, 0, IPV4_PACKET)] * 4, linktype=linktype)) for linktype in linked]
    found += [(f"pcapng {order}", _pcapng(order)) for order in "<>"]
    for path in sorted((ROOT / "pcaps").glob("*.pcap")):
        with path.open("rb") as file:
            found.append((path.stem, file.read(_CAPTURED_BYTES)))
    return tuple(Seed(name, "capture", data, _capture_places(data)) for name, data in found)


def _pcapng(order: str) -> bytes:
    ng = Ng(order)
    return b"".join((
        ng.section(), ng.interface(name="eth0", tsresol=9, tsoffset=5),
        ng.enhanced(FRAME, ticks=1 << 40, options=ng.option(1, b"comment") + bytes(4)),
        ng.block(5, bytes(16)), ng.interface(linktype=113, snaplen=96), ng.enhanced(FRAME, interface=1),
        ng.obsolete(FRAME), ng.simple(FRAME), ng.section(), ng.interface(tsresol=0x8A), ng.enhanced(FRAME[:13]),
    ))  # fmt: skip


def _capture_places(data: bytes) -> damage.Places:
    """The fields of the file's and the records' heads; of pcapng every word, for there nearly all are fields."""
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return {
            "file header": [(at, 4) for at in range(0, 28, 4)],
            "blocks": [(at, 4) for at in range(28, len(data) - 3, 4)],
        }
    order = "<" if data[0] in (0xD4, 0x4D) else ">"
    found: damage.Places = {"file header": [(0, 4), (4, 2), (6, 2), (8, 4), (12, 4), (16, 4), (20, 4)], "records": []}
    at = 24
    while at + 16 <= len(data):
        found["records"] += [(at + offset, 4) for offset in range(0, 16, 4)]
        at += 16 + int(struct.unpack_from(order + "I", data, at + 8)[0])
    return found


def _mutated_capture(seed: Seed, rng: random.Random) -> bytes:
    """As damage.mutate, in the byte order of the file; compressed at times."""
    broken = bytearray(seed.data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        part = seed.places[rng.choice(list(seed.places)) if rng.random() < 0.5 else list(seed.places)[-1]]
        (at, width), (other, _) = rng.choice(part), rng.choice(part)
        kind = rng.randrange(10)
        if kind < 6:
            order = rng.choice(("little", "big"))
            old = int.from_bytes(broken[at : at + width], order)  # type: ignore[arg-type]
            new = rng.choice((*_EDGES, old + 1, old - 1, old + 4, old * 2, rng.randrange(64), len(broken)))
            broken[at : at + width] = (new % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
        elif kind == 6:
            broken[at : at + width] = broken[other : other + width]
        elif kind == 7:
            del broken[rng.randrange(len(broken) + 1) :]
            break
        elif kind == 8:
            del broken[at : at + rng.choice((1, 4, 12))]
        else:
            broken[at:at] = seed.data[other : other + rng.randrange(100)]
    packed = bytearray(gzip.compress(bytes(broken), 1, mtime=0)) if rng.random() < 0.1 else broken
    if packed is not broken and rng.random() < 0.5:
        packed[rng.randrange(len(packed))] ^= 1 << rng.randrange(8)
    return bytes(packed)


def mutation(seed: int, number: int) -> tuple[Seed, bytes]:
    """Mutation `number` of a seed, by itself, and what it was made from."""
    rng = random.Random(f"{seed}:{number}")
    if rng.random() < _SHARE_OF_OBJECTS:
        made_from = rng.choice(objects()[:2] if rng.random() < 0.5 else objects())
        return made_from, damage.mutate(made_from.data, made_from.places, rng)
    made_from = rng.choice(captures())
    return made_from, _mutated_capture(made_from, rng)
