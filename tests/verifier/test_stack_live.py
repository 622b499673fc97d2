"""Stack liveness: along the paths that Linux walks, our analysis says what Linux's says, line by line."""

from __future__ import annotations

import random
import time

import pytest

from tests.support.first_passes import first_passes, linux_log, spec_of
from tests.support.liveness_replay import Replay, liveness_lines
from tests.support.oracle import golden
from tests.support.record import recorder
from tests.support.stack_programs import stack_program
from xdpsim.isa.asm import assemble
from xdpsim.verifier.env import Env
from xdpsim.verifier.stack_live import StackLiveness

PROGRAMS = 150
_LONGEST = 6000


@recorder("verifier_stack_live")
def record_programs() -> list[dict[str, object]]:
    """Logs of some programs whose logs are short."""
    rows: list[dict[str, object]] = []
    seed = 0
    while len(rows) < 25:
        _, log = linux_log(stack_program(random.Random(seed)))
        if len(liveness_lines(log)) > 8 and len(log) < _LONGEST:
            rows.append({"seed": seed, "log": log})
        seed += 1
    return rows


@pytest.mark.golden
def test_recorded_programs() -> None:
    for row in golden("verifier_stack_live"):
        code = stack_program(random.Random(row["seed"]))
        assert Replay(code).run(row["log"]) == liveness_lines(row["log"]), row["seed"]


@pytest.mark.live
def test_random_programs() -> None:
    seed = time.time_ns()
    for number in range(PROGRAMS):
        code = stack_program(random.Random(seed + number))
        _, log = linux_log(code)
        assert Replay(code).run(log) == liveness_lines(log), seed + number


def _live(text: str) -> tuple[Env, StackLiveness]:
    env = Env(spec_of(assemble(text)), (), None)
    first_passes(env)
    live = env.stack_live = StackLiveness(env)
    env.cur = Replay.state_of(((-1, 0),))
    return env, live


def _visit(live: StackLiveness, slot: int, written: int = 0, read: int = 0) -> None:
    live.reset_write_marks(slot)
    if written:
        live.mark_write(0, written)
    if read:
        live.mark_read(0, slot, read)
    live.commit_write_marks()


def _alive(env: Env, live: StackLiveness, slot: int) -> int:
    env.cur.insn_idx = slot
    live.query_init(env.cur)
    assert [live.slot_alive(0, spi) for spi in range(64)] == [bool(live.alive_mask(0) >> spi & 1) for spi in range(64)]
    return live.alive_mask(0)


def test_a_slot_is_alive_until_it_is_read() -> None:
    env, live = _live("r0 = 0; r0 = 1; r0 = 2; r0 = 3; exit")
    _visit(live, 1, written=1)
    _visit(live, 2, read=1)
    live.update(env.cur)
    assert [_alive(env, live, slot) for slot in range(4)] == [0, 0, 1, 0]


def test_what_only_some_visits_write_is_not_written() -> None:
    env, live = _live("r0 = 0; r0 = 1; r0 = 2; r0 = 3; exit")
    _visit(live, 1, written=1)
    _visit(live, 2, read=1)
    live.update(env.cur)
    _visit(live, 1, written=2)
    live.update(env.cur)
    assert [_alive(env, live, slot) for slot in range(4)] == [1, 1, 1, 0]


def test_slots_below_256_bytes_stay_written_as_in_linux() -> None:
    """Linux 6.18 compares with what was written before in 32 bits only, and so forgets to take such slots back."""
    env, live = _live("r0 = 0; r0 = 1; r0 = 2; r0 = 3; exit")
    _visit(live, 1, written=1 << 33)
    _visit(live, 2, read=1 << 33)
    live.update(env.cur)
    _visit(live, 1, written=1 << 32)
    live.update(env.cur)
    assert [_alive(env, live, slot) for slot in range(4)] == [0, 0, 1 << 33, 0]


def test_loops_keep_slots_alive() -> None:
    env, live = _live("r0 = 0; again: r0 = 1; r0 = 2; if r0 == 3 goto again; exit")
    _visit(live, 1, read=1)
    live.update(env.cur)
    assert [_alive(env, live, slot) for slot in range(5)] == [1, 1, 1, 1, 0]
