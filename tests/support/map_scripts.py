"""Sequences of map operations, their answers by Linux and by xdpsim, and the golden file that holds Linux's.

Scripts come from a seeded generator and are stored with their answers, so that a replay needs no kernel.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.support import bpfmaps, map_creations, map_things
from tests.support.elf_writer import BtfWriter
from tests.support.map_shapes import SHAPES
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.btf.parse import parse
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.special import SPECIAL_STRUCTS
from xdpsim.maps.types import MAP_TYPES
from xdpsim.sysbpf.btf import load_btf

GOLDEN = "maps"
_PER_CPU = {"PERCPU_ARRAY", "PERCPU_HASH", "LRU_PERCPU_HASH"}
_UNORDERED = {"HASH", "PERCPU_HASH", "LRU_HASH", "LRU_PERCPU_HASH", "HASH_OF_MAPS", "DEVMAP_HASH"}
_KEYLESS = {"QUEUE", "STACK", "BLOOM_FILTER", "RINGBUF"}
_SEED = 20240
_BAD_FLAGS = [3, 4, 5, 6, 7, 8, 1 << 32, (1 << 64) - 1]
_KNOWN_IFINDEX = 1  # lo

Operation = tuple[str, str, str, int]
"""(update | delete | lookup | pop | next | all, key in hex or "", value in hex or a thing's name, flags)."""
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
    map_extra: int = 0
    operations: list[Operation] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def name(self) -> str:
        shown = f"{self.type}-{self.key_size}-{self.value_size}-{self.max_entries}-{self.flags:#x}"
        return shown + f"-{self.special}" * bool(self.special) + f"-{self.map_extra}" * bool(self.map_extra)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Key size, value size, entries and flags: what a map is created with besides its type."""
        return self.key_size, self.value_size, self.max_entries, self.flags


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
    if script.type in _KEYLESS:
        return _keyless_operation(script, dice)
    what = dice.choices(("update", "delete", "lookup", "next", "all"), (50, 14, 20, 12, 4))[0]
    key = "" if what == "all" or (what == "next" and dice.random() < 0.2) else dice.choice(keys).hex()
    if script.type in _UNORDERED and what == "next":
        what = "lookup"
        key = key or keys[0].hex()
    if what != "update":
        return (what, key, "", 0)
    flags = dice.choice(_BAD_FLAGS) if dice.random() < 0.1 else dice.choice((0, 0, 0, 1, 2))
    return (what, key, _value(script, dice), flags)


def _keyless_operation(script: Script, dice: random.Random) -> Operation:
    """Pushes, and the odd operation that the type refuses. Bloom filters meet the same few values again and again."""
    what = dice.choices(("update", "pop", "lookup", "delete", "next"), (50, 25, 20, 3, 2))[0]
    value = dice.randbytes(script.value_size)
    if script.type == "BLOOM_FILTER":
        value = dice.randrange(60).to_bytes(2, "little").ljust(script.value_size, b"\7")[: script.value_size]
        what = "lookup" if what == "pop" else what
    flags = dice.choice((0, 0, 0, 0, 2, 2, *_BAD_FLAGS, 1)) if what == "update" else 0
    return (what, "", value.hex() if what in ("update", "lookup") else "", flags)


def _value(script: Script, dice: random.Random) -> str:
    if script.type in map_things.CHOICES:
        return dice.choice(map_things.CHOICES[script.type])
    programs = (b"\0\0\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff")
    if script.type in ("DEVMAP", "DEVMAP_HASH"):
        ifindex = dice.choice((0, _KNOWN_IFINDEX, _KNOWN_IFINDEX, 9_999_999))
        return (ifindex.to_bytes(4, "little") + dice.choice(programs))[: script.value_size].hex()
    if script.type == "CPUMAP":
        size = dice.choice((0, 1, 64, 16384, 16385, (1 << 32) - 1))
        return (size.to_bytes(4, "little") + dice.choice(programs))[: script.value_size].hex()
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
    """What the running kernel answers to each operation, on one CPU: an LRU's lists belong to CPUs."""
    copies = bpfmaps.possible_cpus() if script.type in _PER_CPU else 1
    raw, key_type, value_type = value_types(script) if script.special else (b"", 0, 0)
    types = load_btf(raw) if raw else None
    btf = (types.number, key_type, value_type) if types else (0, 0, 0)
    things = map_things.Things()
    inner = things.fd("template") if script.type.endswith("_OF_MAPS") else 0
    kind = MAP_TYPES[script.type].id
    kernel = bpfmaps.KernelMap(kind, script.shape, copies, btf, script.map_extra, inner)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        return [_ask_kernel(kernel, things, script, *operation) for operation in script.operations]
    finally:
        os.sched_setaffinity(0, before)
        kernel.close()
        things.close()


def _ask_kernel(
    kernel: bpfmaps.KernelMap, things: map_things.Things, script: Script, what: str, key_hex: str, text: str, flags: int
) -> Answer:
    key = bytes.fromhex(key_hex) or None

    def look(key: bytes | None, value: bytes = b"") -> bytes | int:
        found = kernel.lookup(key, value)
        return things.number(script.type, found) if isinstance(found, bytes) else found

    def walk() -> Iterator[tuple[bytes, bytes | int]]:
        key = kernel.next_key(None)
        while isinstance(key, bytes):
            yield key, look(key)
            key = kernel.next_key(key)

    is_thing = text in map_things.NUMBERS
    value = things.fd(text).to_bytes(4, "little") if is_thing else bytes.fromhex(text)
    if what == "update":
        return kernel.update(key, value, flags)
    if what == "delete":
        return kernel.delete(key)
    if what == "all":
        return _entries(script, walk())
    return _hex(kernel.pop() if what == "pop" else kernel.next_key(key) if what == "next" else look(key, value))


def ask_xdpsim(script: Script, cpus: int) -> list[Answer]:
    """What our map answers to each operation."""
    spec = MapSpec("m", script.type, *script.shape, map_extra=script.map_extra, inner=map_things.template(script.type))
    if script.special:
        raw, key_type, value_type = value_types(script)
        spec = replace(spec, btf=parse(raw), key_type=key_type, value_type=value_type)
    ours = create_map(spec, cpus=cpus, number=0)
    if script.type == "PERF_EVENT_ARRAY":
        for cpu in range(min(cpus, script.max_entries)):
            ours.delete_bytes(cpu.to_bytes(4, "little"))
    inner = map_things.own_maps() if spec.inner else {}
    ours.find_map = inner.get
    if script.type in ("DEVMAP", "DEVMAP_HASH"):
        ours.check_value = lambda value: 0 if int.from_bytes(value[:4], "little") in (0, _KNOWN_IFINDEX) else -22
    return [_ask_ours(ours, script, *operation) for operation in script.operations]


def _ask_ours(ours: Map, script: Script, what: str, key_hex: str, text: str, flags: int) -> Answer:
    key = bytes.fromhex(key_hex)
    is_thing = text in map_things.NUMBERS
    value = map_things.own_value(script.type, text) if is_thing else bytes.fromhex(text)
    if what == "update":
        return ours.update_bytes(key, value, flags)
    if what == "delete":
        return ours.delete_bytes(key)
    if what == "all":
        return _entries(script, ((key, ours.find_bytes(key)) for key in ours.keys_bytes()))
    if what == "next":
        return _hex(ours.find_next_key(key or None))
    if what == "pop":
        return _hex(ours.take_bytes())
    return _hex(ours.find_bytes(key, value) if script.type == "BLOOM_FILTER" else ours.find_bytes(key))


# golden


def golden_scripts() -> list[Script]:
    """The recorded scripts with Linux's answers."""
    return [Script(**row) for row in golden(GOLDEN)["scripts"]]


@recorder(GOLDEN)
def record_maps() -> dict[str, Any]:
    """Ask the running kernel."""
    scripts = make_scripts()
    for script in scripts:
        script.answers = ask_linux(script)
    return {
        "cpus": [bpfmaps.possible_cpus()],
        "scripts": [asdict(script) for script in scripts],
        "creations": map_creations.ask(),
    }
