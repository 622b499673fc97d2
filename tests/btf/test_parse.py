"""BTF sections to types: every kind, both byte orders, and what damaged ones are told."""

from __future__ import annotations

import struct

import pytest

from tests.support.elf_writer import BtfWriter, ext
from xdpsim.btf.ext import parse_ext
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Array, Enum, Func, Int, Kind, Linkage, Ref, Struct, Var
from xdpsim.errors import InputError


def every_kind(order: str = "<") -> BtfWriter:
    """One type of each kind, in the order of the kinds; ids are the kinds' numbers up to ENUM64."""
    b = BtfWriter(order)
    b.int("int", 4, 1)
    b.ptr(1)
    b.array(1, 3)
    b.struct("pair", 8, ("a", 1, 0, 3), ("b", 1, 3, 5), ("c", 1, 32, 0))
    b.union("either", 4, ("i", 1, 0), ("f", 16, 0))
    b.enum("color", ("RED", 0), ("BLUE", -1), signed=True)
    b.add(7, "later", 0, flag=1)
    b.typedef("number", 1)
    for kind in (9, 10, 11):
        b.add(kind, "", 8)
    b.add(12, "main", 13, vlen=1)
    b.add(13, "", 1, "IIII", b.string("ctx"), 2, 0, 0, vlen=2)
    b.var("counter", 1, 0)
    b.datasec(".bss", 4, (14, 0, 4))
    b.add(16, "float", 4)
    b.add(17, "tag", 4, "i", 0)
    b.add(18, "user", 1)
    b.add(19, "wide", 8, "IIi", b.string("MIN"), 0, -(2**31), vlen=1, flag=1)
    return b


@pytest.mark.parametrize("order", "<>")
def test_every_kind_in_both_byte_orders(order: str) -> None:
    btf = parse(every_kind(order).build())
    assert [t.kind for t in btf.types] == list(Kind)
    assert btf.byteorder == ("little" if order == "<" else "big")
    pair, color, wide = btf.by_name("pair"), btf.by_name("color"), btf.by_name("wide")
    assert isinstance(pair, Struct)
    assert [(m.bit_offset, m.bit_size) for m in pair.members] == [(0, 3), (3, 5), (32, 0)]
    assert isinstance(color, Enum)
    assert color.values == (("RED", 0), ("BLUE", -1))
    assert isinstance(wide, Enum)
    assert wide.values == (("MIN", -(2**63)),)
    assert isinstance(btf.types[12], Func)
    assert btf.types[12].linkage == Linkage.GLOBAL


def test_lookups() -> None:
    btf = parse(every_kind().build())
    assert btf.by_name("counter", Kind.VAR) is btf.types[14]
    assert btf.by_name("counter", Kind.INT) is None
    assert btf.resolve(11) is btf.types[1]
    assert [btf.size_of(i) for i in (1, 2, 3, 4, 14, 15, 19)] == [4, 8, 12, 8, 4, 4, 8]
    with pytest.raises(InputError, match=r"btf type 12 \(main\): has no size"):
        btf.size_of(12)
    with pytest.raises(InputError, match="btf type 99: no such type, expected an id below 20"):
        btf.get(99)


def test_type_names_read_like_c() -> None:
    b = BtfWriter()
    number, char = b.int("int", 4, 1), b.int("char", 1, 1)
    const_char = b.add(10, "", char)
    s = b.struct("net", 0)
    proto = b.add(13, "", number, "II", 0, b.ptr(s), vlen=1)
    ids = [
        b.ptr(const_char),
        b.array(b.ptr(s), 4),
        b.ptr(proto),
        b.ptr(b.array(number, 2)),
        b.array(b.array(number, 3), 2),
    ]
    ids += [b.add(10, "", ids[0]), b.ptr(0), b.struct("", 0)]
    btf = parse(b.build())
    assert [btf.type_name(i) for i in ids] == [
        *("const char *", "struct net *[4]", "int (*)(struct net *)", "int (*)[2]", "int[2][3]"),
        *("const char * const", "void *", "struct (anonymous)"),
    ]


def test_a_name_without_end_is_cut() -> None:
    b = BtfWriter()
    proto = 2
    b.ptr(proto)
    b.add(13, "", 1, "IIII", 0, 1, 0, 1, vlen=2)
    assert len(parse(b.build()).type_name(1)) < 10_000


HEADER = struct.Struct("<HBBIIIII")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, 0x1234, "magic is 0x1234, expected 0xeb9f"),
        (1, 2, "version 2, expected 1"),
        (3, 8, "hdr_len 8, expected 24"),
        (5, 1 << 30, "the types end at byte"),
        (6, 1 << 30, "the strings end at byte"),
        (4, 2, "the types end|type_off 2, expected a multiple of 4"),
        (7, 0, "expected a first and a last byte of zero"),
    ],
)
def test_headers_that_lie(place: int, value: int, words: str) -> None:
    raw = bytearray(every_kind().build()) + bytes(8)
    fields = list(HEADER.unpack_from(raw))
    fields[place] = value
    HEADER.pack_into(raw, 0, *fields)
    with pytest.raises(InputError, match=words):
        parse(bytes(raw))


def loop() -> BtfWriter:
    b = BtfWriter()
    b.struct("a", 4, ("b", 2, 0))
    b.struct("b", 4, ("a", 1, 0))
    return b


def one(kind: int, name: str, size: int, layout: str = "", *values: int, vlen: int = 0) -> BtfWriter:
    b = BtfWriter()
    b.add(kind, name, size, layout, *values, vlen=vlen)
    return b


def chain(length: int) -> BtfWriter:
    b = BtfWriter()
    b.int("int", 4)
    for i in range(length):
        b.typedef(f"t{i}", i + 1)
    return b


def huge_array() -> BtfWriter:
    b = BtfWriter()
    b.array(b.array(b.int("int", 4), 0xFFFF_FFFF), 0xFFFF_FFFF)
    return b


@pytest.mark.parametrize(
    ("writer", "words"),
    [
        (one(31, "x", 0), r"btf type 1 \(offset 0\): kind 31, expected 1 to 19"),
        (one(1, "int", 3, "I", 24), "int 'int' of 3 bytes, expected 1, 2, 4, 8 or 16"),
        (one(1, "int", 4, "I", 33), "int 'int' with bits 0 to 33, expected 1 to 32"),
        (one(1, "int", 4), "1 records of 4 bytes, but only 0 bytes are left"),
        (one(4, "s", 4, vlen=0xFFFF), "65535 records of 12 bytes, but only 0 bytes are left"),
        (one(8, "t", 7), "btf type 1 .typedef 't'.: it has type 7, expected an id below 2"),
        (one(8, "t", 1), "contains itself"),
        (loop(), "contains itself"),
        (chain(100), "nested 65 deep, expected at most 64"),
        (huge_array(), "expected at most 4294967295"),
        (one(12, "f", 0), "expected a FUNC_PROTO"),
        (one(14, "v", 0, "I", 1), r"holds type 0 \(void\), expected a type that has a size"),
        (one(16, "f", 5), "float 'f' of 5 bytes"),
    ],
)
def test_types_that_cannot_be(writer: BtfWriter, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(writer.build())


def test_members_stay_inside_their_struct() -> None:
    b = BtfWriter()
    b.struct("s", 4, ("x", b.int("int", 4) + 1, 8))
    b.rows.reverse()
    b = BtfWriter()
    number = b.int("int", 4)
    b.struct("s", 4, ("x", number, 8))
    with pytest.raises(InputError, match="member 'x' ends at bit 40, expected at most 32"):
        parse(b.build())


def test_name_offsets_outside_the_strings() -> None:
    raw = bytearray(one(8, "t", 0).build())
    struct.pack_into("<I", raw, 24, 500)
    with pytest.raises(InputError, match="name at string offset 500, expected below 3"):
        parse(bytes(raw))


def test_truncation_anywhere_is_an_input_error() -> None:
    raw = every_kind().build()
    for end in range(len(raw)):
        with pytest.raises(InputError):
            parse(raw[:end])


def test_ext_records_and_longer_ones() -> None:
    b = BtfWriter()
    function = b.func("main")
    raw = ext(b, "xdp", [(0, 7), (8, 9)], [(0, function)], struct.pack("<IIII", 8, function, b.string("0:1"), 2))
    btf = parse(b.build())
    found = parse_ext(raw, btf)
    assert [(r.offset, r.type_id) for r in found.functions["xdp"]] == [(0, function)]
    assert [(r.offset, r.line, r.column) for r in found.lines["xdp"]] == [(0, 7, 1), (8, 9, 1)]
    assert [(r.access, r.kind) for r in found.relocations["xdp"]] == [("0:1", 2)]
    longer = struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 0, 0, 36) + struct.pack(
        "<3I6I", 24, 1, 1, 0, 1, 1, 5 << 10, 77, 78
    )
    assert [r.line for rows in parse_ext(longer, btf).lines.values() for r in rows] == [5]


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, 0, "magic is 0x"),
        (4, 4, "hdr_len 4, expected 24"),
        (12, 1 << 20, "btf.ext func_info: bytes"),
        (32, 4, "records of 4 bytes, expected 8 to 4096"),
        (36, 1 << 20, "string offset 1048576"),
        (40, 1 << 30, "1073741824 records of 8 bytes for section 'xdp'"),
        (40, 0, "0 records of 8 bytes"),
    ],
)
def test_ext_that_lies(at: int, value: int, words: str) -> None:
    b = BtfWriter()
    raw = bytearray(ext(b, "xdp", [(0, 7)], [(0, b.func("main"))]))
    struct.pack_into("<I", raw, at, value)
    with pytest.raises(InputError, match=words):
        parse_ext(bytes(raw), parse(b.build()))


def test_rows_keep_their_classes() -> None:
    btf = parse(every_kind().build())
    assert isinstance(btf.types[1], Int)
    assert isinstance(btf.types[2], Ref)
    assert isinstance(btf.types[3], Array)
    assert isinstance(btf.types[14], Var)
    assert repr(btf) == "Btf(20 types)"
