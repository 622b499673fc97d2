"""Small samples of the long fuzz runs: damaged files, hostile programs, chains of packet helpers."""

from __future__ import annotations

import pytest

from tests.fuzz import chains, inputs, programs

INPUTS, PROGRAMS, CHAINS = 1000, 250, 300


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
@pytest.mark.parametrize("engine", ["interpreter", "jit"])
def test_chains_of_packet_helpers_do_what_linux_does(engine: str) -> None:
    tally = chains.compare(7, 0, CHAINS if engine == "interpreter" else CHAINS // 10, engine)
    assert tally.differing == []
    assert tally.refused == []
    assert len(tally.verdicts) > 8
