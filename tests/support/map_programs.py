"""What a program sees of a map: steps run by one XDP program on Linux, or by the native operations of ours.

A script is a text of steps: `hold 1` keeps the pointer that a lookup of key 1 gives, `set 1=5` updates (`set 1=5!1`
with flags 1), `del 1` deletes, `ret` returns what the last operation returned; without it the result is the 32-bit
value behind the held pointer, 0xdead when the lookup found nothing.
"""

from __future__ import annotations

import os
import re
import struct
from typing import Any

from tests.support import bpfmaps, rawbpf
from tests.support.record import recorder
from xdpsim.bits import M32
from xdpsim.maps.map import Map
from xdpsim.maps.types import MAP_TYPES
from xdpsim.memory.arena import Block
from xdpsim.memory.structs import RUN_STATE

NOTHING = 0xDEAD
GOLDEN = "map_programs"
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
_STEP = re.compile(r"(hold|set|del|ret)(?: (\d+))?(?:=(\d+))?(?:!(\d+))?")


def steps(script: str) -> list[tuple[str, int, int, int]]:
    """(what, key, value, flags) of each step."""
    found = []
    for step in script.split("; "):
        match = _STEP.fullmatch(step)
        assert match, step
        found.append((match[1], int(match[2] or 0), int(match[3] or 0), int(match[4] or 0)))
    return found


def _insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhI", code, dst | src << 4, off, imm & M32)


def _call(helper: int, map_fd: int) -> bytes:
    map_pointer = _insn(0x18, 1, 1, 0, map_fd) + _insn(0)
    key = _insn(0xBF, 2, 10) + _insn(0x07, 2, imm=-24)
    return map_pointer + key + _insn(0x85, imm=helper)


def run_on_linux(map_type: str, shape: tuple[int, int, int, int], script: str) -> int:
    """The 32-bit result of the script as one XDP program; keys hold up to 20 bytes."""
    kernel = bpfmaps.KernelMap(MAP_TYPES[map_type].id, shape, bpfmaps.possible_cpus() if "PERCPU" in map_type else 1)
    code = b"".join(_insn(0x7A, 10, 0, at, 0) for at in range(-64, 0, 8)) + _insn(0xB7, 6) + _insn(0xB7, 7)
    returns = False
    for what, key, value, flags in steps(script):
        if what == "ret":
            returns = True
            continue
        code += b"".join(_insn(0x62, 10, 0, -24 + 4 * at, word) for at, word in enumerate(key_words(shape[0], key)))
        if what == "hold":
            code += _call(1, kernel.fd) + _insn(0xBF, 6, 0)
            code += _insn(0x55, 6, 0, 2, 0) + _insn(0xB7, 0, imm=NOTHING) + _insn(0x95)
        elif what == "set":
            code += _insn(0x7A, 10, 0, -64, value) + _insn(0xBF, 3, 10) + _insn(0x07, 3, imm=-64)
            code += _insn(0xB7, 4, imm=flags) + _call(2, kernel.fd) + _insn(0xBF, 7, 0)
        else:
            code += _call(3, kernel.fd) + _insn(0xBF, 7, 0)
    code += (_insn(0xBF, 0, 7) if returns else _insn(0x61, 0, 6)) + _insn(0x95)
    answer = rawbpf.load(code, log_level=1)
    try:
        assert answer.accepted, answer.log
        return rawbpf.run(answer.fd) & M32
    finally:
        kernel.close()
        if answer.accepted:
            os.close(answer.fd)


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
            elif what == "set":
                self.last = self.update(key, value, flags)
            else:
                self.last = self.delete(key)
        return self.read32(self.held)

    def _words(self) -> tuple[int, int, int]:
        return self.state, self.target.header_address, self.state + self.key_at


@recorder(GOLDEN)
def record_programs() -> dict[str, Any]:
    """Ask the running kernel, on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        rows = [
            [kind, shape, script, run_on_linux(kind, shape, script)] for kind, shape in SHAPES for script in SCRIPTS
        ]
    finally:
        os.sched_setaffinity(0, before)
    return {"programs": rows}
