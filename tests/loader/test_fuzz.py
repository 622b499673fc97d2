"""Damaged objects: whatever is broken, the answer is an Object, an InputError or Unsupported, and soon."""

from __future__ import annotations

import pytest

from tests.loader.damage import report, run
from tests.support.elf_writer import BtfWriter, ElfWriter, call_local, ext, insn, rich_sample, sample
from xdpsim.errors import InputError
from xdpsim.loader.load import load_object

ROUNDS = 3000


def test_mutations_give_an_object_or_one_of_two_errors() -> None:
    tally = run(ROUNDS, seed=1)
    print(report(tally))
    assert not tally.wrong
    assert tally.slowest < 5
    assert tally.past_header > 0.3 * ROUNDS
    assert tally.loaded > ROUNDS // 10, "the mutations reach too little"
    assert ROUNDS - tally.loaded > ROUNDS // 10, "the mutations break too little"
    assert len(tally.answers) > 60, "the mutations reach too few of the errors"


@pytest.mark.parametrize("data", [sample(), rich_sample()], ids=["sample", "rich"])
def test_every_truncation(data: bytes) -> None:
    for end in range(0, len(data), 3):
        try:
            load_object(data[:end], "f.o")
        except InputError:
            continue
        raise AssertionError(f"an object of {end} bytes out of {len(data)} was loaded")


def test_lines_of_shared_functions_do_not_multiply_without_end() -> None:
    """A file of 140 KB whose programs would have 400,000 lines."""
    elf, btf, count, slots = ElfWriter(), BtfWriter(), 100, 4000
    body = insn(0xB7) * (slots - 1) + insn(0x95)
    elf.symbol("leaf", elf.code(".text", body), 0, len(body))
    bodies = [insn(0xB7) * i + call_local() + insn(0x95) for i in range(count)]
    xdp, at = elf.code("xdp", b"".join(bodies)), 0
    for number, code in enumerate(bodies):
        elf.symbol(f"p{number}", xdp, at, len(code))
        elf.relocate(xdp, at + 8 * number, 1, 10)
        at += len(code)
    raw = ext(btf, ".text", [(i * 8, i + 1) for i in range(slots)], [(0, btf.func("leaf"))])
    elf.section(".BTF", btf.build(), flags=0)
    elf.section(".BTF.ext", raw, flags=0)
    programs = load_object(elf.build(), "f.o").programs
    assert len(programs["p0"].lines) == slots
    assert sum(len(p.lines) for p in programs.values()) <= 1 << 18
