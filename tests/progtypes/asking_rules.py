"""Asks the running kernel what it asks of programs of each type: results, capabilities, flags, packet access."""

from __future__ import annotations

import re
from typing import Any

from tests.progtypes.asking import attach_types
from tests.support.record import recorder
from tests.support.verifier_linux import ALL_CAPS, LEVEL1, STATS, Answer, Asker
from xdpsim.helpers.ids import HELPERS_OF_TYPE
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.progtypes.context import Yields
from xdpsim.progtypes.rows import PROG_TYPES

_MAP = MapSpec("m", "HASH", 4, 4, 1)
_RANGE = re.compile(r"should have been in \[(-?\d+), (-?\d+)\]")
ACTIONS = {
    "write": "*(u8 *)(r2 + 0) = 0",
    "marked helper": "r1 = map[0]; call 3",
    "other helper": "r1 = r2; r2 = 4; call 6",
}


def ask(
    asker: Asker,
    prog_type: str,
    attach: int,
    asm: str,
    *,
    caps: frozenset[str] = ALL_CAPS,
    sleeps: bool = False,
    log_level: int = LEVEL1,
) -> Answer:
    """What the verifier says of a program of that type."""
    code = assemble(asm, maps={"m": 0})
    spec = ProgramSpec("ask", "ask", prog_type, attach, code, (Subprogram("ask", 0),), (), "GPL", sleepable=sleeps)
    return asker.ask(spec, (_MAP,), caps=caps, log_level=log_level)


def results(asker: Asker, prog_type: str, attach: int) -> list[int] | None:
    """The range that the message names for a result which is in none, None where any result is good."""
    answer = ask(asker, prog_type, attach, "r0 = 77; exit", sleeps=prog_type == "SYSCALL")
    found = _RANGE.search(answer.message)
    return [int(found[1]), int(found[2])] if found else None


def capabilities(asker: Asker, prog_type: str, attach: int, result: int) -> list[str]:
    """Those of the three without which the type does not load while the other two are there."""
    asm, sleeps = f"r0 = {result}; exit", prog_type == "SYSCALL"
    assert ask(asker, prog_type, attach, asm, sleeps=sleeps).accepted
    return [
        name
        for name in sorted(ALL_CAPS)
        if not ask(asker, prog_type, attach, asm, caps=ALL_CAPS - {name}, sleeps=sleeps).accepted
    ]


def fastcall(asker: Asker, prog_type: str, attach: int, result: int) -> bool:
    """Whether get_smp_processor_id keeps r1 to r5, so that a spill round its call takes no stack."""
    asm = f"*(u64 *)(r10 -8) = r1; call 8; r1 = *(u64 *)(r10 -8); r0 = {result}; exit"
    return ask(asker, prog_type, attach, asm, sleeps=prog_type == "SYSCALL", log_level=STATS).stack_depth == "0"


def packet(asker: Asker, prog_type: str, attach: int, result: int) -> dict[str, str]:
    """Action -> the verifier's message, "" for one that it allows; for types whose context has a packet."""
    context = PROG_TYPES[prog_type].context
    fields = {f.yields: f for f in context or () if f.readable}
    if Yields.PACKET_START not in fields:
        return {}
    start, end = fields[Yields.PACKET_START], fields[Yields.PACKET_END]
    width = f"u{8 * start.width}"
    head = f"r2 = *({width} *)(r1 + {start.offset}); r3 = *({width} *)(r1 + {end.offset}); r4 = r2; r4 += 8"
    answers = {}
    for name, action in ACTIONS.items():
        asm = f"{head}; if r4 > r3 goto out; {action}; out: r0 = {result}; exit"
        answers[name] = ask(asker, prog_type, attach, asm).message
    return answers


@recorder("load_rules")
def record() -> dict[str, Any]:
    """Rows of every type that loads without BTF, for its first attach type; results also where another one differs."""
    asker, ranges, rules = Asker(), [], []
    for prog_type in HELPERS_OF_TYPE:
        good = attach_types(prog_type)
        found = {attach: results(asker, prog_type, attach) for attach in good}
        first = good[0]
        ranges += [[prog_type, at, found[at]] for at in good if at == first or found[at] != found[first]]
        result = (found[first] or [0])[0]
        sleeps = ask(asker, prog_type, first, f"r0 = {result}; exit", sleeps=True)
        awake = ask(asker, prog_type, first, f"r0 = {result}; exit")
        loads = ask(asker, prog_type, first, f"r6 = r1; r0 = *(u32 *)skb[0]; r0 = {result}; exit")
        rules.append(
            {
                "type": prog_type,
                "attach": first,
                "sleepable": sleeps.message if not sleeps.accepted else "must" if not awake.accepted else "may",
                "ld_abs": loads.message,
                "capabilities": capabilities(asker, prog_type, first, result),
                "fastcall": fastcall(asker, prog_type, first, result),
                "packet": packet(asker, prog_type, first, result),
            }
        )
    return {"results": ranges, "rules": rules}
