"""Control flow: functions, their slots and their basic blocks, of programs good and bad."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.support.hostile import hostile_code
from tests.support.programs import random_program
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import SLOT, decode
from xdpsim.verifier.cfg import STRAY, functions, successors

LOOP = "r0 = 0; again: r0 += 1; if r0 != 5 goto again; exit"


def test_blocks_of_a_loop() -> None:
    (main,) = functions(assemble(LOOP)).values()
    assert main.blocks == ((0,), (1, 2), (3,))
    assert main.leaders == (0, 1, 3)


def test_functions_are_found_by_their_calls() -> None:
    code = assemble("call f; call g; exit; f: r0 = 1; exit; g: call f; exit; dead: r0 = 7; exit")
    found = functions(code)
    assert {entry: function.slots for entry, function in found.items()} == {0: (0, 1, 2), 3: (3, 4), 5: (5, 6)}


def test_two_functions_may_share_slots() -> None:
    code = assemble("call f; r0 = 1; goto tail; f: r0 = 2; tail: exit")
    assert {entry: function.slots for entry, function in functions(code).items()} == {0: (0, 1, 2, 4), 3: (3, 4)}


@pytest.mark.parametrize(
    ("raw", "slot", "expected"),
    [
        (SLOT.pack(0x05, 0, 5, 0), 0, (STRAY,)),
        (SLOT.pack(0x05, 0, -2, 0), 0, (STRAY,)),
        (SLOT.pack(0x15, 0, 5, 0), 0, (STRAY, STRAY)),
        (SLOT.pack(0xB7, 0, 0, 0), 0, (STRAY,)),
        (SLOT.pack(0x05, 0, 1, 0) + SLOT.pack(0x18, 0, 0, 0) + SLOT.pack(0, 0, 0, 0), 0, (STRAY,)),
        (SLOT.pack(0x18, 0, 0, 0) + SLOT.pack(0, 0, 0, 0) + SLOT.pack(0x95, 0, 0, 0), 0, (2,)),
        (SLOT.pack(0x06, 0, 0, 1) + SLOT.pack(0x95, 0, 0, 0) + SLOT.pack(0x95, 0, 0, 0), 0, (2,)),
    ],
)
def test_where_a_slot_leads(raw: bytes, slot: int, expected: tuple[int, ...]) -> None:
    assert successors(decode(raw), slot) == expected


@pytest.mark.parametrize("seed", range(60))
def test_blocks_part_the_slots_of_any_program(seed: int) -> None:
    rng = random.Random(seed)
    code = hostile_code(rng) if seed % 2 else random_program(rng)
    for function in functions(code).values():
        assert sorted(slot for block in function.blocks for slot in block) == list(function.slots)
        starts = {block[0] for block in function.blocks}
        assert starts >= set(function.leaders) & set(function.slots)
        for block in function.blocks:
            for slot, following in itertools.pairwise(block):
                assert successors(code, slot) == (following,)
            for target in successors(code, block[-1]):
                assert target == STRAY or target in starts


def test_an_empty_program_has_no_function() -> None:
    assert functions(()) == {}
