"""Kernel functions on connections do what Linux's do (golden helpers_conntrack), and users' side of the table."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.helpers.ct_cases import NUMBERS, Program, cases, ends, member, opts, run, turned
from tests.support.oracle import golden
from tests.support.record import recorder
from xdpsim.errors import InputError
from xdpsim.isa.asm import assemble
from xdpsim.loader.model import Object, ProgramSpec, Subprogram
from xdpsim.maps.spec import MapSpec
from xdpsim.sim.sim import Sim
from xdpsim.tables.conntrack import Ips

SECOND = 1_000_000_000
CASES = dict(cases())


@recorder("helpers_conntrack")
def record() -> dict[str, Any]:
    return {name: run(text, "kernel") for name, text in CASES.items()}


@pytest.mark.golden
@pytest.mark.parametrize("name", CASES)
def test_the_table_behaves_as_linuxs(name: str) -> None:
    assert run(CASES[name], "interpreter") == golden("helpers_conntrack")[name]


def run_in(sim: Sim, text: str, time_ns: int) -> bytes:
    """Run a program that may call the kernel functions; its map's value."""
    names = tuple(f"bpf_{name}" for name in NUMBERS)
    out = MapSpec("out", "ARRAY", 4, 128, 1)
    code = assemble(text, maps={"out": 0})
    spec = ProgramSpec("ct", "xdp", "XDP", 0, code, (Subprogram("ct", 0),), (), "GPL", kfuncs=names)
    loaded = sim._place(Object("ct", {"ct": spec}, (out,), None, "GPL"))
    outcome = loaded["ct"].run(bytes(64), time_ns=time_ns)
    assert outcome.fault is None, outcome.fault
    value = loaded.maps["out"].lookup_bytes(bytes(4))
    assert value is not None
    return value


def lookup(tuple_: bytes) -> str:
    """A program that looks a connection up and marks it one higher."""
    program = Program()
    program.find("xdp_ct_lookup", tuple_, opts())
    program.read("mark")
    program.text += f"r1 += 1; *(u32 *)(r8 + {member('mark').offset}) = r1\n"
    program.with_entry("ct_release")
    return program.whole


def text_of(tuple_: bytes) -> tuple[str, str]:
    """A tuple of IPv4 as users write it."""
    hosts = (".".join(map(str, tuple_[at : at + 4])) for at in (0, 4))
    ports = (int.from_bytes(tuple_[at : at + 2], "big") for at in (8, 10))
    source, destination = (f"{host}:{port}" for host, port in zip(hosts, ports, strict=True))
    return source, destination


def test_a_declared_connection_is_found_until_its_time_is_over() -> None:
    sim, tuple_ = Sim(), ends()
    made = sim.conntrack("tcp", *text_of(tuple_), timeout=30, status=["assured", "seen_reply"], mark=5)
    for second, is_there in ((1, True), (29, True), (32, False)):
        left = run_in(sim, lookup(turned(tuple_)), second * SECOND)
        assert bool(left[16]) is is_there
        assert left[9] == (1 if is_there else 0x55)  # the direction, left alone when nothing is found
    assert made.mark == 7
    assert list(sim.tables.conntrack) == []


def test_a_declared_connection_says_what_it_is() -> None:
    sim = Sim()
    made = sim.conntrack("udp", "10.0.0.1:53", "10.0.0.2:5353", reply_source="192.0.2.1:53", status=["dst_nat"])
    assert made.status == Ips.DST_NAT | Ips.CONFIRMED
    assert (made.tuples[1].src, made.tuples[1].sport) == (bytes((192, 0, 2, 1)), 53)
    assert repr(made).startswith("<xdpsim connection udp 10.0.0.1:53 -> 10.0.0.2:5353:")


def test_ten_thousand_connections_come_and_go() -> None:
    sim = Sim()
    for number in range(10_000):
        sim.conntrack("tcp", f"10.0.{number >> 8}.{number & 255}:1000", "10.9.9.9:80", timeout=number % 7)
    assert len(list(sim.tables.conntrack)) == 10_000


UNVERIFIED = partial(Sim, verify=False)
"""For what Linux would refuse, which must be a fault."""


@pytest.mark.parametrize("name", ["ct_release", "ct_insert_entry", "ct_set_timeout", "ct_change_status"])
def test_a_wild_pointer_is_a_fault(name: str) -> None:
    program = Program()
    program.text += "r8 = r10\n"
    program.with_entry(name, 0)
    with pytest.raises(AssertionError, match=rf"argument 1 of bpf_{name} is stack\+512"):
        run_in(UNVERIFIED(), program.whole, SECOND)


def test_an_entry_that_was_given_back_is_told_by_its_name() -> None:
    program = Program()
    program.find("xdp_ct_alloc", ends(), opts())
    program.with_entry("ct_release")
    program.with_entry("ct_release")
    with pytest.raises(AssertionError, match=r"argument 1 of bpf_ct_release is nf_conn that is free\+0"):
        run_in(UNVERIFIED(), program.whole, SECOND)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("icmp", "10.0.0.1:1", "10.0.0.2:2"), "protocol 'icmp', expected tcp or udp"),
        (("tcp", "10.0.0.1", "10.0.0.2:2"), "'10.0.0.1', expected an address with its port"),
        (("tcp", "10.0.0.1:1", "[::1]:2"), "the addresses are of different families"),
    ],
)
def test_connections_that_make_no_sense_are_refused(given: tuple[str, str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Sim().conntrack(*given)
    assert message in caught.value.message


def test_a_connection_cannot_be_declared_twice() -> None:
    sim = Sim()
    sim.conntrack("tcp", "10.0.0.1:1", "10.0.0.2:2")
    with pytest.raises(InputError, match="one of its directions is in the table already"):
        sim.conntrack("tcp", "10.0.0.2:2", "10.0.0.1:1")
