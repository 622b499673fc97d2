"""Which functions of an object are programs, and which slots of prog arrays their sections name.

Follows bpf_program__is_subprog() of libbpf, and bpf_fill_prog_arrays() of iproute2. A static function outside of .text
is a program only if nothing refers to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdpsim.loader.functions import Function, Reader
from xdpsim.loader.mapdefs import Maps
from xdpsim.loader.sections import match_section, tail_slot

TEXT = ".text"


@dataclass
class TailSlots:
    """Programs of sections `ID/SLOT`: the prog array (index of the map) and slot of each."""

    map_of: dict[Function, int] = field(default_factory=dict)
    slot_of: dict[Function, int] = field(default_factory=dict)


def tail_slots(functions: Sequence[Function], maps: Maps) -> TailSlots:
    """The slots that sections name; the first function of a section is the program."""
    found, seen = TailSlots(), set[int]()
    for f in functions:
        place = tail_slot(f.section.name)
        if place is None or f.section.index in seen or match_section(f.section.name) is not None:
            continue
        seen.add(f.section.index)
        index = maps.ids.get(place[0])
        if index is not None and maps.specs[index].type == "PROG_ARRAY":
            found.map_of[f], found.slot_of[f] = index, place[1]
    return found


def programs_of(functions: Sequence[Function], reader: Reader, tails: TailSlots) -> tuple[Function, ...]:
    """The programs, in the order of the file."""
    outside = [f for f in functions if f.section.name != TEXT]
    candidates = outside or list(functions)
    if not outside and len(functions) == 1:
        return tuple(functions)
    uncertain = [f for f in candidates if f.is_local or f.section.name == TEXT]
    if not uncertain:
        return tuple(candidates)
    referred = {r.function for f in functions for r in reader.body(f).references if r.function not in (None, f)}
    return tuple(f for f in candidates if f in tails.map_of or f not in uncertain or f not in referred)
