"""Whole programs from the grammar: a prologue, pieces, an end, the functions behind it."""

from __future__ import annotations

import functools
import random
import re
from dataclasses import dataclass, replace

from tests.support.fuzz_verifier import memory, numbers, packets, references, signatures
from tests.support.fuzz_verifier.builder import CHUNKS, SKB_TYPES, Builder, Chunk, Shared, pick, usable
from tests.support.fuzz_verifier.flow import END_MISTAKES, end
from tests.support.fuzz_verifier.maps import MAPS
from tests.support.verifier_cases import make_case
from tests.support.verifier_sources import Question, of_case

_THEMES = (memory, numbers, packets, references, signatures)
"""Their import is what fills CHUNKS."""
_TYPES = {"XDP": 0.4, "SCHED_CLS": 0.35, "SOCKET_FILTER": 0.12, "CGROUP_SKB": 0.13}
_CONTEXTS = {"XDP": "struct xdp_md"} | dict.fromkeys(SKB_TYPES, "struct __sk_buff")
_SHARE_PLANNED = 0.52
_MAP_NAME = re.compile(r"map(?:_value)?\[(\w+)\]")


@dataclass(frozen=True)
class Written:
    """A generated program; `plan` is the mistake that was to be in it, or empty."""

    question: Question
    entry: dict[str, object]
    plan: str


@functools.cache
def mistakes(prog_type: str) -> tuple[tuple[str, Chunk | None], ...]:
    """Every mistake that programs of a type can have, with its piece (None: the end of the program)."""
    found: list[tuple[str, Chunk | None]] = [(name, chunk) for chunk in usable(prog_type) for name in chunk.mistakes]
    return (*found, *((name, None) for name in END_MISTAKES))


def write(rng: random.Random, name: str, prog_type: str = "") -> Written:
    """A program of random size, of any type if none is given. ValueError when the text is no program, which few are."""
    prog_type = prog_type or rng.choices(list(_TYPES), list(_TYPES.values()))[0]
    shared = Shared(context=_CONTEXTS[prog_type], lacks_perfmon=rng.random() < 0.06)
    needed: Chunk | None = None
    if rng.random() < _SHARE_PLANNED:
        shared.plan, needed = rng.choice(mistakes(prog_type))
    b = Builder(rng, prog_type, shared)
    b.frame_bytes = rng.choice((64, 64, 128, 256))
    if rng.random() < 0.1:
        b.emit("*(u64 *)(r10 -8) = r1")
    b.emit("r6 = r1")
    b.set(6, "ctx")
    count = rng.randrange(3, 14)
    place = rng.randrange(count)
    for n in range(count):
        if n == place and needed:
            for _ in range(3):
                needed.write(b)
                if shared.made:
                    break
        else:
            pick(b).write(b)
    end(b)
    text = "\n".join(line for lines in [b.lines, *shared.functions] for line in lines)
    if shared.wants_btf or rng.random() < 0.3:
        names = [f"f{n}" for n in range(len(shared.functions))]
        functions = [shared.signatures.get(name, f"static int {name}(u64 a);") for name in names]
        record = ["struct rec { u64 a; u64 b; };"] if shared.signatures else []
        declared = " ".join([*record, f"int main({shared.context} *ctx);", *functions])
    else:
        declared = ""
    entry = _entry(rng, name, shared, prog_type, text, declared)
    return Written(_question(entry), entry, shared.plan)


def _entry(
    rng: random.Random, name: str, shared: Shared, prog_type: str, text: str, declared: str
) -> dict[str, object]:
    """The program as a table of a case file."""
    entry: dict[str, object] = {"name": name, "type": prog_type, "asm": text}
    if declared:
        entry["btf"] = declared
    if rng.random() < 0.1:
        entry["flags"] = ["test_state_freq"]
    elif rng.random() < 0.03:
        entry["flags"] = ["strict_alignment"]
    if shared.lacks_perfmon:
        entry["caps"] = ["bpf", "net_admin"]
    return entry


def _question(entry: dict[str, object]) -> Question:
    used = [name for name in MAPS if name in set(_MAP_NAME.findall(str(entry["asm"])))]
    case = make_case({**entry, "maps": [{"name": name, "type": "ARRAY"} for name in used]})
    maps = tuple(MAPS[name] for name in used)
    declared = str(entry.get("btf", ""))
    return replace(of_case(case), name=case.name, maps=maps, btf=case.btf, btf_text=declared)


def planned() -> set[str]:
    """The names of all mistakes."""
    return {name for chunk in CHUNKS.values() for name in chunk.mistakes} | set(END_MISTAKES)
