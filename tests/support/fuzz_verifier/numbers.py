"""Pieces over numbers: where they come from, how they are bounded, arithmetic, comparisons."""

from __future__ import annotations

from tests.support.fuzz_verifier.builder import UNKNOWN, Builder, chunk

_COMPARE = ("==", "!=", "<", ">", "<=", ">=", "s<", "s>", "s<=", "s>=", "&")
_EDGES = (
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    31,
    63,
    64,
    100,
    127,
    128,
    255,
    256,
    1000,
    4095,
    65535,
    0x7FFFFFFF,
    -1,
    -2,
    -8,
    -128,
)
_WAYS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 10) * 5 + (6,)
"""How `bound` does it; a remainder (6) tells Linux 6.18 nothing."""
_SKB_FIELDS = (0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68)


def constant(b: Builder) -> int:
    return b.rng.choice(_EDGES) if b.chance(0.7) else b.rng.randrange(-(2**31), 2**31)


def number(b: Builder, *keep: int) -> int:
    """A register that holds a number, made if there is none."""
    held = [r for r in b.find("num") if r not in keep and r not in b.pinned]
    if held and b.chance(0.6):
        return b.rng.choice(held)
    return fresh(b, *keep)


def fresh(b: Builder, *keep: int) -> int:
    """A new number in a register that may be written."""
    dst = b.free(*keep)
    how = b.rng.randrange(6)
    if how == 0:
        b.emit(f"r{dst} = {constant(b)}")
        return b.set(dst, "num")
    if how == 1 and b.slots:
        off = b.rng.choice(list(b.slots))
        if b.slots[off].kind == "num":
            b.emit(f"r{dst} = *(u64 *)(r10 {off:+d})")
            return b.set(dst, "num", b.slots[off].size)
    if how == 2:
        memory = [r for r in b.find("value", "pkt", "mem", "rmem") if b.regs[r].size >= 8]
        if memory:
            return load_from(b, dst, b.rng.choice(memory))
    if how == 3 and not b.in_loop and b.chance(0.5):
        helper = b.rng.choice(("bpf_get_prandom_u32", "bpf_ktime_get_ns", "bpf_get_smp_processor_id"))
        b.emit(f"call {helper}")
        b.called()
        return b.set(0, "num")
    if b.has_ctx:
        field = b.rng.choice((12, 16)) if b.type == "XDP" else b.rng.choice(_SKB_FIELDS)
        b.emit(f"r{dst} = *(u32 *)(r6 {field:+d})")
        return b.set(dst, "num")
    b.emit(f"r{dst} = {constant(b) & 0xFF}")
    return b.set(dst, "num", 255)


def load_from(b: Builder, dst: int, base: int) -> int:
    """A load of any width from memory of known size."""
    size = max(b.regs[base].size, 1)
    width = b.rng.choice([w for w in (1, 2, 4, 8) if w <= size])
    off = b.rng.randrange(0, size - width + 1)
    off -= off % width if b.chance(0.9) else 0
    signed = width < 8 and b.chance(0.15)
    b.emit(f"r{dst} = *({'s' if signed else 'u'}{width * 8} *)(r{base} {off:+d})")
    return b.set(dst, "num", 2 ** (8 * width) - 1 if width < 4 and not signed else UNKNOWN)


def bound(b: Builder, reg: int, limit: int, *, mistake: str = "") -> int:
    """Make a number lie in 0 to `limit` by one of the ways that programs use; with `mistake` perhaps not quite."""
    how = b.rng.choice(_WAYS)
    out = b.fail
    if mistake and b.wrong(mistake):
        _bound_badly(b, reg, limit)
    elif how == 0:
        b.emit(f"r{reg} &= {_mask(limit)}")
    elif how == 1:
        b.emit(f"w{reg} &= {_mask(limit)}")
    elif how == 2:
        b.emit(f"if r{reg} > {limit} goto {out}")
    elif how == 3:
        b.emit(f"if r{reg} >= {limit + 1} goto {out}")
    elif how == 4:
        b.emit(f"w{reg} = w{reg}", f"if w{reg} > {limit} goto {out}")
    elif how == 5:
        b.emit(f"if r{reg} s< 0 goto {out}", f"if r{reg} s> {limit} goto {out}")
    elif how == 6:
        b.emit(f"r{reg} %= {limit + 1}")
    elif how == 7:
        bits = max(limit.bit_length() - 1, 1)
        b.emit(f"r{reg} >>= {64 - bits}")
    elif how == 8:
        ok = b.label()
        b.emit(f"if r{reg} <= {limit} goto {ok}", f"r{reg} = {b.rng.randrange(limit + 1)}", f"{ok}:")
    elif how == 9:
        other = b.free(reg)
        b.emit(f"r{other} = r{reg}", f"if r{other} > {limit} goto {out}")
        b.set(other, "num", limit)
    else:
        b.emit(f"w{reg} &= {2 * _mask(limit) + 1}", f"if w{reg} s> {limit} goto {out}")
    return b.set(reg, "num", limit)


def _mask(limit: int) -> int:
    return (1 << (limit + 1).bit_length() - 1) - 1


def _bound_badly(b: Builder, reg: int, limit: int) -> None:
    how = b.rng.randrange(6)
    if how == 0:
        b.emit(f"if r{reg} s> {limit} goto {b.fail}")
    elif how == 1:
        b.emit(f"if r{reg} > {limit + b.rng.choice((1, 2, 8, 1000))} goto {b.fail}")
    elif how == 2:
        b.emit(f"if w{reg} > {limit} goto {b.fail}")
    elif how == 3:
        b.emit(f"r{reg} &= {2 * _mask(limit) + 1}")
    elif how == 4:
        b.emit(f"if r{reg} < {limit} goto {b.fail}")
    else:
        b.emit(f"r{reg} s>>= 1", f"if r{reg} != {limit} goto pc+0")


@chunk(2.0, mistakes=("number from nowhere",))
def arithmetic(b: Builder) -> None:
    """A few operations of all widths."""
    for _ in range(b.rng.randrange(1, 5)):
        dst = number(b)
        if b.wrong("number from nowhere"):
            empty = [r for r in (1, 2, 3, 4, 5) if b.regs[r].kind == "none"]
            b.emit(f"r{dst} += r{b.rng.choice(empty or [5])}")
        b.emit(_operation(b, dst))
        b.set(dst, "num")


def _operation(b: Builder, dst: int) -> str:
    wide = b.chance(0.55)
    letter, bits = ("r", 64) if wide else ("w", 32)
    kind = b.rng.randrange(10)
    if kind == 0:
        return f"{letter}{dst} {b.rng.choice(('<<=', '>>=', 's>>='))} {b.rng.randrange(bits)}"
    if kind == 1:
        return (
            f"{letter}{dst} {b.rng.choice(('/=', '%=', 's/=', 's%='))} {b.rng.choice((1, 2, 3, 7, 10, 1000, -1, -7))}"
        )
    if kind == 2:
        return f"r{dst} = {b.rng.choice(('be', 'le', 'bswap'))}{b.rng.choice((16, 32, 64))} r{dst}"
    if kind == 3:
        return f"{letter}{dst} = -{letter}{dst}"
    if kind == 4:
        return f"{letter}{dst} = (s{b.rng.choice((8, 16) if not wide else (8, 16, 32))}){letter}{number(b)}"
    if kind == 5:
        return f"{letter}{dst} = {letter}{number(b)}"
    symbol = b.rng.choice(("+=", "-=", "*=", "&=", "|=", "^=", "<<=", ">>=", "s>>=", "/=", "%="))
    if kind < 8 or symbol in ("<<=", ">>=", "s>>="):
        value = constant(b) if symbol not in ("<<=", ">>=", "s>>=", "/=", "%=") else b.rng.randrange(1, 32)
        return f"{letter}{dst} {symbol} {value}"
    return f"{letter}{dst} {symbol} {letter}{number(b)}"


@chunk(1.5)
def comparison(b: Builder) -> None:
    """A jump on a number, over a few pieces, or a diamond."""
    reg = number(b)
    text = condition(b, reg)
    over = b.label()
    b.emit(f"if {text} goto {over}")
    held = b.snapshot()
    b.body(b.rng.randrange(1, 3))
    if b.chance(0.4):
        end, after = b.label(), b.snapshot()
        b.emit(f"goto {end}")
        b.here(over)
        b.restore(held)
        b.body(b.rng.randrange(1, 3))
        b.here(end)
        b.merge(after)
    else:
        b.here(over)
        b.merge(held)


def condition(b: Builder, reg: int) -> str:
    """A comparison of a register with a constant or another one."""
    letter = b.rng.choice("rrrw")
    symbol = b.rng.choice(_COMPARE)
    others = [r for r in b.find("num") if r != reg]
    if others and b.chance(0.25):
        return f"{letter}{reg} {symbol} {letter}{b.rng.choice(others)}"
    return f"{letter}{reg} {symbol} {constant(b)}"


@chunk(1.0)
def linked(b: Builder) -> None:
    """Copies of one number, of which one is then bounded: the others are, too."""
    reg = number(b)
    copy = b.free(reg)
    b.emit(f"{'r' if b.chance(0.8) else 'w'}{copy} = {'r'}{reg}".replace("w", "r"))
    if b.chance(0.4):
        b.emit(f"r{copy} += {b.rng.choice((1, 4, -1, 8, 100))}")
    b.set(copy, "num")
    limit = b.rng.choice((3, 7, 15, 31, 100))
    bound(b, b.rng.choice((reg, copy)), limit)
    if b.chance(0.5):
        b.emit(f"if {condition(b, copy)} goto {b.fail}")


@chunk(0.8)
def special_values(b: Builder) -> None:
    """Numbers that only one branch knows exactly, so that precision and pruning matter."""
    flag = b.free()
    source = number(b, flag)
    skip = b.label()
    b.emit(f"r{flag} = {b.rng.choice((0, 1, 4, 8))}", f"if {condition(b, source)} goto {skip}")
    b.emit(f"r{flag} = {b.rng.choice((2, 3, 8, 12))}", f"{skip}:")
    b.set(flag, "num", 15)


def safe_number(b: Builder, limit: int, *keep: int) -> int:
    """A number that lies in 0 to limit, for sure."""
    known = [r for r in b.find("num") if 0 <= b.regs[r].size <= limit and r not in keep]
    if known and b.chance(0.5):
        return b.rng.choice(known)
    reg = number(b, *keep)
    return bound(b, reg, limit)


__all__ = ["UNKNOWN", "bound", "condition", "constant", "fresh", "load_from", "number", "safe_number"]
