"""Typed values both ways, in bpftool's shape, and the shorthands that people write."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.elf_writer import BtfWriter
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf
from xdpsim.btf.values import decode_value, encode_lpm_key, encode_plain, encode_value
from xdpsim.errors import InputError


@functools.cache
def types(order: str = "<") -> Btf:
    """A struct `all` with a field of every sort, and the types in it by their own names."""
    b = BtfWriter(order)
    u8, u16, u32, u64 = (b.int(f"u{8 * n}", n) for n in (1, 2, 4, 8))
    i32, char, boolean = b.int("int", 4, 1), b.int("char", 1, 1), b.int("_Bool", 1, 4)
    color = b.enum("color", ("RED", 0), ("GREEN", 7), ("BLUE", -1), signed=True)
    inner = b.struct("inner", 4, ("a", u8, 0), ("b", u16, 16))
    anonymous = b.union("", 4, ("word", u32, 0), ("bytes", b.array(u8, 4), 0))
    second = b.struct("", 4, ("left", u16, 0), ("right", u16, 16))
    b.struct("in6_addr", 16, ("u", b.union("", 16, ("b", b.array(u8, 16), 0), ("w", b.array(u32, 4), 0)), 0))
    b.struct("lpm_key", 8, ("prefixlen", u32, 0), ("addr", u32, 32))
    b.array(b.array(i32, 2), 2)
    b.int("u128", 16)
    fields = (
        ("n", u64, 64),
        ("x", u32, 3),
        ("y", i32, 5),
        ("pad", u32, 24),
        ("name", b.array(char, 8), 64),
        ("mac", b.array(u8, 6), 48),
        ("flag", boolean, 8),
        ("c", char, 8),
        ("inner", inner, 32),
        ("list", b.array(inner, 2), 64),
        ("color", color, 32),
        ("", anonymous, 32),
        ("", second, 32),
        ("addr", b.typedef("__be32", u32), 32),
        ("p", b.ptr(u8), 64),
        ("f", b.add(16, "double", 8), 64),
    )
    members, at = [], 0
    for name, type_id, bits in fields:
        members.append((name, type_id, at, bits if name in ("x", "y", "pad") else 0))
        at += bits
    b.struct("all", at // 8, *members)
    limit, hits = b.var("limit", u32), b.var("hits", u64, 0)
    b.datasec(".data", 16, (limit, 0, 4), (hits, 8, 8))
    return parse(b.build())


def type_id(name: str) -> int:
    found = types().by_name(name)
    assert found is not None
    return found.id


VALUE = {
    "n": 2**64 - 1,
    "x": "0x5",
    "y": "0x1f",
    "pad": "0xabcdef",
    "name": "eth0",
    "mac": [2, 0, 0, 0, 0, 1],
    "flag": True,
    "c": -3,
    "inner": {"a": 255, "b": 65535},
    "list": [{"a": 1, "b": 2}, {"a": 3, "b": 4}],
    "color": "BLUE",
    "": {"word": 0x04030201, "bytes": [1, 2, 3, 4], "left": 10, "right": 20},
    "addr": 0x0100000A,
    "p": 0x1234,
    "f": 1.5,
}


def test_a_struct_goes_both_ways() -> None:
    data = encode_value(types(), type_id("all"), VALUE)
    assert decode_value(types(), type_id("all"), data) == VALUE


@given(st.binary(min_size=72, max_size=72))
def test_what_is_decoded_encodes_to_what_decodes_alike(data: bytes) -> None:
    size = types().size_of(type_id("all"))
    value = decode_value(types(), type_id("all"), data[:size])
    again = encode_value(types(), type_id("all"), value)
    assert repr(decode_value(types(), type_id("all"), again)) == repr(value)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("name", b"ab\x00junk!", "ab"),
        ("name", b"no nul!!", [110, 111, 32, 110, 117, 108, 33, 33]),
        ("name", b"a\n\x00\x00\x00\x00\x00\x00", [97, 10, 0, 0, 0, 0, 0, 0]),
        ("color", 7, "GREEN"),
        ("color", 8, 8),
        ("color", "0xffffffff", "BLUE"),
        ("mac", "02:00:00:00:00:0a", [2, 0, 0, 0, 0, 10]),
        ("mac", "02-00-00-00-00-0a", [2, 0, 0, 0, 0, 10]),
        ("mac", "02 00 00 00 00 0a", [2, 0, 0, 0, 0, 10]),
        ("mac", "0x02000000000a", [2, 0, 0, 0, 0, 10]),
        ("mac", ["0x02", 0, "0", 0, 0, "10"], [2, 0, 0, 0, 0, 10]),
        ("addr", "10.0.0.1", 0x0100000A),
        ("addr", b"\n\0\0\1", 0x0100000A),
        ("addr", ["0x0a", "0x00", "0x00", "0x01"], 0x0100000A),
        ("inner", ["0x01", "0x00", "0x02", "0x00"], {"a": 1, "b": 2}),
        ("inner", {}, {"a": 0, "b": 0}),
        ("n", "0x10", 16),
        ("c", -1, -1),
        ("flag", "true", True),
        ("y", -1, "0x1f"),
        ("f", "2.5", 2.5),
    ],
)
def test_shorthands(field: str, value: object, expected: object) -> None:
    found = decode_value(types(), type_id("all"), encode_value(types(), type_id("all"), {field: value}))
    assert isinstance(found, dict)
    assert found[field] == expected


def test_fields_of_anonymous_members_may_stand_outside() -> None:
    data = encode_value(types(), type_id("all"), {"bytes": "1.2.3.4", "left": 5})
    found = decode_value(types(), type_id("all"), data)
    assert isinstance(found, dict)
    assert found[""] == {"word": 0x04030201, "bytes": [1, 2, 3, 4], "left": 5, "right": 0}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"nope": 1}, r"value\.nope: no such field in struct all\n  its fields are n, x, y"),
        ({"x": 8}, r"value\.x: 8, expected 0 to 7"),
        ({"y": 16}, r"value\.y: 16, expected -16 to 15"),
        ({"n": -1}, r"value\.n: -1, expected 0 to 18446744073709551615"),
        ({"n": "many"}, r"value\.n: 'many', expected u64, a number"),
        ({"n": True}, r"value\.n: True, expected u64, a number"),
        ({"n": 1 << 5000}, r"value\.n: a number of 5001 bits"),
        ({"inner": {"b": 65536}}, r"value\.inner\.b: 65536, expected 0 to 65535"),
        ({"inner": 5}, r"value\.inner: 5, expected struct inner"),
        ({"list": [{}]}, r"value\.list: 1 elements, expected 2 \(struct inner\[2\]\)"),
        ({"list": [{}, {"a": "x"}]}, r"value\.list\[1\]\.a: 'x', expected u8, a number"),
        ({"name": "too long a name"}, r"value\.name: text of 15 bytes, expected at most 8"),
        ({"mac": "02:00"}, r"value\.mac: 2 bytes, expected 6"),
        ({"mac": "gg:00:00:00:00:00"}, "expected u8.6.\n  a MAC address, a list"),
        ({"mac": [1, 2, 3, 4, 5, 256]}, r"value\.mac\[5\]: 256, expected 0 to 255"),
        ({"color": "PINK"}, "value.color: 'PINK', expected enum color, a name or a number\n  one of RED, GREEN, BLUE"),
        ({"flag": 2}, r"value\.flag: 2, expected true or false"),
        ({"word": 1, "bytes": [2, 0, 0, 0]}, "contradicts another member of the same union"),
        (b"short", r"value: 5 bytes, expected 72"),
        ({"addr": "10.0.0.256"}, "a number or an IPv4 address"),
        ({"inner": [1, 2]}, "value.inner: 2 bytes, expected 4"),
    ],
)
def test_refusals_name_the_path(value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        encode_value(types(), type_id("all"), value)


def test_length_must_fit() -> None:
    with pytest.raises(InputError, match="value: 3 bytes, expected 4 for struct inner"):
        decode_value(types(), type_id("inner"), b"abc")


def test_sections_of_variables() -> None:
    data = bytes([7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
    shown = {".data": [{"limit": 7}, {"hits": 9}]}
    assert decode_value(types(), type_id(".data"), data) == shown
    assert encode_value(types(), type_id(".data"), shown) == data
    assert encode_value(types(), type_id(".data"), {"hits": 9}, base=data[:8] + bytes(8)) == data
    with pytest.raises(InputError, match=r"value\.misses: no such variable in \.data"):
        encode_value(types(), type_id(".data"), {"misses": 1})


def test_addresses_of_ipv6_and_128_bits() -> None:
    packed = bytes.fromhex("20010db8000000000000000000000001")
    assert encode_value(types(), type_id("in6_addr"), "2001:db8::1") == packed
    assert encode_value(types(), type_id("u128"), "2001:db8::1") == packed
    assert decode_value(types(), type_id("u128"), bytes(15) + b"\x01") == hex(1 << 120)


def test_lpm_keys() -> None:
    assert encode_lpm_key(8, "10.0.0.0/8") == bytes([8, 0, 0, 0, 10, 0, 0, 0])
    assert encode_lpm_key(8, "10.1.2.3") == bytes([32, 0, 0, 0, 10, 1, 2, 3])
    assert encode_lpm_key(20, "2001:db8::/32") == bytes([32, 0, 0, 0, 0x20, 1, 13, 0xB8]) + bytes(12)
    assert encode_lpm_key(8, "0.0.0.0/0") == bytes(8)
    assert encode_value(types(), type_id("lpm_key"), "10.0.0.0/8") == bytes([8, 0, 0, 0, 10, 0, 0, 0])


@pytest.mark.parametrize(
    ("size", "text", "words"),
    [
        (8, "10.1.0.0/8", "has bits set behind its prefix\n  the network is 10.0.0.0/8"),
        (20, "2001:db8::1/32", "the network is 2001:db8::/32"),
        (8, "10.0.0.0/33", "prefix length '33' in '10.0.0.0/33', expected 0 to 32"),
        (8, "10.0.0.0/", "prefix length ''"),
        (8, "2001:db8::/32", "expected an IPv4 network such as 10.0.0.0/8"),
        (20, "10.0.0.0/8", "expected an IPv6 network"),
        (12, "10.0.0.0/8", "for a key of 12 bytes"),
    ],
)
def test_lpm_keys_refused(size: int, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        encode_lpm_key(size, text)


@pytest.mark.parametrize(
    ("size", "value", "expected"),
    [
        (4, 1, "01000000"),
        (4, -1, "ffffffff"),
        (4, "0x0a", "0a000000"),
        (4, "10.0.0.1", "0a000001"),
        (2, "0a 0b", "0a0b"),
        (2, [10, "0x0b"], "0a0b"),
        (2, b"\x0a\x0b", "0a0b"),
        (6, "02:00:00:00:00:01", "020000000001"),
        (16, "::1", "00" * 15 + "01"),
        (10, "0x" + "ab" * 10, "ab" * 10),
        (0, [], ""),
    ],
)
def test_plain_values(size: int, value: object, expected: str) -> None:
    assert encode_plain(size, value).hex() == expected


@pytest.mark.parametrize(
    ("size", "value"), [(1, 256), (2, [1]), (2, [1, 300]), (4, "x"), (4, None), (4, 1.5), (2, "0a 0b 0c"), (4, True)]
)
def test_plain_values_refused(size: int, value: object) -> None:
    with pytest.raises(InputError, match="expected"):
        encode_plain(size, value)


@pytest.mark.parametrize("order", "<>")
def test_byte_order_of_the_types_counts(order: str) -> None:
    btf = types(order)
    inner = btf.by_name("inner")
    assert inner is not None
    assert encode_value(btf, inner.id, {"a": 1, "b": 2}).hex() == ("01000200" if order == "<" else "01000002")


def test_a_type_that_multiplies_is_stopped() -> None:
    b = BtfWriter()
    last = b.int("u8", 1)
    for level in range(12):
        last = b.union(f"u{level}", 1, *[(f"m{i}", last, 0) for i in range(8)])
    empty = b.array(b.struct("empty", 0), 0xFFFF_FFFF)
    btf = parse(b.build())
    with pytest.raises(InputError, match="more than 65536 values in 1 bytes"):
        decode_value(btf, last, b"\0")
    with pytest.raises(InputError, match="an array of 4294967295 elements in 0 bytes"):
        decode_value(btf, empty, b"")
