"""bpf_trace_printk and bpf_trace_vprintk: text that a program tells its user, recorded as an event.

Follows kernel/trace/bpf_trace.c; the formatting is in helpers/printf.py.
"""

from __future__ import annotations

from xdpsim.helpers.machine import Machine
from xdpsim.helpers.printf import EINVAL, Refused, format_text, read_values
from xdpsim.helpers.rows import helper

_MAX_TEXT = 1024
"""MAX_BPRINTF_BUF: longer output is cut."""


@helper(6, variadic=True)
def bpf_trace_printk(machine: Machine, fmt: int, size: int, a: int, b: int, c: int) -> int:
    """Record the formatted text; the length of the whole, or -EINVAL for a format that Linux refuses."""
    return _record(machine, fmt, size, [a, b, c])


@helper(177)
def bpf_trace_vprintk(machine: Machine, fmt: int, size: int, data: int, data_size: int) -> int:
    """As trace_printk, with up to twelve values out of an array."""
    try:
        values = read_values(machine, data, data_size)
    except Refused as refused:
        return -refused.errno
    return _record(machine, fmt, size, values)


def _record(machine: Machine, fmt: int, size: int, values: list[int]) -> int:
    template, nul, _ = machine.space.read(fmt, size).partition(b"\0")
    if not nul:
        return -EINVAL
    try:
        text, length = format_text(template, values, _MAX_TEXT, machine)
    except Refused as refused:
        return -refused.errno
    machine.emit("trace", text.partition(b"\0")[0].decode(errors="replace"))
    return length
