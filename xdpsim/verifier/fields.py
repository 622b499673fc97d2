"""Special fields of a map's value or of a program's own type, as the rules for calls ask for them.

What they are is found by btf_record.py; a map has them in VMap.record, a type of the program in its BTF. Follows
btf_record_has_field() and btf_record_find() of kernel/bpf/syscall.c, reg_btf_record() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

from typing import Any

from xdpsim.helpers.map_pairs import READ_ONLY_MAPS
from xdpsim.maps.types import BPF_F_RDONLY_PROG
from xdpsim.verifier import btf_record
from xdpsim.verifier.regtypes import BASE_MASK, MEM_ALLOC, PTR_TO_BTF_ID, PTR_TO_MAP_VALUE
from xdpsim.verifier.state import Reg
from xdpsim.verifier.vmap import VMap

LOCK_FIELDS = frozenset({"bpf_spin_lock", "bpf_res_spin_lock"})
ASYNC_FIELDS = frozenset({"bpf_timer", "bpf_wq", "bpf_task_work"})
KPTR_FIELDS = frozenset({"kptr_untrusted", "kptr", "percpu_kptr"})


def has_field(record: Any, kinds: frozenset[str]) -> bool:
    """Whether there is a field of one of these kinds; `record` may be None."""
    return record is not None and not record.kinds.isdisjoint(kinds)


def field_at(record: Any, offset: int, kinds: frozenset[str]) -> Any:
    """The field of one of these kinds that starts at `offset`, None when there is none."""
    if record is not None:
        for field in record.fields:
            if field.offset == offset and field.kind in kinds:
                return field
    return None


def offset_of(record: Any, kind: str) -> int:
    """Where the only field of that kind starts; -1 without one."""
    if record is not None:
        for field in record.fields:
            if field.kind == kind:
                return int(field.offset)
    return -1


def record_of(reg: Reg) -> Any:
    """The fields of what the register points to, None when there are none or it points to nothing that may have any."""
    kind = reg.type
    if kind == PTR_TO_MAP_VALUE:
        return reg.extra[0].record
    if kind & BASE_MASK == PTR_TO_BTF_ID and kind & MEM_ALLOC:
        return btf_record.record_of_type(*reg.extra)
    return None


def has_btf(vmap: VMap) -> bool:
    """Whether Linux knows the types of the map's values."""
    return vmap.spec.btf is not None and bool(vmap.spec.value_type)


def map_name(vmap: VMap) -> str:
    """The map's name as Linux keeps it."""
    return vmap.spec.name[:15]


def is_read_only(vmap: VMap) -> bool:
    """Whether programs may not write values of the map."""
    spec = vmap.spec
    return spec.read_only or bool(spec.flags & BPF_F_RDONLY_PROG) or spec.type in READ_ONLY_MAPS
