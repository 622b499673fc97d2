"""Transfer functions of numbers, exhaustively: all ranges and all known bits of three-bit windows around the borders.

The windows lie around 0 (where they wrap), 2**31, 2**32 and 2**63, which is where ranges turn over and halves meet.
"""

from __future__ import annotations

import itertools

import pytest

from tests.support.scalar_sets import PLACES, Small, both, candidates, constraints, elements, holds
from xdpsim.bits import M32, M64, byte_swap, signed
from xdpsim.isa.rows import ALU, BRANCH
from xdpsim.verifier import scalar_alu
from xdpsim.verifier.scalar import ZERO, Scalar, const
from xdpsim.verifier.scalar_branch import branch_taken, refine, refine_same
from xdpsim.verifier.scalar_sync import limit_s32, limit_smax, synced, synced_again

_PAIRS = (("zero", "zero"), ("half", "zero"), ("word", "half"), ("sign", "zero"), ("zero", "sign"), ("half", "half"))
PAIRS = [(PLACES[a], PLACES[b]) for a, b in _PAIRS]
IDS = ["-".join(pair) for pair in _PAIRS]
CAST_PLACES = (*PLACES.values(), 1 << 7, 1 << 8, 1 << 15, 1 << 16, (1 << 32) + (1 << 31), (1 << 63) + (1 << 15))
_SHIFTS = ("lsh", "rsh", "arsh")


def numbers(place: int) -> tuple[Small, ...]:
    return elements(place)


@pytest.mark.parametrize("op", ALU)
@pytest.mark.parametrize("bits", [64, 32])
def test_arithmetic(op: str, bits: int) -> None:
    """Shift counts are those that the other operand's window gives and, since few of them count, all known ones."""
    transfer, meaning, word = scalar_alu.ALU_TRANSFER[op], ALU[op].meaning, (1 << bits) - 1
    for left_place, right_place in PAIRS:
        right = numbers(right_place)
        if op in _SHIFTS:
            right = tuple(Small(const(count), (count,)) for count in range(bits))
        for a, b in itertools.product(numbers(left_place), right):
            result = transfer(a.number, b.number, bits)
            for x, y in itertools.product(a.members, b.members):
                assert holds(result, meaning(x & word, y & word, bits) & word), (op, bits, a, b)


@pytest.mark.parametrize("op", BRANCH)
@pytest.mark.parametrize("bits", [64, 32])
def test_branches(op: str, bits: int) -> None:
    meaning, word = BRANCH[op].meaning, (1 << bits) - 1
    for left_place, right_place in PAIRS:
        for a, b in itertools.product(numbers(left_place), numbers(right_place)):
            decided = branch_taken(a.number, b.number, op, bits)
            sides = refine(a.number, b.number, op, bits) if decided < 0 else None
            for x, y in itertools.product(a.members, b.members):
                taken = meaning(x & word, y & word, bits)
                assert decided in (-1, taken), (op, bits, a, b)
                if sides:
                    first, second = sides[:2] if taken else sides[2:]
                    assert holds(first, x), (op, bits, a, b)
                    assert holds(second, y), (op, bits, a, b)


@pytest.mark.parametrize("op", BRANCH)
@pytest.mark.parametrize("bits", [64, 32])
def test_a_number_compared_with_itself(op: str, bits: int) -> None:
    meaning, word = BRANCH[op].meaning, (1 << bits) - 1
    for place in PLACES.values():
        for a in numbers(place):
            taken, other = refine_same(a.number, op, bits)
            for x in a.members:
                assert holds(taken if meaning(x & word, x & word, bits) else other, x), (op, bits, a)


@pytest.mark.parametrize("place", CAST_PLACES, ids=hex)
def test_casts(place: int) -> None:
    for a in numbers(place):
        s = a.number
        results = [
            (scalar_alu.ALU_TRANSFER["neg"](s, ZERO, 64), lambda x: -x & M64),
            (scalar_alu.ALU_TRANSFER["neg"](s, ZERO, 32), lambda x: -x & M32),
            (scalar_alu.zext32(s), lambda x: x & M32),
            *((scalar_alu.truncate(s, n), lambda x, n=n: x & (1 << n * 8) - 1) for n in (1, 2, 4)),
            *((scalar_alu.sign_extend_to(s, n), lambda x, n=n: signed(x, n * 8) & M64) for n in (1, 2, 4)),
            *((scalar_alu.movsx(s, n, 64), lambda x, n=n: signed(x, n) & M64) for n in (8, 16, 32)),
            *((scalar_alu.movsx(s, n, 32), lambda x, n=n: signed(x, n) & M32) for n in (8, 16)),
            *((scalar_alu.endian(s, "le", n), lambda x, n=n: x & (1 << n) - 1) for n in (16, 32, 64)),
            *(
                (scalar_alu.endian(s, op, n), lambda x, n=n: byte_swap(x, n))
                for op in ("be", "bswap")
                for n in (16, 32, 64)
            ),
        ]
        for at, (result, meaning) in enumerate(results):
            assert all(holds(result, meaning(x)) for x in a.members), (at, a)


def test_numbers_that_are_split_lose_no_member() -> None:
    for place, op in itertools.product(PLACES.values(), ("and", "or")):
        for a in numbers(place):
            ways = scalar_alu.forked(a.number, const(6), op)
            if ways is not None:
                assert all(holds(ways[0], x) or holds(ways[1], x) for x in a.members), a


def test_limits_keep_what_is_within() -> None:
    for place in PLACES.values():
        for a, high in itertools.product(numbers(place), (-3, -1, 0, 1, 3)):
            for x in a.members:
                wide = signed(x, 64)
                assert not -4 <= wide <= high or holds(limit_s32(a.number, -4, high), x), (a, high)
                assert wide > high or holds(limit_smax(a.number, high), x), (a, high)


def test_deductions_between_two_domains_lose_no_member() -> None:
    """What two domains say together is brought into line: every word that both allow must be left."""
    words, compared = candidates(), 0
    for (fields, allowed), (other, allowed_too) in itertools.combinations(constraints(), 2):
        left, together = allowed & allowed_too, both(fields, other)
        if not left or together is None:
            continue
        found = synced(together)  # type: ignore[arg-type]
        again = synced_again(found)
        compared += 1
        while left:
            word = words[left.bit_length() - 1]
            left ^= 1 << left.bit_length() - 1
            assert holds(found, word), (together, hex(word))
            assert holds(again, word), (together, hex(word))
    assert compared > 10_000


def test_the_windows_are_not_empty() -> None:
    for place in PLACES.values():
        found = numbers(place)
        assert len(found) > 40
        assert all(isinstance(a.number, Scalar) and all(holds(a.number, x) for x in a.members) for a in found)
