"""Each case of tests/cases/verifier: what the file says is what the running Linux says, and what we say."""

from __future__ import annotations

import functools
from collections import Counter

import pytest

from tests.support.verifier_ask import ask_case, level_for
from tests.support.verifier_cases import Case, case_name, load_cases
from tests.support.verifier_linux import Asker, unprivileged_reason
from tests.support.verifier_ours import ask_ours

_CASES = load_cases()
_asker = functools.cache(Asker)


def _told(case: Case) -> tuple[object, ...]:
    return case.accept, case.errno, case.message, case.processed


@pytest.mark.live
@pytest.mark.parametrize("case", [case for case in _CASES if case.source != "read"], ids=case_name)
def test_what_the_file_says_is_what_linux_says(case: Case) -> None:
    if not case.caps & {"bpf"} and unprivileged_reason():
        pytest.skip(f"skipped live: {unprivileged_reason()}")
    answer = ask_case(_asker(), case)
    processed = answer.processed if answer.processed >= 0 else None
    assert (answer.accepted, answer.errno_name, answer.message, processed) == _told(case), answer.log


@pytest.mark.golden
@pytest.mark.parametrize("case", _CASES, ids=case_name)
def test_our_verifier_says_the_same(case: Case) -> None:
    ours = ask_ours(case.spec, case.maps, case.btf, caps=case.caps, flags=case.flags, log_level=level_for(case))
    found = (ours.accepted, ours.errno_name, ours.message, ours.processed if case.processed is not None else None)
    if case.known:
        assert found != _told(case), f"{case} agrees now: take its `known` out"
    else:
        assert found == _told(case), ours.log


def test_names_are_unique_and_answers_complete() -> None:
    names = Counter(map(str, _CASES))
    assert [name for name, count in names.items() if count > 1] == []
    assert [str(case) for case in _CASES if not case.answered] == []
