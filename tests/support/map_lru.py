"""Long scripts of program steps on LRU maps, and what is left in the map: on Linux and with us."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from tests.support.map_programs import on_one_cpu, run_and_dump
from tests.support.record import recorder

GOLDEN, SEED = "map_lru", 5
Shape = tuple[int, int, int, int]
LRUS: tuple[tuple[str, Shape, int], ...] = (
    ("LRU_HASH", (4, 8, 1, 0), 60),
    ("LRU_HASH", (4, 8, 10, 0), 300),
    ("LRU_HASH", (8, 8, 50, 0), 800),
    ("LRU_HASH", (16, 8, 300, 0), 1500),
    ("LRU_HASH", (12, 8, 700, 0), 2500),
    ("LRU_HASH", (4, 8, 8, 2), 300),
    ("LRU_HASH", (4, 8, 61, 2), 800),
    ("LRU_PERCPU_HASH", (4, 8, 40, 0), 800),
    ("LRU_PERCPU_HASH", (8, 8, 600, 0), 2500),
    ("LRU_PERCPU_HASH", (20, 8, 41, 2), 800),
)
"""Types, shapes and the number of steps of their scripts."""


def lru_script(entries: int, length: int, seed: int) -> str:
    """Random updates, lookups and deletions over about twice as many keys as there is room for; some keys are hot."""
    dice, made = random.Random(seed), []
    for _ in range(length):
        key = dice.randrange(2 * entries + 4) if dice.random() < 0.7 else dice.randrange(entries // 4 + 1)
        what = dice.choices(("set", "get", "del"), (60, 35, 5))[0]
        flags = dice.choice(("", "", "", "", "!1", "!2")) if what == "set" else ""
        made.append(f"{what} {key}" + (f"={dice.randrange(1000)}{flags}" if what == "set" else ""))
    return "; ".join([*made, "ret"])


def digest(items: list[tuple[bytes, bytes]]) -> str:
    """A short text that tells one map's contents from another's."""
    text = b"".join(part for item in sorted(items) for part in item)
    return f"{len(items)} {hashlib.sha256(text).hexdigest()[:16]}"


def _ask(kind: str, shape: Shape, length: int) -> list[Any]:
    result, items = run_and_dump(kind, shape, lru_script(shape[2], length, SEED))
    return [kind, shape, length, result, digest(items)]


@recorder(GOLDEN)
def record_lru() -> dict[str, Any]:
    """Ask the running kernel."""
    return {"rows": on_one_cpu(lambda: [_ask(*row) for row in LRUS])}
