"""Lookups that the jit emits in place find what the interpreter's find, in maps of every shape."""

from __future__ import annotations

import random

import pytest

from tests.support.corpus import OURS, Workbench
from xdpsim.isa.asm import assemble

KEY = "r6 = *(u32 *)(r1 +0); r7 = *(u64 *)(r6 +0); *(u64 *)(r10 -8) = r7; r2 = r10; r2 += -8; r1 = map[0]; call 1; "
READ = KEY + "r1 = r0; r0 = 77; if r1 == 0 goto out; r0 = *(u32 *)(r1 +0); out: exit"
"""The value under the key that the packet begins with."""


@pytest.mark.parametrize("entries", [1, 3, 64, 1000])
@pytest.mark.parametrize(
    ("kind", "key_size", "flags"),
    [("ARRAY", 4, 0), ("PERCPU_ARRAY", 4, 0), ("HASH", 4, 0), ("HASH", 8, 1), ("HASH", 3, 0), ("LRU_HASH", 4, 0)],
)
def test_lookups(kind: str, key_size: int, flags: int, entries: int) -> None:
    rng = random.Random(f"{kind}:{key_size}:{entries}")
    shape = {"type": kind, "key_size": key_size, "value_size": 12, "max_entries": entries, "flags": flags}
    first = Workbench(OURS[0], [shape])
    benches = [first, first.beside(OURS[1])]
    keys = [rng.randrange(2 * entries).to_bytes(key_size, "little") for _ in range(50)]
    for number, key in enumerate(keys[:25]):
        value = number.to_bytes(4, "little") + bytes(8)
        first.maps[0].update_bytes(key, value if kind != "PERCPU_ARRAY" else (value + bytes(4)) * 2, 0)
    for key in keys:
        packet = (key + rng.randbytes(8))[:8] + bytes(56)
        found = [bench.run(assemble(READ), packet) for bench in benches]
        assert found[0].what == found[1].what
