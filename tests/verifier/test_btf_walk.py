"""Members found in structs by offset and size, on types made for it."""

from __future__ import annotations

import pytest

from tests.support.btf_text import compile_btf
from xdpsim.btf.parse import parse
from xdpsim.verifier.btf_walk import PTR, PTR_UNTRUSTED_MEM, SCALAR, WalkError, walk_to_member
from xdpsim.verifier.regtypes import PTR_UNTRUSTED

TEXT = compile_btf(
    """
    struct inner { u32 a; u64 b; };
    union either { u64 number; struct inner *pointer; };
    struct outer { u32 first; struct inner nested; struct inner many[2]; struct inner *next; void *any;
                   union either e; u8 tail[4]; };
    """
)
BTF = parse(TEXT.raw)
OUTER = TEXT.types["outer"]
OFFSETS = {m.name: m.bit_offset // 8 for m in BTF.get(OUTER).members}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("member", "more", "size", "kind", "flags"),
    [
        ("first", 0, 4, SCALAR, 0),
        ("first", 2, 2, SCALAR, 0),
        ("nested", 0, 4, SCALAR, 0),
        ("nested", 8, 8, SCALAR, 0),
        ("many", 24, 8, SCALAR, 0),
        ("next", 0, 8, PTR, 0),
        ("any", 0, 8, PTR_UNTRUSTED_MEM, 0),
        ("e", 0, 8, SCALAR, PTR_UNTRUSTED),
        ("tail", 1, 2, SCALAR, 0),
    ],
)
def test_members(member: str, more: int, size: int, kind: int, flags: int) -> None:
    found = walk_to_member(BTF, OUTER, OFFSETS[member] + more, size)
    assert found[:2] == (kind, flags)
    assert kind != PTR or (found[2], found[3]) == (TEXT.types["inner"], "next")


@pytest.mark.parametrize(
    ("member", "more", "size", "message"),
    [
        ("first", 2, 4, "access beyond the end of member first (mend:4) in struct outer with off 2 size 4"),
        ("first", 4, 4, "struct outer doesn't have field at offset 4"),
        ("nested", 2, 4, "access beyond the end of member a (mend:4) in struct inner with off 2 size 4"),
        ("next", 0, 4, "cannot access ptr member next with moff 56 in struct outer with off 56 size 4"),
        ("tail", 2, 4, "access beyond the end of member tail (mend:84) in struct outer with off 82 size 4"),
        ("tail", 100, 4, "access beyond struct outer at off 180 size 4"),
    ],
)
def test_no_members(member: str, more: int, size: int, message: str) -> None:
    with pytest.raises(WalkError) as caught:
        walk_to_member(BTF, OUTER, OFFSETS[member] + more, size)
    assert caught.value.text == message
