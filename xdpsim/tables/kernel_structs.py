"""Where the kernel's structs keep a member: for records that programs read by the offsets that CO-RE gives them.

All offsets come from the shipped table of Linux 6.18 types (btf/linux618.py), so that what a program is relocated
against and what it then reads cannot differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from xdpsim.btf.linux618 import linux618
from xdpsim.btf.types import Array, Kind, Struct, Type
from xdpsim.errors import XdpsimBug

_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Place:
    """One member: byte offset from the outermost struct, and bytes."""

    offset: int
    width: int


@cache
def size_of(struct_name: str) -> int:
    """Bytes of a struct of the kernel."""
    return _struct(struct_name).size


@cache
def place(struct_name: str, path: str) -> Place:
    """Where `path`, such as `tuplehash[1].tuple.src.u3.ip`, lies; members of unnamed structs are reached directly."""
    btf = linux618().btf
    found: Type = _struct(struct_name)
    offset = 0
    for name, index in _STEP.findall(path):
        if index:
            assert isinstance(found, Array)
            offset += int(index) * btf.size_of(found.type_id)
            found = btf.resolve(found.type_id)
            continue
        step = _member(found, name) if isinstance(found, Struct) else None
        if step is None:
            raise XdpsimBug(f"struct {struct_name} has no {path}")
        offset, found = offset + step[0], btf.resolve(step[1])
    width = 8 if found.kind is Kind.PTR else btf.size_of(found.id)
    return Place(offset, width)


def _struct(name: str) -> Struct:
    found = linux618().btf.by_name(name, Kind.STRUCT)
    if not isinstance(found, Struct):
        raise XdpsimBug(f"the shipped types of Linux have no struct {name}")
    return found


def _member(outer: Struct, name: str) -> tuple[int, int] | None:
    """Byte offset and type of a member, also of one in an unnamed struct inside."""
    for member in outer.members:
        if member.name == name:
            return member.bit_offset // 8, member.type_id
        if not member.name:
            inner = linux618().btf.resolve(member.type_id)
            below = _member(inner, name) if isinstance(inner, Struct) else None
            if below:
                return member.bit_offset // 8 + below[0], below[1]
    return None


def member_at(struct_name: str, offset: int) -> str:
    """The member that lies at an offset, or before it, with the struct: `struct net_device.mtu`."""
    name = ""
    for member in _struct(struct_name).members:
        if member.bit_offset // 8 > offset:
            break
        name = member.name or name
    return f"struct {struct_name}.{name}"
