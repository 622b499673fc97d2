"""Damaged objects: whatever is broken, the answer is an Object, an InputError or Unsupported, and soon.

The mutations know the file: each field of the ELF header, the section headers, symbols, relocations and BTF is set to
values that tend to break readers; bytes are cut, copied over others and flipped.
"""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from tests.support.elf_writer import sample
from xdpsim.btf.decode import decode_value
from xdpsim.errors import InputError, Unsupported
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object

ROUNDS = 4000
_EDGES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 2**63, 2**64 - 1)


def fields(data: bytes) -> Iterator[tuple[int, int]]:
    """(offset, width) of every field of the tables, and every word of the BTF sections."""
    yield from [(i, 1) for i in range(4, 16)] + [(16, 2), (18, 2), (40, 8), (52, 2), (58, 2), (60, 2), (62, 2)]
    table, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    for index in range(count):
        at = table + 64 * index
        yield from ((at + o, w) for o, w in ((0, 4), (4, 4), (8, 8), (24, 8), (32, 8), (40, 4), (44, 4), (56, 8)))
        kind, start, size = struct.unpack_from("<4xI16xQQ", data, at)
        if kind == 2:
            for s in range(start, start + size, 24):
                yield from ((s + o, w) for o, w in ((0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8)))
        elif kind == 9:
            for s in range(start, start + size, 16):
                yield from ((s, 8), (s + 8, 4), (s + 12, 4))
        elif kind == 1:
            yield from ((s, 4) for s in range(start, start + size - 3, 4))


def mutate(data: bytes, places: list[tuple[int, int]], rng: random.Random) -> tuple[str, bytes]:
    """One damaged copy, and the kind of damage."""
    broken = bytearray(data)
    what = rng.choice(("field",) * 12 + ("cut", "copy", "flip"))
    if what == "field":
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            at, width = rng.choice(places)
            old = int.from_bytes(broken[at : at + width], "little")
            new = rng.choice((*_EDGES, old + 1, old - 1, old * 2, old + 4, old + 8, rng.randrange(64), len(data)))
            broken[at : at + width] = (new % (1 << 8 * width)).to_bytes(width, "little")
    elif what == "cut":
        del broken[rng.randrange(len(broken)) :]
    elif what == "copy":
        size = rng.randrange(1, 128)
        source, target = rng.randrange(len(data) - size), rng.randrange(len(data) - size)
        broken[target : target + size] = data[source : source + size]
    else:
        for _ in range(rng.randrange(1, 8)):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return what, bytes(broken)


def use(loaded: Object) -> None:
    """Follow what the object says, as its users will."""
    for row in loaded.btf.types if loaded.btf else ():
        assert loaded.btf is not None
        loaded.btf.type_name(row.id)
    for spec in loaded.maps:
        if spec.btf is not None and spec.value_type and spec.initial is not None and len(spec.initial) < 1 << 20:
            with suppress(InputError):
                decode_value(spec.btf, spec.value_type, spec.initial)
    for program in loaded.programs.values():
        assert program.unsupported or program.code
        for row in program.code:
            assert row is None or row.op not in ("MAP_FD", "MAP_VALUE") or row.imm < len(loaded.maps)


def run(data: bytes, rounds: int, seed: int) -> tuple[Counter[str], float]:
    """How often each answer came, and the longest time that one took."""
    rng, places, answers, slowest = random.Random(seed), list(fields(data)), Counter[str](), 0.0
    for _ in range(rounds):
        _, broken = mutate(data, places, rng)
        start = time.perf_counter()
        try:
            use(load_object(broken, "f.o"))
            answers["object"] += 1
        except (InputError, Unsupported) as err:
            answers[type(err).__name__ if err.message.startswith("f.o:") else "without a place"] += 1
        slowest = max(slowest, time.perf_counter() - start)
    return answers, slowest


def test_mutations_give_an_object_or_one_of_two_errors() -> None:
    answers, slowest = run(sample(), ROUNDS, seed=1)
    assert sum(answers.values()) == ROUNDS
    assert set(answers) == {"object", "InputError", "Unsupported"}
    assert answers["object"] > ROUNDS // 10, f"the mutations reach too little: {answers}"
    assert answers["InputError"] > ROUNDS // 10, f"the mutations break too little: {answers}"
    assert slowest < 5


def test_every_truncation() -> None:
    data = sample()
    for end in range(0, len(data), 3):
        try:
            load_object(data[:end], "f.o")
        except InputError:
            continue
        raise AssertionError(f"an object of {end} bytes out of {len(data)} was loaded")
