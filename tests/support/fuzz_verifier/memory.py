"""Pieces over map values and the stack."""

from __future__ import annotations

from tests.support.fuzz_verifier.builder import NONE, UNKNOWN, Builder, Val, chunk
from tests.support.fuzz_verifier.maps import LOOKED_UP, MAPS
from tests.support.fuzz_verifier.numbers import bound, load_from, number, safe_number

_MAP_MISTAKES = (
    "value without null check",
    "value checked in another register",
    "value offset before null check",
    "key unwritten",
    "key pointer is a number",
    "map pointer added to",
    "map is no map",
    "key beyond the stack",
)


@chunk(3.0, mistakes=_MAP_MISTAKES)
def lookup(b: Builder) -> None:
    """Look a key up and test the result against null."""
    name = b.rng.choice(LOOKED_UP)
    spec = MAPS[name]
    off = -b.rng.choice((4, 8, 16, 24)) if spec.key_size == 4 else -b.rng.choice((8, 16, 24))
    if not b.wrong("key unwritten"):
        b.numbers(off, spec.key_size, value=None if b.chance(0.5) else 0)
    if b.wrong("key beyond the stack"):
        off = b.rng.choice((-2, 0, -1, -516, 4))
    b.emit("r2 = r10", f"r2 += {off}")
    if b.wrong("key pointer is a number"):
        b.emit(f"r2 = {b.rng.choice((0, 8))}")
    b.emit(f"r1 = map[{name}]")
    if b.wrong("map pointer added to"):
        b.emit("r1 += 8")
    if b.wrong("map is no map"):
        b.emit("r1 = r10")
    b.emit("call bpf_map_lookup_elem")
    b.called(Val("null", spec.value_size, name))
    if b.wrong("value offset before null check"):
        b.emit(f"r0 += {b.rng.choice((0, 4, 8))}")
    reg = 0
    if b.chance(0.4):
        reg = b.free(0, saved=True)
        b.emit(f"r{reg} = r0")
    if b.wrong("value without null check"):
        b.set(reg, "value", spec.value_size, name)
        touch(b, reg)
        return
    _null_check(b, reg)
    for r in {0, reg}:
        b.set(r, "value", spec.value_size, name)
    if b.chance(0.7):
        touch(b, reg)


def _null_check(b: Builder, reg: int) -> None:
    if b.wrong("value checked in another register"):
        other = b.free(0, reg)
        b.emit(f"r{other} = 1", f"if r{other} == 0 goto {b.fail}")
    elif b.chance(0.5):
        b.emit(f"if r{reg} == 0 goto {b.fail}")
    elif b.chance(0.95):
        ok = b.label()
        b.emit(f"if r{reg} != 0 goto {ok}", f"goto {b.fail}", f"{ok}:")
    else:
        zero = b.free(0, reg)
        b.emit(f"r{zero} = 0", f"if r{reg} == r{zero} goto {b.fail}")
        b.set(zero, "num", 0)


def touch(b: Builder, reg: int) -> None:
    """A load, a store or an atomic operation inside a value, or inside other memory of known size."""
    size = b.regs[reg].size
    width = b.rng.choice([w for w in (1, 2, 4, 8) if w <= size])
    off = b.rng.randrange(0, size - width + 1)
    off -= off % width if b.chance(0.85) else 0
    how = b.rng.randrange(6)
    source = b.find("num")
    if how <= 1:
        b.emit(f"*(u{width * 8} *)(r{reg} {off:+d}) = {b.rng.randrange(100)}")
    elif how == 2 and source:
        b.emit(f"*(u{width * 8} *)(r{reg} {off:+d}) = r{b.rng.choice(source)}")
    elif how == 3 and source and width >= 4 and off % width == 0:
        src = b.rng.choice(source)
        if src not in b.pinned:
            b.emit(_atomic(b, reg, off, width, src))
            b.regs[src] = Val("num")
    else:
        dst = b.free(reg)
        if dst != reg:
            load_from(b, dst, reg)


def _atomic(b: Builder, reg: int, off: int, width: int, src: int) -> str:
    at = f"(u{width * 8} *)(r{reg} {off:+d})"
    wide = "64" if width == 8 else ""
    if b.chance(0.5):
        return f"lock *{at} {b.rng.choice(('+=', '|=', '&=', '^='))} r{src}"
    op = b.rng.choice(("fetch_add", "fetch_or", "xchg"))
    return f"r{src} = atomic{wide}_{op}({at}, r{src})"


_VALUE_MISTAKES = (
    "value offset unbounded",
    "value offset one too far",
    "value offset below zero",
    "value read too far",
    "value in 32 bits",
    "value multiplied",
    "value subtracted from",
    "value written though read-only",
)


@chunk(3.0, mistakes=_VALUE_MISTAKES)
def value_offset(b: Builder) -> None:
    """A variable offset into a value."""
    reg = _value(b)
    size = b.regs[reg].size
    width = b.rng.choice([w for w in (1, 2, 4, 8) if w <= size])
    index = number(b, reg)
    if b.wrong("value offset unbounded"):
        pass
    else:
        bound(b, index, max(size - width, 1), mistake="value offset one too far")
    if b.wrong("value offset below zero"):
        b.emit(f"r{index} += -{b.rng.choice((1, 4, size))}")
    moved = b.free(reg, index)
    if moved in (reg, index):
        return
    if b.wrong("value multiplied"):
        b.emit(f"r{reg} {b.rng.choice(('*=', '|=', '^=', '>>='))} r{index}")
    if b.wrong("value in 32 bits"):
        b.emit(f"w{reg} += w{index}")
    if b.chance(0.7):
        b.emit(f"r{moved} = r{reg}", f"r{moved} += r{index}")
    else:
        b.emit(f"r{moved} = r{index}", f"r{moved} += r{reg}")
    if b.wrong("value subtracted from"):
        b.emit(f"r{index} -= r{reg}")
    b.set(moved, "none")
    dst = b.free(moved, reg)
    if size - width < 1 and b.chance(0.9):
        return
    far = size if b.wrong("value read too far") else 0
    if b.wrong("value written though read-only"):
        b.emit("r1 = map_value[fixed]", "*(u32 *)(r1 +0) = 1")
    if b.chance(0.5):
        b.emit(f"r{dst} = *(u{8 * width} *)(r{moved} {far:+d})")
        b.set(dst, "num")
    else:
        b.emit(f"*(u{8 * width} *)(r{moved} {far:+d}) = {b.rng.randrange(9)}")


def _value(b: Builder) -> int:
    """A register with the address of a value."""
    held = [r for r in b.find("value") if b.regs[r].size >= 2]
    if held and b.chance(0.8):
        return b.rng.choice(held)
    name = b.rng.choice(("counts", "big"))
    dst = b.free()
    off = b.rng.choice((0, 0, 8))
    b.emit(f"r{dst} = map_value[{name}]+{off}" if off else f"r{dst} = map_value[{name}]")
    return b.set(dst, "value", MAPS[name].value_size - off, name)


@chunk(1.0, mistakes=("value updated with too little", "value deleted from an array"))
def update(b: Builder) -> None:
    """bpf_map_update_elem and its like."""
    name = b.rng.choice(LOOKED_UP)
    spec = MAPS[name]
    room = b.frame_bytes
    if spec.value_size + 8 > room:
        name, spec = "hash", MAPS["hash"]
    b.numbers(-8, spec.key_size)
    at = -8 - (spec.value_size + 7) // 8 * 8
    if b.wrong("value updated with too little"):
        at = -4
    else:
        b.numbers(at, spec.value_size)
    if b.chance(0.25) and name in ("hash", "lru"):
        b.emit("r2 = r10", "r2 += -8", f"r1 = map[{name}]", "call bpf_map_delete_elem")
    else:
        b.emit("r2 = r10", "r2 += -8", "r3 = r10", f"r3 += {at}", f"r4 = {b.rng.choice((0, 0, 1, 2))}")
        b.emit(f"r1 = map[{name}]", "call bpf_map_update_elem")
    b.called()
    b.set(0, "num")


@chunk(2.5, mistakes=("spill beyond the stack", "spill above the frame", "stack pointer written", "unaligned spill"))
def spill(b: Builder) -> None:
    """Put a register on the stack and take it back, perhaps in part."""
    held = [r for r, val in b.regs.items() if val != NONE]
    off = b.slot()
    if b.wrong("spill beyond the stack"):
        off = -b.rng.choice((516, 520, 600))
    if b.wrong("spill above the frame"):
        off = b.rng.choice((0, 8, -4))
    if b.wrong("unaligned spill"):
        b.emit("*(u64 *)(r10 -20) = r10", f"r0 = *(u{b.rng.choice((8, 64))} *)(r10 -20)")
    if b.wrong("stack pointer written"):
        b.emit("r10 += 8")
    if not held or b.chance(0.3):
        width = b.rng.choice((1, 2, 4, 8))
        b.emit(f"*(u{width * 8} *)(r10 {off:+d}) = {b.rng.choice((0, 0, 1, 255, -1))}")
        b.slots[off] = Val("num") if width == 8 else NONE
    else:
        reg = b.rng.choice(held)
        width = 8 if b.regs[reg].kind != "num" else b.rng.choice((8, 8, 4, 2, 1))
        b.emit(f"*(u{width * 8} *)(r10 {off:+d}) = r{reg}")
        b.slots[off] = b.regs[reg] if width == 8 else NONE
    if b.chance(0.5):
        fill(b)


@chunk(2.0, mistakes=("half a pointer is read", "pointer partly overwritten"))
def fill(b: Builder) -> None:
    """Read a slot back, whole or in part."""
    if not b.slots:
        return
    off = b.rng.choice(list(b.slots))
    val = b.slots[off]
    dst = b.free()
    if val.kind not in ("num", "none"):
        if b.wrong("pointer partly overwritten"):
            b.emit(f"*(u8 *)(r10 {off + 3:+d}) = 1")
        if b.wrong("half a pointer is read"):
            b.emit(f"r{dst} = *(u32 *)(r10 {off:+d})")
            b.set(dst, "num")
            return
        b.emit(f"r{dst} = *(u64 *)(r10 {off:+d})")
        b.regs[dst] = val
    elif val.kind == "num":
        width = b.rng.choice((8, 8, 4, 2, 1))
        at = off + b.rng.randrange(0, 8 - width + 1) // width * width
        b.emit(f"r{dst} = *(u{width * 8} *)(r10 {at:+d})")
        b.set(dst, "num", val.size if width == 8 else UNKNOWN)


@chunk(1.5, mistakes=("stack offset unbounded", "stack offset beyond", "stack read unwritten"))
def stack_offset(b: Builder) -> None:
    """A variable offset into the stack."""
    size = b.rng.choice((8, 16, 32))
    base = -b.frame_bytes
    if not b.wrong("stack read unwritten"):
        b.numbers(base, size, value=b.rng.choice((0, None)))
    index = number(b)
    if not b.wrong("stack offset unbounded"):
        bound(b, index, size - 1, mistake="stack offset beyond")
    place = b.free(index)
    if place == index:
        return
    b.emit(f"r{place} = r10", f"r{place} += r{index}")
    dst = b.free(place)
    if b.chance(0.6):
        b.emit(f"r{dst} = *(u8 *)(r{place} {base})")
        b.set(dst, "num", 255)
    else:
        b.emit(f"*(u8 *)(r{place} {base}) = {b.rng.choice((0, 7))}")
        for off in [o for o in b.slots if base <= o < base + size]:
            del b.slots[off]
    if place != dst:
        b.regs[place] = NONE


@chunk(1.0, mistakes=("memory of no size", "memory size unbounded", "memory size beyond", "memory size negative"))
def sized_memory(b: Builder) -> None:
    """Helpers that take memory and its size: csum_diff, ringbuf_output, trace_printk."""
    size = b.rng.choice((4, 8, 12, 16, 32))
    b.numbers(-b.frame_bytes, size)
    how = b.rng.randrange(2)
    reg = safe_number(b, size) if b.chance(0.5) or b.shared.plan == "memory size unbounded" else -1
    if reg >= 0 and b.wrong("memory size unbounded"):
        reg = number(b)
        b.emit(f"r{reg} ^= -1")
    if reg >= 0 and how == 0:
        b.emit(f"r{reg} &= -4")
    fixed = size
    if b.wrong("memory of no size"):
        fixed, how, reg = 0, 1, -1
    if b.wrong("memory size beyond"):
        fixed, reg = b.rng.choice((b.frame_bytes + 8, 520)), -1
    if b.wrong("memory size negative"):
        fixed, reg = -4, -1
    if reg == 0:
        b.emit("r7 = r0")
        b.regs[7] = b.regs[0]
        reg = 7
    if how == 0 and b.type in ("XDP", "SCHED_CLS"):
        b.emit(f"r4 = r{reg}" if reg > 0 else f"r4 = {fixed}")
        b.emit("r3 = r10", f"r3 += -{b.frame_bytes}", "r1 = 0", "r2 = 0", "r5 = 0", "call bpf_csum_diff")
    else:
        b.emit(f"r3 = r{reg}" if reg > 0 else f"r3 = {fixed}")
        if reg > 0:
            b.emit(f"if r3 == 0 goto {b.fail}")
        b.emit("r2 = r10", f"r2 += -{b.frame_bytes}", "r1 = map[ring]", "r4 = 0", "call bpf_ringbuf_output")
    b.called()
    b.set(0, "num")
