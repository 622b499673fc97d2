"""What a CO-RE relocation is about: its kinds, the path through local types, the same path in the target's.

Matching a path against the target is match.py's, what value it yields is value.py's. Follows bpf_core_parse_spec()
in libbpf's relo_core.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from xdpsim.btf.ext import CoreRelo
from xdpsim.btf.types import Array, Btf, Enum, Struct, Type
from xdpsim.errors import InputError

MAX_PATH = 64
_FLAVOURED = re.compile(r"(.*[^_])___[^_]", re.DOTALL)
_PATH = re.compile(r"[0-9]{1,10}(:[0-9]{1,10}){0,63}")


class RelocationKind(IntEnum):
    """enum bpf_core_relo_kind."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12

    @property
    def about_field(self) -> bool:
        """Whether it asks about a member or element."""
        return self <= self.FIELD_RSHIFT_U64

    @property
    def about_enum(self) -> bool:
        """Whether it asks about an enumerator."""
        return self in (self.ENUMVAL_EXISTS, self.ENUMVAL_VALUE)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: element `index` of type `type_id`, or its member `index` when it has a `name`."""

    type_id: int
    index: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """A path from type `root` of `btf` to a field, an enumerator, or (no steps but the first) the type itself."""

    btf: Btf
    root: int
    kind: RelocationKind
    steps: tuple[Step, ...]
    bit_offset: int = 0


@lru_cache(maxsize=1 << 16)
def essential(name: str) -> str:
    """A name without its flavour: `sk_buff___old` is another view of `sk_buff`."""
    flavoured = _FLAVOURED.match(name)
    return flavoured[1] if flavoured else name


def parse_spec(btf: Btf, relo: CoreRelo) -> Spec:
    """The path that a record of the object says; InputError when the object's own types do not have it."""
    where = f"CO-RE relocation at byte {relo.offset}"
    if relo.kind not in set(RelocationKind):
        raise InputError(f"{where}: kind {relo.kind}, expected 0 to {max(RelocationKind)}")
    kind = RelocationKind(relo.kind)
    if not _PATH.fullmatch(relo.access):
        raise InputError(f"{where}: access {relo.access!r}, expected numbers and colons")
    path = [int(text) for text in relo.access.split(":")]
    row = btf.resolve(relo.type_id)
    if not kind.about_field:
        return _single(btf, relo, kind, row, path, where)
    steps, bit = [Step(row.id, path[0])], path[0] * btf.size_of(row.id) * 8
    for index in path[1:]:
        row = btf.resolve(row.id)
        if isinstance(row, Struct) and index < len(row.members):
            m = row.members[index]
            bit += m.bit_offset
            if m.name:
                steps.append(Step(row.id, index, m.name))
            row = btf.resolve(m.type_id)
        elif isinstance(row, Array) and (index < row.nelems or is_flexible(btf, steps[-1], row)):
            row = btf.resolve(row.type_id)
            steps.append(Step(row.id, index))
            bit += index * btf.size_of(row.id) * 8
        else:
            raise InputError(f"{where}: access {relo.access!r} leads to {index} of {btf.type_name(row.id)}")
    return Spec(btf, relo.type_id, kind, tuple(steps), bit)


def _single(btf: Btf, relo: CoreRelo, kind: RelocationKind, row: Type, path: list[int], where: str) -> Spec:
    if kind.about_enum:
        if not isinstance(row, Enum) or len(path) != 1 or path[0] >= len(row.values):
            raise InputError(f"{where}: access {relo.access!r} of {btf.type_name(row.id)}, expected an enumerator")
        return Spec(btf, relo.type_id, kind, (Step(row.id, path[0], row.values[path[0]][0]),))
    if path != [0]:
        raise InputError(f"{where}: access {relo.access!r} of a type, expected '0'")
    return Spec(btf, relo.type_id, kind, (Step(row.id, 0),))


def is_flexible(btf: Btf, last: Step, row: Array) -> bool:
    """Whether the array is a flexible one, the last member of a struct: then any index is in it."""
    owner = btf.resolve(last.type_id)
    return bool(last.name) and not row.nelems and isinstance(owner, Struct) and last.index == len(owner.members) - 1


def describe(spec: Spec) -> str:
    """The path as C would write it, with the kind of question: `struct sk_buff.users.counter (field byte offset)`."""
    text = spec.btf.type_name(spec.root)
    for step in spec.steps[spec.kind.about_field :]:
        join = "::" if spec.kind.about_enum else "."
        text += f"{join}{step.name}" if step.name else f"[{step.index}]" if spec.kind.about_field else ""
    return f"{text} ({spec.kind.name.lower().replace('_', ' ')})"
