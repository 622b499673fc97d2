"""What is known of numbers, printed, against the verifier's own log: recorded programs, and new ones live."""

from __future__ import annotations

import functools
import hashlib
import random
from typing import Any

import pytest

from tests.support.oracle import golden
from tests.support.record import recorder
from tests.support.scalar_programs import Known, differences, linked_program, random_program, read_log, walk
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.loader.model import ProgramSpec
from xdpsim.sysbpf.programs import ProgramDefinition, verifier_log
from xdpsim.verifier.main import verify

XDP = 6
SEED = 618_000
RECORDED = 400
RECORDED_LINKS = 200
LIVE = 1_500
GOLDEN, LINKS_GOLDEN = "scalars", "scalar_links"


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


def whole_log(text: str) -> list[str]:
    """Linux's level-2 log of the program, without what it says of times."""
    _, log = verifier_log(ProgramDefinition(type=XDP, code=encode_all(assemble(text))), 2)
    return _comparable(log)


def our_log(text: str) -> list[str]:
    """Ours."""
    spec = ProgramSpec("links", "xdp", "XDP", 0, assemble(text), (), (), "GPL")
    return _comparable(verify(spec, (), None, log_level=2).log)


def _comparable(log: str) -> list[str]:
    return [line.rstrip() for line in log.splitlines() if not line.startswith(("verification time", "stack depth"))]


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@recorder(LINKS_GOLDEN)
def record_links() -> dict[str, Any]:
    """Programs with linked and spilled numbers, the lines of their logs and a hash over them."""
    rows = []
    for number in range(SEED, SEED + RECORDED_LINKS):
        text = linked_program(random.Random(number))
        lines = whole_log(text)
        rows.append([text, len(lines), _digest(lines)])
    return {"rows": rows}


@pytest.mark.golden
def test_logs_of_linked_numbers_are_those_that_linux_wrote() -> None:
    rows = golden(LINKS_GOLDEN)["rows"]
    assert len(rows) == RECORDED_LINKS
    wrong = [text for text, count, digest in rows if (count, digest) != (len(our_log(text)), _digest(our_log(text)))]
    assert wrong == []


@pytest.mark.live
def test_logs_of_linked_numbers_are_those_that_linux_writes() -> None:
    base = random.SystemRandom().randrange(1 << 32)
    for number in range(base, base + LIVE // 3):
        text = linked_program(random.Random(number))
        assert our_log(text) == whole_log(text), f"seed {number}:\n{text}"
