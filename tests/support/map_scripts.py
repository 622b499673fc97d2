"""Sequences of map operations, their answers by Linux and by xdpsim, and the golden file that holds Linux's.

Scripts come from a seeded generator and are stored with their answers, so that a replay needs no kernel.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.support import bpfmaps, rawbpf
from tests.support.elf_writer import BtfWriter
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.btf.parse import parse
from xdpsim.errors import InputError
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import SPECIAL_STRUCTS
from xdpsim.maps.types import MAP_TYPES
from xdpsim.sysbpf.btf import load_btf

GOLDEN = "maps"
_PER_CPU = {"PERCPU_ARRAY", "PERCPU_HASH"}
_UNORDERED = {"HASH", "PERCPU_HASH"}
_SEED = 20240
_BAD_FLAGS = [3, 4, 5, 6, 7, 8, 1 << 32, (1 << 64) - 1]
_KNOWN_IFINDEX = 1  # lo
_PROGRAM, _NUMBER = "program", b"\1\0\0\0"

Operation = tuple[str, str, str, int]
"""(update | delete | lookup | next | all, key in hex or "", value in hex or "program", flags)."""
Answer = int | str | list[list[str]]
"""Negative errno or 0; a key or value in hex; all entries."""


@dataclass
class Script:
    """One map, what is done to it, and what Linux answered."""

    type: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    special: str = ""
    operations: list[Operation] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def name(self) -> str:
        shown = f"{self.type}-{self.key_size}-{self.value_size}-{self.max_entries}-{self.flags:#x}"
        return f"{shown}-{self.special}" if self.special else shown

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Key size, value size, entries and flags: what a map is created with besides its type."""
        return self.key_size, self.value_size, self.max_entries, self.flags


SHAPES: list[tuple[Any, ...]] = [
    ("ARRAY", 4, 1, 3, 0),
    ("ARRAY", 4, 12, 5, 0),
    ("PERCPU_ARRAY", 4, 4, 3, 0),
    ("PERCPU_ARRAY", 4, 20, 4, 0),
    ("HASH", 4, 8, 6, 0),
    ("HASH", 4, 8, 6, 1),
    ("HASH", 8, 3, 7, 0),
    ("HASH", 16, 16, 5, 1),
    ("HASH", 13, 40, 40, 0),
    ("HASH", 1, 1, 20, 0),
    ("PERCPU_HASH", 4, 8, 6, 0),
    ("PERCPU_HASH", 8, 12, 5, 1),
    ("PERCPU_HASH", 5, 1, 6, 0),
    ("LPM_TRIE", 5, 1, 9, 1),
    ("LPM_TRIE", 6, 4, 12, 1),
    ("LPM_TRIE", 7, 8, 12, 1),
    ("LPM_TRIE", 8, 4, 16, 1),
    ("LPM_TRIE", 8, 8, 60, 1),
    ("LPM_TRIE", 12, 8, 20, 1),
    ("LPM_TRIE", 13, 3, 20, 1),
    ("LPM_TRIE", 20, 8, 30, 1),
    ("LPM_TRIE", 260, 2, 20, 1),
    ("DEVMAP", 4, 4, 4, 0),
    ("DEVMAP", 4, 8, 4, 0),
    ("PROG_ARRAY", 4, 4, 4, 0),
    ("ARRAY", 4, 16, 3, 0, "bpf_spin_lock"),
    ("HASH", 4, 16, 5, 0, "bpf_spin_lock"),
    ("HASH", 8, 12, 5, 1, "bpf_spin_lock"),
    ("HASH", 4, 32, 5, 0, "bpf_timer"),
    ("ARRAY", 4, 24, 5, 0, "bpf_timer"),
    ("ARRAY", 4, 24, 5, 0, "kptr_untrusted"),
    ("HASH", 4, 16, 5, 0, "bpf_refcount"),
    ("PERCPU_HASH", 4, 24, 5, 0, "bpf_refcount"),
    ("PERCPU_ARRAY", 4, 24, 3, 0, "kptr_untrusted"),
]
"""Type, key size, value size, entries, flags; for some the special field at byte 8 of a value."""


# generating


def make_scripts(seed: int = _SEED) -> list[Script]:
    """Every shape with a sequence of random operations; always the same for a seed."""
    scripts = []
    for number, shape in enumerate(SHAPES):
        script = Script(*shape)
        dice = random.Random(seed + number)
        keys = _keys(script, dice)
        script.operations = [_operation(script, dice, keys) for _ in range(160 if script.key_size < 100 else 60)]
        scripts.append(script)
    return scripts


def _keys(script: Script, dice: random.Random) -> list[bytes]:
    """About twice as many keys as the map has room for, near to one another."""
    if script.type == "LPM_TRIE":
        return [_prefix(script.key_size - 4, dice) for _ in range(2 * script.max_entries)]
    if script.type in _UNORDERED:
        return [dice.randbytes(script.key_size) for _ in range(script.max_entries + 6)]
    indexes = [*range(script.max_entries + 2), (1 << 32) - 1, 1 << 31]
    return [index.to_bytes(4, "little") for index in indexes]


def _prefix(size: int, dice: random.Random) -> bytes:
    bits = size * 8
    data = bytearray(dice.choice((b"\x0a", b"\x0b", b"\x80")) + bytes(size - 1))
    for _ in range(dice.randrange(4)):
        data[dice.randrange(min(size, 12))] ^= 1 << dice.randrange(8)
    length = dice.choice((0, 1, bits, bits, bits + 1, *(dice.randint(0, bits) for _ in range(9))))
    return (length if dice.random() < 0.98 else 1 << 31).to_bytes(4, "little") + bytes(data)


def _operation(script: Script, dice: random.Random, keys: list[bytes]) -> Operation:
    what = dice.choices(("update", "delete", "lookup", "next", "all"), (50, 14, 20, 12, 4))[0]
    key = "" if what == "all" or (what == "next" and dice.random() < 0.2) else dice.choice(keys).hex()
    if script.type in _UNORDERED and what == "next":
        what = "lookup"
        key = key or keys[0].hex()
    if what != "update":
        return (what, key, "", 0)
    flags = dice.choice(_BAD_FLAGS) if dice.random() < 0.1 else dice.choice((0, 0, 0, 1, 2))
    return (what, key, _value(script, dice), flags)


def _value(script: Script, dice: random.Random) -> str:
    if script.type == "PROG_ARRAY":
        return _PROGRAM
    if script.type == "DEVMAP":
        ifindex = dice.choice((0, _KNOWN_IFINDEX, _KNOWN_IFINDEX, 9_999_999))
        fields = ifindex.to_bytes(4, "little") + dice.choice((b"\0\0\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff"))
        return fields[: script.value_size].hex()
    per_cpu = script.type in _PER_CPU
    size = (script.value_size + 7 & ~7) * bpfmaps.possible_cpus() if per_cpu else script.value_size
    return dice.randbytes(size).hex()


# asking


def value_types(script: Script) -> tuple[bytes, int, int]:
    """BTF for a script with a special field, and the types of its key and value."""
    b = BtfWriter()
    words, size = [b.int("u32", 4), b.int("u64", 8)], script.value_size
    if script.special in SPECIAL_STRUCTS:
        taken = SPECIAL_STRUCTS[script.special][0]
        parts = ((f"o{n}", words[0], n * 32) for n in range(taken // 4))
        inner = b.struct(script.special, taken, *parts)
    else:
        taken = 8
        inner = b.ptr(b.add(18, script.special, b.struct("task_struct", 8, ("x", words[1], 0))))
    rest = [(f"r{at}", words[0], at * 8) for at in range(8 + taken, size - 3, 4)]
    value = b.struct("value", size, ("a", words[1], 0), ("s", inner, 64), *rest)
    return b.build(), words[0] if script.key_size == 4 else words[1], value


def _hex(answer: bytes | int | None) -> int | str:
    return answer if isinstance(answer, int) else answer.hex() if answer is not None else -2


def _entries(script: Script, pairs: Iterator[tuple[bytes, bytes | int | None]]) -> list[list[str]]:
    found = [[key.hex(), str(_hex(value))] for key, value in pairs]
    return sorted(found) if script.type in _UNORDERED else found


def ask_linux(script: Script) -> list[Answer]:
    """What the running kernel answers to each operation."""
    copies = bpfmaps.possible_cpus() if script.type in _PER_CPU else 1
    raw, key_type, value_type = value_types(script) if script.special else (b"", 0, 0)
    types = load_btf(raw) if raw else None
    btf = (types.number, key_type, value_type) if types else (0, 0, 0)
    kernel = bpfmaps.KernelMap(MAP_TYPES[script.type].id, script.shape, copies, btf)
    program = rawbpf.load(bytes.fromhex("b700000002000000 9500000000000000")).fd if script.type == "PROG_ARRAY" else -1

    def walk() -> Iterator[tuple[bytes, bytes | int]]:
        key = kernel.next_key(None)
        while isinstance(key, bytes):
            yield key, _lookup_kernel(kernel, key, script)
            key = kernel.next_key(key)

    try:
        answers: list[Answer] = []
        for what, key_hex, value_hex, flags in script.operations:
            key = bytes.fromhex(key_hex)
            if what == "update":
                value = program.to_bytes(4, "little") if value_hex == _PROGRAM else bytes.fromhex(value_hex)
                answers.append(kernel.update(key, value, flags))
            elif what == "delete":
                answers.append(kernel.delete(key))
            elif what == "lookup":
                answers.append(_hex(_lookup_kernel(kernel, key, script)))
            elif what == "next":
                answers.append(_hex(kernel.next_key(key or None)))
            else:
                answers.append(_entries(script, walk()))
        return answers
    finally:
        kernel.close()
        if program >= 0:
            os.close(program)


def _lookup_kernel(kernel: bpfmaps.KernelMap, key: bytes, script: Script) -> bytes | int:
    """The value; a program's id, which differs from run to run, becomes 1, its number with us."""
    value = kernel.lookup(key)
    return _NUMBER if script.type == "PROG_ARRAY" and isinstance(value, bytes) else value


def ask_xdpsim(script: Script, cpus: int) -> list[Answer]:
    """What our map answers to each operation."""
    spec = MapSpec("m", script.type, *script.shape)
    if script.special:
        raw, key_type, value_type = value_types(script)
        spec = replace(spec, btf=parse(raw), key_type=key_type, value_type=value_type)
    ours = create_map(spec, cpus=cpus, number=0)
    if script.type == "DEVMAP":
        ours.check_value = lambda value: 0 if int.from_bytes(value[:4], "little") in (0, _KNOWN_IFINDEX) else -22
    return [_ask_ours(ours, script, *operation) for operation in script.operations]


def _ask_ours(ours: Map, script: Script, what: str, key_hex: str, value_hex: str, flags: int) -> Answer:
    key = bytes.fromhex(key_hex)
    if what == "update":
        return ours.update_bytes(key, _NUMBER if value_hex == _PROGRAM else bytes.fromhex(value_hex), flags)
    if what == "delete":
        return ours.delete_bytes(key)
    if what == "lookup":
        return _hex(ours.lookup_bytes(key))
    if what == "next":
        return _hex(ours.next_key_bytes(key or None))
    return _entries(script, ((key, ours.lookup_bytes(key)) for key in ours.keys_bytes()))


# creation


def creations() -> list[tuple[str, int, int, int, int, int]]:
    """Maps to make, good and bad: type, key size, value size, entries, flags, map_extra."""
    good = {
        "ARRAY": (4, 8, 4, 0),
        "PERCPU_ARRAY": (4, 8, 4, 0),
        "HASH": (8, 8, 4, 0),
        "PERCPU_HASH": (8, 8, 4, 0),
        "LPM_TRIE": (8, 8, 4, 1),
        "PROG_ARRAY": (4, 4, 4, 0),
        "DEVMAP": (4, 4, 4, 0),
    }
    large = 4 << 20
    rows: list[tuple[str, int, int, int, int, int]] = []
    for name, (key, value, entries, flags) in good.items():
        sizes = (0, 1, 2, 3, 4, 5, 8, 12, 20, 64, 256, 260, 261, 512, 513, 4096)
        rows += [(name, size, value, entries, flags, 0) for size in sizes]
        values = (0, 1, 3, 4, 5, 7, 8, 9, 4096, 32760, 32761, 32768, 32769, 1 << 31, (1 << 31) - 1, (1 << 32) - 1)
        rows += [(name, key, size, 1, flags, 0) for size in values if name != "ARRAY" or size != (1 << 31) - 1]
        near = [large - n for n in (8, 40, 48, 49, 56, 57, 64, 256, 264, 296, 297, 304, 320, 328, 329, 336, 400)]
        rows += [(name, key, size, 1, flags, 0) for size in near]
        rows += [(name, key, value, count, flags, 0) for count in (0, 1, 1000)]
        rows += [(name, key, value, entries, flags | 1 << bit, 0) for bit in range(20)]
        rows += [(name, key, value, entries, flags | both, 0) for both in (0x18, 0x180, 0x88, 0x110, 0x99 - 1)]
        rows += [(name, key, value, entries, 0, 0), (name, key, value, entries, flags, 1)]
    rows += [("HASH", 8, 8, (1 << 31) + 1, 1, 0), ("HASH", large, large, 1, 0, 0), ("HASH", large - 64, 16, 1, 0, 0)]
    return list(dict.fromkeys(rows))


def create_on_linux(row: tuple[str, int, int, int, int, int]) -> int:
    """0 or the errno."""
    result = bpfmaps.create(MAP_TYPES[row[0]].id, *row[1:])
    if result < 0:
        return -result
    os.close(result)
    return 0


def create_on_xdpsim(row: tuple[str, int, int, int, int, int]) -> str:
    """Empty, or the hint of the InputError."""
    name, key, value, entries, flags, extra = row
    try:
        create_map(MapSpec("m", name, key, value, entries, flags, map_extra=extra), cpus=2, number=0)
    except InputError as err:
        return f"{err.message}; {err.hint}"
    return ""


# golden


def golden_scripts() -> list[Script]:
    """The recorded scripts with Linux's answers."""
    return [Script(**row) for row in golden(GOLDEN)["scripts"]]


def golden_creations() -> list[tuple[tuple[str, int, int, int, int, int], int]]:
    """Each recorded attempt to make a map, with Linux's errno or 0."""
    return [(tuple(row[:-1]), row[-1]) for row in golden(GOLDEN)["creations"]]


@recorder(GOLDEN)
def record_maps() -> dict[str, Any]:
    """Ask the running kernel."""
    scripts = make_scripts()
    for script in scripts:
        script.answers = ask_linux(script)
    return {
        "cpus": [bpfmaps.possible_cpus()],
        "scripts": [asdict(script) for script in scripts],
        "creations": [[*row, create_on_linux(row)] for row in creations()],
    }
