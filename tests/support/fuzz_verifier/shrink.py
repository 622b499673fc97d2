"""Makes a program smaller while something about it stays true: insns are taken out, jumps keep their targets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.support.verifier_sources import Question
from xdpsim.isa.insn import Code, Insn
from xdpsim.isa.rows import Family, Imm64

_JUMPS = (Family.JUMP, Family.BRANCH, Family.MAY_GOTO, Family.CALL_LOCAL)
_SHORT, _LONG = 1 << 15, 1 << 31


@dataclass(frozen=True)
class _Item:
    insn: Insn
    target: int
    """Index of the item that it leads to; -1 for none."""


def shrink(question: Question, holds: Callable[[Question], bool], seconds: float = 20.0) -> Question:
    """The smallest program found for which `holds` is true; `question` itself holds."""
    end = time.monotonic() + seconds
    for smaller in (replace(question, flags=frozenset(), flag_bits=0), _privileged(question)):
        if smaller != question and holds(smaller):
            question = smaller
    size = len(question.spec.code) // 2
    while size and time.monotonic() < end:
        at, progress = 0, False
        while time.monotonic() < end:
            smaller_one = without(question, at, at + size)
            if smaller_one is None:
                break
            if holds(smaller_one):
                question, progress = smaller_one, True
            else:
                at += size
        if not progress or size > 1:
            size //= 2
    return question


def _privileged(question: Question) -> Question:
    return replace(question, caps=frozenset({"bpf", "perfmon", "net_admin"}))


def without(question: Question, start: int, stop: int) -> Question | None:
    """The program without its insns `start` to `stop`; None when there are none."""
    items, function_items = _items(question)
    if start >= len(items):
        return None
    stop = min(stop, len(items))

    def moved(index: int) -> int:
        return index if index < start else max(start, index - (stop - start))

    kept = [replace(item, target=moved(item.target) if item.target >= 0 else -1) for item in items]
    code, slots = _code(kept[:start] + kept[stop:])
    rows: dict[int, int] = {}
    for index, type_id in function_items:
        if not start <= index < stop or index == 0:
            place = slots[moved(index)] if moved(index) < len(slots) else len(code)
            rows.setdefault(place, type_id)
    return replace(question, spec=replace(question.spec, code=code, func_info=tuple(sorted(rows.items()))))


def _items(question: Question) -> tuple[list[_Item], list[tuple[int, int]]]:
    code = question.spec.code
    index_of, number = dict[int, int](), 0
    for slot, insn in enumerate(code):
        index_of[slot] = number if insn else number - 1
        number += insn is not None
    items = []
    for slot, insn in enumerate(code):
        if insn is not None:
            distance = _distance(insn)
            target = -1 if distance is None else index_of.get(slot + 1 + distance, number)
            items.append(_Item(insn, target))
    return items, [(index_of[slot], type_id) for slot, type_id in question.spec.func_info if slot in index_of]


def _distance(insn: Insn) -> int | None:
    if insn.family is Family.CALL_LOCAL or (insn.family is Family.LD_IMM64 and insn.op == Imm64.FUNC.name):
        return insn.imm
    return insn.jump_offset if insn.family in _JUMPS else None


def _code(items: list[_Item]) -> tuple[Code, list[int]]:
    slots, at = [], 0
    for item in items:
        slots.append(at)
        at += item.insn.slots
    code: list[Insn | None] = []
    for slot, item in zip(slots, items, strict=True):
        insn = item.insn
        if item.target >= 0:
            to = slots[item.target] if item.target < len(slots) else at
            distance = to - slot - 1
            in_imm = insn.family in (Family.CALL_LOCAL, Family.LD_IMM64) or insn.op == "gotol"
            insn = replace(insn, imm=distance) if in_imm else replace(insn, off=distance)
        code += [insn, None] if insn.slots == 2 else [insn]
    return tuple(code), slots
