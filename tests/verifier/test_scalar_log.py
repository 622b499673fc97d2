"""What is known of numbers, printed, against the verifier's own log: recorded programs, and new ones live."""

from __future__ import annotations

import functools
import random
from typing import Any

import pytest

from tests.support.oracle import golden
from tests.support.record import recorder
from tests.support.scalar_programs import Known, differences, random_program, read_log, walk
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.sysbpf.programs import ProgramDefinition, verifier_log

XDP = 6
SEED = 618_000
RECORDED = 400
LIVE = 1_500
GOLDEN = "scalars"


@functools.cache
def text_of(number: int) -> str:
    return random_program(random.Random(number))


def ask(text: str) -> Known:
    """What Linux prints of the program, which it must accept."""
    error, log = verifier_log(ProgramDefinition(type=XDP, code=encode_all(assemble(text))), 2)
    assert not error, log
    return read_log(log)


@recorder(GOLDEN)
def record_scalars() -> dict[str, Any]:
    """Programs and the numbers Linux prints at each insn and behind each open branch."""
    rows = []
    for number in range(SEED, SEED + RECORDED):
        known = ask(text_of(number))
        rows.append([text_of(number), _rows(known.after), _rows(known.taken), known.violations])
    return {"rows": rows}


def _rows(known: dict[int, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {str(slot): registers for slot, registers in known.items() if slot > 5 and registers}


@pytest.mark.golden
def test_numbers_are_those_that_linux_printed() -> None:
    rows = golden(GOLDEN)["rows"]
    assert len(rows) == RECORDED
    compared, wrong = 0, []
    for text, after, taken, violations in rows:
        kernel = Known(_by_slot(after), _by_slot(taken), violations)
        ours = walk(assemble(text))
        ours.taken = {slot: registers for slot, registers in ours.taken.items() if slot in kernel.taken}
        wrong += [f"{text}\n{each}" for each in differences(ours, kernel)]
        compared += sum(map(len, after.values())) + sum(map(len, taken.values()))
    assert not wrong, f"{len(wrong)} of {compared}, the first: {wrong[0]}"
    assert compared > 10 * RECORDED


def _by_slot(rows: dict[str, dict[str, str]]) -> dict[int, dict[str, str]]:
    return {int(slot): registers for slot, registers in rows.items()}


@pytest.mark.live
def test_numbers_are_those_that_linux_prints() -> None:
    base = random.SystemRandom().randrange(1 << 32)
    wrong = {
        n: found
        for n in range(base, base + LIVE)
        if (found := differences(walk(assemble(text_of(n))), ask(text_of(n))))
    }
    assert not wrong, f"{len(wrong)} of {LIVE} differ, the first: {next(iter(wrong.items()))}"
