"""The number that a CO-RE relocation asks for, once for the object's own types and once for the target's.

Follows bpf_core_calc_field_relo(), bpf_core_calc_type_relo() and bpf_core_calc_enumval_relo() of libbpf's relo_core.c.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdpsim.bits import M64
from xdpsim.btf.types import Array, Enum, Int, Kind, Struct, Type
from xdpsim.errors import InputError
from xdpsim.loader.core.spec import RelocationKind, Spec, describe

_MAX_BIT_FIELD_LOAD = 8


@dataclass(frozen=True, slots=True)
class Value:
    """A number; `is_certain` is false where the compiler may have seen another one in the same types.

    For the offset of a plain field `size` and `type` say what a load of it reads.
    """

    number: int
    is_certain: bool = True
    size: int = 0
    type: Type | None = None


def value_of(spec: Spec | None, kind: RelocationKind) -> Value | None:
    """The value at the end of a path, or where there is none; None when only poison is left."""
    if kind in (RelocationKind.FIELD_EXISTS, RelocationKind.ENUMVAL_EXISTS):
        return Value(int(spec is not None))
    if kind in (RelocationKind.TYPE_EXISTS, RelocationKind.TYPE_MATCHES):
        return Value(int(spec is not None))
    if kind in (RelocationKind.TYPE_SIZE, RelocationKind.TYPE_ID_TARGET):
        if spec is None:
            return Value(0)
        if kind is RelocationKind.TYPE_SIZE:
            return Value(spec.btf.size_of(spec.root))
        return Value(spec.root, is_certain=False)
    if spec is None:
        return None
    if kind is RelocationKind.ENUMVAL_VALUE:
        row = spec.btf.get(spec.steps[0].type_id)
        assert isinstance(row, Enum)
        return Value(row.values[spec.steps[0].index][1] & M64)
    return _field(spec, kind) if spec.steps[-1].name else _element(spec, kind)


def _element(spec: Spec, kind: RelocationKind) -> Value:
    last = spec.steps[-1].type_id
    if kind is RelocationKind.FIELD_BYTE_OFFSET:
        return Value(spec.bit_offset // 8, size=spec.btf.size_of(last), type=spec.btf.resolve(last))
    if kind is RelocationKind.FIELD_BYTE_SIZE:
        return Value(spec.btf.size_of(last))
    raise InputError(f"{describe(spec)} cannot be asked of an array element")


def _field(spec: Spec, kind: RelocationKind) -> Value:
    owner = spec.btf.get(spec.steps[-1].type_id)
    assert isinstance(owner, Struct)
    member = owner.members[spec.steps[-1].index]
    row = spec.btf.resolve(member.type_id)
    if kind is RelocationKind.FIELD_SIGNED:
        return Value(int(isinstance(row, (Int, Enum)) and row.is_signed))
    bits = member.bit_size
    at, size = _window(spec, bits) if bits else (spec.bit_offset // 8, spec.btf.size_of(row.id))
    certain = not bits
    width = bits or size * 8
    if kind is RelocationKind.FIELD_BYTE_SIZE:
        return Value(size, certain)
    if kind is RelocationKind.FIELD_LSHIFT_U64:
        return Value(64 - (spec.bit_offset + width - at * 8) & M64, certain)
    if kind is RelocationKind.FIELD_RSHIFT_U64:
        return Value(64 - width & M64)
    if bits:
        return Value(at, certain)
    element = row
    while isinstance(element, Array):
        element = spec.btf.resolve(element.type_id)
    return Value(at, certain, spec.btf.size_of(element.id), element)


def _window(spec: Spec, bits: int) -> tuple[int, int]:
    """Byte offset and size of the smallest aligned load that holds a bit field."""
    owner = spec.btf.get(spec.steps[-1].type_id)
    assert isinstance(owner, Struct)
    size = spec.btf.size_of(owner.members[spec.steps[-1].index].type_id)
    while True:
        at = spec.bit_offset // 8 // size * size
        if spec.bit_offset + bits - at * 8 <= size * 8:
            return at, size
        if size >= _MAX_BIT_FIELD_LOAD:
            raise InputError(f"{describe(spec)}: no load of 64 bits reads this bit field")
        size *= 2


def may_resize(local: Value, target: Value) -> bool:
    """Whether a load of the one size may become a load of the other: pointers, and unsigned integers."""
    if local.size == target.size:
        return True
    a, b = local.type, target.type
    if isinstance(a, Int) and isinstance(b, Int):
        return not (a.is_signed or b.is_signed)
    return a is not None and b is not None and a.kind is b.kind is Kind.PTR
