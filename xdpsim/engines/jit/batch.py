"""The loop that runs a batch, as LLVM IR: per packet the context is set up, the program called, its outcome kept.

memory/batch_ops.py says what is set up before and kept after a packet. Here a program gets only what it can see: one
that calls nothing needs neither clock nor redirect target, one that cannot move the packet leaves its limits alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.engines.contexts import NativeContext
from xdpsim.engines.jit.function import FAULT_CODE
from xdpsim.helpers.rows import Helper
from xdpsim.memory.batch import BATCH, COLUMNS
from xdpsim.memory.native import NativeFunction
from xdpsim.memory.structs import FRAME_BYTES, REDIRECT, RUN_STATE, STACK_BYTES, XDP_BUFF
from xdpsim.verifier.facts import Facts

_WIDTHS = dict(COLUMNS)
_REDIRECT = (("redirect_ifindex", "ifindex"), ("redirect_flags", "flags"), ("redirect_map", "map"))
_REDIRECT_KEY = ("redirect_key", "key")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program may look at or change beside the packet's bytes."""

    calls: bool
    """It calls helpers or kernel functions, or jumps into other programs: anything may be seen."""
    leaves_python: bool
    """Helpers in Python may run: timers may be started, rings filled."""


def usage(rows: list[Helper]) -> Usage:
    """What the program's calls may touch."""
    return Usage(bool(rows), any(not isinstance(row.body, NativeFunction) for row in rows))


class _Loop:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._values = 0

    def value(self, text: str) -> str:
        self._values += 1
        self.lines.append(f"  %x{self._values} = {text}")
        return f"%x{self._values}"

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def place(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def column(self, name: str) -> str:
        """The element of a column that belongs to the packet: a pointer."""
        return self.value(f"getelementptr i{_WIDTHS[name] * 8}, ptr %column_{name}, i64 %index")

    def read(self, name: str) -> str:
        """The packet's word of a column, as 64 bits."""
        bits = _WIDTHS[name] * 8
        word = self.value(f"load i{bits}, ptr {self.column(name)}")
        return word if bits == 64 else self.value(f"zext i{bits} {word} to i64")

    def write(self, name: str, word: str) -> None:
        """Store 64 bits, or the low half, into a column."""
        bits = _WIDTHS[name] * 8
        word = word if bits == 64 else self.value(f"trunc i64 {word} to i{bits}")
        self.line(f"store i{bits} {word}, ptr {self.column(name)}")

    def state(self, offset: int) -> str:
        return self.value(f"getelementptr i8, ptr %state, i64 {offset}")

    def get(self, offset: int, width: int) -> str:
        """A word of the run state, as 64 bits."""
        word = self.value(f"load i{width * 8}, ptr {self.state(offset)}")
        return word if width == 8 else self.value(f"zext i{width * 8} {word} to i64")

    def set(self, offset: int, width: int, word: str) -> None:
        """Store a word of the run state."""
        if width != 8 and not word.isdigit():
            word = self.value(f"trunc i64 {word} to i{width * 8}")
        self.line(f"store i{width * 8} {word}, ptr {self.state(offset)}")

    def member(self, struct_: str, name: str, word: str) -> None:
        """Store a field of the run state, of the context or of the redirect target."""
        offset, width = _place(struct_, name)
        self.set(offset, width, word)


def _place(struct_: str, name: str) -> tuple[int, int]:
    if not struct_:
        return RUN_STATE.offset(name), RUN_STATE.members[name].width
    inner = {"xdp": XDP_BUFF, "redirect": REDIRECT}[struct_].members[name]
    return RUN_STATE.offset(struct_) + inner.offset, inner.width


def loop(used: Usage, context: NativeContext, budget: int, facts: Facts) -> str:
    """run_batch(run state, batch, start, end) -> where it stopped: at `end`, at a fault, or before a timer."""
    out = _Loop()
    out.place("entry")
    out.line("%state = inttoptr i64 %rs to ptr")
    out.line("%table = inttoptr i64 %batch to ptr")
    for name, _ in COLUMNS:
        at = out.value(f"getelementptr i8, ptr %table, i64 {BATCH.offset(name)}")
        out.line(f"%column_{name} = load ptr, ptr {at}")
    out.line(f"%top = add i64 %rs, {RUN_STATE.offset('stack') + STACK_BYTES}")
    out.line(f"%context = add i64 %rs, {context.offset}")
    out.line(f"%fault = getelementptr i8, ptr %state, i64 {FAULT_CODE}")
    out.line("store i32 0, ptr %fault")
    out.line("br label %head")
    out.place("head")
    out.line("%index = phi i64 [ %start, %entry ], [ %next, %good ]")
    out.line("%more = icmp ult i64 %index, %end")
    out.line("br i1 %more, label %body, label %done")
    out.place("body")
    _begin(out, used, budget, facts)
    out.line("%r0 = call i64 @entry(ptr %state, i64 %context, i64 0, i64 0, i64 0, i64 0)")
    out.line("%code = load i32, ptr %fault")
    _end(out, used)
    out.line("%fine = icmp eq i32 %code, 0")
    out.line("br i1 %fine, label %good, label %done, !prof !0")
    out.place("good")
    out.line("%next = add i64 %index, 1")
    out.line("br label %head")
    out.place("done")
    out.line("ret i64 %index")
    return "\n".join(["define i64 @run_batch(i64 %rs, i64 %batch, i64 %start, i64 %end) {", *out.lines, "}"])


def _begin(out: _Loop, used: Usage, budget: int, facts: Facts) -> None:
    if used.calls:
        ktime = out.read("ktime_ns")
        due = out.get(RUN_STATE.offset("timer_ns"), 8)
        out.line(f"%in_time = icmp ult i64 {ktime}, {due}")
        out.line("br i1 %in_time, label %runs, label %done, !prof !0")
        out.place("runs")
        out.member("", "ktime_ns", ktime)
        out.member("", "tai_ns", out.read("tai_ns"))
        out.member("", "packet", "%index")
        out.member("", "tail_calls", "0")
        out.member("redirect", "kind", "0")
        out.member("xdp", "frame_bytes", str(FRAME_BYTES))
        out.member("xdp", "has_frags", out.read("has_frags"))
    if not facts.ends:
        out.member("", "budget", str(budget))
    out.member("", "insns", "0")
    out.member("", "stack_low", "%top")
    frame = out.read("frame")
    data = out.value(f"add i64 {frame}, {out.read('start')}")
    out.member("xdp", "data_hard_start", frame)
    out.member("xdp", "data", data)
    out.member("xdp", "data_end", out.value(f"add i64 {data}, {out.read('length')}"))
    out.member("xdp", "data_meta", out.value(f"sub i64 {data}, {out.read('meta')}"))
    out.member("xdp", "ingress_ifindex", out.read("ifindex"))
    out.member("xdp", "rx_queue_index", out.read("queue"))
    out.member("xdp", "egress_ifindex", "0")


def _end(out: _Loop, used: Usage) -> None:
    out.write("verdict", "%r0")
    out.write("insns", out.get(RUN_STATE.offset("insns"), 8))
    if not used.calls:
        out.write("redirect_kind", "0")
        return
    words = {name: out.get(*_place("xdp", name)) for name in ("data", "data_end", "data_meta", "data_hard_start")}
    out.write("start", out.value(f"sub i64 {words['data']}, {words['data_hard_start']}"))
    out.write("length", out.value(f"sub i64 {words['data_end']}, {words['data']}"))
    out.write("meta", out.value(f"sub i64 {words['data']}, {words['data_meta']}"))
    out.write("has_frags", out.get(*_place("xdp", "has_frags")))
    out.write("redirect_kind", out.get(*_place("redirect", "kind")))
    for column, name in (*_REDIRECT, _REDIRECT_KEY):
        out.write(column, out.get(*_place("redirect", name)))
