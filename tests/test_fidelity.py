"""The known differences from Linux that docs/fidelity.md lists: a test here fails once one of them is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xdpsim import XDP, Sim
from xdpsim.maps.types import BPF_F_WRONLY

PAGE = Path(__file__).parent.parent / "docs" / "fidelity.md"
PACKET = bytes(64)
COUNTER = {"type": "HASH", "key_size": 4, "value_size": 4, "max_entries": 64}


def value_of(code: str, engine: str = "interpreter", seed: int = 0) -> int:
    return Sim(engine=engine, seed=seed).load_insns(code, "XDP").run(PACKET).value


def no_verifier() -> None:
    out = Sim().load_insns("r1 = *(u32 *)(r1 +0); r0 = *(u8 *)(r1 +64); exit", "XDP").run(PACKET)
    assert out.action is XDP.ABORTED
    assert "past its end" in str(out.fault)


def unwritten_reads_zero() -> None:
    assert value_of("r0 = *(u64 *)(r10 -8); r0 += r7; r0 += 2; exit") == 2


def random_is_seeded() -> None:
    code = "call 7; exit"
    assert value_of(code) == value_of(code) != value_of(code, seed=1)


def hash_order_repeats() -> None:
    def keys() -> list[bytes]:
        sim = Sim()
        map_ = sim.load_insns("r0 = 2; exit", "XDP", maps=[COUNTER]).maps["map0"]
        for number in range(32):
            map_.update_bytes(number.to_bytes(4, "little"), bytes(4))
        return list(map_.keys_bytes())

    assert keys() == keys()


def may_goto_counts() -> None:
    assert value_of("r0 = 0\nagain: may_goto done\nr0 += 1\ngoto again\ndone: exit", "jit") == 8 * 1024 * 1024


def budget() -> None:
    out = Sim(engine="jit").load_insns("again: goto again", "XDP").run(PACKET)
    assert "gave up after 16777216" in str(out.fault)


def clock_stands_while_running() -> None:
    code = "call 5; r6 = r0; r1 = 1000\nagain: r1 -= 1; if r1 != 0 goto again; call 5; r0 -= r6; exit"
    assert value_of(code) == 0


def wronly_is_readable() -> None:
    sim = Sim()
    map_ = sim.load_insns("r0 = 2; exit", "XDP", maps=[{**COUNTER, "flags": BPF_F_WRONLY}]).maps["map0"]
    assert map_.update_bytes(bytes(4), bytes(4)) == 0
    assert map_.lookup_bytes(bytes(4)) == bytes(4)


DIFFERENCES = (
    no_verifier,
    unwritten_reads_zero,
    random_is_seeded,
    hash_order_repeats,
    may_goto_counts,
    budget,
    clock_stands_while_running,
    wronly_is_readable,
)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.__name__)
def test_known_difference_still_stands(difference: object) -> None:
    assert callable(difference)
    difference()


def test_the_page_lists_exactly_these() -> None:
    listed = re.findall(r"\| `(\w+)` \|$", PAGE.read_text(), re.MULTILINE)
    assert listed == [difference.__name__ for difference in DIFFERENCES]
