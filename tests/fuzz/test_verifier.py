"""A sample of the verifier's fuzzer: what its programs are like, and that both verifiers say the same of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fuzz import verifier
from tests.support.fuzz_verifier.program import planned
from tests.support.fuzz_verifier.shrink import shrink, without
from tests.support.verifier_cases import make_case
from tests.support.verifier_sources import Question, of_case
from xdpsim.isa.asm import assemble

SEED, PROGRAMS = 7, 400


@pytest.fixture(scope="module")
def tally() -> verifier.Tally:
    return verifier.compare(SEED, 0, PROGRAMS)


@pytest.mark.live
def test_programs_lie_near_the_border_of_acceptance(tally: verifier.Tally) -> None:
    assert 0.3 < tally.share_accepted < 0.7, tally.report()
    assert tally.share_of_commonest <= 0.1, tally.report()
    assert tally.median_walked >= 50, tally.report()
    assert len(tally.messages) > 50, tally.report()


@pytest.mark.live
def test_both_verifiers_say_the_same(tally: verifier.Tally) -> None:
    assert tally.found == {}, tally.report()
    assert tally.too_long < PROGRAMS // 50


def test_a_program_is_made_by_its_number_alone() -> None:
    for number in range(20):
        assert verifier.case(SEED, number).spec == verifier.case(SEED, number).spec


def test_every_mistake_has_one_name() -> None:
    assert len(planned()) > 90


def _question(asm: str) -> Question:
    return of_case(make_case({"name": "t", "asm": asm, "btf": "int main(struct xdp_md *ctx); static int f(u64 a);"}))


def test_taking_insns_out_keeps_targets() -> None:
    question = _question("r1 = 5 ll; if r1 == 0 goto out; r0 = 1; call f; out: r0 = 2; exit; f: r0 = 3; exit")
    smaller = without(question, 0, 1)
    assert smaller is not None
    assert smaller.spec.code == assemble("if r1 == 0 goto out; r0 = 1; call f; out: r0 = 2; exit; f: r0 = 3; exit")
    assert [slot for slot, _ in smaller.spec.func_info] == [0, 5]
    gone = without(question, 4, 5)
    assert gone is not None
    assert gone.spec.code[2:4] == assemble("if r1 == 0 goto +2; r0 = 1")


def test_shrinking_leaves_what_matters() -> None:
    question = _question("r0 = 1; r2 = 2; r3 = 3; r4 = 4; r5 = 5; exit; f: r0 = 0; exit")
    needle = assemble("r3 = 3")[0]
    small = shrink(replace(question, caps=frozenset({"bpf"})), lambda q: needle in q.spec.code)
    assert small.spec.code == (needle,)
    assert "perfmon" in small.caps
