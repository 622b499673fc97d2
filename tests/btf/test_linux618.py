"""The shipped types of Linux 6.18: what is in them, and that they are those of the kernel they were measured from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.elf_writer import BtfWriter
from xdpsim.btf import make_linux618
from xdpsim.btf.linux618 import NAMES_FILE, TYPES_FILE, in_linux618, kfuncs, linux618, read_types
from xdpsim.btf.parse import parse
from xdpsim.btf.types import Btf, Enum, Kind, Member, Struct

on_618 = pytest.mark.skipif(
    not Path("/proc/sys/kernel/osrelease").read_text().startswith("6.18.") or not make_linux618.HOST.exists(),
    reason="this kernel is no 6.18 with BTF",
)


def test_it_is_small() -> None:
    assert TYPES_FILE.stat().st_size + NAMES_FILE.stat().st_size < 150_000


@pytest.mark.parametrize(
    ("name", "member"),
    [("sk_buff", "users"), ("net_device", "ifindex"), ("sock_common", "skc_family"), ("inet_sock", "inet_sport"),
     ("tcp_sock", "snd_cwnd"), ("udp_sock", "pending"), ("iphdr", "saddr"), ("task_struct", "comm"),
     ("nf_conn", "mark"), ("xdp_buff", "data_meta"), ("xdp_frame", "headroom"), ("bpf_sock", "dst_port")],
)  # fmt: skip
def test_what_network_programs_touch(name: str, member: str) -> None:
    row = linux618().btf.by_name(name, Kind.STRUCT)
    assert isinstance(row, Struct)
    assert row.member(member) or any(not m.name for m in row.members)
    assert row.id not in linux618().opaque


def test_references_stay_inside() -> None:
    btf = linux618().btf
    for row in btf.types:
        btf.type_name(row.id)
        for m in row.members if isinstance(row, Struct) else ():
            assert btf.size_of(m.type_id) >= 0


def test_names() -> None:
    assert in_linux618(Kind.STRUCT, "super_block")
    assert in_linux618(Kind.TYPEDEF, "u32")
    assert not in_linux618(Kind.STRUCT, "no_such_struct")
    assert not in_linux618(Kind.UNION, "sk_buff")
    assert {"bpf_xdp_ct_lookup", "bpf_dynptr_from_skb", "bpf_iter_num_new"} <= kfuncs()


def shape(btf: Btf, row: Struct) -> list[tuple[object, ...]]:
    """A struct without type ids."""

    def one(m: Member) -> tuple[object, ...]:
        target = btf.resolve(m.type_id)
        inner = shape(btf, target) if isinstance(target, Struct) and not m.name else None
        size = 0 if target.kind in (Kind.FUNC_PROTO,) else btf.size_of(m.type_id)
        return m.name, m.bit_offset, m.bit_size, target.kind, size, inner

    return [(row.kind, row.size), *map(one, row.members)]


@on_618
def test_they_are_those_of_the_running_kernel() -> None:
    mine, host = linux618(), parse(make_linux618.HOST.read_bytes())
    theirs: dict[tuple[Kind, str], list[object]] = {}
    for row in host.types:
        if isinstance(row, Struct) and row.name:
            theirs.setdefault((row.kind, row.name), []).append(shape(host, row))
        elif isinstance(row, Enum) and row.name:
            theirs.setdefault((row.kind, row.name), []).append(row.values)
    for row in mine.btf.types:
        if isinstance(row, Struct) and row.name and row.id not in mine.opaque:
            assert shape(mine.btf, row) in theirs[row.kind, row.name], row.name
        elif isinstance(row, Enum) and row.name:
            assert row.values in theirs[row.kind, row.name], row.name


def test_the_writer_leaves_out_what_is_only_pointed_to() -> None:
    b = BtfWriter()
    u8, bits = b.int("u8", 1), b.int("unsigned int", 4)
    far = b.struct("far_away", 4, ("x", bits, 0))
    inner = b.union("", 4, ("a", bits, 0), ("b", b.array(u8, 4), 0))
    b.struct("sk_buff", 24, ("far", b.ptr(far), 0), ("in", inner, 64, 0), ("f", bits, 96, 3), ("p", b.ptr(0), 128))
    b.enum("sock_type", ("A", -1), ("B", 2), signed=True)
    b.typedef("u32", bits)
    types = read_types(make_linux618.Writer(parse(b.build())).lines())
    skb, hidden = types.btf.by_name("sk_buff"), types.btf.by_name("far_away")
    assert isinstance(skb, Struct)
    assert isinstance(hidden, Struct)
    assert [(m.name, m.bit_offset, m.bit_size) for m in skb.members] == [
        ("far", 0, 0),
        ("in", 64, 0),
        ("f", 96, 3),
        ("p", 128, 0),
    ]
    assert (hidden.size, hidden.members, types.opaque) == (4, (), {hidden.id})
    color = types.btf.by_name("sock_type")
    assert isinstance(color, Enum)
    assert (color.values, color.is_signed, types.btf.by_name("u8", Kind.INT) is not None) == (
        (("A", -1), ("B", 2)),
        True,
        True,
    )
