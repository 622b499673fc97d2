"""Tristate numbers: all pairs of 4 unknown-or-known bits, low in the word and at its top, against all their members."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable

import pytest

from xdpsim.bits import M64, byte_swap, signed
from xdpsim.verifier import tnum

WIDTH = 4
SMALL = [(v, m) for v in range(1 << WIDTH) for m in range(1 << WIDTH) if not v & m]
PAIRS = [
    (tnum.tnum_add, operator.add),
    (tnum.tnum_sub, operator.sub),
    (tnum.tnum_and, operator.and_),
    (tnum.tnum_or, operator.or_),
    (tnum.tnum_xor, operator.xor),
    (tnum.tnum_mul, operator.mul),
]


def members(value: int, mask: int) -> list[int]:
    """All words that fit."""
    found, part = [], mask
    while True:
        found.append(value | part)
        if not part:
            return found
        part = part - 1 & mask


def holds(t: tnum.Tnum, word: int) -> bool:
    return word & M64 & ~t[1] == t[0]


@pytest.mark.parametrize("shift", [0, 60], ids=["low", "top"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].__name__)
def test_results_hold_all_outcomes(
    pair: tuple[Callable[..., tnum.Tnum], Callable[[int, int], int]], shift: int
) -> None:
    transfer, meaning = pair
    by = 0 if transfer is tnum.tnum_mul else shift
    for (v, m), (v2, m2) in itertools.product(SMALL, SMALL):
        result = transfer(v << shift, m << shift, v2 << by, m2 << by)
        assert not result[0] & result[1]
        assert max(result) <= M64
        for x, y in itertools.product(members(v << shift, m << shift), members(v2 << by, m2 << by)):
            assert holds(result, meaning(x, y)), (v, m, v2, m2)


@pytest.mark.parametrize("pair", PAIRS[:5], ids=lambda pair: pair[0].__name__)
def test_sums_and_bitwise_results_are_the_best_possible(
    pair: tuple[Callable[..., tnum.Tnum], Callable[[int, int], int]],
) -> None:
    """Each bit that comes out unknown does come out both ways (Vishwanathan and others, CGO 2022)."""
    transfer, meaning = pair
    for (v, m), (v2, m2) in itertools.product(SMALL, SMALL):
        outcomes = [meaning(x, y) & M64 for x, y in itertools.product(members(v, m), members(v2, m2))]
        ones, all_ones = 0, M64
        for outcome in outcomes:
            ones, all_ones = ones | outcome, all_ones & outcome
        assert transfer(v, m, v2, m2) == (all_ones, ones ^ all_ones)


@pytest.mark.parametrize("shift", [0, 60], ids=["low", "top"])
def test_shifts_negation_and_swaps(shift: int) -> None:
    for v, m in SMALL:
        value, mask = v << shift, m << shift
        for word in members(value, mask):
            assert holds(tnum.tnum_neg(value, mask), -word)
            for count in (0, 1, 3, 31, 63):
                assert holds(tnum.tnum_lshift(value, mask, count), word << count)
                assert holds(tnum.tnum_arshift(value, mask, count, 64), signed(word, 64) >> count)
                low = tnum.tnum_arshift(value, mask, count & 31, 32)
                assert holds(low, signed(word, 32) >> (count & 31) & 0xFFFF_FFFF)
            for bits in (16, 32, 64):
                assert holds(tnum.tnum_bswap(value, mask, bits), byte_swap(word, bits))


def test_sets_of_numbers() -> None:
    for (v, m), (v2, m2) in itertools.product(SMALL, SMALL):
        first, second = set(members(v, m)), set(members(v2, m2))
        assert tnum.tnum_in(v, m, v2, m2) == (second <= first)
        assert tnum.tnum_overlap(v, m, v2, m2) == bool(first & second)
        assert all(holds(tnum.tnum_union(v, m, v2, m2), word) for word in first | second)
        if first & second:
            assert set(members(*tnum.tnum_intersect(v, m, v2, m2))) == first & second


@pytest.mark.parametrize("shift", [0, 60], ids=["low", "top"])
def test_step_is_the_next_member(shift: int) -> None:
    for v, m in SMALL:
        found = members(v << shift, m << shift)
        for word in range(1 << WIDTH):
            place = word << shift
            expected = min((each for each in found if each > place), default=max(found))
            assert tnum.tnum_step(v << shift, m << shift, place) == expected


def test_ranges_keep_the_common_prefix() -> None:
    for low, high in itertools.combinations_with_replacement(range(1 << WIDTH), 2):
        for shift in (0, 60):
            value, mask = tnum.tnum_range(low << shift, high << shift)
            assert holds((value, mask), low << shift)
            assert holds((value, mask), high << shift)
            assert value & ~mask == value
    assert tnum.tnum_range(0, M64) == tnum.UNKNOWN


def test_text() -> None:
    assert tnum.tnum_text(8, 0) == "8"
    assert tnum.tnum_text(0x10000, 0) == "0x10000"
    assert tnum.tnum_text(0, 0xFF) == "(0x0; 0xff)"
