"""Stack of call chains: the sizes and messages of Linux, over random call graphs."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from tests.support.call_graphs import call_graph
from tests.support.first_passes import first_passes, linux_log, spec_of
from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Code
from xdpsim.sysbpf.programs import telling_line
from xdpsim.verifier.env import Env, Refusal
from xdpsim.verifier.stack_depth import check_max_stack_depth

GRAPHS = 250


def _ours(code: Code, sizes: list[int], prog_type: str) -> tuple[int, str]:
    env = Env(spec_of(code, prog_type), (), None)
    first_passes(env)
    for subprog, size in zip(env.subprogs, sizes, strict=False):
        subprog.stack_depth = size
    try:
        check_max_stack_depth(env)
    except Refusal as refusal:
        return refusal.errno, refusal.message
    return 0, ""


@pytest.mark.live
def test_random_call_graphs() -> None:
    seed, answers = time.time_ns(), Counter[tuple[str, bool]]()
    for number in range(GRAPHS):
        code, sizes = call_graph(random.Random(seed + number))
        for prog_type in ("XDP", "KPROBE"):
            error, log = linux_log(code, prog_type)
            linux = error, telling_line(log) if error else ""
            assert _ours(code, sizes, prog_type) == linux, seed + number
            answers[prog_type, error == 0] += 1
    assert answers["XDP", False] > GRAPHS // 20
    assert answers["KPROBE", True] > answers["XDP", True]


CHAIN = "call f; call f; exit; f: call g; r0 = 0; exit; g: r0 = 0; exit"


@pytest.mark.parametrize(
    ("prog_type", "sizes", "message"),
    [
        ("XDP", [256, 240, 16], ""),
        ("XDP", [256, 240, 17], "combined stack size of 3 calls is 528. Too large"),
        ("XDP", [256, 264, 0], "combined stack size of 2 calls is 528. Too large"),
        ("KPROBE", [512, 512, 512], ""),
        ("KPROBE", [512, 48, 48], ""),
        ("KPROBE", [520, 0, 0], "stack size of subprog 0 is 528. Too large"),
    ],
)
def test_sizes_are_rounded_and_summed(prog_type: str, sizes: list[int], message: str) -> None:
    assert _ours(assemble(CHAIN), sizes, prog_type)[1] == message
