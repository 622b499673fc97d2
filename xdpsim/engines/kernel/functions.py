"""Adds functions to a program's BTF, since func_info must name a type for each subprogram of an instrumented copy.

The rest of the BTF stays as it is, so the ids that the program's own func_info, its kptrs and its bpf_obj_new calls
hold stay good; that is why nothing is dropped. Follows include/uapi/linux/btf.h.
"""

from __future__ import annotations

import struct

from xdpsim.btf.types import Btf, Kind, Linkage

_HEADER = "HBBIIIII"
_ORDER = {"little": "<", "big": ">"}


def with_functions(btf: Btf, names: list[str]) -> tuple[bytes, list[int]]:
    """The BTF with one static function `u64 name(void)` for each name, and the ids of these functions."""
    order = _ORDER[btf.byteorder]
    header = struct.Struct(order + _HEADER)
    magic, version, flags, header_len, type_off, type_len, str_off, str_len = header.unpack_from(btf.raw)
    types = btf.raw[header_len + type_off :][:type_len]
    strings = btf.raw[header_len + str_off :][:str_len]
    number = len(btf.types)
    name_at = len(strings)
    strings += b"xdpsim_u64\0"
    types += struct.pack(order + "IIII", name_at, Kind.INT << 24, 8, 64)
    types += struct.pack(order + "III", 0, Kind.FUNC_PROTO << 24, number)
    ids = []
    for place, name in enumerate(names):
        types += struct.pack(order + "III", len(strings), Kind.FUNC << 24 | Linkage.STATIC, number + 1)
        strings += name.encode() + b"\0"
        ids.append(number + 2 + place)
    sizes = (0, len(types), len(types), len(strings))
    return header.pack(magic, version, flags, header.size, *sizes) + types + strings, ids
