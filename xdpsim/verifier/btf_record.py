"""The special fields of a map's value or of a program's own type, as one record; and which maps may have which.

Follows btf_parse_fields(), btf_check_and_fixup_fields() and btf_parse_struct_metas() of kernel/bpf/btf.c, and
map_check_btf() of kernel/bpf/syscall.c. fields.py asks records questions.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from xdpsim.btf.linux618 import in_linux618, linux618
from xdpsim.btf.types import Btf, Kind, Ref, Struct, Type
from xdpsim.errors import InputError
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG
from xdpsim.verifier.btf_fields import (
    GRAPH_NODES,
    GRAPH_ROOTS,
    KPTR_REF,
    KPTR_UNREF,
    KPTRS,
    LAYOUT,
    UPTR,
    BadFields,
    Finder,
    Found,
)

LOCKS = frozenset({"bpf_spin_lock", "bpf_res_spin_lock"})
_IN_TYPES = LOCKS | GRAPH_ROOTS | GRAPH_NODES | KPTRS | {"bpf_refcount"}
_IN_VALUES = LOCKS | GRAPH_ROOTS | KPTRS | {"bpf_refcount", "bpf_timer", "bpf_wq", "bpf_task_work", UPTR}
_MAKES_META = ("bpf_spin_lock", *sorted(GRAPH_ROOTS | GRAPH_NODES), "bpf_refcount")
"""Member types that make Linux look for the fields of a program's struct; not the newer lock."""
DESTRUCTIBLE = frozenset(
    ("task_struct", "cgroup", "bpf_cpumask", "bpf_crypto_ctx", "prog_test_ref_kfunc", "prog_test_member")
)
"""Kernel structs that a referenced kptr may point to: the kernel knows how to let go of them."""
_PAGE = 4096
_PLAIN = frozenset({"HASH", "LRU_HASH", "ARRAY"})
_STORAGE = frozenset({"SK_STORAGE", "INODE_STORAGE", "TASK_STORAGE", "CGRP_STORAGE"})
_PER_CPU = frozenset({"PERCPU_HASH", "LRU_PERCPU_HASH", "PERCPU_ARRAY"})
_LOCKABLE = frozenset({"HASH", "ARRAY", "CGROUP_STORAGE"}) | _STORAGE
MAPS_FOR: dict[str, frozenset[str]] = {
    **dict.fromkeys(LOCKS, _LOCKABLE),
    **dict.fromkeys(("bpf_timer", "bpf_wq", "bpf_task_work", *GRAPH_ROOTS), _PLAIN),
    **dict.fromkeys((*KPTRS, "bpf_refcount"), _PLAIN | _PER_CPU | _STORAGE),
    UPTR: frozenset({"TASK_STORAGE"}),
}
"""Types of map whose values may have such a field."""


@dataclass(eq=False, slots=True)
class Field:
    """One field: `kind` is the name of its struct or the tag of the pointer, `offset` and `size` are in bytes.

    For kptrs `btf` and `type_id` say what they point to, for heads and roots what they contain, at which byte
    `node_offset` the node lies in it, and `contained` which fields that has. A kernel struct that the shipped types do
    not know has type id 0.
    """

    kind: str
    offset: int
    size: int
    btf: Btf | None = None
    type_id: int = 0
    type_name: str = ""
    node_offset: int = 0
    contained: Record | None = None
    is_kernel: bool = False

    @property
    def is_kptr(self) -> bool:
        """Whether it is a pointer that programs may load."""
        return self.kind in KPTRS or self.kind == UPTR

    @property
    def name(self) -> str:
        """What the log calls it (btf_field_type_name)."""
        return "kptr" if self.kind == KPTR_UNREF else self.kind


@dataclass(eq=False, slots=True)
class Record:
    """All fields of one type by offset."""

    fields: tuple[Field, ...]
    kinds: frozenset[str]

    def offset(self, kind: str) -> int:
        """Where the (last) field of that kind starts, -EINVAL without one, as the log prints it."""
        return max((field.offset for field in self.fields if field.kind == kind), default=-errno.EINVAL)


def parse_fields(finder: Finder, row: Type, size: int) -> Record | None:
    """The record of a type of `size` bytes, None when it has no special fields; BadFields."""
    fields: list[Field] = []
    behind = 0
    for found in finder.find(row):
        length = LAYOUT[found.kind][0]
        if found.offset + length > size:
            raise BadFields(errno.EFAULT)
        if found.offset < behind:
            raise BadFields(errno.EEXIST)
        behind = found.offset + length
        fields.append(_field(finder.btf, found, length))
    if not fields:
        return None
    kinds = frozenset(field.kind for field in fields)
    has_lock = not kinds.isdisjoint(LOCKS)
    if kinds >= LOCKS or (not kinds.isdisjoint(GRAPH_ROOTS) and not has_lock):
        raise BadFields(errno.EINVAL)
    if kinds >= GRAPH_NODES and "bpf_refcount" not in kinds:
        raise BadFields(errno.EINVAL)
    return Record(tuple(sorted(fields, key=lambda field: field.offset)), kinds)


def _field(btf: Btf, found: Found, size: int) -> Field:
    made = Field(found.kind, found.offset, size)
    if not found.type_id:
        return made
    target = btf.types[found.type_id]
    made.btf, made.type_id, made.type_name = btf, target.id, target.name
    if found.kind in GRAPH_ROOTS:
        made.node_offset = _node_offset(btf, target, found)
    elif in_linux618(Kind.STRUCT, target.name):
        if found.kind == KPTR_REF and target.name not in DESTRUCTIBLE:
            raise BadFields(errno.ENOENT)
        kernel = linux618().btf
        known = kernel.by_name(target.name, Kind.STRUCT)
        made.btf, made.type_id, made.is_kernel = kernel, known.id if known else 0, True
    return made


def _node_offset(btf: Btf, target: Type, found: Found) -> int:
    """Where the node lies in the contained type."""
    expected = "bpf_list_node" if found.kind == "bpf_list_head" else "bpf_rb_node"
    members = [m for m in target.members if m.name == found.node] if isinstance(target, Struct) else []
    if not members:
        raise BadFields(errno.ENOENT)
    row = btf.types[members[0].type_id]
    if len(members) > 1 or row.kind is not Kind.STRUCT or row.name != expected or members[0].bit_offset % 64:
        raise BadFields(errno.EINVAL)
    return members[0].bit_offset // 8


def _check_ownership(record: Record, metas: Mapping[int, Record]) -> None:
    """No type may own itself in the end: what is both in a list and has one contains no type that has one."""
    for field in record.fields:
        if field.kind == UPTR:
            row = field.btf.types[field.type_id] if field.btf else None
            size = row.size if isinstance(row, Struct) else 0
            if field.is_kernel or not size:
                raise BadFields(errno.EINVAL)
            if size > _PAGE:
                raise BadFields(errno.E2BIG)
        if field.kind not in GRAPH_ROOTS:
            continue
        field.contained = metas.get(field.type_id)
        if field.contained is None:
            raise BadFields(errno.EFAULT)
        if not record.kinds.isdisjoint(GRAPH_NODES) and not field.contained.kinds.isdisjoint(GRAPH_ROOTS):
            raise BadFields(errno.ELOOP)


@lru_cache(maxsize=64)
def struct_metas(btf: Btf) -> dict[int, Record]:
    """The records of a program's own structs by type id; BadFields where Linux refuses to load such a BTF."""
    finder = Finder(btf, _IN_TYPES)
    special = {row.id for name in _MAKES_META if (row := btf.by_name(name, Kind.STRUCT)) is not None}
    special.update(row.id for row in btf.types if isinstance(row, Ref) and _is_kptr(finder, row))
    metas: dict[int, Record] = {}
    for row in btf.types:
        if isinstance(row, Struct) and row.kind is Kind.STRUCT and _any(special, (m.type_id for m in row.members)):
            record = parse_fields(finder, row, row.size)
            if record is None:
                raise BadFields(errno.EFAULT)
            metas[row.id] = record
    for record in metas.values():
        _check_ownership(record, metas)
    return metas


def _is_kptr(finder: Finder, row: Ref) -> bool:
    try:
        return finder.kptr(row, 0) is not None
    except BadFields:
        return False


def _any(wanted: set[int], ids: Iterable[int]) -> bool:
    return any(number in wanted for number in ids)


def btf_errno(btf: Btf) -> int:
    """The errno with which BPF_BTF_LOAD refuses the fields of its structs, 0 when it takes them."""
    try:
        struct_metas(btf)
    except BadFields as bad:
        return bad.errno
    return 0


def record_of_type(btf: Btf, type_id: int) -> Record | None:
    """The fields of a program's own struct, None when it has none."""
    try:
        return struct_metas(btf).get(type_id)
    except BadFields:
        return None


def map_record(spec: MapSpec) -> Record | None:
    """The fields of the map's values, None when there are none; BadFields where Linux refuses such a map.

    Fields that do not fit together are no reason to refuse it: the map then has none.
    """
    if spec.btf is None or not spec.value_type or _size(spec.btf, spec.value_type) != spec.value_size:
        return None
    try:
        finder = Finder(spec.btf, _IN_VALUES)
        record = parse_fields(finder, spec.btf.resolve(spec.value_type), spec.value_size)
    except BadFields:
        return None
    if record is None:
        return None
    if spec.flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG):
        raise BadFields(errno.EACCES)
    if any(spec.type not in MAPS_FOR[kind] for kind in record.kinds):
        raise BadFields(errno.EOPNOTSUPP)
    _check_ownership(record, struct_metas(spec.btf))
    return record


def _size(btf: Btf, type_id: int) -> int:
    try:
        return btf.size_of(type_id)
    except InputError:
        return -1


def record_of_map(spec: MapSpec) -> Record | None:
    """As map_record, and None where Linux refuses the map: libbpf then makes it without BTF."""
    try:
        return map_record(spec)
    except BadFields:
        return None
