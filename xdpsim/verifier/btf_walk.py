"""Which member of a struct an access touches, through nested structs, unions and arrays, and whether it is a pointer.

Follows btf_struct_walk() of kernel/bpf/btf.c.
"""

from __future__ import annotations

from errno import EACCES, EINVAL

from xdpsim.btf.linux618 import linux618
from xdpsim.btf.types import POINTER_SIZE, Array, Btf, Int, Kind, Member, Ref, Struct, Type
from xdpsim.errors import Unsupported
from xdpsim.verifier.regtypes import MEM_PERCPU, MEM_RCU, MEM_USER, PTR_UNTRUSTED

SCALAR, PTR, PTR_UNTRUSTED_MEM, STRUCT = range(4)
"""What is found: a number, a pointer to a struct, a pointer to something else, a struct that starts there."""
_TAG_FLAGS = {"user": MEM_USER, "percpu": MEM_PERCPU, "rcu": MEM_RCU}
_MODIFIERS = (Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG)
_STRUCTS = (Kind.STRUCT, Kind.UNION)
Found = tuple[int, int, int, str]
"""Kind, flags of the pointer, type id of the struct found or pointed to, name of the pointer member."""


class WalkError(Exception):
    """No such member: positive errno and the line for the log."""

    def __init__(self, errno: int, text: str) -> None:
        super().__init__(text)
        self.errno, self.text = errno, text


def c_name(name: str) -> str:
    """A name as the log spells it."""
    return name or "(anon)"


def skip_modifiers(btf: Btf, type_id: int) -> Type:
    """The type behind typedefs, qualifiers and tags."""
    row = btf.get(type_id)
    while isinstance(row, Ref) and row.kind in _MODIFIERS:
        row = btf.get(row.type_id)
    return row


def walk_to_member(btf: Btf, type_id: int, off: int, size: int) -> Found:
    """The number or pointer at bytes [off, off + size) of a struct, however deep it lies; WalkError."""
    flags = 0
    while True:
        kind, flags, next_id, name = walk_struct(btf, type_id, off, size, flags)
        if kind != STRUCT:
            return kind, flags, next_id, name
        type_id, off = next_id, 0


def walk_struct(btf: Btf, type_id: int, off: int, size: int, flags: int) -> Found:
    """One step: what lies at `off`; a nested struct is returned where it starts and walked where it is entered."""
    row = skip_modifiers(btf, type_id)
    while True:
        if not isinstance(row, Struct):
            raise WalkError(EINVAL, f"Type '{c_name(row.name)}' is not a struct")
        _check_told(btf, row)
        if row.kind is Kind.UNION and len(row.members) != 1:
            flags |= PTR_UNTRUSTED  # any member of a union may have been written
        if off + size > row.size:
            inner, off = _flexible_element(btf, row, off, size)
            if inner is None:
                return SCALAR, flags, 0, ""
            row = inner
            continue
        found = _at(btf, row, off, size, flags)
        if isinstance(found, tuple) and len(found) == 4:
            return found
        row, off = found


def _check_told(btf: Btf, row: Struct) -> None:
    kernel = linux618()
    if btf is kernel.btf and row.id in kernel.opaque:
        raise Unsupported(f"the kernel types at hand do not tell the members of struct {row.name}")


def _flexible_element(btf: Btf, row: Struct, off: int, size: int) -> tuple[Struct | None, int]:
    """Behind the end of a struct that ends in an array without length: the element there, None for a number."""
    error = WalkError(EACCES, f"access beyond struct {c_name(row.name)} at off {off} size {size}")
    if not row.members:
        raise error
    last = row.members[-1]
    array = skip_modifiers(btf, last.type_id)
    start = last.bit_offset // 8
    if not isinstance(array, Array) or array.nelems or off < start:
        raise error
    element = skip_modifiers(btf, array.type_id)
    if isinstance(element, Int):
        return None, 0
    if not isinstance(element, Struct):
        raise error
    return element, (off - start) % element.size


def _at(btf: Btf, row: Struct, off: int, size: int, flags: int) -> Found | tuple[Struct, int]:
    """The member at `off`, or the nested struct in which it lies and its offset there."""
    for member in row.members:
        start = member.bit_offset // 8
        if off + size <= start:
            break
        if member.bit_size:
            if off <= start and (member.bit_offset + member.bit_size + 7) // 8 <= off + size:
                return SCALAR, flags, 0, ""
            continue
        if off < start:
            break
        inner_id, width, count = _linear(btf, member.type_id)
        end = start + width * count
        if off >= end:
            continue
        start += (off - start) // width * width
        inner = skip_modifiers(btf, inner_id)
        if isinstance(inner, Struct):
            return (STRUCT, flags, inner.id, "") if off == start else (inner, off - start)
        if inner.kind is Kind.PTR:
            return _pointer(btf, row, member, inner, start, off, size, flags)
        if off + size > end and not flags & PTR_UNTRUSTED:
            text = f"access beyond the end of member {c_name(member.name)} (mend:{end}) in struct {c_name(row.name)}"
            raise WalkError(EACCES, f"{text} with off {off} size {size}")
        return SCALAR, flags, 0, ""
    raise WalkError(EINVAL, f"struct {c_name(row.name)} doesn't have field at offset {off}")


def _linear(btf: Btf, type_id: int) -> tuple[int, int, int]:
    """A member as so many elements: their type, bytes of one, how many (1 when it is no array)."""
    count, row = 1, skip_modifiers(btf, type_id)
    while isinstance(row, Array):
        count *= row.nelems
        type_id = row.type_id
        row = skip_modifiers(btf, type_id)
    return type_id, btf.size_of(type_id) if row.kind is not Kind.PTR else POINTER_SIZE, count


def _pointer(
    btf: Btf, row: Struct, member: Member, pointer: Type, start: int, off: int, size: int, flags: int
) -> Found:
    if size != POINTER_SIZE or off != start:
        text = f"cannot access ptr member {c_name(member.name)} with moff {start} in struct {c_name(row.name)}"
        raise WalkError(EACCES, f"{text} with off {off} size {size}")
    assert isinstance(pointer, Ref)
    tag = btf.get(pointer.type_id)
    target = skip_modifiers(btf, pointer.type_id)
    if not isinstance(target, Struct):
        return PTR_UNTRUSTED_MEM, flags, 0, member.name
    if tag.kind is Kind.TYPE_TAG:
        flags |= _TAG_FLAGS.get(tag.name, 0)
    return PTR, flags, target.id, member.name
