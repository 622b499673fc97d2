"""Damages objects where it hurts and counts what the loader answers: `python -m tests.loader.damage --rounds 100000`.

The mutations know the file: each field of the ELF header, the section headers, symbols, relocations, BTF, .BTF.ext and
map records is set to values that tend to break readers, or to those of a neighbour, so that things overlap; bytes are
cut, copied over others and flipped. Parts of the file are chosen evenly, whatever their size.
"""

from __future__ import annotations

import argparse
import random
import re
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.elf_writer import rich_sample, sample
from xdpsim.btf.decode import decode_value
from xdpsim.errors import InputError, Unsupported
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object

_EDGES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 2**63, 2**64 - 1)
_HEADER = [(i, 1) for i in range(4, 16)] + [(16, 2), (18, 2), (40, 8), (52, 2), (58, 2), (60, 2), (62, 2)]
Places = dict[str, list[tuple[int, int]]]
"""Part of the file -> (offset, width) of its fields."""


@dataclass
class Tally:
    """What came of the mutations."""

    rounds: int = 0
    loaded: int = 0
    past_header: int = 0
    slowest: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def places_of(data: bytes) -> Places:
    """Every field of the tables, and every word of the sections."""
    found: Places = {"elf header": list(_HEADER), "section headers": []}
    table, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    for index in range(count):
        at = table + 64 * index
        widths = ((0, 4), (4, 4), (8, 8), (24, 8), (32, 8), (40, 4), (44, 4), (56, 8))
        found["section headers"] += [(at + o, w) for o, w in widths]
        kind, start, size = struct.unpack_from("<4xI16xQQ", data, at)
        end = start + size
        if kind == 2:
            rows = [
                (s + o, w) for s in range(start, end, 24) for o, w in ((0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8))
            ]
            found["symbols"] = rows
        elif kind == 9:
            rows = [(s + o, w) for s in range(start, end, 16) for o, w in ((0, 8), (8, 4), (12, 4))]
            found.setdefault("relocations", []).extend(rows)
        elif kind == 1 and size >= 4:
            found[f"section {index}"] = [(s, 4) for s in range(start, end - 3, 4)]
            if data[start : start + 2] == b"\x9f\xeb":
                found[f"heads of section {index}"] = [(s, 4) for s in range(start, min(start + 64, end - 3), 4)]
    return found


def mutate(data: bytes, places: Places, rng: random.Random) -> bytes:
    """One damaged copy."""
    broken = bytearray(data)
    what = rng.choice(("field",) * 14 + ("swap", "cut", "copy", "flip"))
    part = rng.choice([p for p in places if p != "elf header" or rng.random() < 0.5])
    if what == "field":
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            at, width = rng.choice(places[part])
            old = int.from_bytes(broken[at : at + width], "little")
            new = rng.choice((*_EDGES, old + 1, old - 1, old * 2, old + 4, old + 8, rng.randrange(64), len(data)))
            broken[at : at + width] = (new % (1 << 8 * width)).to_bytes(width, "little")
    elif what == "swap":
        (at, width), (other, _) = rng.choice(places[part]), rng.choice(places[part])
        broken[at : at + width] = data[other : other + width]
    elif what == "cut":
        del broken[rng.randrange(len(broken)) :]
    elif what == "copy":
        size = rng.randrange(1, 128)
        source, target = rng.randrange(len(data) - size), rng.randrange(len(data) - size)
        broken[target : target + size] = data[source : source + size]
    else:
        for _ in range(rng.randrange(1, 8)):
            broken[rng.randrange(64, len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def use(loaded: Object) -> None:
    """Follow what the object says, as its users will."""
    for row in loaded.btf.types if loaded.btf else ():
        assert loaded.btf is not None
        loaded.btf.type_name(row.id)
    for spec in loaded.maps:
        if spec.btf is not None and spec.value_type and spec.initial is not None and len(spec.initial) < 1 << 20:
            with suppress(InputError):
                decode_value(spec.btf, spec.value_type, spec.initial)
    names = {spec.name for spec in loaded.maps}
    assert names >= loaded.map_values.keys()
    for entries in loaded.map_values.values():
        assert set(entries.values()) <= names | loaded.programs.keys()
    for program in loaded.programs.values():
        assert program.unsupported or program.code
        assert all(program.code[slot] is not None for slot in program.poisoned)
        for row in program.code:
            assert row is None or row.op not in ("MAP_FD", "MAP_VALUE") or row.imm < len(loaded.maps)


def run(rounds: int, seed: int) -> Tally:
    """Damage both samples `rounds` times together."""
    rng, tally = random.Random(seed), Tally()
    samples = [(data, places_of(data)) for data in (sample(), rich_sample())]
    for number in range(rounds):
        data, places = samples[number % 2]
        broken = mutate(data, places, rng)
        start = time.process_time()
        message = ""
        try:
            use(load_object(broken, "f.o"))
            tally.loaded += 1
        except (InputError, Unsupported) as err:
            message = err.message
            if not message.startswith("f.o:"):
                tally.wrong.append(f"round {number}: {message}")
        except Exception as err:  # noqa: BLE001,RUF100  the round must be told with it
            tally.wrong.append(f"round {number}: {type(err).__name__}: {err}")
        tally.slowest = max(tally.slowest, time.process_time() - start)
        tally.rounds += 1
        tally.past_header += not message.startswith(("f.o: elf header", "f.o: begins with"))
        tally.answers[kind_of(message)] += 1
    return tally


def kind_of(message: str) -> str:
    """A message without what differs from case to case: names, numbers, texts."""
    text = re.sub(r"\([^)]*\)?", "", message.removeprefix("f.o:"))
    text = re.sub(r"'[^']*'?|0x[0-9a-f]+|-?\d+", "*", text)
    return re.sub(r"(first|second|helper|leaf|main|tail)(?=:)", "program", text).strip()[:70] or "(loaded)"


def report(tally: Tally) -> str:
    """The distribution, most frequent first."""
    rows = [f"{count:8}  {kind}" for kind, count in tally.answers.most_common()]
    share = 100 * tally.past_header / tally.rounds
    head = f"{tally.rounds} mutations: {tally.loaded} loaded, {share:.0f} % past the ELF header"
    head += f", slowest {tally.slowest:.2f} s"
    return "\n".join([head, *rows, *tally.wrong[:20]])


def main(arguments: list[str]) -> int:
    """Run it; 1 when anything but an answer came."""
    parser = argparse.ArgumentParser(prog="python -m tests.loader.damage", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    tally = run(options.rounds, options.seed)
    print(report(tally))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
