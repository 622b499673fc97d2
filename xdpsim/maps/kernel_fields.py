"""What of the kernel's struct of a map programs may read through the map's pointer: the members that xdpsim knows."""

from __future__ import annotations

from xdpsim.tables.kernel_structs import member_at, place, size_of

_KNOWN = {
    "map_type": "type",
    "key_size": "key_size",
    "value_size": "value_size",
    "max_entries": "max_entries",
    "map_flags": "flags",
    "id": "number",
}
"""Members of struct bpf_map, all of 32 bits, by the field of the native header that holds them."""


def map_field(offset: int, size: int) -> tuple[str, int] | None:
    """The field of the native header that bytes [offset, offset + size) of the struct are, and their offset in it."""
    for member, field in _KNOWN.items():
        where = place("bpf_map", member)
        if where.offset <= offset and offset + size <= where.offset + where.width:
            return field, offset - where.offset
    return None


def map_member(offset: int) -> str:
    """What lies at an offset of the struct of any map: all begin with struct bpf_map."""
    if 0 <= offset < size_of("bpf_map"):
        return member_at("bpf_map", offset)
    return f"byte {offset} of the kernel's struct of a map, behind struct bpf_map,"
