"""Fields of values that only the kernel may write (locks, timers, kptrs, list heads): found by BTF, kept by copies.

Follows btf_parse_fields() in kernel/bpf/btf.c and bpf_obj_memcpy() in include/linux/bpf.h: an update leaves these
fields of the old value alone, a new value starts with them zeroed, and a user sees them as zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.btf.types import Array, Btf, Kind, Ref, Struct
from xdpsim.maps.header import MAP
from xdpsim.memory.native import native
from xdpsim.memory.raw import copy, fill, load32, load64, store64

_SPECIAL = MAP.offset("special")
_VALUE_SIZE = MAP.offset("value_size")
ENTRY_BYTES = 8
"""One entry of the native table: u32 offset, u32 size; an entry of size 0 ends it."""

SPECIAL_SIZES = {
    "bpf_spin_lock": 4,
    "bpf_res_spin_lock": 8,
    "bpf_timer": 16,
    "bpf_wq": 16,
    "bpf_task_work": 8,
    "bpf_list_head": 16,
    "bpf_list_node": 24,
    "bpf_rb_root": 16,
    "bpf_rb_node": 32,
    "bpf_refcount": 4,
}
"""Structs that are special wherever they stand in a value, with their sizes in bytes."""
KPTR_TAGS = frozenset({"kptr", "kptr_untrusted", "percpu_kptr", "uptr"})
MAX_FIELDS = 1 << 12


@dataclass(frozen=True, slots=True)
class SpecialField:
    """One such field: byte offset in the value, bytes, and the struct's name or the tag of the pointer."""

    offset: int
    size: int
    kind: str


def special_fields(btf: Btf | None, type_id: int) -> tuple[SpecialField, ...]:
    """The special fields of a value of that type, in order; none where the type is not known."""
    found: list[SpecialField] = []
    if btf is not None and type_id:
        _collect(btf, type_id, 0, found, depth=0)
    return tuple(sorted(found, key=lambda field: field.offset))


def _collect(btf: Btf, type_id: int, at: int, found: list[SpecialField], depth: int) -> None:
    row = btf.resolve(type_id)
    if depth > 16 or len(found) > MAX_FIELDS:
        return
    if isinstance(row, Struct) and row.name in SPECIAL_SIZES:
        found.append(SpecialField(at, SPECIAL_SIZES[row.name], row.name))
    elif isinstance(row, Struct) and row.kind is Kind.STRUCT:
        for member in row.members:
            if not member.bit_size and member.bit_offset % 8 == 0:
                _collect(btf, member.type_id, at + member.bit_offset // 8, found, depth + 1)
    elif isinstance(row, Array):
        before = len(found)
        _collect(btf, row.type_id, at, found, depth + 1)
        first = found[before:]
        size = btf.size_of(row.type_id)
        for index in range(1, min(row.nelems, MAX_FIELDS)) if first else ():
            found.extend(SpecialField(field.offset + index * size, field.size, field.kind) for field in first)
    elif isinstance(row, Ref) and row.kind is Kind.PTR:
        tag = btf.get(row.type_id)
        if tag.kind is Kind.TYPE_TAG and tag.name in KPTR_TAGS:
            found.append(SpecialField(at, 8, tag.name))


@native
def map_copy_value(map_: int, dst: int, src: int) -> int:
    """Copy a value, leaving the special fields of `dst` as they are."""
    size = load32(map_ + _VALUE_SIZE)
    entry = load64(map_ + _SPECIAL)
    if entry == 0:
        if size == 8:
            store64(dst, load64(src))
            return 0
        copy(dst, src, size)
        return 0
    at = 0
    while load32(entry + 4):
        start = load32(entry)
        copy(dst + at, src + at, start - at)
        at = start + load32(entry + 4)
        entry += ENTRY_BYTES
    copy(dst + at, src + at, size - at)
    return 0


@native
def map_zero_special(map_: int, value: int) -> int:
    """Zero the special fields of a value that is about to be new."""
    entry = load64(map_ + _SPECIAL)
    if entry:
        while load32(entry + 4):
            fill(value + load32(entry), 0, load32(entry + 4))
            entry += ENTRY_BYTES
    return 0
