"""Pieces that need types: global functions, which are walked by their signature, and spin locks in values."""

from __future__ import annotations

from tests.support.fuzz_verifier.builder import NONE, Builder, Val, chunk
from tests.support.fuzz_verifier.memory import touch
from tests.support.fuzz_verifier.numbers import number

_GLOBAL_MISTAKES = (
    "argument may be null",
    "argument is too small",
    "argument is no number",
    "argument is no context",
    "global result trusted",
)
_RECORD = 16


@chunk(0.8, mistakes=_GLOBAL_MISTAKES)
def global_function(b: Builder) -> None:
    """A global function with a number, the context or memory as arguments."""
    if len(b.shared.functions) > 4 or b.calls_deep > 2 or b.is_callback:
        return
    b.shared.wants_btf = True
    name = f"f{len(b.shared.functions)}"
    body: list[str] = []
    b.shared.functions.append(body)
    kinds = [b.rng.choice(("number", "record", "record", "nonnull", "ctx")) for _ in range(b.rng.randrange(1, 3))]
    if not b.has_ctx:
        kinds = ["number" if kind == "ctx" else kind for kind in kinds]
    b.shared.signatures[name] = f"int {name}({', '.join(_parameter(b, k, n) for n, k in enumerate(kinds))});"
    body.extend(_callee(b, name, kinds))
    for reg, kind in enumerate(kinds, 1):
        _pass(b, reg, kind)
    b.emit(f"call {name}")
    b.called()
    b.set(0, "num")
    b.forget_packet()
    b.slots = {off: Val("num") if val.kind == "num" else NONE for off, val in b.slots.items()}
    if b.wrong("global result trusted"):
        b.emit("r1 = map_value[counts]", "r1 += r0", "r0 = *(u8 *)(r1 +0)")


def _parameter(b: Builder, kind: str, place: int) -> str:
    if kind == "number":
        return f"{b.rng.choice(('u32', 'u64', 'int'))} a{place}"
    if kind == "ctx":
        return f"{b.shared.context} *a{place}"
    return f"struct rec *a{place}" + (" __arg_nonnull" if kind == "nonnull" else "")


def _callee(b: Builder, name: str, kinds: list[str]) -> list[str]:
    callee = Builder(b.rng, b.type, b.shared, depth=1)
    callee.calls_deep, callee.fail, callee.in_loop = b.calls_deep + 1, f"{name}_out", 0
    callee.here(name)
    for reg, kind in enumerate(kinds, 1):
        if kind == "number":
            callee.set(reg, "num")
        elif kind == "ctx":
            callee.emit(f"r6 = r{reg}")
            callee.set(6, "ctx")
        else:
            if kind == "record" and not b.wrong("argument may be null"):
                callee.emit(f"if r{reg} == 0 goto {callee.fail}")
            callee.set(reg, "mem", _RECORD)
    for reg in callee.find("mem"):
        touch(callee, reg)
    callee.body(b.rng.randrange(1, 3))
    callee.emit(f"r0 = {b.rng.randrange(3)}", "exit")
    callee.failed(callee.fail, "r0 = 0", "exit")
    return callee.lines


def _pass(b: Builder, reg: int, kind: str) -> None:
    if kind == "number":
        source = number(b, 1, 2, 3)
        b.emit(f"r{reg} = r{source}" if not b.wrong("argument is no number") else f"r{reg} = r10")
    elif kind == "ctx":
        if b.wrong("argument is no context"):
            b.emit(f"r{reg} = 0")
        else:
            b.ctx(reg)
    elif kind == "record" and b.chance(0.2):
        b.emit(f"r{reg} = 0")
    else:
        at = -8 if b.wrong("argument is too small") else -_RECORD
        b.numbers(-_RECORD, _RECORD)
        b.emit(f"r{reg} = r10", f"r{reg} += {at}")
    b.regs[reg] = Val("taken")


_LOCK_MISTAKES = (
    "lock not given back",
    "lock taken twice",
    "lock given back untaken",
    "helper under a lock",
    "lock written",
    "lock of a plain value",
)


@chunk(0.6, ("XDP", "SCHED_CLS"), _LOCK_MISTAKES)
def locked(b: Builder) -> None:
    """A value with a bpf_spin_lock, changed while it is held."""
    if b.holds or b.in_loop or b.is_callback:
        return
    b.emit("*(u32 *)(r10 -4) = 0", "r2 = r10", "r2 += -4", "r1 = map[locked]", "call bpf_map_lookup_elem")
    b.called()
    reg = b.free(0, saved=True)
    if reg in b.pinned:
        return
    b.emit(f"if r0 == 0 goto {b.fail}", f"r{reg} = r0")
    if b.wrong("lock written"):
        b.emit(f"*(u32 *)(r{reg} +0) = 1")
    b.emit(f"r1 = r{reg}" if not b.wrong("lock of a plain value") else "r1 = map_value[counts]")
    if not b.wrong("lock given back untaken"):
        b.emit("call bpf_spin_lock")
    if b.wrong("lock taken twice"):
        b.emit(f"r1 = r{reg}", "call bpf_spin_lock")
    b.called()
    b.emit(f"r1 = *(u64 *)(r{reg} +8)", "r1 += 1", f"*(u64 *)(r{reg} +8) = r1")
    if b.wrong("helper under a lock"):
        b.emit("call bpf_ktime_get_ns")
    if b.chance(0.3):
        b.emit(f"r0 = *(u32 *)(r{reg} +{b.rng.choice((4, 4, 8, 32))})")
    if not b.wrong("lock not given back"):
        b.emit(f"r1 = r{reg}", "call bpf_spin_unlock")
    b.called()
    b.set(reg, "none")
