"""What two answers disagree about, and which disagreements are likely to have one cause."""

from __future__ import annotations

import re

from tests.support.verifier_linux import Answer

LEVELS = ("verdict", "message", "processed", "states")
"""What must be equal, in this order."""
_NUMBERS = ((r"0x[0-9a-f]+", "#"), (r"-?\d+", "#"), (r"scalar\([^)]*\)+", "scalar"))
_LONGEST = 100


def template(message: str) -> str:
    """The last line of a message without its numbers."""
    text = message.rsplit("\n", 1)[-1]
    if text.startswith("old state:"):
        return "infinite loop detected at insn #"
    for pattern, by in _NUMBERS:
        text = re.sub(pattern, by, text)
    return text[:_LONGEST]


def disagreement(linux: Answer, ours: Answer, level: str = "processed") -> str:
    """The first thing that differs, or empty."""
    depth = LEVELS.index(level)
    if ours.errno < 0:
        return "crash"
    if linux.accepted != ours.accepted:
        return "unsound" if ours.accepted else "too strict"
    if depth >= 1 and linux.errno != ours.errno:
        return "errno"
    if depth >= 1 and linux.message != ours.message:
        return "message"
    if depth >= 2 and linux.processed != ours.processed:
        return "walked, accepted" if linux.accepted else "walked, refused"
    states = (linux.total_states, linux.peak_states) != (ours.total_states, ours.peak_states)
    return "states" if depth >= 3 and states else ""


def group_of(kind: str, linux: Answer, ours: Answer) -> str:
    """The kind with the messages, for disagreements of one cause to be counted together."""
    if kind == "crash":
        return f"crash: {ours.message}"
    if kind == "unsound":
        return f"unsound: Linux says {template(linux.message)!r}"
    if kind == "too strict":
        return f"too strict: we say {template(ours.message)!r}"
    if kind in ("message", "errno"):
        theirs, said = (f"{a.errno_name} {template(a.message)!r}" for a in (linux, ours))
        return f"{kind}: Linux {theirs}, ours {said}"
    return kind
