"""Fields of values that only the kernel may write (locks, timers, kptrs, list heads): found by BTF, kept by copies.

Follows btf_parse_fields() in kernel/bpf/btf.c and bpf_obj_memcpy() in include/linux/bpf.h: an update leaves these
fields of the old value alone, a new value starts with them zeroed, and a user sees them as they start.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xdpsim.btf.types import Array, Btf, DataSec, Kind, Ref, Struct, Var
from xdpsim.maps.header import MAP
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG
from xdpsim.memory.native import native
from xdpsim.memory.raw import copy, fill, load32, load64, store32, store64

_SPECIAL = MAP.offset("special")
_VALUE_SIZE = MAP.offset("value_size")
ENTRY_BYTES = 12
"""One entry of the native table: u32 offset, u32 size, u32 initial value; an entry of size 0 ends it."""

_ELEMENTS = frozenset({"HASH", "LRU_HASH", "ARRAY"})
_PER_CPU = frozenset({"PERCPU_HASH", "LRU_PERCPU_HASH", "PERCPU_ARRAY"})
_LOCKED = frozenset({"HASH", "ARRAY"})
SPECIAL_STRUCTS: dict[str, tuple[int, frozenset[str]]] = {
    "bpf_spin_lock": (4, _LOCKED),
    "bpf_res_spin_lock": (4, _LOCKED),
    "bpf_timer": (16, _ELEMENTS),
    "bpf_wq": (16, _ELEMENTS),
    "bpf_task_work": (8, _ELEMENTS),
    "bpf_list_head": (16, _ELEMENTS),
    "bpf_rb_root": (16, _ELEMENTS),
    "bpf_refcount": (4, _ELEMENTS | _PER_CPU),
}
"""Structs that are special in a map's value: their size in bytes and the types of map that take them."""
KPTR_TAGS = frozenset({"kptr", "kptr_untrusted", "percpu_kptr"})
_KPTR_MAPS = _ELEMENTS | _PER_CPU
MAX_FIELDS = 1 << 12


@dataclass(frozen=True, slots=True)
class SpecialField:
    """One such field: byte offset in the value, bytes, and the struct's name or the tag of the pointer."""

    offset: int
    size: int
    kind: str

    @property
    def initial(self) -> bytes:
        """What it is in a new value, and what users see: zeroes, but a reference count is 1."""
        return int(self.kind == "bpf_refcount").to_bytes(self.size, "little")

    @property
    def table_entry(self) -> bytes:
        """Its entry in the native table."""
        first_word = int.from_bytes(self.initial[:4], "little")
        return struct.pack("<3I", self.offset, self.size, first_word)


def special_fields(spec: MapSpec) -> tuple[SpecialField, ...]:
    """The special fields of the map's values, in order; none where BTF does not say what the values are.

    There are none either where Linux refuses such a map: libbpf then makes it without BTF, so that nothing is special.
    """
    found: list[SpecialField] = []
    if spec.btf is not None and spec.value_type:
        _collect(spec.btf, spec.value_type, 0, found, depth=0)
    if spec.flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG) or any(spec.type not in _maps_for(row) for row in found):
        return ()
    return tuple(sorted(found, key=lambda field: field.offset))


def _maps_for(row: SpecialField) -> frozenset[str]:
    return SPECIAL_STRUCTS[row.kind][1] if row.kind in SPECIAL_STRUCTS else _KPTR_MAPS


def _collect(btf: Btf, type_id: int, at: int, found: list[SpecialField], depth: int) -> None:
    row = btf.resolve(type_id)
    if depth > 16 or len(found) > MAX_FIELDS:
        return
    if isinstance(row, Struct) and row.name in SPECIAL_STRUCTS:
        found.append(SpecialField(at, SPECIAL_STRUCTS[row.name][0], row.name))
    elif isinstance(row, Struct) and row.kind is Kind.STRUCT:
        for member in row.members:
            if not member.bit_size and member.bit_offset % 8 == 0:
                _collect(btf, member.type_id, at + member.bit_offset // 8, found, depth + 1)
    elif isinstance(row, DataSec):
        for variable in row.variables:
            declared = btf.get(variable.type_id)
            if isinstance(declared, Var):
                _collect(btf, declared.type_id, at + variable.offset, found, depth + 1)
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
def map_copy_padded(map_: int, dst: int, src: int) -> int:
    """As map_copy_value, with the bytes up to the next multiple of 8, as users' updates of per-CPU values do."""
    if load64(map_ + _SPECIAL):
        return map_copy_value(map_, dst, src)
    copy(dst, src, load32(map_ + _VALUE_SIZE) + 7 & ~7)
    return 0


@native
def map_init_special(map_: int, value: int) -> int:
    """Make the special fields of a value that is about to be new what they start as."""
    entry = load64(map_ + _SPECIAL)
    if entry:
        while load32(entry + 4):
            fill(value + load32(entry), 0, load32(entry + 4))
            if load32(entry + 8):
                store32(value + load32(entry), load32(entry + 8))
            entry += ENTRY_BYTES
    return 0
