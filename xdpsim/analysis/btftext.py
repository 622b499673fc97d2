"""BTF for people: every type with its id, its members and their places."""

from __future__ import annotations

from collections.abc import Iterator

from xdpsim.analysis.readable import printable
from xdpsim.btf.types import Btf, DataSec, DeclTag, Enum, Float, Func, Int, Kind, Ref, Struct, Type, Var
from xdpsim.errors import InputError


def btf_lines(btf: Btf) -> Iterator[str]:
    """One line a type, and one for each member below it."""
    for row in btf.types[1:]:
        for line in _lines(btf, row):
            yield printable(line)


def _lines(btf: Btf, row: Type) -> Iterator[str]:
    head = f"[{row.id}] "
    if isinstance(row, Struct):
        yield f"{head}{btf.type_name(row.id)}: {row.size} bytes"
        for member in row.members:
            place = f"{member.bit_offset // 8}"
            if member.bit_size or member.bit_offset % 8:
                place += f" bit {member.bit_offset % 8}" + (f", {member.bit_size} bits" * bool(member.bit_size))
            yield f"    {place}: {btf.type_name(member.type_id)} {member.name or '(anonymous)'}"
    elif isinstance(row, Enum):
        yield f"{head}{btf.type_name(row.id)}: {row.size} bytes"
        yield from (f"    {name} = {value}" for name, value in row.values)
    elif isinstance(row, DataSec):
        yield f"{head}section {row.name}: {row.size} bytes"
        yield from (f"    {at.offset}: {_variable(btf, at.type_id)}, {at.size} bytes" for at in row.variables)
    else:
        yield head + _single(btf, row)


def _single(btf: Btf, row: Type) -> str:
    if isinstance(row, Var):
        return f"variable {_variable(btf, row.id)}"
    if isinstance(row, Func):
        return f"function {row.name}: {btf.type_name(row.type_id)}"
    if isinstance(row, DeclTag):
        return f"tag {row.name!r} of [{row.type_id}]"
    if isinstance(row, Ref) and row.kind is Kind.TYPEDEF:
        return f"typedef {row.name}: {btf.type_name(row.type_id)}"
    if isinstance(row, (Int, Float)):
        return f"{row.kind.name.lower()} {row.name}: {row.size} bytes"
    return f"{row.kind.name.lower()} {btf.type_name(row.id)}"


def _variable(btf: Btf, type_id: int) -> str:
    row = btf.get(type_id)
    return f"{btf.type_name(row.type_id)} {row.name}" if isinstance(row, Var) else btf.type_name(type_id)


def value_type_name(btf: Btf | None, type_id: int) -> str | None:
    """The name of a map's key or value type; None where there is none."""
    if btf is None or not type_id:
        return None
    try:
        return printable(btf.type_name(type_id))
    except InputError:
        return None
