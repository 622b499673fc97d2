"""The Python face: keys and values in their forms, errors that say what would have been right."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from tests.support.elf_writer import BtfWriter
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf
from xdpsim.errors import InputError, Unsupported
from xdpsim.maps.map import Map, create_map
from xdpsim.maps.spec import MapSpec
from xdpsim.maps.types import BPF_EXIST, BPF_F_RDONLY, BPF_NOEXIST


@functools.cache
def types() -> Btf:
    b = BtfWriter()
    u16, u32, u64 = b.int("u16", 2), b.int("u32", 4), b.int("u64", 8)
    b.struct("flow", 8, ("addr", u32, 0), ("port", u16, 32), ("proto", u16, 48))
    b.struct("stats", 16, ("packets", u64, 0), ("bytes", u64, 64))
    b.struct("route", 8, ("prefixlen", u32, 0), ("addr", u32, 32))
    return parse(b.build())


def type_id(name: str) -> int:
    row = types().by_name(name)
    assert row is not None
    return row.id


def made(kind: str, key: int, value: int, entries: int = 8, flags: int = 0, cpus: int = 2) -> Map:
    return create_map(MapSpec("acl", kind, key, value, entries, flags), cpus=cpus, number=1)


def typed(kind: str, key: str, value: str, flags: int = 0) -> Map:
    btf = types()
    sizes = (btf.size_of(type_id(key)), btf.size_of(type_id(value)))
    spec = MapSpec("acl", kind, *sizes, 8, flags, type_id(key), type_id(value), btf)
    return create_map(spec, cpus=2, number=1)


def test_typed_struct_keys_and_values() -> None:
    flows = typed("HASH", "flow", "stats")
    key = {"addr": "10.0.0.1", "port": 80, "proto": 6}
    flows[key] = {"packets": 3, "bytes": "0x40"}
    assert flows[key] == {"packets": 3, "bytes": 64}
    assert flows.lookup_bytes(bytes([10, 0, 0, 1, 80, 0, 6, 0])) == bytes([3, *bytes(7), 64, *bytes(7)])
    (only,) = flows
    assert only == {"addr": 0x0100000A, "port": 80, "proto": 6}
    assert dict(flows)[only] == {"packets": 3, "bytes": 64}
    assert key in flows
    del flows[only]
    assert len(flows) == 0


def test_a_value_given_in_part_is_zero_elsewhere() -> None:
    flows = typed("HASH", "u32", "stats")
    flows[1] = {"bytes": 9}
    assert flows[1] == {"packets": 0, "bytes": 9}


def test_per_cpu_values_are_lists() -> None:
    counters = typed("PERCPU_ARRAY", "u32", "u64")
    counters[2] = [5, 6]
    assert counters[2] == [5, 6]
    counters[3] = 9
    assert counters[3] == [9, 9]
    assert len(counters) == 8
    with pytest.raises(InputError, match="acl"):
        counters[2] = [1, 2, 3]


def test_index_maps_are_keyed_by_numbers() -> None:
    table = made("ARRAY", 4, 8, 3)
    table[1] = 0x0102
    assert dict(table) == {0: bytes(8), 1: b"\2\1" + bytes(6), 2: bytes(8)}
    assert 3 not in table


@pytest.mark.parametrize(
    ("kind", "size", "forms", "expected"),
    [
        ("HASH", 4, ["10.0.0.1", "0x0100000a", 0x0100000A, [10, 0, 0, 1], ["0x0a", "0x00", 0, "1"]], b"\x0a\0\0\1"),
        ("HASH", 16, ["2001:db8::1"], bytes.fromhex("20010db8000000000000000000000001")),
        ("HASH", 6, ["02:00:00:00:00:01", "02 00 00 00 00 01"], b"\2\0\0\0\0\1"),
        ("LPM_TRIE", 8, ["10.0.0.0/8", [8, 0, 0, 0, 10, 0, 0, 0]], b"\x08\0\0\0\x0a\0\0\0"),
        ("LPM_TRIE", 20, ["2001:db8::/32"], b"\x20\0\0\0" + bytes.fromhex("20010db8") + bytes(12)),
    ],
)
def test_forms_of_keys(kind: str, size: int, forms: list[object], expected: bytes) -> None:
    for form in (*forms, expected):
        table = made(kind, size, 4, 2, int(kind == "LPM_TRIE"))
        table[form] = 1
        assert list(table.keys_bytes()) == [expected], form


def test_lpm_keys_are_text_typed_or_not() -> None:
    for table in (made("LPM_TRIE", 8, 4, 4, 1), typed("LPM_TRIE", "route", "u32", 1)):
        table["10.0.0.0/8"] = 1
        table["10.1.0.0/16"] = 2
        assert list(table) == ["10.1.0.0/16", "10.0.0.0/8"]
        assert table["10.1.2.3"] == table["10.1.0.0/16"]
        del table["10.1.0.0/16"]
        assert list(table) == ["10.0.0.0/8"]


def test_programs_and_interfaces() -> None:
    class Program:
        number = 3

    class Interface:
        ifindex = 7

    progs, devices = made("PROG_ARRAY", 4, 4), made("DEVMAP", 4, 8)
    progs[0], progs[5] = Program(), 4
    assert dict(progs) == {0: 3, 5: 4}
    devices[0], devices[1], devices[2] = Interface(), 9, {"ifindex": Interface(), "bpf_prog": Program()}
    assert devices[0] == {"ifindex": 7, "bpf_prog": {"id": 0}}
    assert devices[1] == {"ifindex": 9, "bpf_prog": {"id": 0}}
    assert devices[2] == {"ifindex": 7, "bpf_prog": {"id": 3}}
    del progs[0]
    with pytest.raises(KeyError):
        del progs[0]
    with pytest.raises(InputError, match="EBADF: there is no such program"):
        progs[0] = 0


def test_who_knows_the_world_may_refuse_values() -> None:
    devices = made("DEVMAP", 4, 4)
    devices.check_value = lambda value: 0 if value == b"\1\0\0\0" else -22
    devices[0] = 1
    with pytest.raises(InputError, match=r"map acl\[1\]: EINVAL"):
        devices[1] = 2
    assert devices.update_bytes(b"\x08\0\0\0", b"\2\0\0\0") == -7


def full() -> Map:
    table = made("HASH", 4, 4, 1)
    table[1] = 1
    return table


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: full().put(2, 2), r"map acl\[0x00000002\]: E2BIG: the map is full"),
        (lambda: full().put(1, 2, BPF_NOEXIST), r"map acl\[0x00000001\]: EEXIST: the element exists already"),
        (lambda: full().put(2, 2, BPF_EXIST), r"map acl\[0x00000002\]: ENOENT: there is no such element"),
        (lambda: made("ARRAY", 4, 4, 2).put(2, 2), r"map acl\[2\]: E2BIG"),
        (lambda: made("ARRAY", 4, 4, 2, BPF_F_RDONLY).put(1, 2), r"map acl\[1\]: EPERM: the map is read-only"),
        (lambda: made("ARRAY", 4, 4, 2).__delitem__(1), r"map acl\[1\]: EINVAL"),
        (lambda: full().__getitem__("10.0.0.1.2"), r"map acl: key: '10.0.0.1.2', expected 4 bytes"),
        (lambda: full().__getitem__(1 << 40), r"map acl: key: 1099511627776, expected"),
        (lambda: full().lookup_bytes(b"123"), r"map acl: key of 3 bytes, expected 4"),
        (lambda: full().put(1, "nonsense"), r"map acl\[0x00000001\]: 'nonsense', expected 4 bytes"),
        (lambda: made("LPM_TRIE", 8, 4, 1, 1).put("10.0.0.1/8", 1), r"map acl: key: '10.0.0.1/8' has bits set behind"),
        (lambda: made("LPM_TRIE", 8, 4, 1), r"map acl: flags 0x0, expected BPF_F_NO_PREALLOC"),
        (lambda: made("HASH", 4, 0), r"map acl: value_size 0, expected 1 or more\n  Linux .* with EINVAL"),
        (lambda: made("HASCH", 4, 4), r"map acl: type 'HASCH', expected one of HASH, ARRAY"),
        (lambda: made("DEVMAP", 4, 4).put(0, {"ifindex": 1, "bpf_prog": 3}), r"a program for ifindex 1, expected none"),
    ],
)
def test_errors_say_what_would_have_been_right(action: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        action()


def test_types_to_come_are_unsupported() -> None:
    with pytest.raises(Unsupported, match="map acl: maps of type ARENA"):
        made("ARENA", 0, 0)


def test_missing_keys() -> None:
    table = made("HASH", 4, 4)
    with pytest.raises(KeyError):
        table[1]
    with pytest.raises(KeyError):
        del table[1]
    assert table.get(1) is None
