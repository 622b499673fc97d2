"""Pieces that take something they must give back: sockets, records of ring buffers, dynptrs, locks."""

from __future__ import annotations

from tests.support.fuzz_verifier.builder import Builder, chunk
from tests.support.fuzz_verifier.flow import tail_call
from tests.support.fuzz_verifier.memory import touch
from tests.support.fuzz_verifier.numbers import load_from

_SOCKET_MISTAKES = (
    "socket not released",
    "socket released twice",
    "socket not checked",
    "socket used after release",
    "socket field unknown",
    "socket written",
    "socket of a number released",
    "tail call with a socket",
    "socket pointer moved",
)
_SOCKET_FIELDS = (4, 24, 44, 72)


@chunk(1.2, ("XDP", "SCHED_CLS"), _SOCKET_MISTAKES, needs_ctx=True)
def socket(b: Builder) -> None:
    """Look a socket up, read of it, release it."""
    if b.holds or b.is_callback:
        return
    b.numbers(-12, 12, value=0)
    b.ctx(1)
    b.emit("r2 = r10", "r2 += -12", "r3 = 12", "r4 = -1", "r5 = 0")
    b.emit(f"call {b.rng.choice(('bpf_sk_lookup_tcp', 'bpf_sk_lookup_udp', 'bpf_skc_lookup_tcp'))}")
    b.called()
    reg = b.free(0, saved=True)
    if reg in b.pinned:
        reg = 9
    b.emit(f"r{reg} = r0")
    b.set(reg, "sock")
    b.pinned.add(reg)
    after, missing = b.label(), b.snapshot()
    if not b.wrong("socket not checked"):
        b.emit(f"if r{b.rng.choice((0, reg))} == 0 goto {after}")
    _use_socket(b, reg)
    held = b.snapshot()
    out, fail = b.label(), b.fail
    b.fail, b.holds = out, b.holds + 1
    b.body(b.rng.randrange(0, 3))
    b.fail, b.holds = fail, b.holds - 1
    b.merge(held)
    b.pinned.discard(reg)
    b.here(out)
    if b.wrong("tail call with a socket"):
        tail_call(b)
    _release_socket(b, reg)
    b.here(after)
    b.merge(missing)
    b.called()
    b.set(reg, "none")


def _use_socket(b: Builder, reg: int) -> None:
    if b.wrong("socket field unknown"):
        b.emit(f"r0 = *(u32 *)(r{reg} {b.rng.choice((-4, 100, 200, 82)):+d})")
    if b.wrong("socket written"):
        b.emit(f"*(u32 *)(r{reg} +4) = 1")
    if b.wrong("socket pointer moved"):
        b.emit(f"r{reg} += 8")
    if b.chance(0.6):
        dst = b.free(reg)
        if dst != reg:
            b.emit(f"r{dst} = *(u32 *)(r{reg} {b.rng.choice(_SOCKET_FIELDS):+d})")
            b.set(dst, "num")


def _release_socket(b: Builder, reg: int) -> None:
    if b.wrong("socket not released"):
        return
    b.emit(f"r1 = r{reg}" if not b.wrong("socket of a number released") else "r1 = r10")
    b.emit("call bpf_sk_release")
    if b.wrong("socket released twice"):
        b.emit(f"r1 = r{reg}", "call bpf_sk_release")
    if b.wrong("socket used after release"):
        b.emit(f"r0 = *(u32 *)(r{reg} +4)")


_RECORD_MISTAKES = (
    "record not submitted",
    "record not checked",
    "record written too far",
    "record of unknown size",
    "record used after submit",
    "record moved before submit",
)


@chunk(1.2, mistakes=_RECORD_MISTAKES)
def record(b: Builder) -> None:
    """Reserve a record in a ring buffer, fill it, submit or discard it."""
    if b.holds or b.is_callback:
        return
    size = b.rng.choice((8, 16, 24, 64))
    b.emit("r1 = map[ring]", f"r2 = {size}", "r3 = 0")
    if b.wrong("record of unknown size"):
        b.emit("r2 = *(u64 *)(r10 -8)" if not b.has_ctx else "r2 = *(u32 *)(r6 +16)")
    b.emit("call bpf_ringbuf_reserve")
    b.called()
    reg = b.free(0, saved=True)
    if reg in b.pinned:
        reg = 9
    b.emit(f"r{reg} = r0")
    if not b.wrong("record not checked"):
        b.emit(f"if r{b.rng.choice((0, reg))} == 0 goto {b.fail}")
    b.set(reg, "mem", size)
    b.set(0, "none")
    b.pinned.add(reg)
    if b.wrong("record written too far"):
        b.emit(f"*(u32 *)(r{reg} {b.rng.choice((size - 3, size, -4)):+d}) = 1")
    for _ in range(b.rng.randrange(1, 3)):
        touch(b, reg)
    held = b.snapshot()
    out, fail = b.label(), b.fail
    b.fail, b.holds = out, b.holds + 1
    b.body(b.rng.randrange(0, 3))
    b.fail, b.holds = fail, b.holds - 1
    b.merge(held)
    b.pinned.discard(reg)
    b.here(out)
    if b.wrong("record moved before submit"):
        b.emit(f"r{reg} += {b.rng.choice((1, 8))}")
    if not b.wrong("record not submitted"):
        b.emit(f"r1 = r{reg}", "r2 = 0", f"call {b.rng.choice(('bpf_ringbuf_submit', 'bpf_ringbuf_discard'))}")
    if b.wrong("record used after submit"):
        b.emit(f"*(u8 *)(r{reg} +0) = 1")
    b.called()
    b.set(reg, "none")


_DYNPTR_MISTAKES = (
    "dynptr not submitted",
    "dynptr overwritten",
    "dynptr not made",
    "dynptr read as memory",
    "dynptr slice unchecked",
    "dynptr slice too far",
)


@chunk(0.8, mistakes=_DYNPTR_MISTAKES)
def dynptr(b: Builder) -> None:
    """A dynptr over a record of a ring buffer."""
    if b.holds or b.in_loop or b.is_callback:
        return
    at = -b.frame_bytes - 24
    b.emit("r4 = r10", f"r4 += {at}", "r3 = 0", f"r2 = {b.rng.choice((8, 32))}", "r1 = map[ring]")
    if not b.wrong("dynptr not made"):
        b.emit("call bpf_ringbuf_reserve_dynptr")
    b.called()
    size = b.rng.choice((4, 8))
    if b.wrong("dynptr overwritten"):
        b.emit(f"*(u64 *)(r10 {at + b.rng.choice((0, 8)):+d}) = 0")
    if b.wrong("dynptr read as memory"):
        b.emit(f"r0 = *(u64 *)(r10 {at:+d})")
    done = b.label()
    b.emit("r1 = r10", f"r1 += {at}", "r2 = 0", f"r3 = {size}", "call bpf_dynptr_data")
    if not b.wrong("dynptr slice unchecked"):
        b.emit(f"if r0 == 0 goto {done}")
    b.called()
    b.set(0, "mem", size)
    if b.wrong("dynptr slice too far"):
        b.emit(f"*(u8 *)(r0 {size:+d}) = 1")
    touch(b, 0)
    if b.chance(0.3):
        load_from(b, 0, 0)
    b.here(done)
    if not b.wrong("dynptr not submitted"):
        name = b.rng.choice(("bpf_ringbuf_submit_dynptr", "bpf_ringbuf_discard_dynptr"))
        b.emit("r1 = r10", f"r1 += {at}", "r2 = 0", f"call {name}")
    b.called()
    for reg in range(1, 6):
        b.set(reg, "none")
    b.set(0, "none")
