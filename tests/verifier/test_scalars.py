"""Transfer functions of numbers: every concrete outcome lies in the result, for sets of numbers near the borders."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.scalar_sets import around, holds
from xdpsim.bits import M32, M64, byte_swap, signed
from xdpsim.isa.rows import ALU, BRANCH
from xdpsim.verifier import scalar_alu, scalar_arith
from xdpsim.verifier.scalar import UNKNOWN, ZERO, Scalar, Violated, const, numbers, within
from xdpsim.verifier.scalar_branch import branch_taken, refine
from xdpsim.verifier.scalar_sync import limit_s32, sane, synced_again
from xdpsim.verifier.scalar_text import scalar_text

_BORDERS = (0, 1 << 7, 1 << 15, 1 << 31, 1 << 32, (1 << 32) + (1 << 31), 1 << 63, (1 << 63) + (1 << 31), M64 ^ M32)
EDGES = sorted({(border + step) & M64 for border in _BORDERS for step in (-2, -1, 0, 1, 2)})
_calm = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


words = st.one_of(
    st.sampled_from(EDGES), st.integers(0, M64), st.integers(0, 300), st.integers(0, 300).map(lambda n: -n & M64)
)
sets = st.lists(words, min_size=1, max_size=4)


def test_all_operations_have_a_transfer() -> None:
    assert scalar_alu.ALU_TRANSFER.keys() == ALU.keys() | {"neg"}


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("op", ALU)
def test_alu_at_borders(op: str, bits: int) -> None:
    rng = random.Random(op)
    transfer, meaning, word = scalar_alu.ALU_TRANSFER[op], ALU[op].meaning, (1 << bits) - 1
    for _ in range(1_500):
        left, right = rng.sample(EDGES, rng.randint(1, 3)), rng.sample(EDGES, rng.randint(1, 3))
        if op in ("lsh", "rsh", "arsh") and rng.random() < 0.7:
            right = [rng.choice((0, 1, 7, 31, 32, 33, 63))]
        result = transfer(around(left), around(right), bits)
        for x, y in itertools.product(left, right):
            assert holds(result, meaning(x & word, y & word, bits) & word), (left, right)


@given(left=sets, right=sets, op=st.sampled_from(list(ALU)), bits=st.sampled_from([64, 32]))
@_calm
def test_alu_anywhere(left: list[int], right: list[int], op: str, bits: int) -> None:
    word = (1 << bits) - 1
    result = scalar_alu.ALU_TRANSFER[op](around(left), around(right), bits)
    for x, y in itertools.product(left, right):
        assert holds(result, ALU[op].meaning(x & word, y & word, bits) & word)


@given(left=sets)
@_calm
def test_casts(left: list[int]) -> None:
    s = around(left)
    for word in left:
        assert holds(scalar_alu.ALU_TRANSFER["neg"](s, ZERO, 64), -word & M64)
        assert holds(scalar_alu.ALU_TRANSFER["neg"](s, ZERO, 32), -word & M32)
        assert holds(scalar_alu.zext32(s), word & M32)
        for size in (1, 2, 4):
            assert holds(scalar_alu.truncate(s, size), word & (1 << size * 8) - 1)
            assert holds(scalar_alu.sign_extend_to(s, size), signed(word, size * 8) & M64)
            assert holds(scalar_alu.movsx(s, size * 8, 64), signed(word, size * 8) & M64)
        for bits in (8, 16):
            assert holds(scalar_alu.movsx(s, bits, 32), signed(word, bits) & M32)
        for bits in (16, 32, 64):
            assert holds(scalar_alu.endian(s, "le", bits), word & (1 << bits) - 1)
            assert holds(scalar_alu.endian(s, "be", bits), byte_swap(word, bits))
        for distance in (-1, 1, 1 << 20):
            assert holds(scalar_arith.plus(s, distance), word + distance & M64)


@given(left=sets, right=sets, op=st.sampled_from(list(BRANCH)), bits=st.sampled_from([64, 32]))
@_calm
def test_branches(left: list[int], right: list[int], op: str, bits: int) -> None:
    a, b = around(left), around(right)
    word, decided = (1 << bits) - 1, branch_taken(a, b, op, bits)
    sides = refine(a, b, op, bits) if decided < 0 else None
    for x, y in itertools.product(left, right):
        taken = BRANCH[op].meaning(x & word, y & word, bits)
        assert decided < 0 or decided == taken
        if sides:
            first, second = sides[:2] if taken else sides[2:]
            assert holds(first, x)
            assert holds(second, y)


@given(sets)
@_calm
def test_bringing_into_line_loses_no_member(left: list[int]) -> None:
    s = around(left)
    assert all(holds(s, word) for word in left)
    assert sane(s) is s
    assert all(holds(synced_again(s), word) for word in left)
    assert s is around(left), "equal results are one object"


def test_known_operands_give_known_results() -> None:
    rng = random.Random(5)
    for op, row in ALU.items():
        for bits in (64, 32):
            x, y = rng.choice(EDGES), rng.randrange(1, bits)
            result = scalar_alu.ALU_TRANSFER[op](const(x), const(y), bits)
            if op in ("div", "sdiv", "mod", "smod"):
                assert result is UNKNOWN, "6.18 knows nothing of quotients"
            else:
                word = (1 << bits) - 1
                assert result is const(row.meaning(x & word, y & word, bits) & word)


def test_shift_counts_that_are_unknown_or_too_large_tell_nothing() -> None:
    for bits in (64, 32):
        for count in (around([1, 2]), const(bits), const(-1)):
            assert scalar_alu.ALU_TRANSFER["lsh"](const(1), count, bits) is UNKNOWN


def test_the_same_object_comes_back_when_nothing_is_learned() -> None:
    byte = scalar_alu.truncate(UNKNOWN, 1)
    taken, five, other, same_five = refine(byte, const(5), "jgt", 64)
    assert five is same_five is const(5)
    assert (
        scalar_text(taken, 0, 0, False)
        == "scalar(smin=umin=smin32=umin32=6,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))"
    )
    assert refine(byte, UNKNOWN, "jset", 64)[0] is byte
    assert within(other, byte)
    assert not within(byte, other)


def test_a_number_that_may_be_minus_one_or_zero_is_split() -> None:
    sign = scalar_alu.ALU_TRANSFER["arsh"](UNKNOWN, const(63), 64)
    assert scalar_alu.forked(sign, const(7), "and") == (const(-1), const(0))
    assert scalar_alu.forked(sign, const(7), "add") is None
    assert scalar_alu.forked(sign, UNKNOWN, "and") is None
    half = scalar_alu.ALU_TRANSFER["arsh"](UNKNOWN, const(31), 32)
    ways = scalar_alu.forked(half, const(7), "or")
    assert ways is not None
    assert [(way.s32_min, way.s32_max, way.mask) for way in ways] == [(-1, -1, 0), (0, 0, 0)]
    assert (ways[0].umin, ways[0].umax) == (half.umin, half.umax), "the word's ranges are left as they are"


def test_contradictions_give_up_the_ranges() -> None:
    wrong = Scalar(0, M64, 6, 5, 0, M64, 0, 5, 0, 5)
    given_up = sane(wrong)
    assert isinstance(given_up, Violated)
    assert given_up.why.startswith("range bounds violation u64=[")
    assert numbers(given_up)[2:] == numbers(UNKNOWN)[2:]
    five = Scalar(5, 0, 5, 5, 5, 6, 5, 5, 5, 5)
    assert getattr(sane(five), "why", "").startswith("const tnum out of sync with range bounds u64=[0x5, 0x6]")
    half = Scalar(5, M64 ^ M32, 5, 5, 5, 6, 5, 5, 5, 6)
    assert getattr(sane(half), "why", "").startswith("const subreg tnum out of sync with range bounds ")


def test_return_ranges() -> None:
    s = limit_s32(UNKNOWN, -1, 1)
    assert scalar_text(s, 0, 0, False) == "scalar(smin=smin32=-1,smax=smax32=1)"


@pytest.mark.parametrize(
    ("s", "id", "off", "precise", "text"),
    [
        (const(5), 0, 0, True, "P5"),
        (const(-5), 3, 0, False, "-5"),
        (const(0x8000), 0, 0, False, "0x8000"),
        (UNKNOWN, 0, 0, False, "scalar()"),
        (UNKNOWN, 7, 0, True, "Pscalar(id=7)"),
        (UNKNOWN, 7 | 1 << 31, 4, False, "scalar(id=7+4)"),
        (
            scalar_alu.truncate(UNKNOWN, 4),
            2,
            0,
            False,
            "scalar(id=2,smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))",
        ),
    ],
)
def test_text(s: Scalar, id: int, off: int, precise: bool, text: str) -> None:
    assert scalar_text(s, id, off, precise) == text
