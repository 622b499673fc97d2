"""Finds the special fields of a type by its BTF: locks, timers, kptrs, heads and nodes of lists and trees.

What they mean together is btf_record.py's. Follows btf_find_field() and what it calls in kernel/bpf/btf.c.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace

from xdpsim.btf.types import Array, Btf, DataSec, DeclTag, Kind, Ref, Struct, Type, Var

MAX_FIELDS = 11
"""BTF_FIELDS_MAX."""
MAX_DEPTH = 32
"""MAX_RESOLVE_DEPTH."""
KPTR_UNREF, KPTR_REF, KPTR_PERCPU, UPTR = "kptr_untrusted", "kptr", "percpu_kptr", "uptr"
KPTRS = frozenset({KPTR_UNREF, KPTR_REF, KPTR_PERCPU})
GRAPH_ROOTS = frozenset({"bpf_list_head", "bpf_rb_root"})
GRAPH_NODES = frozenset({"bpf_list_node", "bpf_rb_node"})
LAYOUT: dict[str, tuple[int, int]] = {
    "bpf_spin_lock": (4, 4),
    "bpf_res_spin_lock": (4, 4),
    "bpf_timer": (16, 8),
    "bpf_wq": (16, 8),
    "bpf_task_work": (8, 8),
    "bpf_list_head": (16, 8),
    "bpf_list_node": (24, 8),
    "bpf_rb_root": (16, 8),
    "bpf_rb_node": (32, 8),
    "bpf_refcount": (4, 4),
    **dict.fromkeys((*KPTRS, UPTR), (8, 8)),
}
"""Bytes and alignment of each kind of field."""
_UNIQUE = frozenset({"bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer", "bpf_wq", "bpf_task_work"})
_REPEATABLE = KPTRS | GRAPH_ROOTS | {UPTR}


class BadFields(Exception):
    """The fields are not as Linux wants them; `errno` is positive."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode[number])
        self.errno = number


@dataclass(frozen=True, slots=True)
class Found:
    """A field: its kind, byte offset, and the type that a kptr points to or that a list or tree contains."""

    kind: str
    offset: int
    type_id: int = 0
    node: str = ""
    """The member of the contained type that is the node."""


class Finder:
    """Looks for fields of the kinds in `mask` in types of one BTF."""

    def __init__(self, btf: Btf, mask: frozenset[str]) -> None:
        self.btf, self.mask = btf, mask
        self.tags: dict[tuple[int, int], list[str]] = {}
        for row in btf.types:
            if isinstance(row, DeclTag):
                self.tags.setdefault((row.type_id, row.component), []).append(row.name)

    def find(self, row: Type) -> list[Found]:
        """The fields of a struct or of a data section, in the order of its members; BadFields."""
        if isinstance(row, Struct) and row.kind is Kind.STRUCT:
            return self._in_struct(row, MAX_FIELDS, 0)
        if isinstance(row, DataSec):
            return self._in_section(row)
        raise BadFields(errno.EINVAL)

    def _in_struct(self, row: Struct, room: int, level: int) -> list[Found]:
        found: list[Found] = []
        seen: set[str] = set()
        for number, member in enumerate(row.members):
            if member.bit_offset % 8:
                raise BadFields(errno.EINVAL)
            owner = (row.id, number)
            offset = member.bit_offset // 8
            found += self._one(owner, member.type_id, offset, 0, seen, room - len(found), level)
        return found

    def _in_section(self, row: DataSec) -> list[Found]:
        found: list[Found] = []
        seen: set[str] = set()
        for listed in row.variables:
            variable = self.btf.types[listed.type_id]
            if isinstance(variable, Var):
                owner, room = (variable.id, -1), MAX_FIELDS - len(found)
                found += self._one(owner, variable.type_id, listed.offset, listed.size, seen, room, 0)
        return found

    def _one(
        self, owner: tuple[int, int], type_id: int, offset: int, size: int, seen: set[str], room: int, level: int
    ) -> list[Found]:
        """What a member or variable brings; `size` is what a variable takes, 0 for a member."""
        row, count = self._element(self.btf.types[type_id])
        if not count:
            return []
        kind = self._kind(row, seen)
        if not kind:
            if isinstance(row, Struct) and row.kind is Kind.STRUCT and size in (0, row.size * count):
                return self._nested(row, offset, count, room, level + 1)
            return []
        field_size, align = LAYOUT[kind]
        if size not in (0, field_size * count) or offset % align:
            return []
        made = self._field(kind, owner, row, offset)
        if made is None:
            return []
        if not room:
            raise BadFields(errno.E2BIG)
        return _repeat([made], count, field_size, room)

    def _element(self, row: Type) -> tuple[Type, int]:
        """The type of an array's elements and how many there are."""
        count = 1
        for _ in range(MAX_DEPTH):
            if not isinstance(row, Array):
                return row, count
            count *= row.nelems
            row = self.btf.types[row.type_id]
        raise BadFields(errno.E2BIG)

    def _kind(self, row: Type, seen: set[str]) -> str:
        """What kind of field the type may be (btf_get_field_type); any but a struct may be a kptr."""
        if row.name in LAYOUT and row.name in self.mask and row.name not in _REPEATABLE - GRAPH_ROOTS:
            if row.name in _UNIQUE and row.name in seen:
                raise BadFields(errno.E2BIG)
            seen.add(row.name)
            return row.name
        return KPTR_REF if self.mask & (KPTRS | {UPTR}) and row.kind is not Kind.STRUCT else ""

    def _nested(self, row: Struct, offset: int, count: int, room: int, level: int) -> list[Found]:
        if level >= MAX_DEPTH:
            raise BadFields(errno.E2BIG)
        found = [replace(field, offset=field.offset + offset) for field in self._in_struct(row, room, level)]
        return _repeat(found, count, row.size, room) if found else []

    def _field(self, kind: str, owner: tuple[int, int], row: Type, offset: int) -> Found | None:
        if kind in KPTRS:
            return self.kptr(row, offset)
        if row.kind is not Kind.STRUCT or not isinstance(row, Struct) or row.size != LAYOUT[kind][0]:
            return None
        return self._root(kind, owner, offset) if kind in GRAPH_ROOTS else Found(kind, offset)

    def kptr(self, row: Type, offset: int) -> Found | None:
        """The kptr that a pointer type is by its tag, None when it is none."""
        types = self.btf.types
        if row.kind is Kind.VOLATILE and isinstance(row, Ref):
            row = types[row.type_id]
        if row.kind is not Kind.PTR or not isinstance(row, Ref):
            return None
        tag = types[row.type_id]
        if tag.kind is not Kind.TYPE_TAG or not isinstance(tag, Ref):
            return None
        if types[tag.type_id].kind is Kind.TYPE_TAG or (tag.name not in KPTRS and tag.name != UPTR):
            raise BadFields(errno.EINVAL)
        if tag.name not in self.mask:
            return None
        target = self.btf.resolve(tag.type_id)
        if target.kind is not Kind.STRUCT:
            raise BadFields(errno.EINVAL)
        return Found(tag.name, offset, target.id)

    def _root(self, kind: str, owner: tuple[int, int], offset: int) -> Found:
        """A list head or tree root: its tag "contains:TYPE:MEMBER" says what is in it."""
        tags = [tag for tag in self.tags.get(owner, ()) if tag.startswith("contains:")]
        if len(tags) != 1 or tags[0].count(":") < 2:
            raise BadFields(errno.EINVAL)
        name, node = tags[0].removeprefix("contains:").split(":", 1)
        contained = self.btf.by_name(name, Kind.STRUCT)
        if contained is None:
            raise BadFields(errno.ENOENT)
        if not node:
            raise BadFields(errno.EINVAL)
        return Found(kind, offset, contained.id, node)


def _repeat(found: list[Found], count: int, size: int, room: int) -> list[Found]:
    """The fields of each element of an array."""
    if count <= 1:
        return found
    if any(field.kind not in _REPEATABLE for field in found):
        raise BadFields(errno.EINVAL)
    if len(found) * count > room:
        raise BadFields(errno.E2BIG)
    return [replace(field, offset=field.offset + index * size) for index in range(count) for field in found]
