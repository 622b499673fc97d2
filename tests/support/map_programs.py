"""What a program sees of a map: steps run by one XDP program on Linux, or by the native operations of ours.

A script is a text of steps: `hold 1` keeps the pointer that a lookup of key 1 gives, `set 1=5` updates (`set 1=5!1`
with flags 1), `del 1` deletes, `get 1` looks up and forgets, `ret` returns what the last operation returned; without it
the result is the 32-bit value behind the held pointer, 0xdead when the lookup found nothing. On queues, stacks and
Bloom filters `push =5`, `pop` and `peek =5` mix what they return, and what is then in the buffer, into the result.
"""

from __future__ import annotations

import os
import random
import re
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from tests.support import bpfmaps, rawbpf
from tests.support.record import recorder
from xdpsim.bits import M32
from xdpsim.maps.map import Map
from xdpsim.maps.types import MAP_TYPES
from xdpsim.memory.arena import Block
from xdpsim.memory.structs import RUN_STATE

NOTHING = 0xDEAD
_STEPS_PER_PROGRAM = 1000
_KEYLESS_HELPERS = {"push": 87, "pop": 88, "peek": 89}
GOLDEN = "map_programs"
T = TypeVar("T")
SHAPES: tuple[tuple[str, tuple[int, int, int, int]], ...] = (
    ("HASH", (4, 8, 2, 0)),
    ("HASH", (4, 8, 2, 1)),
    ("HASH", (8, 8, 2, 0)),
    ("HASH", (16, 8, 2, 0)),
    ("HASH", (12, 8, 2, 1)),
    ("PERCPU_HASH", (4, 8, 2, 0)),
    ("PERCPU_HASH", (8, 8, 2, 0)),
    ("PERCPU_HASH", (20, 8, 2, 1)),
    ("ARRAY", (4, 8, 4, 0)),
    ("PERCPU_ARRAY", (4, 8, 4, 0)),
    ("LPM_TRIE", (8, 8, 4, 1)),
    ("LPM_TRIE", (20, 8, 4, 1)),
    ("LRU_HASH", (4, 8, 4, 0)),
    ("LRU_HASH", (20, 8, 4, 2)),
    ("LRU_PERCPU_HASH", (8, 8, 4, 0)),
)
SCRIPTS = (
    "hold 1",
    "set 1=5; hold 1",
    "set 1=5; hold 1; set 1=6",
    "set 1=5; set 2=9; hold 1; set 1=6; set 2=7",
    "set 1=5; set 2=9; hold 1; set 1=6; set 2=7; set 2=8",
    "set 1=5; hold 1; set 1=6; set 1=7",
    "set 1=5; hold 1; del 1",
    "set 1=5; hold 1; del 1; set 2=8",
    "set 1=5; hold 1; del 1; set 2=8; set 3=4",
    "set 1=5; hold 1; set 1=6; set 2=8",
    "set 1=5; hold 1; set 1=6; set 2=8; set 2=3",
    "set 1=5; hold 1; set 1=6; del 1; set 3=8",
    "set 1=5; set 2=5; set 3=6; ret",
    "set 1=5; set 2=5; set 1=6; ret",
    "set 1=5; set 1=5!1; ret",
    "set 1=5!2; ret",
    "set 1=5!3; ret",
    "set 1=5!4; ret",
    "set 33=5; ret",
    "set 129=5; ret",
    "set 129=5!4; ret",
    "set 129=5!1; ret",
    "del 129; ret",
    "hold 129",
    "del 1; ret",
    "set 1=5; del 1; ret",
)
KEYLESS: tuple[tuple[str, tuple[int, int, int, int]], ...] = (
    ("QUEUE", (0, 8, 3, 0)),
    ("QUEUE", (0, 4, 1, 0)),
    ("STACK", (0, 8, 3, 0)),
    ("STACK", (0, 4, 8, 0)),
    ("BLOOM_FILTER", (0, 4, 3, 64)),
    ("BLOOM_FILTER", (0, 8, 6, 64)),
)
_STEP = re.compile(r"(hold|get|set|del|push|pop|peek|ret)(?: (\d+))?(?: ?=(\d+))?(?:!(\d+))?")


def keyless_scripts(kind: str) -> list[str]:
    """Random pushes, pops and peeks; always the same."""
    dice, scripts = random.Random(f"{kind} steps"), []
    for length in (1, 2, 6, 12, 25, 40):
        made = []
        for _ in range(length):
            what = dice.choice(("push", "push", "peek" if kind == "BLOOM_FILTER" else "pop", "peek"))
            flags = dice.choice((0, 0, 0, 2, 1, 3, 4)) if what == "push" else 0
            made.append(f"{what} ={dice.randrange(40)}" + (f"!{flags}" if flags else ""))
        scripts.append("; ".join([*made, "ret"]))
    return scripts


def steps(script: str) -> list[tuple[str, int, int, int]]:
    """(what, key, value, flags) of each step."""
    found = []
    for step in script.split("; "):
        match = _STEP.fullmatch(step)
        assert match, step
        found.append((match[1], int(match[2] or 0), int(match[3] or 0), int(match[4] or 0)))
    return found


def instruction(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """One slot."""
    return struct.pack("<BBhI", code, dst | src << 4, off, imm & M32)


def _call(helper: int, map_fd: int) -> bytes:
    map_pointer = instruction(0x18, 1, 1, 0, map_fd) + instruction(0)
    key = instruction(0xBF, 2, 10) + instruction(0x07, 2, imm=-24)
    return map_pointer + key + instruction(0x85, imm=helper)


def _step_code(map_fd: int, key_size: int, step: tuple[str, int, int, int]) -> bytes:
    """One step; r6 holds the pointer of `hold`, r7 what the last operation returned."""
    what, key, value, flags = step
    code = b"".join(instruction(0x62, 10, 0, -24 + 4 * at, word) for at, word in enumerate(key_words(key_size, key)))
    put_value = instruction(0x7A, 10, 0, -64, value)
    if what in _KEYLESS_HELPERS:
        code = (
            put_value
            + instruction(0x18, 1, 1, 0, map_fd)
            + instruction(0)
            + instruction(0xBF, 2, 10)
            + instruction(0x07, 2, imm=-64)
        )
        code += instruction(0xB7, 3, imm=flags) + instruction(0x85, imm=_KEYLESS_HELPERS[what])
        code += instruction(0x27, 7, imm=31) + instruction(0x0F, 7, 0)
        return code + instruction(0x61, 0, 10, -64) + instruction(0x27, 7, imm=31) + instruction(0x0F, 7, 0)
    if what == "hold":
        code += _call(1, map_fd) + instruction(0xBF, 6, 0)
        return code + instruction(0x55, 6, 0, 2, 0) + instruction(0xB7, 0, imm=NOTHING) + instruction(0x95)
    if what == "get":
        return code + _call(1, map_fd)
    if what == "set":
        code += put_value + instruction(0xBF, 3, 10) + instruction(0x07, 3, imm=-64)
        return code + instruction(0xB7, 4, imm=flags) + _call(2, map_fd) + instruction(0xBF, 7, 0)
    return code + _call(3, map_fd) + instruction(0xBF, 7, 0)


def run_on_linux(map_type: str, shape: tuple[int, int, int, int], script: str) -> int:
    """The 32-bit result of the script as one XDP program; keys hold up to 20 bytes."""
    return run_and_dump(map_type, shape, script)[0]


def run_and_dump(map_type: str, shape: tuple[int, int, int, int], script: str) -> tuple[int, list[tuple[bytes, bytes]]]:
    """As run_on_linux, with what the map holds then, sorted. A long script runs as several programs."""
    copies = bpfmaps.possible_cpus() if "PERCPU" in map_type else 1
    kernel = bpfmaps.KernelMap(MAP_TYPES[map_type].id, shape, copies)
    todo, result = steps(script), 0
    try:
        for first in range(0, len(todo), _STEPS_PER_PROGRAM):
            result = _run_steps(kernel.fd, shape[0], todo[first : first + _STEPS_PER_PROGRAM], todo[-1][0] == "ret")
        return result, _contents(kernel) if shape[0] else []
    finally:
        kernel.close()


def _run_steps(map_fd: int, key_size: int, todo: list[tuple[str, int, int, int]], returns: bool) -> int:
    code = (
        b"".join(instruction(0x7A, 10, 0, at, 0) for at in range(-64, 0, 8))
        + instruction(0xB7, 6)
        + instruction(0xB7, 7)
    )
    code += b"".join(_step_code(map_fd, key_size, step) for step in todo if step[0] != "ret")
    code += (instruction(0xBF, 0, 7) if returns else instruction(0x61, 0, 6)) + instruction(0x95)
    answer = rawbpf.load(code, log_level=1)
    try:
        assert answer.accepted, answer.log[-2000:]
        return rawbpf.run(answer.fd) & M32
    finally:
        if answer.accepted:
            os.close(answer.fd)


def _contents(kernel: bpfmaps.KernelMap) -> list[tuple[bytes, bytes]]:
    found, key = [], kernel.next_key(None)
    while isinstance(key, bytes):
        value = kernel.lookup(key)
        assert isinstance(value, bytes)
        found.append((key, value))
        key = kernel.next_key(key)
    return sorted(found)


def key_words(key_size: int, key: int) -> list[int]:
    """A key in 32-bit words, all but the first zero; in an LPM trie that is a prefix of `key` zero bits."""
    return [key if at == 0 else 0 for at in range((key_size + 3) // 4)]


class OwnProgram:
    """Runs steps on a map of ours as a program on CPU `cpu` would, by the operations in its header."""

    def __init__(self, target: Map, cpu: int = 0) -> None:
        self.target = target
        self.memory = Block(RUN_STATE.size + 128, "test program")
        self.state = self.memory.address
        struct.pack_into("<I", self.memory.view, RUN_STATE.offset("cpu"), cpu)
        self.key_at, self.value_at = RUN_STATE.size, RUN_STATE.size + 64
        self.held = 0
        self.last = 0

    def lookup(self, key: bytes) -> int:
        """Address of the value or 0."""
        self.memory.view[self.key_at : self.key_at + len(key)] = key
        return self.target.kind.lookup_for(self.target.spec)(*self._words())

    def update(self, key: bytes, value: int, flags: int = 0) -> int:
        """0 or -errno, 32 bits unsigned."""
        self.memory.view[self.key_at : self.key_at + len(key)] = key
        struct.pack_into("<Q", self.memory.view, self.value_at, value)
        return self.target.kind.update(*self._words(), self.state + self.value_at, flags) & M32

    def delete(self, key: bytes) -> int:
        """0 or -errno, 32 bits unsigned."""
        self.memory.view[self.key_at : self.key_at + len(key)] = key
        return self.target.kind.delete(*self._words()) & M32

    def keyless(self, what: str, value: int, flags: int) -> None:
        """Push, pop or peek, and mix the outcome into the last result."""
        struct.pack_into("<Q", self.memory.view, self.value_at, value)
        words = (self.state, self.target.header_address, self.state + self.value_at)
        kind = self.target.kind
        result = kind.push(*words, flags) if what == "push" else (kind.pop if what == "pop" else kind.peek)(*words)
        (left,) = struct.unpack_from("<I", self.memory.view, self.value_at)
        self.last = ((self.last * 31 + result) * 31 + left) & M32

    def read32(self, address: int) -> int:
        """The word at an address that a lookup gave."""
        region = self.target.regions[0]
        return int(struct.unpack_from("<I", region.block.view, address - region.block.address)[0])

    def run(self, script: str) -> int:
        """The script's result, as run_on_linux gives it."""
        size = self.target.spec.key_size
        for what, number, value, flags in steps(script):
            key = struct.pack(f"<{(size + 3) // 4}I", *key_words(size, number))[:size]
            if what == "ret":
                return self.last
            if what == "hold":
                self.held = self.lookup(key)
                if not self.held:
                    return NOTHING
            elif what in _KEYLESS_HELPERS:
                self.keyless(what, value, flags)
            elif what == "get":
                self.lookup(key)
            elif what == "set":
                self.last = self.update(key, value, flags)
            else:
                self.last = self.delete(key)
        return self.read32(self.held)

    def _words(self) -> tuple[int, int, int]:
        return self.state, self.target.header_address, self.state + self.key_at


def on_one_cpu(ask: Callable[[], T]) -> T:
    """Ask with the thread on the first CPU: what belongs to CPUs then belongs to one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        return ask()
    finally:
        os.sched_setaffinity(0, before)


@recorder(GOLDEN)
def record_programs() -> dict[str, Any]:
    """Ask the running kernel."""
    scripts = [(kind, shape, script) for kind, shape in SHAPES for script in SCRIPTS]
    scripts += [(kind, shape, script) for kind, shape in KEYLESS for script in keyless_scripts(kind)]
    return {"programs": on_one_cpu(lambda: [[*row, run_on_linux(*row)] for row in scripts])}
