"""The loop that runs a batch, as LLVM IR: per packet the context is set up, the program called, its outcome kept.

memory/batch_ops.py says what is set up before and kept after a packet. Here a program gets only what it can see: one
that calls nothing needs neither clock nor redirect target, one that cannot move the packet leaves its limits alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.engines.contexts import NativeContext
from xdpsim.engines.jit.needs import FAULT_CODE, Needs
from xdpsim.engines.jit.text import Text
from xdpsim.helpers.rows import Control, Helper
from xdpsim.memory.batch import BATCH, COLUMNS
from xdpsim.memory.structs import FRAME_BYTES, REDIRECT, RUN_STATE, STACK_BYTES, XDP_BUFF

_WIDTHS = dict(COLUMNS)
_REDIRECT = tuple((f"redirect_{name}", name) for name in ("ifindex", "flags", "map", "key"))


_XDP_COLUMNS = {"ingress_ifindex": "ifindex", "rx_queue_index": "queue", "has_frags": "has_frags"}


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program may look at or change beside the packet's bytes: what its calls and its emitted text say."""

    sees_world: bool
    """It calls what may look at the whole run state, start timers, or run another program."""
    moves_packet: bool
    redirects: bool
    pays: bool
    stack: bool
    faults: bool
    fields: frozenset[str]
    """Members of the native context that it looks at."""


def usage(rows: list[Helper], needs: Needs) -> Usage:
    """What has to be set up for a program with calls of these rows, and what it may leave behind."""
    leaves = any(row.control is not Control.NONE for row in rows)
    sees_world = leaves or not all(row.only_arguments for row in rows)
    fields = set(XDP_BUFF.members) if sees_world or needs.checks else set(needs.context_fields)
    return Usage(
        sees_world,
        leaves or any(row.moves_packet for row in rows),
        leaves or any(row.redirects for row in rows),
        needs.pays or sees_world,
        needs.stack or sees_world,
        needs.faults,
        frozenset(fields),
    )


class _Loop(Text):
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

    def get(self, offset: int, width: int) -> str:
        """A word of the run state, as 64 bits."""
        word = self.value(f"load i{width * 8}, ptr {self.state_pointer(offset)}")
        return word if width == 8 else self.value(f"zext i{width * 8} {word} to i64")

    def set(self, offset: int, width: int, word: str) -> None:
        """Store a word of the run state."""
        if width != 8 and not word.isdigit():
            word = self.value(f"trunc i64 {word} to i{width * 8}")
        self.line(f"store i{width * 8} {word}, ptr {self.state_pointer(offset)}")

    def member(self, struct_: str, name: str, word: str) -> None:
        """Store a field of the run state, of the context or of the redirect target."""
        offset, width = _place(struct_, name)
        self.set(offset, width, word)


def _place(struct_: str, name: str) -> tuple[int, int]:
    if not struct_:
        return RUN_STATE.offset(name), RUN_STATE.members[name].width
    inner = {"xdp": XDP_BUFF, "redirect": REDIRECT}[struct_].members[name]
    return RUN_STATE.offset(struct_) + inner.offset, inner.width


def loop(used: Usage, context: NativeContext, budget: int) -> str:
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
    _begin(out, used, budget)
    out.line("%r0 = call i64 @main(ptr %state, i64 %context, i64 0, i64 0, i64 0, i64 0)")
    if used.faults:
        out.line("%code = load i32, ptr %fault")
    _end(out, used)
    out.line("%fine = icmp eq i32 %code, 0" if used.faults else "%fine = icmp eq i32 0, 0")
    out.line("br i1 %fine, label %good, label %done, !prof !0")
    out.place("good")
    out.line("%next = add i64 %index, 1")
    out.line("br label %head")
    out.place("done")
    out.line("ret i64 %index")
    return "\n".join(["define i64 @run_batch(i64 %rs, i64 %batch, i64 %start, i64 %end) {", *out.lines, "}"])


def _begin(out: _Loop, used: Usage, budget: int) -> None:
    if used.sees_world:
        ktime = out.read("ktime_ns")
        due = out.get(RUN_STATE.offset("timer_ns"), 8)
        out.line(f"%in_time = icmp ult i64 {ktime}, {due}")
        out.line("br i1 %in_time, label %runs, label %done, !prof !0")
        out.place("runs")
        out.member("", "ktime_ns", ktime)
        out.member("", "tai_ns", out.read("tai_ns"))
        out.member("", "packet", "%index")
        out.member("", "tail_calls", "0")
    if used.redirects or used.sees_world:
        out.member("redirect", "kind", "0")
    if used.pays:
        out.member("", "budget", str(budget))
    out.member("", "insns", "0")
    if used.stack:
        out.member("", "stack_low", "%top")
    _set_context(out, used)


def _set_context(out: _Loop, used: Usage) -> None:
    frame = out.read("frame")
    data = out.value(f"add i64 {frame}, {out.read('start')}")
    words = {"data_hard_start": lambda: frame, "data": lambda: data}
    words["data_end"] = lambda: out.value(f"add i64 {data}, {out.read('length')}")
    words["data_meta"] = lambda: out.value(f"sub i64 {data}, {out.read('meta')}")
    words |= {"frame_bytes": lambda: str(FRAME_BYTES), "egress_ifindex": lambda: "0"}
    for name in XDP_BUFF.members:
        if name in used.fields:
            out.member("xdp", name, words[name]() if name in words else out.read(_XDP_COLUMNS[name]))


def _end(out: _Loop, used: Usage) -> None:
    insns = out.get(RUN_STATE.offset("insns"), 8)
    out.write("verdict", "%r0")
    out.write("insns", insns)
    if used.moves_packet:
        places = {name: _place("xdp", name) for name in ("data", "data_end", "data_meta", "data_hard_start")}
        words = {name: out.get(*place) for name, place in places.items()}
        out.write("start", out.value(f"sub i64 {words['data']}, {words['data_hard_start']}"))
        out.write("length", out.value(f"sub i64 {words['data_end']}, {words['data']}"))
        out.write("meta", out.value(f"sub i64 {words['data']}, {words['data_meta']}"))
        out.write("has_frags", out.get(*_place("xdp", "has_frags")))
    if used.redirects:
        out.write("redirect_kind", out.get(*_place("redirect", "kind")))
        for column, name in _REDIRECT:
            out.write(column, out.get(*_place("redirect", name)))
