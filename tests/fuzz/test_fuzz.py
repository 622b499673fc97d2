"""Small samples of the long fuzz runs: damaged files, hostile programs, chains of packet helpers."""

from __future__ import annotations

import pytest

from tests.fuzz import chains, inputs, programs

INPUTS, PROGRAMS, CHAINS = 2000, 500, 300


def test_damaged_files_give_a_result_or_an_input_error() -> None:
    tally = inputs.Tally()
    inputs.run(7, 0, INPUTS, tally)
    print(tally.report())
    assert tally.wrong == []
    assert tally.inputs == INPUTS
    assert tally.share > 0.3
    assert len(tally.answers) > 60, "the mutations reach too few of the errors"


def test_hostile_programs_end_alike_in_both_runtimes() -> None:
    tally = programs.compare(7, (0, PROGRAMS))
    assert tally.is_good, tally.report()
    assert tally.programs == PROGRAMS
    assert tally.ends["verdict"] > PROGRAMS // 50
    assert tally.ends["ARGUMENT"] > PROGRAMS // 4


@pytest.mark.live
@pytest.mark.parametrize(("engine", "count"), [("interpreter", CHAINS), ("jit", CHAINS // 5)])
def test_chains_of_packet_helpers_do_what_linux_does(engine: str, count: int) -> None:
    tally = chains.compare(7, 0, count, engine)
    assert tally.differing == []
    assert tally.refused == []
    assert tally.unsupported < count // 2
    assert len(tally.verdicts) > 5
