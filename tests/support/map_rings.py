"""Ring buffers under random use: rounds of program steps with a consumer between them, on Linux and with us.

A round is a text of steps: `out 40!1` outputs 40 bytes with flags 1, `sub 40` reserves 40 bytes, writes to their first
eight where there are so many and submits them, `dis 40` discards them instead, `query 0` asks. What helpers return is
mixed into the round's result; what the consumer then finds includes bytes that nobody wrote.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import struct
from typing import Any

from tests.support import rawbpf
from tests.support.map_programs import instruction
from tests.support.record import recorder
from xdpsim.bits import M32, M64
from xdpsim.maps.map import create_map
from xdpsim.maps.ringbuf import ringbuf_commit, ringbuf_is_sample, ringbuf_query, ringbuf_reserve
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import MAP_TYPES
from xdpsim.memory.arena import Block, block_at
from xdpsim.memory.structs import RUN_STATE
from xdpsim.sysbpf.buffers import RingReader
from xdpsim.sysbpf.maps import MapDefinition
from xdpsim.sysbpf.maps import create_map as create_on_linux

GOLDEN, SEED, ROUNDS = "map_rings", 9, 12
SIZES = (4096, 8192)
_OUT, _RESERVE, _SUBMIT, _DISCARD, _QUERY = 130, 131, 132, 133, 134
_STEP = re.compile(r"(out|sub|dis|query) (\d+)(?:!(\d+))?")
_EAGAIN, _EINVAL = -11 & M64, -22 & M64
Round = tuple[int, int, str]
"""The result, the number of records, a hash of them."""


def rounds(size: int, seed: int) -> list[str]:
    """The steps of each round; always the same for a seed."""
    dice, found = random.Random(f"{size} {seed}"), []
    for _ in range(ROUNDS):
        made = []
        for _ in range(dice.choice((1, 3, 10, 25))):
            what = dice.choices(("out", "sub", "dis", "query"), (4, 5, 2, 1))[0]
            if what == "query":
                made.append(f"query {dice.randrange(6)}")
                continue
            largest = 400 if what == "out" else dice.choice((20, 300, size // 2, size + 9))
            flags = dice.choice((0, 0, 1, 2, *((3, 4) if what == "out" else ())))
            made.append(f"{what} {dice.randrange(largest)}!{flags}")
        found.append("; ".join(made))
    return found


def _steps(text: str) -> list[tuple[str, int, int]]:
    matches = [_STEP.fullmatch(step) for step in text.split("; ")]
    return [(found[1], int(found[2]), int(found[3] or 0)) for found in matches if found]


def _mix() -> bytes:
    return instruction(0x27, 7, imm=31) + instruction(0x0F, 7, 0)


def _code(map_fd: int, what: str, number: int, flags: int, counter: int) -> bytes:
    ring = instruction(0x18, 1, 1, 0, map_fd) + instruction(0)
    if what == "query":
        return ring + instruction(0xB7, 2, imm=number) + instruction(0x85, imm=_QUERY) + _mix()
    if what == "out":
        data = instruction(0xBF, 2, 10) + instruction(0x07, 2, imm=-400) + instruction(0xB7, 3, imm=number)
        mark = instruction(0x7A, 10, 0, -400, counter)
        return mark + ring + data + instruction(0xB7, 4, imm=flags) + instruction(0x85, imm=_OUT) + _mix()
    reserve = ring + instruction(0xB7, 2, imm=number) + instruction(0xB7, 3) + instruction(0x85, imm=_RESERVE)
    use = instruction(0x7A, 0, 0, 0, counter) if number >= 8 else b""
    use += instruction(0xBF, 1, 0) + instruction(0xB7, 2, imm=flags)
    use += instruction(0x85, imm=_SUBMIT if what == "sub" else _DISCARD) + instruction(0x07, 7, imm=1)
    return reserve + instruction(0x27, 7, imm=31) + instruction(0x15, 0, 0, len(use) // 8) + use


def _told(result: int, records: list[bytes]) -> Round:
    text = b"".join(len(record).to_bytes(4, "little") + record for record in records)
    return result, len(records), hashlib.sha256(text).hexdigest()[:16]


def ask_linux(size: int, texts: list[str]) -> list[Round]:
    """What the running kernel answers to each round."""
    ring = create_on_linux(MapDefinition(MAP_TYPES["RINGBUF"].id, 0, 0, size), 1)
    reader, answers = RingReader(ring), []
    for text in texts:
        code = b"".join(instruction(0x7A, 10, 0, at, 0) for at in range(-400, 0, 8)) + instruction(0xB7, 7)
        for counter, step in enumerate(_steps(text), 1):
            code += _code(ring.fd.number, *step, counter)
        answer = rawbpf.load(code + instruction(0xBF, 0, 7) + instruction(0x95), log_level=1)
        assert answer.accepted, answer.log
        answers.append(_told(rawbpf.run(answer.fd) & M32, reader.drain()))
        os.close(answer.fd)
    ring.close()
    return answers


def ask_xdpsim(size: int, texts: list[str]) -> list[Round]:
    """What our ring answers to each round."""
    ring = create_map(MapSpec("ring", "RINGBUF", 0, 0, size), cpus=2, number=1)
    block = Block(RUN_STATE.size, "test program")
    state, header, answers = block.address, ring.header_address, []
    for text in texts:
        result = 0
        for counter, (what, number, flags) in enumerate(_steps(text), 1):
            if what == "query":
                result = result * 31 + ringbuf_query(header, number)
            elif what == "out" and flags & ~3:
                result = result * 31 + _EINVAL
            else:
                sample = ringbuf_reserve(state, header, number, 0)
                filled = counter.to_bytes(8, "little")
                _write(
                    sample, filled.ljust(number, b"\0")[:number] if what == "out" else filled if number >= 8 else b""
                )
                if sample:
                    ringbuf_commit(state, sample, flags, int(what == "dis"))
                result *= 31
                result += (0 if sample else _EAGAIN) if what == "out" else int(bool(sample))
        answers.append(_told(result & M32, ring.drain()))
    assert ringbuf_is_sample(state, header) == 0
    return answers


def _write(address: int, data: bytes) -> None:
    block = block_at(address, max(len(data), 1)) if address else None
    if block is not None:
        struct.pack_into(f"{len(data)}s", block.view, address - block.address, data)


@recorder(GOLDEN)
def record_rings() -> dict[str, Any]:
    """Ask the running kernel."""
    return {f"{size}": ask_linux(size, rounds(size, SEED)) for size in SIZES}
