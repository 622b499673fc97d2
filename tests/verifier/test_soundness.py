"""What accepted programs hold while they run lies inside what was walked, and no engine faults on them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import soundness as fuzz
from tests.support.soundness import Walked, Watch, record
from tests.support.soundness_runs import Bench, run_accepted
from tests.support.verifier_cases import Case, load_cases, make_case
from tests.support.verifier_sources import Question, of_case
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.frames.capture import open_capture
from xdpsim.maps.files import load_presets
from xdpsim.sim.sim import Sim
from xdpsim.verifier import alu, branch, linked, packet, precision, prune
from xdpsim.verifier.facts import Facts
from xdpsim.verifier.scalar import const
from xdpsim.verifier.state import Reg

ROOT = Path(__file__).parents[2]
TOO_LONG = {"classifier", "l4lb"}
"""Of walks of 95,000 insns and more, all states take a minute to keep and search."""
OBJECTS = sorted({path.stem for path in (ROOT / "programs").glob("*.o")} - TOO_LONG)
PACKETS = 24
RANDOM = 40
LINUX_IS_WRONG = {
    "globals: null where it may not be": "NULL is taken for an argument that may not be NULL",
    "memory: number plus stack pointer in a function is in the caller's stack": "the frame of the pointer is forgotten",
}
"""Accepted by Linux, so by us: what runs lies outside of what was walked."""
CASES = [case for case in load_cases() if case.accept and case.spec.type == "XDP"]
FILES = sorted({case.file for case in CASES})


@functools.cache
def _walked_of(name: str, program: str) -> Walked:
    """One walk serves all captures."""
    sim = Sim(verify=False)
    loaded = sim.load(ROOT / "programs" / f"{name}.o")
    spec = loaded.source.programs[program]
    return record(spec, [made.spec for made in loaded.maps.values()], loaded.source.btf, limit=4_000)


@pytest.mark.parametrize("name", OBJECTS)
def test_programs_stay_inside_on_captures(name: str) -> None:
    for capture in sorted((ROOT / "pcaps").glob("*.pcap")):
        sim = Sim()
        loaded = sim.load(ROOT / "programs" / f"{name}.o")
        load_presets(loaded.maps, ROOT / "programs" / "presets" / f"{name}.json")

        def walk(program: LoadedProgram) -> Walked:
            return _walked_of(name, program.spec.name)

        watch = Watch(sim, walk)
        sim.engine.observer = watch  # type: ignore[attr-defined]
        with open_capture(capture) as opened:
            records = list(opened)
        results = loaded[f"xdp_{name}"].replay(records[:: len(records) // PACKETS])
        assert [str(result.fault) for result in results if result.fault] == []
        assert watch.problems == []
        assert watch.insns > PACKETS


@pytest.mark.parametrize("file", FILES)
def test_accepted_cases_stay_inside_and_do_not_fault(file: str) -> None:
    bad = dict[str, list[str]]()
    for case in (case for case in CASES if case.file == file):
        ran = run_accepted(of_case(case), 7, 1)
        assert ran.walked or ran.skipped.startswith("not run: "), f"{case}: {ran.skipped}"
        assert not ran.differing, case
        if ran.problems or ran.faults:
            bad[str(case)] = [*ran.problems, *ran.faults]
    assert bad.keys() == {name for name in LINUX_IS_WRONG if name.startswith(f"{file}: ")}, bad


def test_random_programs_stay_inside_and_do_not_fault() -> None:
    tally = fuzz.compare(7, 0, RANDOM)
    assert not tally.bad, tally.report()
    assert tally.counts["accepted"] > RANDOM // 4
    assert tally.counts["compared whole"] > RANDOM // 8
    assert tally.insns > 100 * RANDOM


# A verifier that is wrong must be noticed.


def _wrong_sum(before: Any) -> Any:
    return {**before, "add": lambda dst, src, bits: const(1)}


def _wrong_side(before: Any) -> Any:
    def refine(a: Any, b: Any, op: str, bits: int) -> Any:
        a_true, b_true, a_false, b_false = before(a, b, op, bits)
        return a_false, b_false, a_true, b_true

    return refine


def _too_much_proven(before: Any) -> Any:
    return lambda reg, proven: before(reg, proven + 1)


def _null_the_other_way(before: Any) -> Any:
    return lambda state, regno, is_zero: before(state, regno, not is_zero)


def _equal_at_once(before: Any) -> Any:
    return lambda env, old, cur, exact: True


def _not_precise(before: Any) -> Any:
    return lambda env, start, wanted: False


def _linked_to_others(before: Any) -> Any:
    def sync(state: Any, known: Reg, at: Any, found: Any) -> None:
        before(state, known.but(num=const(3)), at, found)

    return sync


_LOOKUP = "*(u32 *)(r10 -4) = 0; r1 = map[m]; r2 = r10; r2 += -4; call bpf_map_lookup_elem"
_JOIN = (
    "call bpf_get_prandom_u32; r6 = 0; if r0 & 1 goto on; r6 = 1; on: r0 = 0; r1 = 0; r2 = 0; r3 = 0; r4 = 0; r5 = 0"
)
_JOIN += "; goto next; next: if r0 == 0 goto last; r0 = 3; last: goto end; end:"
_WRONG: dict[str, tuple[Any, str, Callable[[Any], Any], bool, str]] = {
    "sum": (alu, "ALU_TRANSFER", _wrong_sum, False, "call bpf_get_prandom_u32; r0 &= 7; r0 += 4; exit"),
    "branch": (branch, "refine", _wrong_side, False, "call bpf_get_prandom_u32; if r0 > 9 goto o; r0 = 1; o: exit"),
    "proven bytes": (
        *(packet, "with_range", _too_much_proven, False),
        "r2 = *(u32 *)(r1 +0); r3 = *(u32 *)(r1 +4); r4 = r2; r4 += 64; r0 = 1; if r4 > r3 goto o; r0 = 2; o: exit",
    ),
    "null": (
        *(branch, "mark_ptr_or_null_regs", _null_the_other_way, False),
        f"{_LOOKUP}; if r0 == 0 goto o; r0 = 1; o: r0 = 0; exit",
    ),
    "links": (
        *(linked, "sync", _linked_to_others, False),
        "call bpf_get_prandom_u32; r6 = r0; if r0 > 9 goto o; r0 = 1; o: r0 = r6; exit",
    ),
    "pruning": (
        *(prune, "states_equal", _equal_at_once, True),
        f"{_JOIN} if r6 == 0 goto o; r0 = 1; o: exit",
    ),
    "precision": (
        *(precision, "trace_back", _not_precise, True),
        f"{_JOIN} if r6 == 0 goto o; r0 = 1; o: exit",
    ),
}


def _ran(question: Question, prunes: bool) -> list[str]:
    """What is found on ten packets."""
    q = question
    walked = record(q.spec, q.maps, q.btf, limit=0 if prunes else 5_000, test_state_freq=True)
    assert walked.verdict.accepted, walked.verdict.message
    bench = Bench("interpreter", q, 1)
    program = bench.ready(Facts())
    watch = Watch(bench.sim, lambda _: walked)
    bench.sim.engine.observer = watch  # type: ignore[attr-defined]
    for number in range(10):
        program.run(bytes([number]) * 64)
    return watch.problems


@pytest.mark.parametrize("name", _WRONG)
def test_a_wrong_verifier_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, what, wrong, prunes, asm = _WRONG[name]
    maps = [{"name": "m", "type": "HASH"}] if "map[m]" in asm else []
    case: Case = make_case({"name": name, "asm": asm, "maps": maps})
    assert _ran(of_case(case), prunes) == []
    monkeypatch.setattr(module, what, wrong(getattr(module, what)))
    assert _ran(of_case(case), prunes) != []
