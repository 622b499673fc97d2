"""Abstract numbers with their members: whether a word is one, the tightest number of some words, all small ones."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

from xdpsim.bits import M32, M64, signed
from xdpsim.verifier.scalar import Scalar
from xdpsim.verifier.scalar_sync import synced
from xdpsim.verifier.tnum import tnum_range

WINDOW_BITS = 3
PLACES = {"zero": 0, "half": 1 << 31, "word": 1 << 32, "sign": 1 << 63}
"""Borders that windows lie around; round zero a window wraps."""


def holds(s: Scalar, word: int) -> bool:
    """Whether the word is one of those that `s` allows."""
    low = word & M32
    return (
        word & ~s.mask == s.value
        and s.umin <= word <= s.umax
        and s.u32_min <= low <= s.u32_max
        and s.smin <= signed(word, 64) <= s.smax
        and s.s32_min <= signed(low, 32) <= s.s32_max
    )


def around(words: list[int]) -> Scalar:
    """The tightest number that allows all of them."""
    ones, all_ones = 0, M64
    for word in words:
        ones, all_ones = ones | word, all_ones & word
    wide, low, half = [signed(w, 64) for w in words], [w & M32 for w in words], [signed(w, 32) for w in words]
    ranges = [edge for each in (wide, words, half, low) for edge in (min(each), max(each))]
    return synced((all_ones, ones ^ all_ones, *ranges))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Small:
    """A number and some of its members: all of those in its window."""

    number: Scalar
    members: tuple[int, ...]


def window(place: int) -> list[int]:
    """The words around a border, in order."""
    half = 1 << (WINDOW_BITS - 1)
    return [place + step & M64 for step in range(-half, half)]


@functools.cache
def elements(place: int) -> tuple[Small, ...]:
    """Every range of a window and every choice of known bits in it, each number once."""
    words, found = window(place), dict[Scalar, Small]()
    runs = [words[a:b] for a, b in itertools.combinations(range(len(words) + 1), 2)]
    base = place & ~((1 << WINDOW_BITS) - 1)
    for value, mask in itertools.product(range(1 << WINDOW_BITS), repeat=2):
        if not value & mask:
            runs.append([base | word for word in range(1 << WINDOW_BITS) if word & ~mask == value])
    for run in runs:
        number = around(run)
        found.setdefault(number, Small(number, tuple(run)))
    return tuple(found.values())


FULL: tuple[int, ...] = (0, M64, -(1 << 63), (1 << 63) - 1, 0, M64, -(1 << 31), (1 << 31) - 1, 0, M32)
"""The fields of a number of which nothing is known."""


@functools.cache
def constraints() -> tuple[tuple[tuple[int, ...], int], ...]:
    """What one domain alone may say around the borders: a number's fields, and as a set the words that it allows."""
    made = {FULL}
    for place in PLACES.values():
        words = window(place)
        for first, last in itertools.combinations_with_replacement(words, 2):
            made |= set(_one_domain(first, last))
    return tuple((fields, _allowed(fields)) for fields in sorted(made))


def _one_domain(first: int, last: int) -> list[tuple[int, ...]]:
    found = []
    if first <= last:
        found.append((*FULL[:4], first, last, *FULL[6:]))
        found.append((*tnum_range(first, last), *FULL[2:]))
    if signed(first, 64) <= signed(last, 64):
        found.append((*FULL[:2], signed(first, 64), signed(last, 64), *FULL[4:]))
    if first & M32 <= last & M32:
        found.append((*FULL[:8], first & M32, last & M32))
    if signed(first, 32) <= signed(last, 32):
        found.append((*FULL[:6], signed(first, 32), signed(last, 32), *FULL[8:]))
    return found


@functools.cache
def candidates() -> tuple[int, ...]:
    """Words near all borders of both halves."""
    halves = {word & M32 for place in PLACES.values() for word in window(place)}
    uppers = (0, 1, (1 << 31) - 1, 1 << 31, M32)
    return tuple(sorted({upper << 32 | half for upper in uppers for half in halves}))


def _allowed(fields: tuple[int, ...]) -> int:
    number = Scalar(*fields)
    return sum(1 << at for at, word in enumerate(candidates()) if holds(number, word))


def both(fields: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...] | None:
    """Two domains' constraints put together, not brought into line; None where both are of one domain."""
    made = []
    for at in range(0, len(FULL), 2):
        mine, theirs, nothing = (each[at : at + 2] for each in (fields, other, FULL))
        if nothing not in (mine, theirs):
            return None
        made += theirs if mine == nothing else mine
    return tuple(made)
