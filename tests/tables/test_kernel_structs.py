"""Offsets of members of the kernel's structs, and the shapes of those that the uapi fixes."""

from __future__ import annotations

import pytest

from xdpsim.errors import XdpsimBug
from xdpsim.helpers.fib import PARAMS
from xdpsim.helpers.kfuncs_conntrack import OPTS
from xdpsim.memory.layout import Struct
from xdpsim.tables.kernel_structs import Place, place, size_of
from xdpsim.tables.socket_layouts import BPF_SOCK, BPF_TCP_SOCK


def test_members_are_found_through_arrays_unions_and_unnamed_structs() -> None:
    assert place("nf_conn", "tuplehash[1].tuple.src.u3.ip").width == 4
    first, second = (place("nf_conn", f"tuplehash[{n}].tuple.dst.dir") for n in (0, 1))
    assert second.offset - first.offset == size_of("nf_conntrack_tuple_hash")
    assert place("sock_common", "skc_daddr") == Place(0, 4)
    assert place("task_struct", "comm").width == 16
    assert place("task_struct", "cred").width == 8


def test_a_member_that_is_not_there_is_our_mistake() -> None:
    with pytest.raises(XdpsimBug, match="struct nf_conn has no colour"):
        place("nf_conn", "colour")
    with pytest.raises(XdpsimBug, match="have no struct nothing"):
        size_of("nothing")


@pytest.mark.parametrize("layout", [BPF_SOCK, BPF_TCP_SOCK, OPTS], ids=lambda layout: str(layout.name))
def test_our_layouts_are_those_of_the_uapi(layout: Struct) -> None:
    assert layout.size == size_of(layout.name)
    for name, field in layout.members.items():
        if name != "padding":
            assert place(layout.name, name) == Place(field.offset, field.width * field.count), name


def test_the_parameters_of_a_route_lookup_lie_where_linux_has_them() -> None:
    assert size_of("bpf_fib_lookup") == PARAMS.size
    names = {"tos": "tos", "src": "ipv6_src", "dst": "ipv6_dst", "tbid": "tbid", "mark": "mark", "tot_len": "tot_len"}
    for ours, theirs in names.items():
        assert place("bpf_fib_lookup", theirs).offset == PARAMS.offset(ours), ours
