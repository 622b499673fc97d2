"""Whether a type of the object and one of the target are the same to CO-RE, and where a path leads in the target.

Names count without flavours; layouts do not count. Follows bpf_core_spec_match(), bpf_core_fields_are_compat(),
bpf_core_types_are_compat() and bpf_core_types_match() of libbpf's relo_core.c.
"""

from __future__ import annotations

from dataclasses import replace

from xdpsim.btf.types import Array, Btf, Enum, FuncProto, Fwd, Int, Kind, Member, Ref, Struct, Type
from xdpsim.errors import InputError
from xdpsim.loader.core.spec import MAX_PATH, RelocationKind, Spec, Step, essential, is_flexible

DEPTH = 32
BUDGET = 20_000
"""Comparisons that one question may take: hostile types multiply."""
_NAMED = frozenset({Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FWD, Kind.VOID})


def same_kind(local: Type, target: Type) -> bool:
    """Equal kinds, where an enum is an enum however wide."""
    return local.kind is target.kind or (isinstance(local, Enum) and isinstance(target, Enum))


def match(local: Spec, target: Btf, type_id: int) -> Spec | None:
    """The path of `local` in the type of the target; None when it has no such thing."""
    here = Spec(target, type_id, local.kind, ())
    if local.kind is RelocationKind.TYPE_MATCHES:
        return here if _Comparison(local.btf, target).match(local.root, type_id, False, DEPTH) else None
    if local.kind.about_enum:
        return _enumerator(local, here)
    if not local.kind.about_field:
        return here if _Comparison(local.btf, target).compatible(local.root, type_id, DEPTH) else None
    at: int | None = target.resolve(type_id).id
    for number, step in enumerate(local.steps):
        if at is None:
            return None
        if step.name:
            here, at = _member(local, step, here, at)
        else:
            here, at = _element(step, here, at, first=number == 0)
    return here if at is not None else None


def _enumerator(local: Spec, here: Spec) -> Spec | None:
    row, wanted = here.btf.resolve(here.root), essential(local.steps[0].name)
    if not isinstance(row, Enum):
        return None
    for index, (name, _value) in enumerate(row.values):
        if essential(name) == wanted:
            return replace(here, steps=(Step(row.id, index, name),))
    return None


def _element(step: Step, here: Spec, at: int, *, first: bool) -> tuple[Spec, int | None]:
    row = here.btf.resolve(at)
    if not first:  # the first step is an index into an array of roots, which is not written as a type
        if not isinstance(row, Array):
            return here, None
        if step.index >= row.nelems and not is_flexible(here.btf, here.steps[-1], row):
            return here, None
        row = here.btf.resolve(row.type_id)
    bit = here.bit_offset + step.index * here.btf.size_of(row.id) * 8
    return replace(here, steps=(*here.steps, Step(row.id, step.index)), bit_offset=bit), row.id


def _member(local: Spec, step: Step, here: Spec, at: int) -> tuple[Spec, int | None]:
    """The member of that name in the target's struct, also inside anonymous members, the first one in C's order."""
    owner = local.btf.get(step.type_id)
    assert isinstance(owner, Struct)
    wanted, seen = owner.members[step.index], set[int]()
    todo = [(at, here.bit_offset, 0)]
    while todo:
        type_id, bit, first = todo.pop()
        row = here.btf.resolve(type_id)
        if not isinstance(row, Struct) or (first == 0 and row.id in seen) or len(todo) > MAX_PATH:
            continue
        seen.add(row.id)
        for index, m in enumerate(row.members[first:], first):
            if m.name == wanted.name:
                return _found(local, wanted, here, Step(row.id, index, m.name), m, bit)
            if not m.name:
                todo += [(row.id, bit, index + 1), (m.type_id, bit + m.bit_offset, 0)]
                break
    return here, None


def _found(local: Spec, wanted: Member, here: Spec, step: Step, m: Member, bit: int) -> tuple[Spec, int | None]:
    reached = replace(here, steps=(*here.steps, step), bit_offset=bit + m.bit_offset)
    fits = fields_compatible(local.btf, wanted.type_id, here.btf, m.type_id)
    return (reached, m.type_id) if fits else (here, None)


def fields_compatible(local: Btf, local_id: int, target: Btf, target_id: int) -> bool:
    """Whether a member may stand for the other: structs always, integers of any width, enums by name."""
    mine, theirs = local.resolve(local_id), target.resolve(target_id)
    while isinstance(mine, Array) and isinstance(theirs, Array):
        mine, theirs = local.resolve(mine.type_id), target.resolve(theirs.type_id)
    if isinstance(mine, Struct) and isinstance(theirs, Struct):
        return True
    if not same_kind(mine, theirs):
        return False
    if isinstance(mine, (Enum, Fwd)):
        ours, other = essential(mine.name), essential(theirs.name)
        return not ours or not other or ours == other
    if isinstance(mine, Int) and isinstance(theirs, Int):
        return mine.bit_offset == 0 and theirs.bit_offset == 0
    return mine.kind in (Kind.PTR, Kind.FLOAT)


class _Comparison:
    """Types compared as wholes, with a budget."""

    def __init__(self, local: Btf, target: Btf) -> None:
        self.local, self.target, self.left = local, target, BUDGET

    def _spend(self, depth: int) -> None:
        self.left -= 1
        if depth <= 0 or self.left < 0:
            raise InputError("the types nest too deeply to be compared")

    def compatible(self, local_id: int, target_id: int, depth: int) -> bool:
        """Same kinds all the way down; the caller has compared the names."""
        if not same_kind(self.local.get(local_id), self.target.get(target_id)):
            return False
        while True:
            self._spend(depth)
            depth -= 1
            mine, theirs = self.local.resolve(local_id), self.target.resolve(target_id)
            if not same_kind(mine, theirs):
                return False
            if mine.kind in _NAMED:
                return True
            if isinstance(mine, Int) and isinstance(theirs, Int):
                return mine.bit_offset == 0 and theirs.bit_offset == 0
            if isinstance(mine, FuncProto) and isinstance(theirs, FuncProto):
                if len(mine.params) != len(theirs.params):
                    return False
                for a, b in zip(mine.params, theirs.params, strict=True):
                    ids = self.local.resolve(a.type_id).id, self.target.resolve(b.type_id).id
                    if not self.compatible(*ids, depth):
                        return False
                local_id, target_id = mine.return_id, theirs.return_id
            elif isinstance(mine, (Array, Ref)) and isinstance(theirs, (Array, Ref)):
                local_id, target_id = mine.type_id, theirs.type_id
            else:
                return False

    def match(self, local_id: int, target_id: int, behind_pointer: bool, depth: int) -> bool:
        """Whether everything that the local type says is so in the target; structs behind pointers by name only."""
        while True:
            self._spend(depth)
            depth -= 1
            mine, theirs = self.local.resolve(local_id), self.target.resolve(target_id)
            if essential(mine.name) != essential(theirs.name):
                return False
            if isinstance(mine, Enum):
                return isinstance(theirs, Enum) and _has_all(mine, theirs)
            if isinstance(mine, (Struct, Fwd)):
                return self._named(mine, theirs, behind_pointer, depth)
            if mine.kind is not theirs.kind:
                return False
            if isinstance(mine, Int) and isinstance(theirs, Int):
                return (mine.bits, mine.is_signed) == (theirs.bits, theirs.is_signed)
            if isinstance(mine, FuncProto) and isinstance(theirs, FuncProto):
                if len(mine.params) != len(theirs.params):
                    return False
                for a, b in zip(mine.params, theirs.params, strict=True):
                    if not self.match(a.type_id, b.type_id, behind_pointer, depth):
                        return False
                local_id, target_id = mine.return_id, theirs.return_id
            elif isinstance(mine, Array) and isinstance(theirs, Array):
                if mine.nelems != theirs.nelems:
                    return False
                local_id, target_id = mine.type_id, theirs.type_id
            elif isinstance(mine, Ref) and isinstance(theirs, Ref):
                behind_pointer = True
                local_id, target_id = mine.type_id, theirs.type_id
            else:
                return mine.kind is Kind.VOID

    def _named(self, mine: Struct | Fwd, theirs: Type, behind_pointer: bool, depth: int) -> bool:
        """A declaration stands for the struct or union that it announces, but only behind a pointer."""
        if not isinstance(theirs, (Struct, Fwd)):
            return False
        if behind_pointer:
            return _is_union(mine) == _is_union(theirs)
        if mine.kind is not theirs.kind:
            return False
        if isinstance(mine, Struct) and isinstance(theirs, Struct):
            return self._members(mine, theirs, depth)
        return _is_union(mine) == _is_union(theirs)

    def _members(self, mine: Struct, theirs: Struct, depth: int) -> bool:
        if len(mine.members) > len(theirs.members):
            return False
        named: dict[str, list[Member]] = {}
        for m in theirs.members:
            named.setdefault(essential(m.name), []).append(m)
        return all(
            any(self.match(m.type_id, other.type_id, False, depth) for other in named.get(essential(m.name), ()))
            for m in mine.members
        )


def _is_union(row: Struct | Fwd) -> bool:
    return row.is_union if isinstance(row, Fwd) else row.kind is Kind.UNION


def _has_all(mine: Enum, theirs: Enum) -> bool:
    names = {essential(name) for name, _ in theirs.values}
    return len(mine.values) <= len(theirs.values) and all(essential(name) in names for name, _ in mine.values)
