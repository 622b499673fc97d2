"""What is said of a refusal: something for every message, the right thing for typical mistakes, the way there."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import pytest

from tests.support.verifier_cases import Case, case_name, load_cases
from tests.support.verifier_linux import STATS, Asker
from tests.support.verifier_objects import questions
from tests.support.verifier_ours import ask_ours
from tests.support.verifier_sources import ask_linux
from xdpsim.isa.asm import assemble
from xdpsim.isa.insn import Code
from xdpsim.loader.load import load_object
from xdpsim.loader.model import Object, ProgramSpec, Subprogram
from xdpsim.verifier.decide import decide
from xdpsim.verifier.explain import MOST_STEPS, Explanation, explain
from xdpsim.verifier.main import verify

PROGRAMS = Path(__file__).parents[2] / "programs"
MISTAKES = PROGRAMS / "mistakes/mistakes.o"


def _is_short(case: Case) -> bool:
    """Whether it is refused, by us as well, before a million insns."""
    return not case.accept and not case.known and not case.message.startswith(("BPF program is too", "The sequence of"))


REJECTED = {re.sub(r"-?\d+", "N", case.message): case for case in load_cases() if _is_short(case)}
"""A case of each message."""

RIGHT = {
    "no_bounds_check": "compare data + 14 with data_end before this access: nothing is proven on this path",
    "short_bounds_check": "compare data + 24 with data_end before this access: only 14 bytes are proven here",
    "no_null_check": "compare R0, what bpf_map_lookup_elem at insn 6 (programs/mistakes/mistakes.c:",
    "stale_pointer": "bpf_xdp_adjust_head at insn 7 (programs/mistakes/mistakes.c:",
    "unbounded_index": "the offset may be 0 to 255: check that it is at most 7 before it is added",
    "unset_register": "set the result on every path: this one leaves without a value in R0",
    "endless_loop": "something that the loop's end depends on must change in each round",
    "leaked_record": "release what bpf_ringbuf_reserve at insn 5 (programs/mistakes/mistakes.c:",
    "used_after_submit": "R6 was released by bpf_ringbuf_submit at insn 9 (programs/mistakes/mistakes.c:",
    "wrong_helper": "bpf_skb_load_bytes is not for XDP: SOCKET_FILTER, SCHED_CLS, SCHED_ACT, CGROUP_SKB and ",
    "wrong_map": "map events (RINGBUF) has no keys: this helper does not work on it",
    "forgotten_unlock": "unlock before this: the lock was taken by bpf_spin_lock at insn 12 (programs/mistakes/",
    "written_context": "programs of type XDP may not write xdp_md.rx_queue_index, only read it",
    "written_constant": "this memory is read-only for programs",
    "unbounded_length": "the size in R4 may be 0 to 4294967295: check that it is at least 1 and at most 64 ",
    "deep_stack": "the functions of one chain of calls share 512 bytes (here deep_stack 320, deep 320): move large ",
    "wrong_return": "return a value from 0 to 1: R0 may be 0 to 4294967295, from insn 0 (programs/mistakes/mistakes.c:",
    "other_pointer": "R2 is data plus an offset that varies (it may be 0 to 60): compare this very pointer plus ",
    "released_twice": "R1 was released by bpf_ringbuf_submit at insn 9 (programs/mistakes/mistakes.c:",
    "no_inner_check": "compare R1, what bpf_map_lookup_elem at insn 7 (programs/mistakes/mistakes.c:",
    "wrong_redirect": "bpf_redirect_map works on maps of type CPUMAP, DEVMAP, DEVMAP_HASH, XSKMAP, not ARRAY",
    "negative_index": "R6 may be -2147483648 to 7: make it unsigned, or check that it is not below zero, before ",
    "past_the_buffer": "this access is behind the end of the stack: check the index against the size of the ",
    "wrong_callback": "return a value from 0 to 1: R0 is 2, from insn ",
    "unchecked_argument": "R1 is an argument of a global function, which may be NULL: compare it, or tag it __arg",
    "pointer_arithmetic": "do not compute with this pointer",
}


@functools.cache
def mistakes() -> Object:
    return load_object(MISTAKES.read_bytes(), "mistakes.o")


def refused(name: str) -> Explanation:
    source = mistakes()
    refusal = decide(source.programs[name], source.maps, source.btf, remember=False).refusal
    assert refusal is not None
    return refusal


def explained(code: str | Code, program_type: str = "XDP") -> Explanation:
    decoded = assemble(code) if isinstance(code, str) else code
    spec = ProgramSpec("main", "", program_type, 0, decoded, (Subprogram("main", 0),), (), "GPL")
    return explain(verify(spec, (), None))


@pytest.mark.parametrize("case", REJECTED.values(), ids=case_name)
def test_every_refusal_has_a_remedy(case: Case) -> None:
    verdict = verify(
        *(case.spec, case.maps, case.btf),
        caps=case.caps,
        strict_alignment="strict_alignment" in case.flags,
        test_state_freq="test_state_freq" in case.flags,
    )
    told = explain(verdict)
    assert told.remedy
    assert not told.remedy.endswith(".")
    assert "{" not in told.remedy
    assert Explanation.from_json(json.loads(json.dumps(told.as_json()))) == told


@pytest.mark.parametrize(("name", "remedy"), RIGHT.items())
def test_what_would_have_been_right(name: str, remedy: str) -> None:
    assert refused(name).remedy.startswith(remedy)


def test_every_mistake_is_one() -> None:
    accepted = {"right", "uninitialised_stack", "traced"}
    assert set(mistakes().programs) == {*RIGHT, *accepted, "long_loop"}


@pytest.mark.live
def test_linux_says_the_same_of_them() -> None:
    asker = Asker()
    differing = {}
    for name, question, _ in questions(asker, MISTAKES):
        if question is None or name.endswith(":long_loop"):
            continue
        linux = ask_linux(asker, question)
        ours = ask_ours(question.spec, question.maps, question.btf, caps=question.caps)
        if (linux.errno, linux.message, linux.processed) != (ours.errno, ours.message, ours.processed):
            differing[name] = linux.message, ours.message
    assert differing == {}


def test_the_way_there_and_where_values_are_from() -> None:
    told = refused("stale_pointer")
    assert told.message == "R6 invalid mem access 'scalar'"
    assert told.source == "eth->h_proto = 0;"
    assert [(step.what, step.source) for step in told.steps] == [
        ("not taken", "if ((void *)(eth + 1) > end)"),
        ("not taken", "if (bpf_xdp_adjust_head(ctx, -4))"),
    ]
    assert told.registers[1] == "R6=scalar()"
    (pointer,) = [step for step in told.origins if step.what == "R6"]
    assert pointer.source.startswith("void *data = (void *)(long)ctx->data")
    assert told.place == f"programs/mistakes/mistakes.c:{told.line}: eth->h_proto = 0;"


def test_the_same_branch_again_and_again_counts_once() -> None:
    told = explained("r1 = 0; l: r1 += 1; if r1 != 100 goto l; r0 = *(u8 *)(r1 +0); exit")
    assert [(step.what, step.times) for step in told.steps] == [("taken", 99), ("not taken", 1)]
    assert told.path[0] == "2 (if r1 != 0x64 goto pc-2) taken, 99 times"


def test_only_the_last_branches_are_told() -> None:
    jumps = "; ".join(f"if r1 == {number} goto +0" for number in range(20))
    told = explained(f"call 7; r1 = r0; {jumps}; r0 = *(u8 *)(r1 +0); exit")
    assert len(told.steps) == MOST_STEPS
    assert told.steps[-1].slot == 21


@pytest.mark.parametrize(
    ("asm", "slot"),
    [
        ("call 7; r6 = r0; r7 = r6; r7 += 5; r0 = *(u8 *)(r7 +0); exit", 0),  # copies and arithmetic
        ("call 7; *(u64 *)(r10 -8) = r0; r0 = 1; r3 = *(u64 *)(r10 -8); r0 = *(u8 *)(r3 +0); exit", 0),  # a spill
        ("call f; r0 = *(u8 *)(r0 +0); exit; f: r0 = 5; exit", 0),  # the result of a function
        (
            "r6 = 9; call f; r0 = *(u8 *)(r6 +0); exit; f: r6 = 5; r0 = r6; exit",
            0,
        ),  # a function has registers of its own
        ("r1 = 9; call f; exit; f: r0 = *(u8 *)(r1 +0); exit", 0),  # an argument
        ("r1 = 7; r2 = 9 ll; r0 = *(u8 *)(r2 +0); exit", 1),
    ],
)
def test_where_a_register_is_from(asm: str, slot: int) -> None:
    told = explained(asm)
    assert told.message.endswith("invalid mem access 'scalar'")
    register = f"R{told.message[1]}"
    assert [step.slot for step in told.origins if step.what == register] == [slot]


def test_a_void_function_leaves_nothing() -> None:
    told = explained("call f; exit; f: exit")
    assert told.message == "R0 !read_ok"
    assert told.remedy == "function@2 at insn 0 returns nothing: R0 has no value behind it"


@pytest.mark.parametrize("code", ["goto +5; exit", "r0 = 0", "r0 = 0; exit; exit"])
def test_refusals_of_the_first_pass(code: str) -> None:
    told = explained(code)
    assert (told.steps, told.registers, told.origins) == ((), (), ())
    assert told.remedy


@pytest.mark.live
def test_the_counts_alone_are_those_of_linux() -> None:
    asker = Asker()
    differing = {}
    for name in ("counter", "option_walk", "mistakes/mistakes"):
        for program, question, _ in questions(asker, PROGRAMS / f"{name}.o"):
            if question is None or program.endswith((":long_loop", ":written_context")):
                continue
            told = re.sub(r"verification time.*\n", "", ask_linux(asker, question, STATS).log)
            ours = ask_ours(question.spec, question.maps, question.btf, caps=question.caps, log_level=STATS).log
            if told.strip("\0\n") != ours.strip():
                differing[program] = told, ours
    assert differing == {}
