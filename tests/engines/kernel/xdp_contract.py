"""Asks what BPF_PROG_TEST_RUN does with XDP programs and packets of every size: golden file xdp_test_run.

Goes to the kernel through xdpsim.sysbpf alone, so that an engine judged by the answers has no part in them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.oracle import bytes_spec, ramp
from tests.support.record import recorder
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.progtypes.rows import PROG_TYPES
from xdpsim.sysbpf.programs import F_XDP_HAS_FRAGS, ProgramDefinition, load_program
from xdpsim.sysbpf.testrun import TestRunner

ADJUST_HEAD, ADJUST_META, ADJUST_TAIL, GET_BUFF_LEN = 44, 54, 65, 188
LOAD_BYTES, STORE_BYTES, REDIRECT = 189, 190, 23
LENGTHS = (0, 1, 13, 14, 15, 60, 64, 1514, 3519, 3520, 3521, 4096, 7616, 7617, 9000, 65535, 73151, 73152, 73153, 80000)
MOST_I32, LEAST_I32 = 2**31 - 1, -(2**31)

LINEAR = "r0 = *(u32 *)(r1 + 4); r2 = *(u32 *)(r1 + 0); r0 -= r2; exit"
META = "r0 = *(u32 *)(r1 + 0); r2 = *(u32 *)(r1 + 8); r0 -= r2; exit"
BUFF_LEN = f"call {GET_BUFF_LEN}; exit"
SWAP_MACS = """
r0 = 1
r2 = *(u32 *)(r1 + 0)
r3 = *(u32 *)(r1 + 4)
r4 = r2
r4 += 12
if r4 > r3 goto end
r5 = *(u32 *)(r2 + 0)
r0 = *(u32 *)(r2 + 6)
*(u32 *)(r2 + 0) = r0
*(u32 *)(r2 + 6) = r5
r0 = 3
end: exit
"""
WRITE_META = """
r6 = r1
r2 = -8
call 54
r2 = *(u32 *)(r6 + 8)
r3 = *(u32 *)(r6 + 0)
r4 = r2
r4 += 8
if r4 > r3 goto end
r5 = 0x11223344
*(u32 *)(r2 + 0) = r5
*(u32 *)(r2 + 4) = r5
end: r0 = 2
exit
"""


@dataclass(frozen=True)
class Question:
    """One TEST_RUN: a program as text, a packet, and the context if any is given."""

    name: str
    asm: str
    length: int = 64
    ctx: dict[str, int] | None = None
    frags: bool = False


def calls(*steps: tuple[int, int], then: str = "r0") -> str:
    """A program that makes helper calls (id, second argument) one after the other; it returns the last result.

    `then` may name what to return instead: "linear", "meta" or "length" of the packet as it is by then.
    """
    text = "r6 = r1\n"
    for helper, argument in steps:
        text += f"r1 = r6; r2 = {argument}; call {helper}\n"
    if then != "r0":
        text += "r1 = r6\n" + {"linear": LINEAR, "meta": META, "length": BUFF_LEN}[then]
        return text
    return text + "exit"


def both(name: str, steps: tuple[tuple[int, int], ...], length: int = 64, **rest: Any) -> Iterator[Question]:
    """The result of the last call, and the linear bytes after it."""
    yield Question(name, calls(*steps), length, **rest)
    yield Question(f"{name}: linear bytes after it", calls(*steps, then="linear"), length, **rest)


def values() -> Iterator[Question]:
    """What of r0 becomes the value."""
    for value in (0, 1, 2, 3, 4, 5, 1000, -1, MOST_I32, LEAST_I32):
        yield Question(f"returns {value}", f"r0 = {value}; exit")
    yield Question("returns more than 32 bits", "r0 = 0x100000002 ll; exit")
    yield Question("redirects to an interface", f"r1 = 1; r2 = 0; call {REDIRECT}; exit")
    yield Question("redirects to an unknown interface", f"r1 = 4242; r2 = 0; call {REDIRECT}; exit")
    yield Question("redirects with flags", f"r1 = 1; r2 = 1; call {REDIRECT}; exit")
    yield Question("swaps part of the addresses", SWAP_MACS)


def sizes() -> Iterator[Question]:
    """Packets of every length, for programs with and without frags."""
    for frags in (False, True):
        kind = "frags" if frags else "no frags"
        for length in LENGTHS:
            yield Question(f"{kind}: linear bytes of {length}", LINEAR, length, frags=frags)
            yield Question(f"{kind}: buffer length of {length}", BUFF_LEN, length, frags=frags)


def heads() -> Iterator[Question]:
    """bpf_xdp_adjust_head."""
    for delta in (
        0,
        -1,
        -2,
        -14,
        -16,
        -215,
        -216,
        -217,
        -256,
        -257,
        1,
        14,
        49,
        50,
        51,
        63,
        64,
        65,
        MOST_I32,
        LEAST_I32,
    ):
        yield from both(f"adjust_head {delta}", ((ADJUST_HEAD, delta),))
    for length in (3520, 9000):
        for delta in (-216, -217, 100, 3505, 3506, 3507):
            for frags in (False, True):
                kind = "frags" if frags else "no frags"
                yield from both(
                    f"{kind}: adjust_head {delta} of {length}", ((ADJUST_HEAD, delta),), length, frags=frags
                )
    yield from both("adjust_head there and back", ((ADJUST_HEAD, 20), (ADJUST_HEAD, -20)))
    yield from both("adjust_head further in two steps", ((ADJUST_HEAD, -200), (ADJUST_HEAD, -16)))
    yield from both("adjust_head too far in two steps", ((ADJUST_HEAD, -200), (ADJUST_HEAD, -17)))


def tails() -> Iterator[Question]:
    """bpf_xdp_adjust_tail."""
    for delta in (0, -1, -49, -50, -51, -64, -65, 1, 64, 3455, 3456, 3457, 4096, MOST_I32, LEAST_I32):
        yield from both(f"adjust_tail {delta}", ((ADJUST_TAIL, delta),))
    yield from both("adjust_tail shrinks, then grows", ((ADJUST_TAIL, -30), (ADJUST_TAIL, 40)))
    for before in (-216, 50):
        for delta in (3456, 3457, 3456 + before, 3456 - before, 3457 - before):
            yield from both(
                f"adjust_tail {delta} after adjust_head {before}", ((ADJUST_HEAD, before), (ADJUST_TAIL, delta))
            )
    for frags in (False, True):
        kind = "frags" if frags else "no frags"
        for length in (3520, 3521, 7616, 9000):
            inner = (-1, -480, -length + 3521, -length + 3520, -length + 3519, -length + 14, -length + 13, -length - 1)
            room = 4096 - (length - 3520) % 4096
            for delta in (*inner, 1, 100, room - 1, room, room + 1, 4096):
                steps = ((ADJUST_TAIL, delta),)
                yield from both(f"{kind}: adjust_tail {delta} of {length}", steps, length, frags=frags)
        steps = ((ADJUST_TAIL, -6000), (ADJUST_TAIL, 100))
        yield from both(f"{kind}: adjust_tail -6000 then 100 of 9000", steps, 9000, frags=frags)
        for less, more in ((-5480, 1), (-1384, 1), (-1385, 1), (-1385, 2)):
            name = f"{kind}: adjust_tail {less} then {more} of 9000"
            yield from both(name, ((ADJUST_TAIL, less), (ADJUST_TAIL, more)), 9000, frags=frags)
        name = f"{kind}: adjust_tail -1400 then 100 of 9000"
        yield Question(name, calls((ADJUST_TAIL, -1400), (ADJUST_TAIL, 100), then="length"), 9000, frags=frags)


def copies() -> Iterator[Question]:
    """bpf_xdp_load_bytes and bpf_xdp_store_bytes, across the pieces of a packet."""
    for length, places in {64: (0, 60, 61, 64, 65, -1), 9000: (0, 3516, 3518, 3520, 7614, 7616, 8996, 8997)}.items():
        for offset in places:
            for frags in (False, True):
                kind = "frags" if frags else "no frags"
                loads = f"r2 = {offset}; r3 = r10; r3 += -8; r4 = 4; call {LOAD_BYTES}"
                loads += "; if r0 s< 0 goto end; r0 = *(u32 *)(r10 - 8); end: exit"
                yield Question(f"{kind}: load_bytes at {offset} of {length}", loads, length, frags=frags)
                stores = f"r2 = 0x55667788; *(u32 *)(r10 - 8) = r2; r2 = {offset}; r3 = r10; r3 += -8; r4 = 4"
                stores += f"; call {STORE_BYTES}; exit"
                yield Question(f"{kind}: store_bytes at {offset} of {length}", stores, length, frags=frags)


def metas() -> Iterator[Question]:
    """bpf_xdp_adjust_meta, and what becomes of metadata."""
    for delta in (
        0,
        -1,
        -2,
        -3,
        -4,
        -5,
        -8,
        -32,
        -36,
        -212,
        -216,
        -217,
        -220,
        -252,
        -256,
        -260,
        1,
        4,
        LEAST_I32,
        MOST_I32,
    ):
        yield Question(f"adjust_meta {delta}", calls((ADJUST_META, delta)))
        yield Question(f"adjust_meta {delta}: metadata after it", calls((ADJUST_META, delta), then="meta"))
    pairs = {
        "adjust_meta -8, then 4": ((ADJUST_META, -8), (ADJUST_META, 4)),
        "adjust_meta -8, then 8": ((ADJUST_META, -8), (ADJUST_META, 8)),
        "adjust_meta -8, then 12": ((ADJUST_META, -8), (ADJUST_META, 12)),
        "adjust_head -16 behind metadata": ((ADJUST_META, -8), (ADJUST_HEAD, -16)),
        "adjust_head -208 behind metadata": ((ADJUST_META, -8), (ADJUST_HEAD, -208)),
        "adjust_head -209 behind metadata": ((ADJUST_META, -8), (ADJUST_HEAD, -209)),
        "adjust_head 20 behind metadata": ((ADJUST_META, -8), (ADJUST_HEAD, 20)),
        "adjust_meta -216 after adjust_head -8": ((ADJUST_HEAD, -8), (ADJUST_META, -216)),
        "adjust_meta -208 after adjust_head -8": ((ADJUST_HEAD, -8), (ADJUST_META, -208)),
        "adjust_meta -252 after adjust_head 50": ((ADJUST_HEAD, 50), (ADJUST_META, -252)),
        "adjust_meta -256 after adjust_head 50": ((ADJUST_HEAD, 50), (ADJUST_META, -256)),
    }
    for name, steps in pairs.items():
        yield Question(name, calls(*steps))
        yield Question(f"{name}: metadata after it", calls(*steps, then="meta"))
    yield Question("writes metadata", WRITE_META)
    yield Question("writes metadata behind some that came in", WRITE_META, ctx={"meta": 4})
    yield Question("writes metadata of a long packet", WRITE_META, 9000, frags=True)


def contexts() -> Iterator[Question]:
    """Fields of xdp_md with and without a context given."""
    fields = {"ingress_ifindex": 12, "rx_queue_index": 16}
    for field, offset in fields.items():
        for ctx in (None, {}, {"ifindex": 1}, {"queue": 1}, {"ifindex": 1, "queue": 1}, {"ifindex": 4242}):
            yield Question(f"{field} with context {ctx}", f"r0 = *(u32 *)(r1 + {offset}); exit", ctx=ctx)
    for meta in (0, 1, 2, 3, 4, 8, 32, 36, 212, 216, 220, 252, 256, 260):
        yield Question(f"{meta} bytes of metadata come in", META, ctx={"meta": meta})
        yield Question(f"linear bytes behind {meta} bytes of metadata", LINEAR, ctx={"meta": meta})
    for length in (13, 14, 3504, 3520, 3521):
        yield Question(f"{length} bytes behind 16 bytes of metadata", LINEAR, length, ctx={"meta": 16})
        yield Question(f"frags: {length} bytes behind 16 of metadata", LINEAR, length, ctx={"meta": 16}, frags=True)


def questions() -> list[Question]:
    """All of them, none twice."""
    named = {q.name: q for group in (values, sizes, heads, tails, copies, metas, contexts) for q in group()}
    return list(named.values())


def ask(question: Question) -> dict[str, Any]:
    """Linux's answer, as a row of the golden file."""
    code = encode_all(assemble(question.asm))
    flags = F_XDP_HAS_FRAGS if question.frags else 0
    given = question.ctx or {}
    meta = given.get("meta", 0)
    data = bytes(meta) + ramp(question.length)
    ctx = struct.pack("=6I", meta, len(data), 0, given.get("ifindex", 0), given.get("queue", 0), 0)
    with load_program(ProgramDefinition(PROG_TYPES["XDP"].id, code, flags=flags)) as fd:
        runner = TestRunner(fd)
        outcome = runner.try_run(data, b"" if question.ctx is None else ctx)
        with_ctx = runner.try_run(data, ctx)
    row: dict[str, Any] = {"name": question.name, "type": "XDP", "insns": code.hex()}
    row["packet"] = {"len": question.length, "fill": "ramp"}
    row |= {"frags": True} if question.frags else {}
    row |= {"ctx": question.ctx} if question.ctx is not None else {}
    if isinstance(outcome, int):
        return row | {"errno": outcome}
    assert not isinstance(with_ctx, int), question
    assert (outcome.value, outcome.data) == (with_ctx.value, with_ctx.data), question
    left = struct.unpack_from("=I", with_ctx.ctx)[0]
    return row | {"value": outcome.value, "out": bytes_spec(outcome.data), **({"out_meta": left} if left else {})}


REFUSED_CONTEXTS: dict[str, tuple[int, ...]] = {
    "as it should be": (0, 64, 0, 0, 0, 0),
    "data_end is not the size": (0, 63, 0, 0, 0, 0),
    "data_end is past the size": (0, 65, 0, 0, 0, 0),
    "data_meta is set": (0, 64, 4, 0, 0, 0),
    "data is behind data_end": (68, 64, 0, 0, 0, 0),
    "metadata leaves 14 bytes": (48, 64, 0, 0, 0, 0),
    "metadata leaves 12 bytes": (52, 64, 0, 0, 0, 0),
    "egress_ifindex is set": (0, 64, 0, 0, 0, 1),
    "longer, with zeroes": (0, 64, 0, 0, 0, 0, 0),
    "longer, not with zeroes": (0, 64, 0, 0, 0, 0, 1),
    "shorter": (0, 64, 0),
}


def ask_context(words: tuple[int, ...]) -> int:
    """The errno with which TEST_RUN answers to 64 bytes of data and this context; 0 when it runs."""
    code = encode_all(assemble("r0 = 2; exit"))
    with load_program(ProgramDefinition(PROG_TYPES["XDP"].id, code)) as fd:
        outcome = TestRunner(fd).try_run(ramp(64), struct.pack(f"={len(words)}I", *words))
    return outcome if isinstance(outcome, int) else 0


@recorder("xdp_test_run")
def record() -> dict[str, Any]:
    """The golden file."""
    contexts = [{"name": name, "words": words, "errno": ask_context(words)} for name, words in REFUSED_CONTEXTS.items()]
    return {"contexts": contexts, "rows": [ask(question) for question in questions()]}
