"""Pieces of control flow: loops of all kinds, functions, callbacks, tail calls, ends of programs."""

from __future__ import annotations

from tests.support.fuzz_verifier.builder import ALL_TYPES, NONE, UNKNOWN, Builder, Val, chunk
from tests.support.fuzz_verifier.numbers import condition, constant, load_from, number, safe_number

_LONGEST_LOOP = 12


@chunk(1.6, mistakes=("loop without end", "loop counter reset"))
def counted_loop(b: Builder) -> None:
    """A counter against a bound that is a constant or a bounded number."""
    if b.in_loop or (b.shared.lacks_perfmon and b.chance(0.97)):  # where Linux guesses, it walks loops to its limit
        return
    counter = b.free(saved=True)
    if b.regs[counter].kind != "none" and b.chance(0.7):
        return
    times = b.rng.randrange(1, _LONGEST_LOOP)
    limit = 0
    if b.chance(0.3):
        limit = safe_number(b, times, counter)
        b.emit(f"if r{limit} == {times + 1} goto {b.fail}")
    start, step = b.label(), b.rng.choice((1, 1, 1, 2))
    counts_down = limit == 0 and b.chance(0.3)
    b.emit(f"r{counter} = {times if counts_down else 0}")
    b.set(counter, "num", times)
    b.pinned.update({counter, limit} - {0})
    b.enter_loop()
    b.here(start)
    held = b.snapshot()
    b.body(b.rng.randrange(1, 3))
    b.merge(held)
    b.leave_loop()
    b.pinned -= {counter, limit}
    if b.wrong("loop counter reset"):
        b.emit(f"r{counter} = 0")
    if not b.wrong("loop without end"):
        b.emit(f"r{counter} {'-=' if counts_down else '+='} {1 if counts_down else step}")
    if counts_down:
        b.emit(f"if r{counter} {b.rng.choice(('!=', 's>', '>'))} 0 goto {start}")
    elif limit and b.regs[limit].kind == "num":
        b.emit(f"if r{counter} < r{limit} goto {start}")
    else:
        b.emit(f"if {b.rng.choice('rw')}{counter} {b.rng.choice(('<', 's<'))} {times} goto {start}")
    b.set(counter, "num")


@chunk(0.6, mistakes=("endless loop",))
def may_goto_loop(b: Builder) -> None:
    """A loop that the kernel's own counter ends."""
    if b.in_loop or b.holds:
        return
    top, done = b.label(), b.label()
    b.enter_loop()
    b.here(top)
    b.emit(f"may_goto {done}" if not b.wrong("endless loop") else "r0 = 0")
    held = b.snapshot()
    b.body(b.rng.randrange(1, 3))
    b.merge(held)
    b.leave_loop()
    b.emit(f"goto {top}")
    b.here(done)
    for off in list(b.slots):
        del b.slots[off]


_ITER_MISTAKES = ("iterator not destroyed", "iterator not made", "iterator read as memory")


@chunk(0.8, ("XDP", "SCHED_CLS"), _ITER_MISTAKES)
def iterator_loop(b: Builder) -> None:
    """bpf_iter_num_new, next until null, destroy."""
    if b.in_loop or b.holds or b.is_callback:
        return
    at = -b.frame_bytes - 8
    b.emit("r1 = r10", f"r1 += {at}", "r2 = 0", f"r3 = {b.rng.choice((3, 10, 1000))}")
    if not b.wrong("iterator not made"):
        b.emit("call kfunc bpf_iter_num_new")
    b.called()
    top, done, fail = b.label(), b.label(), b.fail
    b.enter_loop()
    b.here(top)
    b.emit("r1 = r10", f"r1 += {at}", "call kfunc bpf_iter_num_next", f"if r0 == 0 goto {done}")
    b.called()
    b.set(0, "rmem", 4)
    b.fail, b.holds = done, b.holds + 1
    held = b.snapshot()
    load_from(b, b.free(0, saved=False), 0)
    if b.wrong("iterator read as memory"):
        b.emit(f"r0 = *(u32 *)(r10 {at:+d})")
    b.body(b.rng.randrange(0, 3))
    b.merge(held)
    b.fail, b.holds = fail, b.holds - 1
    b.leave_loop()
    b.emit(f"goto {top}")
    b.here(done)
    if not b.wrong("iterator not destroyed"):
        b.emit("r1 = r10", f"r1 += {at}", "call kfunc bpf_iter_num_destroy")
    b.called()
    _only_saved(b, held)


def _only_saved(b: Builder, held: tuple[dict[int, Val], dict[int, Val]]) -> None:
    for reg in range(6):
        b.regs[reg] = NONE
    b.merge(held)


_CALL_MISTAKES = ("function returns its stack", "function leaves r0", "function calls itself", "stacks too large")


@chunk(1.5, mistakes=_CALL_MISTAKES)
def function_call(b: Builder) -> None:
    """A static function with arguments of several kinds."""
    if len(b.shared.functions) > 4 or b.calls_deep > 3:
        return
    args: list[Val] = []
    for reg in range(1, b.rng.randrange(1, 4) + 1):
        args.append(_argument(b, reg, len(args)))
    name = f"f{len(b.shared.functions)}"
    body: list[str] = []
    b.shared.functions.append(body)
    callee = Builder(b.rng, b.type, b.shared, depth=1)
    callee.calls_deep = b.calls_deep + 1
    callee.fail = f"{name}_out"
    callee.is_callback, callee.in_loop, callee.holds = b.is_callback, b.in_loop, b.holds
    for reg, val in enumerate(args, 1):
        callee.regs[reg] = val
    if args and args[0].kind == "ctx" and b.chance(0.7):
        callee.emit("r6 = r1")
        callee.set(6, "ctx")
    callee.here(name)
    callee.lines.insert(0, callee.lines.pop())
    if b.wrong("stacks too large"):
        callee.emit(f"*(u64 *)(r10 -{512 - b.rng.choice((0, 8, 32))}) = 0")
    callee.body(b.rng.randrange(1, 4))
    _end_of_function(b, callee, name)
    body.extend(callee.lines)
    b.emit(f"call {name}")
    b.called()
    b.set(0, "num", UNKNOWN)
    if any(val.kind == "ctx" for val in args):
        b.forget_packet()
    if any(val.kind == "stack" for val in args):
        b.slots = {off: Val("num") if val.kind == "num" else NONE for off, val in b.slots.items()}


def _end_of_function(b: Builder, callee: Builder, name: str) -> None:
    if b.wrong("function calls itself"):
        callee.emit(f"call {name}")
    nums = callee.find("num")
    if b.wrong("function returns its stack"):
        callee.emit("r0 = r10", "exit")
    elif b.wrong("function leaves r0"):
        callee.emit("call bpf_get_smp_processor_id", "goto +1", "exit", "r1 = r0", "exit")
    elif nums and b.chance(0.6):
        callee.emit(f"r0 = r{b.rng.choice(nums)}", "exit")
    else:
        callee.emit(f"r0 = {b.rng.randrange(4)}", "exit")
    callee.failed(callee.fail, f"r0 = {b.rng.choice((0, 1, -1))}", "exit")


def _argument(b: Builder, reg: int, place: int) -> Val:
    """Put something into an argument register."""
    kinds = [r for r, val in b.regs.items() if r >= 6 and val.kind in ("num", "value", "pkt", "ctx", "end", "mem")]
    if place == 0 and b.has_ctx and b.chance(0.5):
        b.emit(f"r{reg} = r6")
        return Val("ctx")
    if kinds and b.chance(0.7):
        source = b.rng.choice(kinds)
        b.emit(f"r{reg} = r{source}")
        return b.regs[source]
    if b.chance(0.4):
        b.numbers(-16, 16)
        b.emit(f"r{reg} = r10", f"r{reg} += -16")
        b.slots.pop(-16, None)
        b.slots.pop(-8, None)
        return Val("stack", 16)
    b.emit(f"r{reg} = {constant(b)}")
    return Val("num")


_CALLBACK_MISTAKES = ("callback returns too much", "callback is no function", "callback flags")


@chunk(0.9, mistakes=_CALLBACK_MISTAKES)
def callback(b: Builder) -> None:
    """bpf_loop or bpf_for_each_map_elem over a function of ours."""
    if b.is_callback or b.in_loop or b.holds or len(b.shared.functions) > 4 or "ld_abs" in b.shared.kinds:
        return
    b.shared.kinds.add("callbacks")
    b.shared.wants_btf = True
    name = f"f{len(b.shared.functions)}"
    body: list[str] = []
    b.shared.functions.append(body)
    each = b.chance(0.4)
    callee = Builder(b.rng, b.type, b.shared, depth=1)
    callee.is_callback, callee.calls_deep, callee.fail, callee.in_loop = True, b.calls_deep + 1, f"{name}_out", 1
    if each:
        callee.regs[3] = Val("value", 48)
        callee.regs[2] = Val("rmem", 4)
    else:
        callee.set(1, "num")
    callee.here(name)
    callee.body(b.rng.randrange(1, 3))
    callee.emit(f"r0 = {2 if b.wrong('callback returns too much') else b.rng.randrange(2)}", "exit")
    callee.failed(callee.fail, "r0 = 1", "exit")
    body.extend(callee.lines)
    b.numbers(-16, 16)
    b.emit("r3 = r10", "r3 += -16")
    if b.wrong("callback is no function"):
        b.emit("r2 = 0")
    else:
        b.emit(f"r2 = func[{name}]")
    b.emit(f"r4 = {1 if b.wrong('callback flags') else 0}")
    if each:
        b.emit("r1 = map[counts]", "call bpf_for_each_map_elem")
    else:
        b.emit(f"r1 = {b.rng.choice((0, 1, 4, 100))}", "call bpf_loop")
    b.called()
    b.set(0, "num")
    b.slots = {off: Val("num") if val.kind == "num" else NONE for off, val in b.slots.items()}


@chunk(0.4, mistakes=("tail call without the context", "tail call into another map"), needs_ctx=True)
def tail_call(b: Builder) -> None:
    """bpf_tail_call, which comes back when there is nothing in the map."""
    if b.holds or b.is_callback:
        return
    reg = number(b)
    b.emit(f"r3 = {b.rng.randrange(10)}" if b.chance(0.5) else f"r3 = r{reg}")
    b.emit(f"r2 = map[{'hash' if b.wrong('tail call into another map') else 'jumps'}]")
    if b.wrong("tail call without the context"):
        b.emit("r1 = 0")
    else:
        b.ctx(1)
    b.emit("call bpf_tail_call")
    b.called()


_ODD_MISTAKES = ("dead code", "jump out of the program", "helper of another type", "helper unknown", "falls off")


@chunk(0.3, mistakes=_ODD_MISTAKES)
def oddities(b: Builder) -> None:
    """What compilers rarely make."""
    if b.wrong("dead code"):
        over = b.label()
        b.emit(f"goto {over}", "r0 = 1")
        b.here(over)
    if b.wrong("jump out of the program"):
        b.emit(f"if r10 == 0 goto pc{b.rng.choice((-9000, 9000)):+d}")
    if b.wrong("helper of another type"):
        other = {"XDP": "bpf_skb_load_bytes", "SCHED_CLS": "bpf_xdp_adjust_head"}.get(b.type, "bpf_redirect")
        b.emit(f"call {other}")
    if b.wrong("helper unknown"):
        b.emit(f"call {b.rng.choice((9999, 212, 250))}")
    if b.wrong("falls off"):
        b.shared.kinds.add("falls off")
    over = b.label()
    b.emit(f"{b.rng.choice(('goto', 'gotol'))} {over}")
    b.here(over)
    if b.chance(0.3):
        b.emit(f"if {condition(b, number(b))} goto pc+0")


_FIELDS = {
    "XDP": ((0, 4, 8, 12, 16), ()),
    "SCHED_CLS": ((0, 4, 8, 12, 16, 24, 32, 36, 40, 44, 68, 72, 84), (8, 12, 32, 44, 48, 52, 64, 72)),
    "SOCKET_FILTER": ((0, 4, 8, 12, 16, 24, 32, 36, 40, 68), (48, 52, 56, 60, 64)),
    "CGROUP_SKB": ((0, 4, 8, 12, 16, 24, 32, 36, 40, 68), (8, 32, 48, 52, 64)),
}
_CTX_MISTAKES = (
    "context field unknown",
    "context field written",
    "context moved",
    "context variable",
    "context odd width",
)


@chunk(1.2, ALL_TYPES, _CTX_MISTAKES, needs_ctx=True)
def context_fields(b: Builder) -> None:
    """Fields of the context, read and written."""
    if not b.has_ctx:
        return
    dst = b.free()
    reads, writes = _FIELDS[b.type]
    if b.wrong("context field unknown"):
        b.emit(f"r{dst} = *(u32 *)(r6 {b.rng.choice((184, 192, 200, 1000, -4, 2)):+d})")
    if b.wrong("context odd width"):
        b.emit(f"r{dst} = *(u64 *)(r6 {b.rng.choice((0, 4, 12)):+d})")
    if b.wrong("context field written"):
        b.emit(f"*(u32 *)(r6 {b.rng.choice((0, 4, 16)):+d}) = {b.rng.randrange(3)}")
    if b.wrong("context moved"):
        b.emit("r6 += 4", f"r{dst} = *(u32 *)(r6 +0)")
    if b.wrong("context variable"):
        index = safe_number(b, 7)
        b.emit(f"r6 += r{index}", f"r{dst} = *(u32 *)(r6 +0)")
    field = b.rng.choice([f for f in reads if b.type != "XDP" or f > 8])
    b.emit(f"r{dst} = *(u32 *)(r6 {field:+d})")
    b.set(dst, "num")
    if writes and b.chance(0.5):
        b.emit(f"*(u32 *)(r6 {b.rng.choice(writes):+d}) = r{dst}")


def end(b: Builder) -> None:
    """The end of the main function, and the place where failed checks go."""
    nums = b.find("num")
    wrong = b.wrong("result out of range")
    if b.type == "CGROUP_SKB" and not wrong:
        value = safe_number(b, 1) if b.chance(0.5) else -1
        b.emit(f"r0 = r{value}" if value >= 0 else f"r0 = {b.rng.randrange(2)}")
    elif wrong and b.type == "CGROUP_SKB":
        b.emit(f"r0 = {b.rng.choice((4, -1, 100))}" if b.chance(0.5) or not nums else f"r0 = r{nums[0]}")
    elif b.wrong("result is a pointer"):
        b.emit("r0 = r10")
    elif b.wrong("result unwritten"):
        b.emit("call bpf_get_smp_processor_id", "r3 = r0", "r0 = r4")
    elif nums and b.chance(0.4):
        b.emit(f"r0 = r{b.rng.choice(nums)}")
    else:
        b.emit(f"r0 = {b.rng.randrange(3)}")
    b.emit("exit")
    b.failed("out", f"r0 = {b.rng.randrange(2)}", "r9 = 0" if "falls off" in b.shared.kinds else "exit")


END_MISTAKES = ("result out of range", "result is a pointer", "result unwritten")
