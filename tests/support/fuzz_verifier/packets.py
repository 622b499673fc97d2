"""Pieces over packet memory: comparisons with data_end, fixed and variable offsets, helpers that move packets."""

from __future__ import annotations

from tests.support.fuzz_verifier.builder import PACKET_TYPES, Builder, chunk
from tests.support.fuzz_verifier.numbers import bound, fresh, load_from, number, safe_number

_DATA = {"XDP": (0, 4, 8), "SCHED_CLS": (76, 80, 140), "CGROUP_SKB": (76, 80, 140)}


def packet(b: Builder, *, fresh_one: bool = False) -> tuple[int, int]:
    """Registers with the begin of the packet and with its end."""
    data, end = b.find("pkt"), b.find("end")
    if data and end and not fresh_one and b.chance(0.8):
        return b.rng.choice(data), b.rng.choice(end)
    start, stop, _ = _DATA[b.type]
    base = _context(b)
    data_reg = b.free(base, saved=b.chance(0.4) or None)
    end_reg = b.free(base, data_reg, saved=b.chance(0.2) or None)
    b.emit(f"r{data_reg} = *(u32 *)(r{base} +{start})", f"r{end_reg} = *(u32 *)(r{base} +{stop})")
    b.set(data_reg, "pkt", 0)
    b.set(end_reg, "end")
    return data_reg, end_reg


def _context(b: Builder) -> int:
    if b.has_ctx:
        return 6
    reg = b.free()
    b.ctx(reg)
    return b.set(reg, "ctx")


def prove(b: Builder, data: int, end: int, size: int) -> None:
    """Compare data + size with data_end, in one of the forms that compilers make."""
    if b.wrong("packet end is added to"):
        b.emit(f"r{end} += {size}")
    place = b.free(data, end)
    b.emit(f"r{place} = r{data}", f"r{place} += {size}")
    b.set(place, "none")
    form = b.rng.randrange(6)
    if b.wrong("packet compared the wrong way"):
        b.emit(f"if r{place} <= r{end} goto {b.fail}")
    elif form == 0:
        b.emit(f"if r{place} > r{end} goto {b.fail}")
    elif form == 1:
        b.emit(f"if r{end} < r{place} goto {b.fail}")
    elif form == 2:
        b.emit(f"if r{place} >= r{end} goto {b.fail}")
    elif form == 3:
        ok = b.label()
        b.emit(f"if r{place} <= r{end} goto {ok}", f"goto {b.fail}", f"{ok}:")
    elif form == 4:
        ok = b.label()
        b.emit(f"if r{end} >= r{place} goto {ok}", f"goto {b.fail}", f"{ok}:")
    else:
        b.emit(f"if r{end} <= r{place} goto {b.fail}")
    b.set(data, "pkt", size)


_PACKET_MISTAKES = (
    "packet read unproven",
    "packet read one too far",
    "packet compared the wrong way",
    "packet end is added to",
    "packet pointer multiplied",
    "packet pointer in 32 bits",
    "packet end is read",
)


@chunk(4.0, PACKET_TYPES, _PACKET_MISTAKES, needs_ctx=True)
def packet_access(b: Builder) -> None:
    """Reads and writes at fixed offsets below what was proven."""
    data, end = packet(b)
    if not b.wrong("packet read unproven") and (b.regs[data].size <= 0 or b.chance(0.6)):
        prove(b, data, end, b.rng.choice((1, 2, 4, 8, 14, 20, 34, 42, 54, 64)))
    if b.wrong("packet pointer multiplied"):
        b.emit(f"r{data} {b.rng.choice(('*=', '/=', '&=', '<<='))} {b.rng.choice((1, 2, 4))}")
    if b.wrong("packet pointer in 32 bits"):
        b.emit(f"w{data} += 4")
    if b.wrong("packet end is read"):
        b.emit(f"r0 = *(u8 *)(r{end} +0)")
    for _ in range(b.rng.randrange(1, 4)):
        size = max(b.regs[data].size, 0)
        if size < 1 or b.wrong("packet read one too far"):
            width = b.rng.choice((1, 2, 4, 8))
            b.emit(f"r{b.free(data, end)} = *(u{width * 8} *)(r{data} {max(size - width + 1, 0):+d})")
            continue
        _touch(b, data, size)


def _touch(b: Builder, data: int, size: int) -> None:
    width = b.rng.choice([w for w in (1, 2, 4, 8) if w <= size])
    off = b.rng.randrange(0, size - width + 1)
    how = b.rng.randrange(5) if b.type != "CGROUP_SKB" else 4
    if how == 0:
        b.emit(f"*(u{width * 8} *)(r{data} {off:+d}) = {b.rng.randrange(100)}")
    elif how == 1 and b.find("num"):
        b.emit(f"*(u{width * 8} *)(r{data} {off:+d}) = r{b.rng.choice(b.find('num'))}")
    elif b.find("num") or b.chance(0.9):
        dst = b.free(data)
        if b.regs[dst].kind == "end":
            return
        load_from(b, dst, data)


@chunk(
    2.5,
    PACKET_TYPES,
    ("packet offset unbounded", "packet offset unproven", "packet offset negative", "packet far"),
    needs_ctx=True,
)
def packet_variable(b: Builder) -> None:
    """A header length from the packet is added to a pointer, which is then proven again."""
    data, end = packet(b)
    if b.regs[data].size < 1:
        prove(b, data, end, 14)
    length = b.free(data, end)
    if length in (data, end):
        return
    load_from(b, length, data)
    if not b.wrong("packet offset unbounded"):
        limit = b.rng.choice((15, 31, 60, 255, 1500, 32767))
        bound(b, length, limit, mistake="packet far")
        if b.chance(0.4):
            b.emit(f"r{length} <<= {b.rng.choice((1, 2))}")
    else:
        b.emit(f"r{length} = *(u64 *)(r{data} +0)")
    if b.wrong("packet offset negative"):
        b.emit(f"r{length} -= {b.rng.choice((1, 14, 300))}")
    moved = b.free(data, end, length)
    if moved in (data, end, length):
        return
    b.emit(f"r{moved} = r{data}", f"r{moved} += r{length}")
    if b.chance(0.3):
        b.emit(f"r{moved} += {b.rng.choice((1, 4, 14))}")
    b.set(moved, "pkt", 0)
    if b.wrong("packet offset unproven"):
        b.regs[moved] = b.regs[data]
    else:
        prove(b, moved, end, b.rng.choice((1, 4, 8, 20)))
    _touch(b, moved, max(b.regs[moved].size, 1))


@chunk(0.6, ("XDP", "SCHED_CLS"), ("packet pointer after a change",), needs_ctx=True)
def packet_changed(b: Builder) -> None:
    """Helpers after which packet pointers are no more."""
    stale = [r for r in b.find("pkt") if r > 6]
    old = b.rng.choice(stale) if stale else 0
    if b.type == "XDP":
        delta = b.rng.choice((-4, -14, 4, 8))
        b.ctx(1)
        b.emit(
            f"r2 = {delta}",
            f"call {b.rng.choice(('bpf_xdp_adjust_head', 'bpf_xdp_adjust_tail', 'bpf_xdp_adjust_meta'))}",
        )
    else:
        how = b.rng.randrange(4)
        b.ctx(1)
        if how == 0:
            b.emit("r2 = 4", "call bpf_skb_pull_data")
        elif how == 1:
            b.emit("r2 = 129", "r3 = 5", "call bpf_skb_vlan_push")
        elif how == 2:
            b.emit("call bpf_skb_vlan_pop")
        else:
            b.emit("r2 = 64", "r3 = 0", "call bpf_skb_change_tail")
    b.called()
    b.set(0, "num")
    if old and b.wrong("packet pointer after a change"):
        b.emit(f"r0 = *(u8 *)(r{old} +0)")
    b.forget_packet()
    if b.chance(0.5):
        b.emit(f"if r0 s< 0 goto {b.fail}")
        packet(b, fresh_one=True)


@chunk(0.6, ("XDP", "SCHED_CLS"), needs_ctx=True)
def metadata(b: Builder) -> None:
    """The area before the packet, which ends where the packet begins."""
    start, _, meta = _DATA[b.type]
    base = _context(b)
    reg, stop = b.free(base), b.free(base)
    if reg == stop:
        return
    place = b.free(base, reg, stop)
    b.emit(f"r{reg} = *(u32 *)(r{base} +{meta})", f"r{stop} = *(u32 *)(r{base} +{start})")
    size = b.rng.choice((4, 8))
    b.emit(f"r{place} = r{reg}", f"r{place} += {size}", f"if r{place} > r{stop} goto {b.fail}")
    b.emit(f"r{place} = *(u{8 * b.rng.choice((1, 4, size))} *)(r{reg} +{0 if b.chance(0.95) else 1})")
    b.set(reg, "none")
    b.set(stop, "pkt", 0)
    b.set(place, "num")


@chunk(0.7, PACKET_TYPES, ("packet pointers subtracted",), needs_ctx=True)
def packet_length(b: Builder) -> None:
    """data_end - data is a number."""
    data, end = packet(b)
    dst = b.free(data, end)
    if dst in (data, end):
        return
    if b.wrong("packet pointers subtracted"):
        b.emit(f"r{dst} = {b.rng.choice((1, 100))}", f"r{dst} -= r{data}")
        b.set(dst, "none")
        return
    b.emit(f"r{dst} = r{end}", f"r{dst} -= r{data}")
    b.set(dst, "num")


@chunk(
    0.8,
    ("SCHED_CLS", "SOCKET_FILTER", "CGROUP_SKB"),
    ("bytes loaded with a bad length", "bytes loaded too far"),
    needs_ctx=True,
)
def load_bytes(b: Builder) -> None:
    """bpf_skb_load_bytes into the stack, also with a length that varies."""
    size = b.rng.choice((4, 8, 16, 24))
    length = size
    reg = 0
    if b.wrong("bytes loaded too far"):
        length = b.rng.choice((size + 600, 0, -4))
    elif b.chance(0.4) or b.shared.plan == "bytes loaded with a bad length":
        reg = safe_number(b, size) if not b.wrong("bytes loaded with a bad length") else fresh(b)
        if b.chance(0.9):
            b.emit(f"if r{reg} == 0 goto {b.fail}")
    b.emit(f"r4 = r{reg}" if reg else f"r4 = {length}", "r3 = r10", f"r3 += -{b.frame_bytes}")
    b.emit(f"r2 = {b.rng.choice((0, 14, 34))}")
    b.ctx(1)
    b.emit("call bpf_skb_load_bytes")
    b.called()
    b.set(0, "num")
    for off in range(-b.frame_bytes, -b.frame_bytes + size, 8):
        b.slots.pop(off, None)
    if b.chance(0.6):
        b.emit(f"if r0 != 0 goto {b.fail}")


@chunk(
    0.4,
    ("SCHED_CLS", "SOCKET_FILTER"),
    ("old packet load with a pointer", "old packet load without the context"),
    needs_ctx=True,
)
def old_packet_load(b: Builder) -> None:
    """LD_ABS and LD_IND, which want the context in r6 and end the program on a short packet."""
    if b.holds or b.is_callback or "callbacks" in b.shared.kinds:
        return
    b.shared.kinds.add("ld_abs")
    size = b.rng.choice((8, 16, 32))
    if b.wrong("old packet load without the context"):
        b.emit(f"r6 = {b.rng.randrange(9)}")
    if b.wrong("old packet load with a pointer"):
        b.emit(f"r0 = *(u{size} *)skb[r10 + 2]")
    elif b.chance(0.5):
        b.emit(f"r0 = *(u{size} *)skb[{b.rng.choice((0, 12, 23))}]")
    else:
        b.emit(f"r0 = *(u{size} *)skb[r{number(b)} + {b.rng.choice((0, 4))}]")
    b.called()
    b.set(0, "num", 2**size - 1 if size < 32 else -1)
