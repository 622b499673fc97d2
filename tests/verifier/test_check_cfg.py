"""Functions, control flow, loops and live registers: the verdicts, messages and tables that Linux has."""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest

from tests.support.first_passes import agrees, first_passes, linux_log, masked, our_log, spec_of
from tests.support.jump_graphs import jump_graph
from tests.support.oracle import golden
from tests.support.programs import VALUE_SIZE, random_program
from tests.support.rawbpf import array_map, with_map_fd
from tests.support.record import recorder
from xdpsim.helpers.ids import HELPERS_BY_ID, HELPERS_OF_TYPE
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import SLOT, decode, encode_all
from xdpsim.verifier.env import ALL_CAPS, Env, Refusal

GRAPHS = 4000
RECORDED_GRAPHS = range(160)
_UNASKED = frozenset({"CGROUP_SOCK_ADDR", "CGROUP_SOCKOPT", "SK_LOOKUP", "SYSCALL", "NETFILTER"})
"""Types that Linux loads only with an attach type or flags of their own."""


@recorder("verifier_first_passes")
def record_graphs() -> list[dict[str, object]]:
    """What Linux logs of random jump graphs, up to the walk."""
    rows = []
    for seed in RECORDED_GRAPHS:
        raw = jump_graph(random.Random(seed))
        error, log = linux_log(raw)
        rows.append({"seed": seed, "code": raw.hex(), "errno": error, "log": log.partition("0: R1=ctx()")[0]})
    return rows


@pytest.mark.golden
def test_recorded_graphs() -> None:
    for row in golden("verifier_first_passes"):
        ours = our_log(spec_of(decode(bytes.fromhex(row["code"]))))
        assert agrees(ours, (row["errno"], row["log"])), row["log"]


@pytest.mark.live
def test_random_graphs() -> None:
    seed, verdicts = time.time_ns(), Counter[bool]()
    for number in range(GRAPHS):
        raw = jump_graph(random.Random(seed + number))
        ours, linux = our_log(spec_of(decode(raw))), linux_log(raw)
        assert agrees(ours, linux), (seed + number, ours[1], linux[1])
        verdicts[ours[0] == 0] += 1
    assert verdicts[True] > GRAPHS // 20
    assert verdicts[False] > GRAPHS // 20


@pytest.mark.live
def test_live_registers_of_random_programs() -> None:
    seed, map_fd = time.time_ns(), array_map(VALUE_SIZE)
    for number in range(200):
        code = random_program(random.Random(seed + number))
        ours, linux = our_log(spec_of(code)), linux_log(with_map_fd(encode_all(code), map_fd))
        assert agrees(ours, linux), (seed + number, ours[1])
    os.close(map_fd)


@pytest.mark.live
@pytest.mark.parametrize("prog_type", sorted(set(HELPERS_OF_TYPE) - _UNASKED))
def test_registers_that_helpers_read(prog_type: str) -> None:
    wrong = []
    for number in [0, *HELPERS_BY_ID, len(HELPERS_BY_ID) + 1]:
        raw = SLOT.pack(0x85, 0, 0, number) + SLOT.pack(0xB7, 0, 0, 0) + SLOT.pack(0x95, 0, 0, 0)
        if not agrees(our_log(spec_of(decode(raw), prog_type)), linux_log(raw, prog_type)):
            wrong.append(number)
    assert wrong == []


def test_too_many_functions() -> None:
    def program(count: int) -> str:
        calls = "; ".join(f"call f{number}" for number in range(count))
        return f"{calls}; r0 = 2; exit; " + "; ".join(f"f{number}: r0 = 0; exit" for number in range(count))

    assert our_log(spec_of(assemble(program(255))))[0] == 0
    assert our_log(spec_of(assemble(program(256)))) == (7, "too many subprograms\n")


@pytest.mark.live
@pytest.mark.parametrize("count", [255, 256])
def test_linux_counts_functions_alike(count: int) -> None:
    calls = "; ".join(f"call f{number}" for number in range(count))
    code = assemble(f"{calls}; r0 = 2; exit; " + "; ".join(f"f{number}: r0 = 0; exit" for number in range(count)))
    assert agrees(our_log(spec_of(code)), linux_log(code))


def test_loops_need_the_right() -> None:
    code = assemble("r0 = 0; again: r0 += 1; if r0 != 5 goto again; exit")
    assert our_log(spec_of(code))[0] == 0
    assert our_log(spec_of(code), caps=ALL_CAPS - {"bpf"}) == (22, "func#0 @0\nback-edge from insn 2 to 1\n")


def _env(text: str) -> Env:
    env = Env(spec_of(assemble(text)), (), None)
    first_passes(env)
    return env


def test_marks_of_branches_and_calls() -> None:
    env = _env("if r1 == 0 goto out; call f; out: r0 = 2; exit; f: r0 = 0; exit")
    assert [slot for slot, aux in enumerate(env.aux) if aux.prune_point] == [0, 1, 2, 4]
    assert [slot for slot, aux in enumerate(env.aux) if aux.jmp_point] == [2, 4]
    assert not any(aux.force_checkpoint for aux in env.aux)


def test_marks_of_callbacks_and_may_goto() -> None:
    env = _env("r1 = 1; call 181; again: may_goto out; goto again; out: r0 = 2; exit")
    loop_call, may_goto = 1, 2
    assert env.aux[loop_call].calls_callback
    assert env.aux[loop_call].force_checkpoint
    assert env.aux[loop_call].prune_point
    assert env.aux[may_goto].force_checkpoint
    assert not env.aux[may_goto].calls_callback


def test_what_callees_do_their_callers_do() -> None:
    env = _env("call f; call g; r0 = 2; exit; f: r2 = 0; call 44; r0 = 0; exit; g: r0 = 0; exit")
    assert [subprog.changes_pkt_data for subprog in env.subprogs[:-1]] == [True, True, False]


def test_postorder_puts_slots_behind_their_successors() -> None:
    env = _env("r0 = 0; if r1 == 0 goto out; r0 = 1; out: exit")
    (main, _) = env.subprogs
    assert main.postorder == (3, 2, 1, 0)


def test_loops_are_numbered() -> None:
    env = _env("r0 = 0; again: r0 += 1; if r0 != 5 goto again; self: if r0 == 7 goto self; exit")
    assert [aux.scc for aux in env.aux] == [0, 2, 2, 1, 0]


def test_a_refusal_ends_the_log() -> None:
    env = Env(spec_of(assemble("r0 = 2; exit; r0 = 1; exit")), (), None, log_level=2)
    with pytest.raises(Refusal, match="unreachable insn 2"):
        first_passes(env)
    assert masked("".join(env.log)) == "func#0 @0\nunreachable insn 2\n"
