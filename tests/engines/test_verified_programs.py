"""Programs of the verifier's own grammar that it accepts do the same on both engines, the jit without their checks."""

from __future__ import annotations

import random
from typing import Any

from tests.support.corpus import OURS
from tests.support.fuzz_verifier.program import write
from tests.support.verifier_sources import Question
from xdpsim import InputError, Rejected, Sim, Unsupported
from xdpsim.loader.model import Object

PROGRAMS = range(1000, 1060)
PACKET = bytes(range(200))
COMPARED = frozenset({"ARRAY", "PERCPU_ARRAY", "HASH", "PERCPU_HASH", "LRU_HASH", "LPM_TRIE"})


def outcome(engine: str, question: Question) -> tuple[Any, ...] | None:
    """What one run leaves; None for a program that is refused."""
    loaded = Sim(engine=engine)._place(Object("made", {"p": question.spec}, question.maps, question.btf, "GPL"))
    try:
        ran = loaded["p"].run(PACKET)
    except (Rejected, Unsupported, InputError):
        return None
    maps = {name: sorted(made.items_bytes()) for name, made in loaded.maps.items() if made.spec.type in COMPARED}
    fault = str(ran.fault) if ran.fault else ""
    return fault, ran.value, ran.packet, ran.meta, [(event.kind, event.data) for event in ran.events], maps


def test_accepted_programs() -> None:
    accepted, differing = 0, []
    for number in PROGRAMS:
        question = write(random.Random(f"engines {number}"), "p", "XDP").question
        interpreted = outcome(OURS[0], question)
        if interpreted is None or "gave up" in interpreted[0]:  # loops of millions: the jit alone runs them to the end
            continue
        accepted += 1
        if outcome(OURS[1], question) != interpreted == outcome(OURS[0], question):  # else it tells its own addresses
            differing.append(number)
    assert differing == []
    assert accepted >= len(PROGRAMS) // 4
